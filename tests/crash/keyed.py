"""What a client sent with keys, so that it may send it again: each is handled once, and answered the same each time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

PASSING = frozenset(("not-running", "mailbox-full", "busy", "timed-out"))
"""Answers that say nothing of what became of it: another may come the next time."""

RECENT = 30  # of which some are sent again: the older ones are, at the end


@dataclass(frozen=True, slots=True)
class Keyed:
    """One order. Its key is its token."""

    token: str
    do: str
    to: str
    body: str


@dataclass(slots=True)
class Keys:
    """All of them."""

    orders: dict[str, Keyed] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    unlike: list[str] = field(default_factory=list)
    """What was answered in two ways."""
    repeated: int = 0

    def add(self, order: Keyed) -> Keyed:
        """A new one."""
        self.orders[order.token] = order
        return order

    def again(self, chance: random.Random) -> Keyed | None:
        """One of the last, to be sent again, those before the others of which nothing was heard."""
        recent = list(self.orders)[-RECENT:]
        unheard = [token for token in recent if token not in self.answers]
        return self.orders[chance.choice(unheard or recent)] if recent else None

    @property
    def unheard(self) -> list[Keyed]:
        """Those of which nobody knows what became of them."""
        return [order for token, order in self.orders.items() if token not in self.answers]

    def heard(self, token: str, line: dict[str, Any]) -> bool:
        """An answer; whether it says that the order was, or will be, carried out."""
        if line.get("error") in PASSING:
            return False
        answer = repr(line["ok"]) if "ok" in line else f"{line['error']}: {line['text']}"
        before = self.answers.setdefault(token, answer)
        self.repeated += before is not answer
        if before != answer:
            self.unlike.append(f"{token}: {before}, then {answer}")
        return "ok" in line
