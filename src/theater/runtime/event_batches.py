"""Which events of a chain a subscriber gets next."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from theater.capabilities.supervisor_reads import event_value
from theater.model.event import Event
from theater.model.ids import ActorId
from theater.model.ports import EventStore

EVENTS_MAX = 100
"""Events in one batch, which is one message and one step."""

PAYLOADS_MAX_BYTES = 64 * 1024
"""Of payloads in one batch, unless its first event alone has more: as large as one that lies in its event's row."""

LAG_MAX = 1000
"""News that a subscriber may be behind, as many as a mailbox has by default; beyond it, the oldest are left out."""

SCANNED_MAX = 10_000
"""Events that are looked at in one go, for those of the kinds that are wanted."""


class Subscription(msgspec.Struct, frozen=True, omit_defaults=True):
    """As it stands in the store, at the subscriber, under the id of the one that is watched."""

    next: int
    """The number of the first event that was neither delivered nor passed over."""
    news: int
    """Events from here on happened behind the subscription: only of these can a subscriber be too slow."""
    made: int
    """The number of the subscriber's event that closed the step which subscribed."""
    kinds: tuple[str, ...] = ()
    payloads: bool = False
    is_behind: bool = False
    """Whether events before ``next`` were left out, and the subscriber has not been told."""
    batch: str | None = None
    """The message delivered last."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some events, and what the subscription is once they are delivered. ``is_all``: the chain has no more now."""

    events: tuple[Event, ...]
    after: Subscription
    has_gap: bool
    is_all: bool

    def value(self, child: ActorId, *, payload_max_bytes: int) -> dict[str, object]:
        """As the guest gets it. A payload that no message of the subscriber could hold is left out."""
        events = [
            event_value(event, has_payload=self.after.payloads and len(event.payload or b"") <= payload_max_bytes)
            for event in self.events
        ]
        return {"child": child, "events": events, "gap": self.has_gap}


def next_batch(store: EventStore, child: ActorId, subscription: Subscription) -> Batch:
    """What comes next; without events where nothing that is wanted does.

    Raises:
        Damaged: the chain cannot be read.
    """
    end = store.head(child).seq + 1
    start, is_behind = subscription.next, subscription.is_behind
    if end - max(start, subscription.news) > LAG_MAX:
        start, is_behind = end - LAG_MAX, True
    stop = min(end, start + SCANNED_MAX)
    events: list[Event] = []
    size_bytes = 0
    following = start
    for event in store.events(child, start=start, stop=stop):
        if not subscription.kinds or event.header.kind in subscription.kinds:
            payload_bytes = len(event.payload or b"") if subscription.payloads else 0
            is_full = len(events) == EVENTS_MAX or size_bytes + payload_bytes > PAYLOADS_MAX_BYTES
            if events and is_full:
                break
            events.append(event)
            size_bytes += payload_bytes
        following = event.header.seq + 1
    after = msgspec.structs.replace(subscription, next=following, is_behind=is_behind and not events)
    return Batch(tuple(events), after, has_gap=is_behind, is_all=following >= end)
