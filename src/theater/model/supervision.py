"""What a supervisor does about an ended child: pure functions, so that anybody can compute a decision again.

The rules are those of OTP's ``supervisor``, read in its source where its manual is silent. What may surprise:

* One-for-all and rest-for-one restart *every* child in their reach, also those that had ended normally and were left,
  or had been stopped with ``supervisor.stop``: an ended child stays in the list without a process, and
  ``start_children/2`` starts the whole list. Who wants a child to stay away removes it. One that had ended normally
  starts from a fresh ``init``.
* Temporary children in their reach are stopped and leave the list (``terminate_children/2``).
* Such a restart counts once, however many children it takes. A restart whose ``init`` fails is an end again and the
  next restart counts again (``restart/2`` counts each try).
* More restarts than the intensity within the period: the supervisor stops all its children and ends itself.

Where this goes its own way, on purpose: ``shutdown`` means here that somebody stopped the child, and nobody wants back
what he stopped; in OTP a permanent child that exits with ``shutdown`` by itself is restarted, which an actor here
cannot do. And ``intensity`` is a failure (see ``exit_reason``).

The ends of children that a decision itself stops are part of that decision and are not put to ``decide`` again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from theater.errors import InvalidInput
from theater.model.child_spec import ChildSpec, RestartFrom, RestartPolicy
from theater.model.event import SEQ_MAX
from theater.model.exit_reason import ExitReason
from theater.model.family import Child, Family
from theater.model.ids import ActorId, Digest, is_actor_id, is_digest
from theater.model.recorded import Recorded, check_whole
from theater.model.supervisor_spec import Window

DecisionKind = Literal["restart", "left", "give-up"]
"""Children are restarted; the child stays as it is; the supervisor stops its children and exits with ``intensity``."""

_DECIDED = ("decision", "targets", "start-from", "stop", "pause-ms")
"""The keys of the detail that the family and the end determine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is done about an ended child.

    ``stop``: the living children that are stopped first, in this order. ``targets``: those that are started then, in
    this order, each from what stands at its place in ``start_from``. ``pause_ms``: milliseconds between the time of the
    decision and the starts. ``family_after``: the family once this is decided, whatever of it is done yet.
    """

    kind: DecisionKind
    targets: tuple[ActorId, ...] = ()
    start_from: tuple[RestartFrom, ...] = ()
    stop: tuple[ActorId, ...] = ()
    pause_ms: int = 0
    family_after: Family

    def __post_init__(self) -> None:
        assert len(self.targets) == len(self.start_from)


@dataclass(frozen=True, slots=True, kw_only=True)
class RootDecision:
    """What the runtime does about an ended root actor. ``start_from`` is None where it is left.

    ``restarts``: the header times, in microseconds, that the next decision needs. ``pause_ms``: milliseconds.
    """

    kind: Literal["restart", "left"]
    start_from: RestartFrom | None = None
    pause_ms: int = 0
    restarts: tuple[int, ...]


class Supervised(Recorded, frozen=True, kw_only=True, omit_defaults=True):
    """The detail of the event ``lifecycle: supervised``: which end was handled, and what was decided.

    ``seq`` and ``hash`` are those of the event that closed the child's chain; only its form can be checked here.

    Raises:
        InvalidInput: an id, a hash or a number that cannot be one.
    """

    child: ActorId
    reason: ExitReason
    seq: int
    hash: Digest
    decision: DecisionKind
    targets: tuple[ActorId, ...] = ()
    start_from: tuple[RestartFrom, ...] = ()
    stop: tuple[ActorId, ...] = ()
    pause_ms: int = 0

    def __post_init__(self) -> None:
        if not is_actor_id(self.child):
            raise InvalidInput(f"{self.child!r} is no actor id")
        if not is_digest(self.hash):
            raise InvalidInput(f"{self.hash!r} is no hash of an event")
        check_whole("seq", self.seq, least=0, most=SEQ_MAX)


def wants_restart(policy: RestartPolicy, reason: ExitReason) -> bool:
    """Whether a child that ended so is restarted, the intensity aside.

    Nobody is who was stopped (``shutdown``). Else a permanent child always is, a transient one after a failure, a
    temporary one never.
    """
    if reason.kind == "shutdown":
        return False
    match policy:
        case "permanent":
            return True
        case "transient":
            return reason.is_abnormal
        case "temporary":
            return False
        case _:
            assert_never(policy)


def decide(family: Family, child: ActorId, reason: ExitReason, now_us: int) -> Decision:
    """What is done about the end of ``child``. ``now_us``: the header time of the decision, microseconds since 1970.

    The pause is that of the ended child's specification, doubled with each restart that counts at that time.

    Raises:
        InvalidInput: no living child has this id, or ``now_us`` is before the last restart where that matters.
    """
    after = family.ended(child, reason)
    ended = family.child(child)
    assert ended is not None  # or family.ended would have said so
    if not wants_restart(ended.spec.restart, reason):
        return Decision(kind="left", family_after=after)
    restarts = family.spec.window.counted(family.restarts, now_us)
    if restarts is None:
        return Decision(kind="give-up", stop=after.stop_order, family_after=after.closed())
    reach = _reach(after, child)
    dropped = {member.id for member in reach if member.spec.restart == "temporary"}
    targets = tuple(member for member in reach if member.id not in dropped)
    kept = tuple(member for member in after.children if member.id not in dropped)
    ids = tuple(member.id for member in targets)
    return Decision(
        kind="restart",
        targets=ids,
        start_from=tuple("init" if member.ended_normally else member.spec.restart_from for member in targets),
        stop=tuple(member.id for member in reversed(reach) if member.alive),
        pause_ms=_pause_ms(ended.spec, restarts),
        family_after=Family(spec=family.spec, children=kept, restarts=restarts).restarted(ids),
    )


def decide_root(
    spec: ChildSpec | None, window: Window, restarts: tuple[int, ...], reason: ExitReason, now_us: int
) -> RootDecision:
    """What the runtime, the supervisor of every root actor, does about the end of one. Times as in ``decide``.

    Each root actor has a ``window`` of its own, and ``restarts`` are those made in it. Without a ``spec``, that is
    without ``[supervision.self]`` in its manifest, it is left. The runtime never gives up: an actor that failed more
    often than its window allows stays ended, and others go on.
    """
    if spec is None or not wants_restart(spec.restart, reason):
        return RootDecision(kind="left", restarts=restarts)
    counted = window.counted(restarts, now_us)
    if counted is None:
        return RootDecision(kind="left", restarts=restarts)
    return RootDecision(
        kind="restart",
        start_from="init" if reason.kind == "normal" else spec.restart_from,
        pause_ms=_pause_ms(spec, counted),
        restarts=counted,
    )


def decision_detail(
    decision: Decision, *, child: ActorId, reason: ExitReason, seq: int, hash: Digest
) -> dict[str, object]:
    """The detail of ``lifecycle: supervised``. ``seq`` and ``hash``: the event that closed the child's chain.

    Raises:
        InvalidInput: see ``Supervised``.
    """
    return _supervised(decision, child=child, reason=reason, seq=seq, hash=hash).to_json()


def recompute(family: Family, detail: object, now_us: int) -> str | None:
    """None where a recorded ``detail`` follows from the ``family`` before it; else what differs, for people to read.

    ``now_us`` is the header time of the event. ``seq`` and ``hash`` are another chain's: only their form is checked.
    """
    try:
        recorded = Supervised.parse(detail)
        decision = decide(family, recorded.child, recorded.reason, now_us)
    except InvalidInput as error:
        return f"the decision cannot have been made: {error}"
    expected = _supervised(decision, child=recorded.child, reason=recorded.reason, seq=recorded.seq, hash=recorded.hash)
    left, right = recorded.to_json(), expected.to_json()
    for key in _DECIDED:
        if left.get(key) != right.get(key):
            return f"{key} is recorded as {left.get(key)!r}, but what came before makes it {right.get(key)!r}"
    return None


def _reach(family: Family, child: ActorId) -> tuple[Child, ...]:
    """The children that are restarted, or stopped for good, when this one is restarted; in the order of their start."""
    ids = [member.id for member in family.children]
    match family.spec.strategy:
        case "one-for-one":
            return tuple(member for member in family.children if member.id == child)
        case "one-for-all":
            return family.children
        case "rest-for-one":
            return family.children[ids.index(child) :]
        case _:
            assert_never(family.spec.strategy)


def _pause_ms(spec: ChildSpec, restarts: tuple[int, ...]) -> int:
    """``restarts``: those that count, the current one included."""
    return 0 if spec.backoff is None else spec.backoff.pause_ms(len(restarts))


def _supervised(decision: Decision, *, child: ActorId, reason: ExitReason, seq: int, hash: Digest) -> Supervised:
    return Supervised(
        child=child,
        reason=reason,
        seq=seq,
        hash=hash,
        decision=decision.kind,
        targets=decision.targets,
        start_from=decision.start_from,
        stop=decision.stop,
        pause_ms=decision.pause_ms,
    )
