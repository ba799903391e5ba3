"""A folder with a manifest for a guest, and a command line on a node of its own."""

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND
from tests.toolchains.toolchain import Built, build
from theater.capabilities import file_root
from theater.model.event import Event
from theater.model.payload import Log
from theater.runtime.history import payload_of
from theater.runtime.runtime import Runtime
from theater.testing.harness import Harness

PATIENCE_S = 120.0

MANIFEST = """
name = "guest"
component = "guest.wasm"
[limits]
fuel = 20_000_000_000
"""


@dataclass(frozen=True)
class Home:
    """What a guest is run in: a manifest, ``data`` with something in it, ``out``, and a secret beside them."""

    folder: Path
    built: Built
    data_dir: Path

    @property
    def manifest(self) -> Path:
        return self.folder / "theater.toml"

    @property
    def printed(self) -> Path:
        """What the guest has made of its input."""
        return self.folder / "out" / "result.txt"

    def theater(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command line, in a process of its own."""
        own = {"GREETING": "grüß dich", "THEATER_DATA_DIR": str(self.data_dir), "HOME": str(self.folder)}
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done


def furnish(folder: Path, guest: str, capabilities: str = "") -> Home:
    """A home for that guest; the test is skipped where it cannot be built."""
    built = build(guest)
    home = Home(folder / "home", built, built.data_dir(folder))
    for name in ("data", "out"):
        (home.folder / name).mkdir(parents=True)
    (home.folder / "guest.wasm").symlink_to(built.component)
    (home.folder / "data" / "in.txt").write_text("a line\n")
    (home.folder / "data" / "link.txt").symlink_to(home.folder / "secret.txt")
    (home.folder / "secret.txt").write_text("secret")
    home.manifest.write_text(MANIFEST + capabilities)
    return home


def said(text: str) -> dict[str, str]:
    """The lines of a guest by their names."""
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def forbidden(*_arguments: object, **_more: object) -> object:
    raise AssertionError("a replay touches nothing")


async def run(home: Home, *arguments: str, allowed: tuple[str, ...] = ()) -> None:
    """Run it to its end in this process."""
    async with Runtime(data_dir=home.data_dir, environ={"GREETING": "hello"}) as runtime:
        await asyncio.wait_for(runtime.spawn(home.manifest, arguments=arguments, allowed=allowed), PATIENCE_S)


def recorded(home: Home, *allowed: str) -> list[Event]:
    """What the guest's chain has; it verifies, with its folders gone."""
    shutil.rmtree(home.folder)
    with Harness(data_dir=home.data_dir) as harness, pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_root.FileRoot, "_top", forbidden)
        patch.setattr(file_root, "open_below", forbidden)
        actor = harness.actor("guest", allowed=allowed)
        assert actor.status == "stopped"
        report = actor.verify()
        assert report.ok, report
        return actor.events()


def written(events: list[Event]) -> dict[str, str]:
    """What a guest wrote, by the names of its lines."""
    payloads = [payload_of(event) for event in events if event.header.kind == "log"]
    return said("".join(log.text or "" for log in payloads if isinstance(log, Log)))
