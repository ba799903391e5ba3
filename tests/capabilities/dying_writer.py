"""A node that dies in the middle of a write, once it is done or before. It is a script."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from theater.capabilities.file_root import FileRoot
from theater.runtime.opening import Options
from theater.runtime.runtime import Runtime

_append = FileRoot.append


def dying(root: FileRoot, parts: Sequence[str], content: bytes, *, make: bool) -> None:
    """Write, unless this is the write that the node does not survive."""
    if b"fatal" in content:
        if b"done" in content:
            _append(root, parts, content, make=make)
        os._exit(9)
    _append(root, parts, content, make=make)


async def main(manifest: str, data_dir: str, cache: str, arguments: list[str]) -> None:
    """Run it."""
    setattr(FileRoot, "append", dying)  # noqa: B010 - as an assignment it would be a type error
    options = Options(data_dir=Path(data_dir), purpose="test", cache=Path(cache), reserve_bytes=0)
    async with Runtime.with_options(options, {}) as runtime:
        await runtime.spawn(manifest, allowed=["filesystem"], arguments=arguments)


if __name__ == "__main__":
    asyncio.run(main(*json.loads(sys.argv[1])))
