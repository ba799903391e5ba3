"""``mortal`` with a world to run errands in. It is a script."""

from __future__ import annotations

import asyncio
import json
import sys

import theater.runtime.opening
from tests.runtime.errands import World, registry
from tests.runtime.mortal import main

if __name__ == "__main__":
    made = registry(World(is_deadly=True))
    vars(theater.runtime.opening)["installed"] = lambda: made
    asyncio.run(main(json.loads(sys.argv[1])))
