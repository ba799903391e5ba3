"""Whether events are one sound chain, looked at one by one in constant memory.

What is checked needs no execution: each header is in its one form and hashes to what the next one names; each payload
is the one that its header committed to; times do not go back; and the events have the shape of steps -- ``message``,
then calls and logs, then exactly one closing event, with ``lifecycle`` wherever it likes. That what a step says
happened did happen is for a replay to find.
"""

from __future__ import annotations

import re

from theater.errors import Unsound
from theater.model.commitment import why_not_committed
from theater.model.event import CLOSING_KINDS, EMPTY, Event, Head
from theater.model.header import decode_header, event_hash
from theater.model.ids import ActorId
from theater.model.payload import HostCall, decode_payload

_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class ChainChecker:
    """Feed it each event in order, from ``genesis``. Once it raised, the chain is not sound and it takes no more."""

    def __init__(self, *, actor: ActorId | None = None) -> None:
        self._actor = actor
        self._head = EMPTY
        self._time_us: int | None = None
        self._message_seq: int | None = None
        self._message_name = ""
        self._intents: set[int] = set()  # of the open step, which has at most so many events as its limit allows
        self._is_unsound = False
        self.withheld_events = 0
        """Events whose payload is not there: their commitments could not be checked."""

    @property
    def actor(self) -> ActorId | None:
        """Whose chain it is; None before the first event, unless it was said."""
        return self._actor

    @property
    def head(self) -> Head:
        """The last event fed."""
        return self._head

    @property
    def open_step(self) -> int | None:
        """The seq of the message whose step has not closed yet, if there is one."""
        return self._message_seq

    def feed(self, event: Event) -> None:
        """Look at the next event.

        Raises:
            Unsound: names the event by its place, and says why.
        """
        assert not self._is_unsound
        seq = self._head.seq + 1
        problem = self._problem(event, seq)
        if problem is not None:
            self._is_unsound = True
            raise Unsound(f"event {seq}: {problem}", seq=seq)
        self._actor = event.header.actor
        self._time_us = event.header.time_us
        self._head = Head(seq, event.hash)

    def finish(self, *, head: str | None = None) -> None:
        """There are no more events. ``head`` is the hash that the last one must have, where that is known.

        Raises:
            Unsound: there was none at all, or the last one is another.
        """
        seq = self._head.seq
        if seq < 0:
            raise Unsound("there is no event, not even a genesis", seq=0)
        if head is not None and head != self._head.hash:
            raise Unsound(
                f"event {seq}: the chain ends here with {self._head.hash}, and its head should be {head}:"
                " its tail was cut, or this is another chain",
                seq=seq,
            )

    def _problem(self, event: Event, seq: int) -> str | None:
        header = event.header
        if decode_header(event.header_bytes, seq=seq) != header or event_hash(event.header_bytes) != event.hash:
            return "the header and its bytes are two different things"
        if header.seq != seq:
            return f"its header says that it is event {header.seq}"
        if self._actor is not None and header.actor != self._actor:
            return f"it belongs to actor {header.actor}, the chain to {self._actor}"
        if header.prev != self._head.hash:
            return f"it follows {header.prev}, and the event before it is {self._head.hash}"
        if header.trace is not None and _TRACEPARENT.fullmatch(header.trace) is None:
            return "its trace is no W3C traceparent"
        if self._time_us is not None and header.time_us < self._time_us:
            return "its time is earlier than that of the event before it"
        return why_not_committed(event) or self._structure_problem(event)

    def _structure_problem(self, event: Event) -> str | None:
        """What is wrong with an event of this kind at this place; takes note of it if nothing is."""
        header = event.header
        kind = header.kind
        if event.payload is None:
            self.withheld_events += 1
        if (kind == "genesis") != (header.seq == 0):
            return "a chain begins with genesis" if header.seq == 0 else "a second genesis"
        if kind in ("genesis", "lifecycle"):
            return None
        if kind == "message":
            if self._message_seq is not None:
                return f"a step begins, and the one of event {self._message_seq} is not closed"
            self._message_seq = header.seq
            self._message_name = header.name
            return None
        if self._message_seq is None:
            return f"a '{kind}' event outside of any step"
        if kind in CLOSING_KINDS:
            if header.name != self._message_name:
                return f"it closes a step of {self._message_name} under the name {header.name}"
            self._message_seq = None
            self._intents.clear()
        elif kind == "intent":
            self._intents.add(header.seq)
        elif kind == "host" and event.payload is not None:
            return self._host_problem(event.payload, header.seq)
        return None

    def _host_problem(self, payload: bytes, seq: int) -> str | None:
        call = decode_payload("host", payload, seq=seq)
        assert isinstance(call, HostCall)
        if call.intent is not None and call.intent not in self._intents:
            return f"it answers the intent of event {call.intent}, and there is none in its step"
        return None
