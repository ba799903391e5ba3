"""A process that runs an actor and kills itself at a place that its task names. It is a script.

It says on standard output what it was told: ``ack TEXT`` for each reply that arrived, ``hit POINT`` before it dies.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from theater.runtime.opening import Options
from theater.runtime.runtime import Runtime
from theater.runtime.system import SystemClock
from theater.store.faults import FaultPoint
from theater.testing.clock import MockClock
from theater.testing.entropy import SeededEntropy


def say(line: str) -> None:
    """Say it so that it is heard even if we die now."""
    os.write(1, line.encode() + b"\n")


def die(what: str) -> None:
    """As ``kill -9``."""
    say(f"hit {what}")
    os.kill(os.getpid(), signal.SIGKILL)


class ClockOfDoom(MockClock):
    """Kills the process when somebody begins to wait."""

    def call_at(self, when_us: int, action: Callable[[], None]) -> Callable[[], None]:
        die("wait")
        return lambda: None


class Doom:
    """Kills the process when it passes a fault point for the nth time, from the moment at which it is armed."""

    def __init__(self, point: str, nth: int, *, is_armed: bool) -> None:
        self._point = point
        self._left = nth
        self.is_armed = is_armed

    def __call__(self, point: FaultPoint) -> None:
        if self.is_armed and point == self._point:
            self._left -= 1
            if self._left == 0:
                die(point)


async def main(task: dict[str, Any]) -> None:
    """Do the task, and come back only if it was not deadly."""
    doom = Doom(task.get("point", ""), task.get("nth", 0), is_armed=not task.get("behind_init", False))
    options = Options(
        data_dir=Path(task["data"]),
        cache=Path(task["cache"]),
        clock=SystemClock() if task.get("real_clock") else ClockOfDoom(),
        entropy=SeededEntropy(task.get("seed", 0)),
        fault=doom,
    )
    async with Runtime.with_options(options, {}) as runtime:
        if "manifest" in task:
            actor = await runtime.spawn(task["manifest"], name="actor")
            say("ack init")
            doom.is_armed = True
        else:
            actor = await runtime.actor("actor")
        for body in task.get("bodies", []):
            reply = await actor.request_json(body)
            say(f"ack {reply.text}")
        if "manifest" not in task:
            await actor.request_json("0")  # behind the step that is resumed


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
