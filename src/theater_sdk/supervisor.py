"""Starting, watching and ending children: the capability ``supervisor``.

Strategy, intensity and period stand under ``[supervision]`` in the manifest of the actor that supervises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

from theater_sdk.failure import ChildFailed, in_words
from theater_sdk.host import call
from theater_sdk.text import decoded, encoded
from theater_sdk.timing import milliseconds, python_time

Restart = Literal["permanent", "transient", "temporary"]
Start = Literal["last-state", "init"]
Shutdown = float | Literal["infinity", "brutal"]
"""How a child is stopped: so many seconds for its running step, as long as that takes, or at once."""


class ChildSpec(TypedDict, total=False):
    """A child to be started: ``manifest`` or ``directory``; what else is left out is as the manifest says."""

    manifest: str
    """The text of a manifest whose ``component`` is ``sha256:`` and a digest."""
    directory: str
    """A directory with a ``theater.toml``, inside those that the grant names."""
    name: str
    params: Any
    restart: Restart
    restart_from: Start
    shutdown: Shutdown
    backoff_s: tuple[float, float]
    """The first pause before a restart, and the longest."""


@dataclass(frozen=True, slots=True)
class Child:
    """One descendant."""

    id: str
    name: str
    parent: str
    status: str
    """"not-started", "running", "paused", "restarting" or "exited"."""
    detail: str
    """Of one that has exited, how."""
    component: str
    restart: Restart
    restarts: int


@dataclass(frozen=True, slots=True)
class ChildState:
    """A child's last committed state, and the number of the event that holds it."""

    state: Any
    seq: int


@dataclass(frozen=True, slots=True)
class ChildExit:
    """How a child ended, and what was decided."""

    child: str
    name: str
    reason: str
    """"normal", "shutdown", "refused-init", "crashed" or "intensity"."""
    detail: Any
    """The value that it shut down with, the text of its refusal, or why it crashed: "trap", "fuel" …"""
    decision: str
    """"restarted" or "left"."""
    restarted: tuple[str, ...]
    """The children that are started again, in order; it is not always this one alone."""
    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """One event of a descendant."""

    seq: int
    kind: str
    name: str
    time: datetime
    hash: str
    prev: str
    payload: Any
    """None unless payloads were asked for."""


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Some events of one descendant."""

    child: str
    events: tuple[ChainEvent, ...]
    gap: bool
    """Whether events before these were left out, since this actor was too slow."""


def spawn(**child: Unpack[ChildSpec]) -> str:
    """Start a child when this step is committed, and return its id, to which messages can be sent at once.

    For instance ``spawn(manifest=text, name="worker-1", params={"n": 1}, restart="transient")``. If its ``init`` fails,
    that arrives in ``Actor.child_exited``.
    """
    id: str = call("supervisor", "spawn", {"child": _spec(child)})
    return id


def spawn_and_wait(*, timeout_s: float | None = None, **child: Unpack[ChildSpec]) -> Any:  # noqa: ANN401 - any JSON
    """Start a child now, wait inside this step for its normal end, and return what it shut down with.

    Raises:
        ChildFailed: it ended in another way (``reason`` is "exited"), or not in time.
    """
    args = {"child": _spec(child), "timeout-ms": milliseconds(timeout_s)}
    value = call("supervisor", "spawn-and-wait", args, ChildFailed)
    return None if value is None else decoded(value)


def resume(state: Any, **child: Unpack[ChildSpec]) -> str:  # noqa: ANN401 - any JSON
    """As ``spawn``, with this state instead of a run of ``init``."""
    text = encoded(state, "the state given to resume()")
    id: str = call("supervisor", "resume", {"child": _spec(child), "state": text})
    return id


def stop_child(child: str, mode: Shutdown | None = None) -> None:
    """Stop a descendant and its own descendants when this step is committed. It is not restarted."""
    call("supervisor", "stop", {"child": child, "mode": _mode(mode)})


def restart_child(child: str, start: Start | None = None) -> None:
    """Start a descendant again when this step is committed: same id, same mailbox."""
    call("supervisor", "restart", {"child": child, "start": start})


def remove_child(child: str) -> None:
    """Take an ended descendant off the list of children. What happened to it stays on record."""
    call("supervisor", "remove", {"child": child})


def children(parent: str | None = None) -> list[Child]:
    """The children of this actor, or of a descendant, in the order of their start."""
    found = call("supervisor", "list-children", {"parent": parent})
    return [
        Child(
            id=each["id"],
            name=each["name"],
            parent=each["parent"],
            status=each["status"][0],
            detail=in_words(each["status"][1]) if each["status"][0] == "exited" else "",
            component=each["component"],
            restart=each["restart"],
            restarts=each["restarts"],
        )
        for each in found
    ]


def child_state(child: str) -> ChildState:
    """The last committed state of a descendant, also of one that has ended."""
    found = call("supervisor", "child-state", {"child": child})
    return ChildState(decoded(found["state"]), found["seq"])


def child_events(
    child: str, start: int = 0, *, limit: int = 1000, kinds: Sequence[str] = (), payloads: bool = False
) -> list[ChainEvent]:
    """Committed events of a descendant from number ``start`` on; none is the end. All kinds if ``kinds`` is empty."""
    args = {"child": child, "start": start, "limit": limit, "filter": _filter(kinds, payloads=payloads)}
    return [chain_event(each) for each in call("supervisor", "child-events", args)]


def subscribe(child: str, start: int | None = None, *, kinds: Sequence[str] = (), payloads: bool = False) -> None:
    """Have a descendant's events delivered to ``Actor.child_events``, from ``start`` or from now on."""
    call("supervisor", "subscribe", {"child": child, "start": start, "filter": _filter(kinds, payloads=payloads)})


