"""A process that runs an actor with a server until it is killed. It is a script: it prints where the actor listens."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from theater.runtime.opening import Options
from theater.runtime.runtime import Runtime


async def main(task: dict[str, Any]) -> None:
    """Open the server, and wait for the end."""
    options = Options(data_dir=Path(task["data"]), cache=Path(task["cache"]), reserve_bytes=0)
    async with Runtime.with_options(options, {}) as runtime:
        actor = await runtime.spawn(task["manifest"], name="actor", allowed=["http-server"])
        reply = await actor.request_json(task["opening"])
        print(reply.text, flush=True)  # noqa: T201 - see above
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
