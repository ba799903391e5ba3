"""Components to upgrade to, and waiting for upgrades without asking again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

from tests.guests.puppet import puppet_wat
from tests.runtime.stage import Stage
from theater.model.ids import Digest
from theater.model.payload import Genesis, Lifecycle, Message
from theater.runtime.actor import Actor as Inner
from theater.runtime.history import payload_of
from theater.runtime.upgrading import Upgrade
from theater.testing.harness import Actor, Pending

Migration = Literal["ok", "refuse", "trap"]


@lru_cache
def text(version: str, migrate: Migration | None = None, program: str = "") -> str:
    """A puppet's text; ``program`` runs at the end of its migration."""
    return puppet_wat(migrate=migrate, version=version, programs={"migrated": program} if program else None)


def file(stage: Stage, version: str, migrate: Migration | None = None, *, program: str = "") -> Path:
    """A puppet's component."""
    return stage.workshop.file(text(version, migrate, program))


def asleep(stage: Stage) -> None:
    """Wait until a step sleeps: an upgrade compiles first, on a thread of its own."""
    stage.run(asyncio.to_thread(stage.clock.wait_for_timers))


class Upgrades:
    """Knows when an upgrade has been compiled and has reached its actor."""

    def __init__(self) -> None:
        self._heard: SimpleQueue[None] = SimpleQueue()

    def start(self, stage: Stage, actor: Actor, component: Path) -> Pending[Digest]:
        """Ask for one; come back when it waits for its turn, or is over."""
        pending = actor.start_upgrade(component)
        stage.run(asyncio.to_thread(self._heard.get))
        return pending

    def arrived(self) -> None:
        """One has reached its actor."""
        self._heard.put(None)


@contextmanager
def watched() -> Iterator[Upgrades]:
    """Upgrades, watched."""
    upgrades, true = Upgrades(), Inner.upgrade

    def upgrade(self: Inner, wanted: Upgrade) -> bool:
        is_heard = true(self, wanted)
        upgrades.arrived()
        return is_heard

    Inner.upgrade = upgrade  # type: ignore[method-assign]  # and back below
    try:
        yield upgrades
    finally:
        Inner.upgrade = true  # type: ignore[method-assign]  # as it was


def told(stage: Stage, actor: Actor) -> list[tuple[str, str]]:
    """Each step: its export, and the version of the component that ran it."""
    every: tuple[Migration | None, ...] = (None, "ok", "refuse", "trap")
    versions = {file(stage, version, migrate).stem: version for version in "123" for migrate in every}
    now = ""
    steps: list[tuple[str, str]] = []
    for event in actor.events():
        match payload_of(event):
            case Genesis(program=program):
                now = versions[program]
            case Message() as message:
                steps.append((message.export, versions[message.component] if message.component else now))
            case Lifecycle(detail={"from": before, "to": after}):
                assert versions[str(before)] == now
                now = versions[str(after)]
    return steps
