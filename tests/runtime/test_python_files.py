"""An actor in Python that reads and writes files: once it is a component, in its folders, and replayed without them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.guests.python import python_actor
from theater.testing.harness import Actor, Harness

PATIENCE_S = 120.0
pytestmark = pytest.mark.slow

SOURCE = """
from theater_sdk import Actor, CallFailed, files


class Clerk(Actor):
    def handle(self, state, message):
        data = bytes(range(256))
        files.create_directory("out/a/b", parents=True)
        files.create("out/a/raw", data)
        files.write("out/a/text", "\\u00fc")
        files.append("out/a/text", "!")
        files.write_range("out/a/raw", 255, b"\\xfe\\xff")
        files.set_size("out/a/raw", 300)
        files.copy("out/a/raw", "out/a/copy")
        files.rename("out/a/copy", "out/a/b/moved")
        info = files.stat("out/a/b/moved")
        got = [
            files.read_text("data/hello.txt"),
            files.read_text("out/a/text"),
            files.read_bytes("out/a/raw") == data[:255] + b"\\xfe\\xff" + bytes(43),
            list(files.read_range("out/a/raw", 254, 3)),
            [info.file_type, info.size_bytes, info.modified.year > 2000],
            [[each.name, each.file_type] for each in files.list_directory("out/a")],
            [each.name for each in files.list_directory()],
        ]
        files.remove_file("out/a/text")
        files.remove_directory("out/a/b", recursive=True)
        refused = []
        for attempt in (
            lambda: files.write("data/hello.txt", "x"),
            lambda: files.read_text("out/a/raw"),
            lambda: files.create("out/a/raw", ""),
            lambda: files.remove_directory("out/a"),
            lambda: files.read_bytes("../x"),
            lambda: files.read_bytes("else/x"),
        ):
            try:
                attempt()
            except CallFailed as error:
                refused.append(error.reason)
        return state, [*got, refused, [files.exists("out/a/b"), files.exists("out/a/raw")]]
"""


def test_an_actor_in_python_reads_and_writes_files_and_replays_without_them(tmp_path: Path) -> None:
    component = python_actor(SOURCE, capabilities=("filesystem",))
    for name in ("data", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "hello.txt").write_text("hello")
    manifest = tmp_path / "theater.toml"
    manifest.write_text(
        f'name = "clerk"\ncomponent = {json.dumps(str(component))}\n'
        '[capabilities.filesystem]\nread = ["data"]\nwrite = ["out"]\n'
    )
    with Harness(data_dir=tmp_path / "node") as theater:
        spawned = theater.runtime.spawn(manifest, allowed=["filesystem=write:out"])
        actor = Actor(theater, theater.run(spawned, timeout_s=PATIENCE_S))  # compiled on the way

        assert actor.request(None) == [
            "hello",
            "ü!",
            True,
            [254, 254, 255],
            ["file", 300, True],
            [["b", "directory"], ["raw", "file"], ["text", "file"]],
            ["data", "out"],
            ["read-only", "not-text", "already-exists", "not-empty", "invalid-path", "denied"],
            [False, True],
        ]
        assert [path.name for path in sorted((tmp_path / "out").rglob("*"))] == ["a", "raw"]
        for name in ("data", "out"):
            shutil.rmtree(tmp_path / name)
        assert actor.verify().ok
        assert not (tmp_path / "out").exists()
