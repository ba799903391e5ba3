"""A process in which the world is forbidden: ``python -m tests.runtime.sealed``, with a task as JSON on stdin.

An audit hook sees every file that Python opens, every socket, every process; there is no way to take one away again,
so that this is a process of its own. What runs behind it is a replay of bundles or, to show that it bites, a live run.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import theater
from tests.runtime.worldly import CAPABILITIES, CASES, write_manifest
from theater.capabilities.registry import built_in
from theater.engine import WasmtimeEngine
from theater.errors import TheaterError
from theater.model.event import Event
from theater.runtime.bundle import open_bundle
from theater.runtime.claims import Caps
from theater.runtime.loading import Loader
from theater.runtime.opening import Options
from theater.runtime.replay import StepDone
from theater.runtime.runtime import Runtime
from theater.runtime.verification import Laboratory, verify
from theater.store import FileBlobStore

PATIENCE_S = 120.0

_FORBIDDEN = (
    *("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "os.kill", "pty."),
    *("os.mkdir", "os.rmdir", "os.remove", "os.rename", "os.link", "os.symlink", "os.truncate", "os.chdir"),
    *("os.chmod", "os.chown", "os.utime", "os.putenv", "os.unsetenv", "signal."),
    *("shutil.", "tempfile.", "sqlite3.", "time.sleep", "urllib.", "ftplib.", "http.client.", "webbrowser."),
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Seal:
    """Forbids the world while it is closed, and keeps what was tried. Python's own modules may be read."""

    def __init__(self, *, readable: Sequence[Path] = (), writable: Sequence[Path] = ()) -> None:
        self.is_closed = False
        self.tried: list[str] = []
        python = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
        source = Path(theater.__file__).parent
        self._writable = tuple(map(os.path.realpath, writable))
        self._readable = (*self._writable, *map(os.path.realpath, (*python, source, *readable)))
        sys.addaudithook(self._heard)

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.is_closed or self._is_allowed(event, args):
            return
        self.tried.append(f"{event} {args!r:.200}")
        raise PermissionError(f"the world is forbidden here: {self.tried[-1]}")

    def _is_allowed(self, event: str, args: tuple[Any, ...]) -> bool:
        match event, args:
            case "open", (path, mode, flags):
                is_written = bool(flags & _WRITING) or (mode is not None and not set(mode) <= set("rbtU"))
                return self._is_within(path, self._writable if is_written else self._readable)
            case "os.listdir" | "os.scandir", (path, *_):
                return self._is_within(path, self._readable)
            case "os.utime" | "os.mkdir" | "os.chmod", (path, *_):
                return self._is_within(path, self._writable)
        return not event.startswith(_FORBIDDEN)

    def _is_within(self, path: object, folders: Sequence[str]) -> bool:
        """A name below a descriptor is one of the guest's: it is in none of them, since it is looked for here."""
        if not isinstance(path, str | bytes):
            return False
        name = os.path.realpath(os.fsdecode(path))
        return any(name == each or name.startswith(f"{each}{os.sep}") for each in folders)


def replayed(bundles: Mapping[str, str], cache: str) -> dict[str, object]:
    """Run the chain of each bundle again, by its head, in a world that is not there."""
    registry = built_in()
    engine = WasmtimeEngine(Path(cache))
    reports = {}
    try:
        with ExitStack() as closing:
            scratch = Path(closing.enter_context(tempfile.TemporaryDirectory()))
            laboratory = Laboratory(engine, registry, FileBlobStore(scratch / "components"), Caps())
            chains = [(path, head, _opened(path, laboratory, closing)) for path, head in bundles.items()]
            seal = Seal(readable=[scratch], writable=[Path(cache)])  # which notes what was used
            seal.is_closed = True
            for path, head, events in chains:
                steps: list[StepDone] = []
                report = verify(events.__iter__, head=head, laboratory=laboratory, on_step=steps.append)
                reports[path] = [report.ok, str(report.fault), [step.verdict for step in steps]]
            seal.is_closed = False
    finally:
        engine.close()
    return {"reports": reports, "tried": seal.tried}


def _opened(path: str, laboratory: Laboratory, closing: ExitStack) -> list[Event]:
    """The events of a bundle, whose components are compiled with this: to compile one starts a process."""
    bundle = closing.enter_context(open_bundle(Path(path)))
    bundle.put_components(laboratory.blobs)
    for digest in bundle.components:
        Loader(laboratory.engine, laboratory.blobs, laboratory.registry).load(digest)
    return list(bundle.events())


async def lived(place: Mapping[str, str], folder: Path, cache: str) -> dict[str, list[str]]:
    """What each case tries of the world when it is live, and then is refused."""
    tried = {}
    options = Options(data_dir=folder / "data", cache=Path(cache), reserve_bytes=0)
    seal = Seal(writable=[folder / "data", Path(cache)])
    async with Runtime.with_options(options, {"XDG_CONFIG_HOME": str(folder), "LANG": "tlh"}) as runtime:
        for number, case in enumerate(CASES):
            if not case.touches:
                continue
            actor = await runtime.spawn(write_manifest(folder, f"live-{number}", place), allowed=CAPABILITIES)
            seal.tried.clear()
            seal.is_closed = True
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await actor.request(case.program(place))
            except TheaterError:
                pass
            finally:
                seal.is_closed = False
            tried[case.name] = list(seal.tried)
    return tried


def main() -> None:
    task = json.loads(sys.stdin.read())
    match task:
        case {"replay": bundles, "cache": cache}:
            said: object = replayed(bundles, cache)
        case {"live": place, "folder": folder, "cache": cache}:
            said = asyncio.run(lived(place, Path(folder), cache))
        case _:
            raise AssertionError(task)
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
