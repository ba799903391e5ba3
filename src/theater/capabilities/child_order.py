"""Children as ``theater:actor/supervisor`` spells them, and as effects have them: the one place that maps the two."""

from __future__ import annotations

from typing import Literal, TypedDict

from theater.errors import InvalidInput
from theater.model.actor_system import ChildFacts, Problem
from theater.model.child_spec import PAUSE_MAX_MS, Backoff, ChildSpec
from theater.model.effects import ChildOrder, StopMode
from theater.model.ids import Digest, is_digest
from theater.model.manifest import check_name

ChildSource = tuple[Literal["manifest", "directory"], str]

ShutdownMode = tuple[Literal["timeout-ms", "infinity", "brutal"], int | None]

BackoffValue = TypedDict("BackoffValue", {"first-ms": int, "max-ms": int})

ChildSpecValue = TypedDict(
    "ChildSpecValue",
    {
        "source": ChildSource,
        "name": str | None,
        "params": str | None,
        "restart": Literal["permanent", "transient", "temporary"] | None,
        "restart-from": Literal["last-state", "init"] | None,
        "shutdown": ShutdownMode | None,
        "backoff": BackoffValue | None,
    },
)
"""A ``child-spec``."""


def order_of(spec: ChildSpecValue, note: object = None) -> ChildOrder:
    """The order that a specification is.

    ``note`` is what was read for one with a directory (``note_of``): what such a child is made of.

    Raises:
        ValueError: ``note`` is not what ``note_of`` makes.
    """
    kind, text = spec["source"]
    manifest, component = (text, None) if kind == "manifest" else _read_back(note)
    backoff = spec["backoff"]
    return ChildOrder(
        manifest=manifest,
        component=component,
        name=spec["name"],
        params=spec["params"],
        restart=spec["restart"],
        restart_from=spec["restart-from"],
        shutdown=stop_mode_of(spec["shutdown"]),
        backoff_ms=None if backoff is None else (backoff["first-ms"], backoff["max-ms"]),
    )


def note_of(found: ChildOrder) -> dict[str, str | None]:
    """What was read in a directory, as it is recorded."""
    return {"manifest": found.manifest, "component": found.component}


def stop_mode_of(mode: ShutdownMode | None) -> StopMode | None:
    """A ``shutdown-mode``."""
    match mode:
        case None:
            return None
        case ("timeout-ms", int(milliseconds)):
            return milliseconds
        case ("brutal", _):
            return "brutal"
        case _:
            return "infinity"


def mode_problem(mode: ShutdownMode | None) -> Problem | None:
    """Why nothing can be stopped so: it would take longer than a day, the longest that a manifest may say, too."""
    wanted = stop_mode_of(mode)
    if not isinstance(wanted, int) or wanted <= PAUSE_MAX_MS:
        return None
    return ("other", f"too-long: {PAUSE_MAX_MS} ms is the longest to wait for a step; infinity waits however long")


def spec_problem(spec: ChildSpecValue) -> Problem | None:
    """What is wrong with the part of a specification that stands in place of the manifest's."""
    backoff = spec["backoff"]
    try:
        if spec["name"] is not None:
            check_name(spec["name"])
        ChildSpec(
            shutdown=stop_mode_of(spec["shutdown"]),
            backoff=None if backoff is None else Backoff(first_ms=backoff["first-ms"], max_ms=backoff["max-ms"]),
        )
    except InvalidInput as error:
        return ("invalid-manifest", error.message)
    return None


def child_value(facts: ChildFacts) -> dict[str, object]:
    """A ``child``."""
    return {
        "id": facts.id,
        "name": facts.name,
        "parent": facts.parent,
        "status": facts.status,
        "component": facts.component,
        "restart": facts.restart,
        "restarts": facts.restarts,
    }


def _read_back(note: object) -> tuple[str, Digest | None]:
    match note:
        case {"manifest": str(manifest), "component": None}:
            return manifest, None
        case {"manifest": str(manifest), "component": str(digest)} if is_digest(digest):
            return manifest, Digest(digest)
    raise ValueError("what was read in the directory is not recorded")
