"""A Python script that knows nothing of Theater reads and writes files: recorded, and run again without them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.guests.python import python_actor, python_command
from theater.capabilities import file_root
from theater.errors import Crashed
from theater.model.payload import Log
from theater.testing.harness import Actor, Harness

pytestmark = pytest.mark.slow

PATIENCE_S = 120.0
"""The first of these tests compiles the component."""

SOURCE = '''
import argparse
import csv
import json
import os
import sys


def attempts():
    """What must not be possible, each with the error that it ends with."""
    tries = {
        "up": lambda: open("data/../../secret.txt").read(),
        "absolute": lambda: open("/etc/passwd").read(),
        "link": lambda: open("data/link.txt").read(),
        "link on the way": lambda: open("data/linked/secret.txt").read(),
        "write where only reading is": lambda: open("data/people.csv", "a"),
        "remove there": lambda: os.remove("data/people.csv"),
        "make a link": lambda: os.symlink("/etc/passwd", "out/passwd"),
        "rename across": lambda: os.rename("data/people.csv", "out/people.csv"),
        "pipe": lambda: open("data/pipe").read(),
    }
    found = {}
    for name, attempt in tries.items():
        try:
            attempt()
            found[name] = "it worked"
        except Exception as error:
            found[name] = type(error).__name__
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--attempts", action="store_true")
    options = parser.parse_args()
    with open(options.source, newline="") as file:
        rows = list(csv.DictReader(file))
    os.makedirs(os.path.dirname(options.target), exist_ok=True)
    with open(options.target, "w") as file:
        json.dump({"rows": rows, "total": sum(int(row["age"]) for row in rows)}, file)
    with open(options.target, "a") as file:
        file.write("\\n")
    with open(os.path.join(os.path.dirname(options.target), "copy.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, ["name", "age"])
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
    big = os.path.join(os.path.dirname(options.target), "big.txt")
    with open(big, "w") as file:
        for number in range(20_000):
            file.write(f"{number}\\n")
    with open(big) as file:
        assert sum(1 for _ in file) == 20_000
    with open(big, "r+b") as file:
        file.seek(2)
        file.write(b"#")
        file.truncate(10)
    os.rename(big, big + ".old")
    print(json.dumps({
        "data": sorted(os.listdir("data")),
        "out": sorted(os.listdir(os.path.dirname(options.target))),
        "size": os.stat(options.target).st_size,
        "walk": [[top, sorted(folders), sorted(files)] for top, folders, files in os.walk("out")],
        "attempts": attempts() if options.attempts else {},
    }))
    os.remove(big + ".old")
    print("done", file=sys.stderr)


main()
'''


PERSISTENT = """
import sys
import time

for line in ("one", "two", f"fatal {sys.argv[1]}", "three"):
    if line != "three":
        time.sleep(0.001)  # what came before is in the chain, and what comes has an intent of its own
    try:
        with open("out/log.txt", "ab", buffering=0) as file:
            file.write(f"{line}\\n".encode())
    except OSError as error:
        print("failed", error.errno, line)