def unsubscribe(child: str) -> None:
    """Have them delivered no longer."""
    call("supervisor", "unsubscribe", {"child": child})


def child_exit(plain: dict[str, Any]) -> ChildExit:
    """WIT's ``child-exit``, as the actor is given it."""
    reason, detail = plain["reason"]
    decision, targets = plain["decision"]
    if reason == "normal":
        detail = None if detail is None else decoded(detail)
    return ChildExit(
        child=plain["child"],
        name=plain["name"],
        reason=reason,
        detail=in_words(detail) if reason == "crashed" else detail,
        decision=decision,
        restarted=tuple(targets) if decision == "restarted" else (),
        seq=plain["seq"],
        hash=plain["hash"],
    )


def chain_event(plain: dict[str, Any]) -> ChainEvent:
    """WIT's ``chain-event``, as the actor is given it."""
    payload = plain["payload"]
    return ChainEvent(
        seq=plain["seq"],
        kind=plain["kind"],
        name=plain["name"],
        time=python_time(plain["time"]),
        hash=plain["hash"],
        prev=plain["prev"],
        payload=None if payload is None else decoded(payload),
    )


def _spec(child: ChildSpec) -> dict[str, Any]:
    sources = [(kind, child[kind]) for kind in ("manifest", "directory") if kind in child]
    if len(sources) != 1:
        raise TypeError("a child needs a manifest or a directory, and not both")
    unknown = child.keys() - ChildSpec.__annotations__.keys()
    if unknown:
        raise TypeError(f"a child has no {', '.join(sorted(unknown))}; it has {', '.join(ChildSpec.__annotations__)}")
    backoff = child.get("backoff_s")
    return {
        "source": sources[0],
        "name": child.get("name"),
        "params": encoded(child["params"], "a child's params") if "params" in child else None,
        "restart": child.get("restart"),
        "restart-from": child.get("restart_from"),
        "shutdown": _mode(child.get("shutdown")),
        "backoff": backoff and {"first-ms": milliseconds(backoff[0]), "max-ms": milliseconds(backoff[1])},
    }


def _mode(mode: Shutdown | None) -> tuple[str, int | None] | None:
    if mode is None:
        return None
    return (mode, None) if isinstance(mode, str) else ("timeout-ms", milliseconds(mode))


def _filter(kinds: Sequence[str], *, payloads: bool) -> dict[str, Any]:
    return {"kinds": list(kinds), "payloads": payloads}
