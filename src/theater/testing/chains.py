"""Chains made up for tests: sound ones, of any length, with nothing behind them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from theater.chain.sealing import seal
from theater.model.event import EMPTY, Event, Head, Kind
from theater.model.ids import ActorId

START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z

Entry = tuple[Kind, str, bytes]


class ChainMaker:
    """One chain that grows by what it is told. Salts and times are made from its position, so it is always the same."""

    def __init__(self, number: int = 0, *, salt: str = "") -> None:
        self.actor = ActorId(hashlib.sha256(f"actor {number}".encode()).hexdigest()[:32])
        self.events: list[Event] = []
        self._salt = salt

    @property
    def head(self) -> Head:
        """The last event."""
        return Head(self.events[-1].header.seq, self.events[-1].hash) if self.events else EMPTY

    def add(self, kind: Kind, name: str, payload: bytes) -> Event:
        """One more event."""
        seq = len(self.events)
        event = seal(
            self.head,
            actor=self.actor,
            kind=kind,
            name=name,
            payload=payload,
            salt=hashlib.sha256(f"{self._salt} {self.actor} {seq}".encode()).digest()[:16],
            time_us=START_US + 1000 * seq,
        )
        self.events.append(event)
        return event

    def add_all(self, entries: Sequence[Entry]) -> tuple[Event, ...]:
        """Some more events."""
        return tuple(self.add(*entry) for entry in entries)

    def genesis(self, *, payload: bytes = b"{}") -> tuple[Event, ...]:
        """The first event."""
        return (self.add("genesis", "genesis", payload),)

    def step(self, number: int = 0, *, state: str | None = None) -> tuple[Event, ...]:
        """A step of two calls, one of which had an intent."""
        begun = len(self.events)
        text = json.dumps({"n": number}) if state is None else state
        return self.add_all(
            (
                ("message", "handle", _payload(id=f"{number:032x}", source="cli", export="handle", arguments=[number])),
                ("log", "stdout", _payload(text=f"line \u00e9 {number}\n")),
                ("intent", "theater:http-client#get", _payload(arguments=["https://example.com/"])),
                ("host", "theater:http-client#get", _payload(answer={"ok": 200}, intent=begun + 2)),
                ("state", "handle", _payload(fuel=100 + number, state=text)),
            )
        )


def chain_of(steps: int, *, number: int = 0) -> ChainMaker:
    """A chain with genesis and as many steps."""
    maker = ChainMaker(number)
    maker.genesis()
    for step in range(steps):
        maker.step(step)
    return maker


def _payload(**fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
