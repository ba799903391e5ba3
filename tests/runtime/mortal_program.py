"""A node whose actor runs programs, until somebody kills it, or it kills itself where its task says. It is a script."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from theater.capabilities.process_child import Nursery
from theater.capabilities.process_report import Report
from theater.runtime.opening import Options
from theater.runtime.runtime import Runtime

PLACES = {"before-launch": (Nursery, "launch"), "behind-launch": (Report, "started")}


def die(*_args: object) -> None:
    """As ``kill -9``."""
    os.kill(os.getpid(), signal.SIGKILL)


async def main(task: dict[str, Any]) -> None:
    """Do the task, and wait for the end."""
    if "place" in task:
        owner, name = PLACES[task["place"]]
        setattr(owner, name, die)
    options = Options(data_dir=Path(task["data"]), purpose="test", cache=Path(task["cache"]), reserve_bytes=0)
    async with Runtime.with_options(options, {}) as runtime:
        actor = await runtime.spawn(task["manifest"], name="actor", allowed=["process", "timing"])
        await actor.request_json(task["body"])
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