"""


@pytest.fixture(scope="module")
def component() -> Path:
    return python_command(SOURCE)


@pytest.fixture
def folder(tmp_path: Path, component: Path) -> Path:
    """A manifest, ``data`` with something in it, ``out``, and a secret beside them."""
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    (home / "out").mkdir()
    (home / "data" / "people.csv").write_text("name,age\nAda,36\nGrace,85\n")
    (home / "secret.txt").write_text("secret")
    (home / "data" / "link.txt").symlink_to(home / "secret.txt")
    (home / "data" / "linked").symlink_to(home)
    os.mkfifo(home / "data" / "pipe")
    (home / "theater.toml").write_text(
        f'name = "script"\ncomponent = {json.dumps(str(component))}\n[limits]\nfuel = 20_000_000_000\n'
        '[capabilities.filesystem]\nread = ["data"]\nwrite = ["out"]\n'
    )
    return home


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    with Harness(cache=Path(".pytest_cache/compiled").resolve(), data_dir=tmp_path / "node") as harness:
        yield harness


def run(harness: Harness, folder: Path, *more: str) -> Actor:
    started = harness.runtime.spawn(
        folder / "theater.toml",
        allowed=["filesystem"],
        arguments=["data/people.csv", "out/deep/people.json", *more],
    )
    return Actor(harness, harness.run(started, timeout_s=PATIENCE_S))


def forbidden(*_arguments: object, **_more: object) -> object:
    raise AssertionError("a replay touches no file")


def printed(actor: Actor) -> dict[str, object]:
    texts = [log.text for log in actor.payloads("log") if isinstance(log, Log) and log.text]
    found: dict[str, object] = json.loads(next(text for text in texts if text.startswith("{")))
    return found


def test_a_script_reads_and_writes_in_its_folders_and_its_chain_verifies_without_them(
    harness: Harness, folder: Path
) -> None:
    actor = run(harness, folder)

    assert actor.status == "stopped"
    said = printed(actor)
    written = folder / "out" / "deep" / "people.json"
    assert json.loads(written.read_text())["total"] == 121
    assert written.read_text().endswith("\n")
    assert (folder / "out" / "deep" / "copy.csv").read_bytes() == b"name,age\r\nAda,36\r\nGrace,85\r\n"
    assert said["size"] == written.stat().st_size
    assert said["out"] == ["big.txt.old", "copy.csv", "people.json"]
    assert said["data"] == ["link.txt", "linked", "people.csv", "pipe"]

    shutil.rmtree(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_root.FileRoot, "_top", forbidden)
        patch.setattr(file_root, "open_below", forbidden)
        report = actor.verify()

    assert report.ok, report


def test_a_script_finds_no_way_out(harness: Harness, folder: Path) -> None:
    actor = run(harness, folder, "--attempts")
    tried = printed(actor)["attempts"]

    assert tried == {
        "up": "PermissionError",
        "absolute": "FileNotFoundError",
        "link": "OSError",
        "link on the way": "OSError",
        "write where only reading is": "OSError",
        "remove there": "OSError",
        "make a link": "OSError",
        "rename across": "OSError",
        "pipe": "PermissionError",
    }
    assert (folder / "data" / "people.csv").exists()
    assert not (folder / "out" / "passwd").is_symlink()
    denied = [payload for payload in actor.payloads("host") if '"err"' in json.dumps(msgspec.to_builtins(payload))]
    assert len(denied) >= len(tried) - 1, "a path for which no directory is open does not even reach the host"
    assert actor.verify().ok


def test_writes_that_follow_one_another_share_an_intent(harness: Harness, folder: Path) -> None:
    actor = run(harness, folder)
    names = [f"{event.header.kind} {event.header.name.partition('#')[2]}" for event in actor.events()]

    assert [name for name in names if name.startswith("intent")] == ["intent [method]descriptor.create-directory-at"]
    assert names.count("host [method]output-stream.write") >= 6


# -- a node that dies in the middle ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when", "lines"), [("done", ["one", "two", "fatal done"]), ("not", ["one", "two"])])
def test_a_write_in_which_the_node_died_is_answered_with_an_error_and_not_made_again(
    tmp_path: Path, when: str, lines: list[str]
) -> None:
    home = tmp_path / "home"
    (home / "out").mkdir(parents=True)
    (home / "theater.toml").write_text(
        f'name = "writer"\ncomponent = {json.dumps(str(python_command(PERSISTENT)))}\n[limits]\nfuel = 20_000_000_000\n'
        '[capabilities.filesystem]\nwrite = ["out"]\n'
    )
    cache = Path(".pytest_cache/compiled").resolve()
    task = [str(home / "theater.toml"), str(tmp_path / "node"), str(cache), [when]]
    script = [sys.executable, "-m", "tests.capabilities.dying_writer", json.dumps(task)]
    died = subprocess.run(script, capture_output=True, timeout=120, check=False)
    assert died.returncode == 9, died.stderr.decode()
    assert (home / "out" / "log.txt").read_text().splitlines() == lines

    with Harness(cache=cache, data_dir=tmp_path / "node") as harness:
        harness.rest(timeout_s=60)
        actor = Actor(harness, harness.run(harness.runtime.actor("writer")))
        assert actor.status == "stopped"
        said = [log.text for log in actor.payloads("log") if isinstance(log, Log)]
        report = actor.verify()

    assert said == [f"failed 29 fatal {when}\n"], "29 is EIO"
    assert report.ok
    assert (home / "out" / "log.txt").read_text().splitlines() == [*lines, "three"]


# -- an actor, which opens files as any program does -------------------------------------------------------------------

ACTOR = """
from theater_sdk import Actor


class Notebook(Actor):
    def handle(self, state, message):
        try:
            with open("out/notes.txt", "a") as file:
                file.write(message.body + "\\n")
            with open("out/notes.txt") as file:
                return state, file.read().split()
        finally:
            assert message.body != "fail"
"""


def test_an_actor_opens_files_and_what_it_wrote_stands_when_the_step_fails(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "theater.toml").write_text(
        f'name = "notebook"\ncomponent = {json.dumps(str(python_actor(ACTOR, capabilities=("filesystem",))))}\n'
        '[capabilities.filesystem]\nwrite = ["out"]\n'
    )
    started = harness.runtime.spawn(tmp_path / "theater.toml", allowed=["filesystem=write:out"])
    actor = Actor(harness, harness.run(started, timeout_s=PATIENCE_S))

    assert actor.request("one") == ["one"]
    with pytest.raises(Crashed):
        actor.request("fail")
    actor.restart()
    assert actor.request("two") == ["one", "fail", "two"]

    shutil.rmtree(tmp_path / "out")
    assert actor.verify().ok
