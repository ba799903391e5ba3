"""Looking at descendants: the part of ``theater:actor/supervisor`` that reads.

What is recorded and the limits stand in ``supervisor``.
"""

from __future__ import annotations

from typing import TypedDict

from theater.capabilities.child_order import child_value
from theater.capabilities.moment import datetime_of
from theater.capabilities.registration import functions
from theater.capabilities.supervisor_grant import SupervisorGrant
from theater.capabilities.supervisor_spawn import INTERFACE
from theater.model.actor_system import Problem
from theater.model.capability import HostClass, StepContext
from theater.model.event import SEQ_MAX, Event
from theater.model.ids import ActorId, is_actor_id

EVENTS_MAX = 1000
EVENTS_MAX_BYTES = 2**20
"""Of payloads in one answer, which is recorded whole: so a supervisor can ask a dozen times in a step."""
SCANNED_MAX = 10_000
"""Events looked at in one call once something was found: a call is to take milliseconds."""
_PAGE = 32  # events at a time: each of them may have a payload of many MiB
_PAYLOAD_SHARE = 4  # a payload of a quarter of what the step may record fits, whatever its escapes

_NO_STATE = frozenset({"not-found", "not-running", "too-large", "other"})
"""The problems of ``ActorSystem.child_state``. No JSON text is one of these words."""


class EventFilter(TypedDict):
    """An ``event-filter``."""

    kinds: list[str]
    payloads: bool


def list_children(ctx: StepContext, _grant: SupervisorGrant, parent: str | None) -> object:
    """The children of this actor or of a descendant."""
    if parent is not None and not is_descendant(ctx, parent):
        return ("err", ("not-found", parent))
    found = ctx.system.children(None if parent is None else ActorId(parent))
    return ("ok", [child_value(facts) for facts in found])


def child_state(ctx: StepContext, _grant: SupervisorGrant, child: str) -> object:
    """The last committed state of a descendant."""
    if not is_actor_id(child):
        return ("err", ("not-found", child))
    found = ctx.system.child_state(ActorId(child))
    state, seq = found
    return ("err", found) if state in _NO_STATE else ("ok", {"state": state, "seq": seq})


def child_events(
    ctx: StepContext, _grant: SupervisorGrant, child: str, start: int, limit: int, wanted: EventFilter
) -> object:
    """Events of a descendant."""
    if not is_actor_id(child):
        return ("err", ("not-found", child))
    page = _Page(
        count_max=min(limit, EVENTS_MAX),
        payload_max_bytes=ctx.limits.bytes_per_step // _PAYLOAD_SHARE,
        wanted=wanted,
    )
    start = min(start, SEQ_MAX)  # there is no event beyond, and a store need not know such numbers
    first = start
    while True:  # ends with the chain at the latest
        found = ctx.system.child_events(ActorId(child), start, _PAGE)
        if isinstance(found, tuple):
            return ("err", found)
        problem = page.fill(found)
        if problem is not None:
            return ("err", problem)
        if not found or page.is_full or (page.events and start - first >= SCANNED_MAX):
            return ("ok", page.events)
        start = found[-1].header.seq + 1


def is_descendant(ctx: StepContext, child: str) -> bool:
    """Whether the guest may touch it. What is no id is the id of nobody."""
    return is_actor_id(child) and ctx.system.descendant(child) is not None


class _Page:
    """One answer of ``child-events`` as it fills."""

    __slots__ = ("_count_max", "_payload_max_bytes", "_size_bytes", "_wanted", "events", "is_full")

    def __init__(self, *, count_max: int, payload_max_bytes: int, wanted: EventFilter) -> None:
        self._count_max = count_max
        self._payload_max_bytes = payload_max_bytes
        self._wanted = wanted
        self._size_bytes = 0
        self.events: list[dict[str, object]] = []
        self.is_full = count_max == 0

    def fill(self, found: list[Event]) -> Problem | None:
        """Take of these what is wanted and fits; a problem where not even one would."""
        kinds = self._wanted["kinds"]
        for event in found:
            if self.is_full:
                break
            if kinds and event.header.kind not in kinds:
                continue
            size_bytes = len(event.payload or b"") if self._wanted["payloads"] else 0
            fits = size_bytes <= self._payload_max_bytes
            if not fits and not self.events:
                return ("too-large", self._payload_max_bytes)
            if self.events and not (fits and self._size_bytes + size_bytes <= EVENTS_MAX_BYTES):
                self.is_full = True
                break
            self._size_bytes += size_bytes
            self.events.append(event_value(event, has_payload=self._wanted["payloads"]))
            self.is_full = len(self.events) == self._count_max
        return None


def event_value(event: Event, *, has_payload: bool) -> dict[str, object]:
    """A ``chain-event``."""
    header = event.header
    return {
        "seq": header.seq,
        "kind": header.kind,
        "name": header.name,
        "time": datetime_of(header.time_us),
        "hash": event.hash,
        "prev": header.prev,
        "payload": event.payload.decode() if has_payload and event.payload is not None else None,
    }


READ_FUNCTIONS = functions(
    INTERFACE,
    HostClass.READ,
    {"list-children": list_children, "child-state": child_state, "child-events": child_events},
)
