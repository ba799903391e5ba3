"""Where a step's events go to, or come from.

A step runs against a *tape*. A ``Recording`` tape appends each event to the chain. A ``Playing`` tape holds the events
that were recorded and compares: what the step emits must be, byte for byte, what stands there next. A ``Resuming`` tape
plays what an interrupted step had already recorded, and records from there on.

The boundary asks a tape two things: ``answer`` -- is the answer to this call already known? -- and ``emit`` -- here
is the event. An answer that is not known is a live call on a recording tape and a divergence on a playing one: a
replay never touches the world. Whether a call was refused or waited cannot be told without asking the world again, so
there the boundary looks at what comes next (``next_kind``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from theater.errors import InvalidInput
from theater.model.crash import StepCrash
from theater.model.event import Event, Kind
from theater.model.header import format_time, parse_time
from theater.model.payload import HostCall, decode_payload


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a replay went elsewhere: what is recorded and what the guest did now. Both are for people to read."""

    seq: int
    expected: str
    got: str


class Tape(Protocol):
    """See above."""

    @property
    def is_live(self) -> bool:
        """Whether a call that has no recorded answer may be made."""

    @property
    def next_kind(self) -> Kind | None:
        """The kind of the event that is recorded next, or None where nothing more is recorded."""

    def answer(self, name: str, *, ended_us: range | None = None) -> HostCall | None:
        """The recorded ``host`` event that answers the call ``name``, or None where nothing more is recorded.

        ``ended_us``: when the call, which waited, can have been answered.
        """

    def emit(self, kind: Kind, name: str, payload: bytes) -> int:
        """Put an event on the tape (or compare it with what stands there); returns its seq."""

    def miss(self, kind: Kind, name: str) -> NoReturn:
        """Nothing more is recorded, and what the step did next cannot be computed: end it."""

    def tick(self) -> None:
        """The guest has been running for a while."""

    def finish(self) -> Divergence | None:
        """The step ended by itself: how that differs from what is recorded, if it does."""


Add = Callable[[Kind, str, bytes], Event]


class Recording:
    """A live step's tape. ``add`` appends to the chain; ``tick`` sees that what waits there is flushed in time."""

    __slots__ = ("_add", "_tick", "emitted", "latest")

    def __init__(self, add: Add, tick: Callable[[], None]) -> None:
        self._add = add
        self._tick = tick
        self.emitted: list[Event] | None = None
        self.latest: Event | None = None
        """The event that was emitted last: where the guest waits, it is the intent."""

    @property
    def is_live(self) -> bool:
        """Always."""
        return True

    @property
    def next_kind(self) -> None:
        """Never any."""

    def keep(self) -> None:
        """Remember what is emitted: somebody wants to run this step a second time."""
        self.emitted = []

    def answer(self, name: str, *, ended_us: range | None = None) -> None:
        """Never known."""
        del name, ended_us

    def emit(self, kind: Kind, name: str, payload: bytes) -> int:
        """Append."""
        event = self.latest = self._add(kind, name, payload)
        if self.emitted is not None:
            self.emitted.append(event)
        return event.header.seq

    def miss(self, kind: Kind, name: str) -> NoReturn:
        """Never: whatever is not recorded can be had."""
        raise AssertionError(f"{kind} {name} is live")

    def tick(self) -> None:
        """Let the chain flush."""
        self._tick()

    def finish(self) -> None:
        """Never differs: this is the record."""


