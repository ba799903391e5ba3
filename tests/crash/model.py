"""What actors should come to, told without threads and stores: who lives, what waits, what is in whose log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["running", "paused", "stopped", "crashed"]

OUTSIDE = "outside"
LIVING: tuple[Status, ...] = ("running", "paused")


@dataclass(frozen=True, slots=True)
class Note:
    """Put the token into the log."""

    token: str


@dataclass(frozen=True, slots=True)
class Relay:
    """Send the token on, or put it into the own log where the other does not run."""

    to: str
    token: str


@dataclass(frozen=True, slots=True)
class Crash:
    """End the step as a crash."""


Order = Note | Relay | Crash


@dataclass(slots=True)
class Figure:
    """One actor. ``log`` has each token with whoever sent it here."""

    name: str
    parent: str | None = None
    status: Status = "running"
    log: list[tuple[str, str]] = field(default_factory=list)
    mailbox: list[tuple[str, Order]] = field(default_factory=list)

    @property
    def is_living(self) -> bool:
        """Whether it takes messages."""
        return self.status in LIVING

    def heard_from(self, sender: str) -> list[str]:
        """The tokens of one sender, in their order: between two senders there is none."""
        return [token for by, token in self.log if by == sender]


class Model:
    """All of them."""

    def __init__(self) -> None:
        self.figures: dict[str, Figure] = {}

    def spawn(self, name: str, parent: str | None = None) -> Figure:
        """A new one."""
        self.figures[name] = Figure(name, parent)
        return self.figures[name]

    def children(self, parent: str) -> list[Figure]:
        """Of one of them."""
        return [figure for figure in self.figures.values() if figure.parent == parent]

    def send(self, to: str, order: Order, sender: str = OUTSIDE) -> None:
        """What was accepted is handled as soon as the actor runs."""
        figure = self.figures[to]
        figure.mailbox.append((sender, order))
        self._run(figure)

    def pause(self, name: str) -> None:
        self.figures[name].status = "paused"

    def resume(self, name: str) -> None:
        self.figures[name].status = "running"
        self._run(self.figures[name])

    def stop(self, name: str) -> None:
        """It ends, its children first."""
        for figure in self._with_children(name):
            if figure.is_living or figure.name == name:
                figure.status = "stopped"

    def restart(self, name: str) -> None:
        """It begins again from its last state, and so do its children: those that live are stopped before."""
        for figure in self._with_children(name):
            figure.status = "running"
        for figure in self._with_children(name):
            self._run(figure)

    def begin_anew(self, name: str) -> None:
        """It begins from ``init``."""
        self.figures[name].log.clear()
        self.restart(name)

    def _run(self, figure: Figure) -> None:
        while figure.status == "running" and figure.mailbox:
            sender, order = figure.mailbox.pop(0)
            match order:
                case Note(token=token):
                    figure.log.append((sender, token))
                case Relay(to=to, token=token) if self.figures[to].is_living:
                    self.send(to, Note(token), figure.name)
                case Relay(token=token):
                    figure.log.append((sender, token))
                case Crash() if figure.parent is None:
                    self.stop(figure.name)  # for the children, which end with it
                    figure.status = "crashed"
                case Crash():
                    pass  # its supervisor starts it again

    def _with_children(self, name: str) -> Iterator[Figure]:
        yield from self.children(name)
        yield self.figures[name]
