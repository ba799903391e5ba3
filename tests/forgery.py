"""Rewriting history as a whole: change what a chain says, then make every salt, commitment, link and hash anew.

What comes out passes every check of structure, since nothing in a chain is signed by anybody else. Only running the
steps again can tell it from the truth::

    forged = Forger(events)
    forged.change(5, reply='{"count":99}')
    verify(forged.sealed())
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from theater.chain.lines import encode_line, read_lines
from theater.chain.sealing import seal
from theater.model.event import EMPTY, Event, Head, Kind

Fields = dict[str, Any]


@dataclass
class Forgery:
    """One event in the hands of a forger. ``origin`` is where it stood in the true chain."""

    kind: Kind
    name: str
    time_us: int
    payload: bytes
    origin: int | None = None

    @property
    def fields(self) -> Fields:
        """What its payload says."""
        found: Fields = json.loads(self.payload)
        return found

    def say(self, fields: Fields) -> None:
        """Let its payload say something else."""
        self.payload = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass
class Forger:
    """Holds the events of a true chain and gives out a false one. Seqs in what it is told are those of the true one."""

    true: Sequence[Event]
    events: list[Forgery] = field(init=False)

    def __post_init__(self) -> None:
        self.events = [
            Forgery(event.header.kind, event.header.name, event.header.time_us, event.payload or b"", at)
            for at, event in enumerate(self.true)
        ]

    def at(self, seq: int) -> Forgery:
        """The event that is event ``seq`` of the true chain."""
        return next(event for event in self.events if event.origin == seq)

    def find(self, kind: str, nth: int = 0) -> int:
        """The seq of the nth event of a kind (or lifecycle verb); -1 is the last."""
        found = [at for at, event in enumerate(self.true) if kind in (event.header.kind, event.header.name)]
        return found[nth]

    def change(self, seq: int, **fields: object) -> None:
        """Let an event say something else; None takes a field out."""
        event = self.at(seq)
        event.say({key: value for key, value in {**event.fields, **fields}.items() if fields.get(key, "") is not None})

    def edit(self, seq: int, change: Callable[[Fields], None]) -> None:
        """Change what an event says in place."""
        event = self.at(seq)
        fields = event.fields
        change(fields)
        event.say(fields)

    def drop(self, *seqs: int) -> None:
        """Leave events out."""
        self.events = [event for event in self.events if event.origin not in seqs]

    def insert(self, before: int, kind: Kind, name: str, fields: Fields) -> None:
        """Put an invented event in front of event ``before``."""
        place = self.events.index(self.at(before))
        event = Forgery(kind, name, self.at(before).time_us, b"")
        event.say(fields)
        self.events.insert(place, event)

    def step(self, nth: int) -> list[int]:
        """The seqs of a step's events, from its message to its end; step 0 is the first."""
        start = self.find("message", nth)
        for seq in range(start, len(self.true)):
            if self.true[seq].header.kind in ("state", "refused", "crashed"):
                return list(range(start, seq + 1))
        return list(range(start, len(self.true)))

    def swap(self, first: Sequence[int], second: Sequence[int]) -> None:
        """Let two stretches of events change places."""
        moved = {seq: self.at(seq) for seq in (*first, *second)}
        start = self.events.index(moved[first[0]])
        rest = [event for event in self.events if event.origin not in moved]
        between = [event for event in self.events if (event.origin or 0) in range(first[-1] + 1, second[0])]
        rest = [event for event in rest if event not in between]
        order = [moved[seq] for seq in second] + between + [moved[seq] for seq in first]
        self.events = [*rest[:start], *order, *rest[start:]]

    def sealed(self, *, salt: str = "forged") -> list[Event]:
        """The false chain: sound in every respect but its truth. What names another event by its seq is adapted."""
        places = {event.origin: at for at, event in enumerate(self.events) if event.origin is not None}
        made: list[Event] = []
        head, time_us = EMPTY, 0
        for at, event in enumerate(self.events):
            time_us = max(time_us, event.time_us)
            made.append(
                seal(
                    head,
                    actor=self.true[0].header.actor,
                    kind=event.kind,
                    name=event.name,
                    payload=_adapted(event, places),
                    salt=hashlib.sha256(f"{salt} {at}".encode()).digest()[:16],
                    time_us=time_us,
                )
            )
            head = Head(at, made[-1].hash)
        return made


def _adapted(event: Forgery, places: dict[int, int]) -> bytes:
    key = {"message": "state", "host": "intent"}.get(event.kind)
    if key is None:
        return event.payload
    fields = event.fields
    seq = fields.get(key)
    if not isinstance(seq, int) or places.get(seq, seq) == seq:
        return event.payload
    adapted = Forgery(event.kind, event.name, event.time_us, b"")
    adapted.say({**fields, key: places[seq]})
    return adapted.payload


def read_chain(path: Path) -> list[Event]:
    """The events of an exported chain."""
    return list(read_lines(BytesIO(path.read_bytes()).readline))


def write_chain(path: Path, events: Iterable[Event]) -> None:
    """Export a chain."""
    path.write_bytes(b"".join(encode_line(event) for event in events))