class Playing:
    """A replayed step's tape: ``events`` are those that were recorded between ``message`` and the closing event.

    Once something differs, ``divergence`` says what, and the step is ended with the crash ``diverged``. With
    ``stops_early`` the step is ended, as ``terminated``, once all of it has happened again: what came then came from
    outside the computation.

    ``outgrew`` is set where the recorded step ended since it would have recorded too many bytes: an answer of the world
    that did not fit is not there, so nobody can say how large it was.
    """

    __slots__ = ("_end_seq", "_events", "_next", "_outgrew", "_stops_early", "divergence")

    def __init__(
        self, events: Sequence[Event], *, end_seq: int, stops_early: bool = False, outgrew: bool = False
    ) -> None:
        self._events = events
        self._end_seq = end_seq
        self._stops_early = stops_early
        self._outgrew = outgrew
        self._next = 0
        self.divergence: Divergence | None = None

    @property
    def is_used_up(self) -> bool:
        """Whether everything that was recorded has happened again."""
        return self._next == len(self._events)

    @property
    def is_live(self) -> bool:
        """Never."""
        return False

    @property
    def next_kind(self) -> Kind | None:
        """That of the next recorded event."""
        return None if self.is_used_up else self._events[self._next].header.kind

    def answer(self, name: str, *, ended_us: range | None = None) -> HostCall | None:
        """The next recorded event, which must be the answer to ``name``; None where nothing more is recorded.

        That is no divergence yet: the step may have ended in the very act of recording the answer, at a limit.
        """
        if self.is_used_up:
            return None
        event = self._expect("host", name)
        assert event.payload is not None
        payload = decode_payload("host", event.payload, seq=event.header.seq)
        assert isinstance(payload, HostCall)
        if ended_us is not None:
            self._check_time(event, payload, ended_us)
        return payload

    def emit(self, kind: Kind, name: str, payload: bytes) -> int:
        """Compare with the next recorded event."""
        event = self._expect(kind, name)
        if event.payload != payload:
            recorded = (event.payload or b"").decode("utf-8", "replace")
            self._diverge(event.header.seq, f"{kind} {name} {recorded}", f"{kind} {name} {payload.decode()}")
        self._next += 1
        if self._stops_early and self.is_used_up:
            raise StepCrash("terminated", "the record of this step ends here")
        return event.header.seq

    def miss(self, kind: Kind, name: str) -> NoReturn:
        """The record says more only where it says that it would have grown too large."""
        if self._outgrew:
            raise StepCrash("bytes", f"the record of this step ends where {kind} {name} was too large for it")
        self._diverge(self._end_seq, "the end of the step", f"{kind} {name}")

    def tick(self) -> None:
        """Nothing is live."""

    def finish(self) -> Divergence | None:
        """Anything recorded that did not happen again is a divergence."""
        if self.divergence is None and not self.is_used_up:
            header = self._events[self._next].header
            self.divergence = Divergence(header.seq, f"{header.kind} {header.name}", "the end of the step")
        return self.divergence

    def _check_time(self, event: Event, payload: HostCall, ended_us: range) -> None:
        """An answer is given when the wait can have ended, and not after the event that records it."""
        try:
            now_us = parse_time(payload.now or "")
        except InvalidInput:
            now_us = -1
        if now_us not in ended_us or now_us > event.header.time_us:
            earliest, latest = format_time(ended_us.start), format_time(min(ended_us[-1], event.header.time_us))
            got = f"a wait that ended between {earliest} and {latest}"
            self._diverge(event.header.seq, f"a wait that ended at {payload.now}", got)

    def _expect(self, kind: Kind, name: str) -> Event:
        if self.is_used_up:
            self._diverge(self._end_seq, "the end of the step", f"{kind} {name}")
        event = self._events[self._next]
        if event.header.kind != kind or event.header.name != name:
            self._diverge(event.header.seq, f"{event.header.kind} {event.header.name}", f"{kind} {name}")
        return event

    def _diverge(self, seq: int, expected: str, got: str) -> NoReturn:
        if self.divergence is None:
            self.divergence = Divergence(seq, expected, got)
        raise StepCrash("diverged", f"event {seq}: recorded is {expected[:200]}; this run did {got[:200]}")


class Resuming:
    """The tape of an interrupted step: plays what is recorded, then records."""

    __slots__ = ("_playing", "_recording")

    def __init__(self, playing: Playing, recording: Recording) -> None:
        self._playing = playing
        self._recording = recording

    @property
    def is_live(self) -> bool:
        """Behind the recorded part."""
        return self._playing.is_used_up

    @property
    def next_kind(self) -> Kind | None:
        """Known as long as the recorded part lasts."""
        return self._playing.next_kind

    def answer(self, name: str, *, ended_us: range | None = None) -> HostCall | None:
        """Known as long as the recorded part lasts."""
        return None if self._playing.is_used_up else self._playing.answer(name, ended_us=ended_us)

    def emit(self, kind: Kind, name: str, payload: bytes) -> int:
        """Compare as long as the recorded part lasts, then append."""
        if self._playing.is_used_up:
            return self._recording.emit(kind, name, payload)
        return self._playing.emit(kind, name, payload)

    def miss(self, kind: Kind, name: str) -> NoReturn:
        """Never: behind the recorded part it is live."""
        self._recording.miss(kind, name)

    def tick(self) -> None:
        """Let the chain flush."""
        self._recording.tick()

    def finish(self) -> Divergence | None:
        """What an earlier run recorded has to happen in this one, too."""
        return self._playing.finish()
