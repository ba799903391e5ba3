"""``watch``, as a process, with a project of component text and a server process: each change comes through."""

import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchfiles import Change

from tests.cli.conftest import COMMAND, Theater
from tests.guests import wat
from tests.guests.component import actor
from tests.server.process import RunningServer
from theater.cli.watch import SourceFilter

PATIENCE_S = 60.0
MANIFEST = 'name = "counter"\ncomponent = "build/counter.wasm"\n'
TIMES = actor(init=wat._COUNT_FROM_START, handle=wat._COUNT.replace("i64.add", "i64.mul"))


class Watching:
    """A ``watch`` that runs. ``next`` waits for a line of it, from stdout or stderr."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "watch", str(folder), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name="watch-lines")
        self._reader.start()

    def next(self, needle: str) -> str:
        """The next line that has ``needle`` in it."""
        seen: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE_S)
            except queue.Empty:
                raise AssertionError(f"no {needle!r} came, but {seen}") from None
            if not line:
                raise AssertionError(f"it ended; no {needle!r} came, but {seen}")
            if needle in line:
                return line
            seen.append(line)

    def rest(self) -> list[str]:
        """What it said before it ended, and was not asked for."""
        self._reader.join(PATIENCE_S)
        return [line for line in self._lines.queue if line]

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")


@pytest.fixture
def project(place: Path) -> Path:
    folder = place / "project"
    folder.mkdir()
    (folder / "theater.toml").write_text(MANIFEST)
    (folder / "actor.wat").write_text(wat.COUNTER)
    return folder


@pytest.fixture
def watching(project: Path, server: RunningServer) -> Iterator[Watching]:
    """It has started the actor, and waits for changes."""
    del server
    running = Watching(project)
    try:
        running.next("watching ")
        yield running
    finally:
        running.close()


def test_only_what_a_build_may_depend_on_is_looked_at(tmp_path: Path) -> None:
    looked_at = SourceFilter(tmp_path)

    seen = {
        name: looked_at(Change.modified, str(tmp_path / name))
        for name in ("actor.py", "theater.toml", "lib/part.py", "builder.py", ".git/HEAD", ".hidden", "build/a.wasm")
    }

    assert [name for name, is_seen in seen.items() if is_seen] == [
        "actor.py",
        "theater.toml",
        "lib/part.py",
        "builder.py",
    ]


def test_without_a_server_nothing_is_built(theater: Theater, project: Path) -> None:
    done = theater("watch", str(project))

    assert (done.code, list(project.glob("build/*"))) == (4, [])
    assert theater("watch", "nowhere").code == 5


@pytest.mark.slow
def test_a_changed_actor_goes_on_with_its_state_under_its_id(
    theater: Theater, project: Path, watching: Watching
) -> None:
    id = theater("list", "--json").rows[0]["id"]
    assert theater("request", "counter", '{"by":2}').out == '{"count":2}\n'

    (project / "actor.wat").write_text(TIMES)
    line = watching.next("upgraded ")

    assert f"upgraded counter {id}  running" in line
    assert theater("request", "counter", '{"by":3}').out == '{"count":6}\n'
    assert watching.interrupt() == 130
    assert watching.rest() == ["interrupted\n"]


@pytest.mark.slow
def test_a_fault_in_the_source_is_shown_and_the_actor_is_left_alone(
    theater: Theater, project: Path, watching: Watching
) -> None:
    (project / "actor.wat").write_text("(component")
    watching.next("error: ")
    assert theater("request", "counter", '{"by":2}').out == '{"count":2}\n'
    (project / "actor.wat").unlink()
    watching.next("there is nothing to build")
    (project / "theater.toml").write_text("name =")
    watching.next("error: ")

    (project / "theater.toml").write_text(MANIFEST)
    (project / "actor.wat").write_text(TIMES)
    watching.next("upgraded ")

    assert theater("request", "counter", '{"by":3}').out == '{"count":6}\n'


@pytest.mark.slow
def test_an_actor_that_has_crashed_is_restarted_with_better_code(
    theater: Theater, project: Path, watching: Watching
) -> None:
    (project / "actor.wat").write_text(wat.MOODY)
    watching.next("upgraded ")
    theater("request", "counter", '{"by":2}')
    assert theater("request", "counter", '"trap"').code == 1

    (project / "actor.wat").write_text(wat.COUNTER)
    assert "crashed" in watching.next("upgraded ")
    assert "running" in watching.next("restarted ")

    assert theater("request", "counter", '{"by":3}').out == '{"count":5}\n'


@pytest.mark.slow
def test_an_actor_that_could_not_be_started_is_started_anew_when_the_source_has_changed(
    theater: Theater, project: Path, server: RunningServer
) -> None:
    del server
    (project / "actor.wat").write_text(wat.TRAP_INIT)
    watching = Watching(project)
    try:
        watching.next("crashed: ")
        watching.next("watching ")
        (project / "notes.txt").write_text("changes nothing")
        (project / "actor.wat").write_text(wat.COUNTER)
        watching.next("started counter ")
    finally:
        watching.close()

    assert [row["status"] for row in theater("list", "--json").rows] == ["crashed", "running"]


@pytest.mark.slow
def test_a_server_that_goes_away_is_waited_for(
    theater: Theater, project: Path, server: RunningServer, watching: Watching
) -> None:
    theater("request", "counter", '{"by":2}')
    server.kill()
    (project / "actor.wat").write_text(TIMES)
    watching.next("going on when it is back")

    server.start()  # on another port
    watching.next("upgraded counter ")

    assert theater("request", "counter", '{"by":5}').out == '{"count":10}\n'
    assert watching.interrupt() == 130
    assert watching.rest() == ["interrupted\n"]


@pytest.mark.slow
def test_an_actor_that_is_there_is_found_and_one_that_was_removed_started_again(
    theater: Theater, project: Path, server: RunningServer
) -> None:
    del server
    theater("build", str(project))
    theater("start", str(project))
    theater("request", "counter", '{"by":2}')
    watching = Watching(project)
    try:
        watching.next("found counter ")
        watching.next("watching ")
        theater("stop", "counter")
        theater("rm", "counter", "--yes")
        (project / "actor.wat").write_text(TIMES)
        watching.next("started counter ")
    finally:
        watching.close()

    assert theater("request", "counter", '{"by":2}').out == '{"count":0}\n'


@pytest.mark.slow
def test_what_the_manifest_asks_for_now_is_said_to_need_another_start(project: Path, watching: Watching) -> None:
    (project / "theater.toml").write_text(MANIFEST + '[limits]\nstate = "1MiB"\n')

    assert "theater stop counter" in watching.next("is not what the actor was started with")
    shutil.rmtree(project)
    watching.next("is gone")
    assert watching.process.wait(PATIENCE_S) == 5


@pytest.mark.slow
def test_each_thing_that_happens_is_an_object_on_a_line(project: Path, server: RunningServer) -> None:
    del server
    watching = Watching(project, "--json")
    try:
        watching.next('"watching"')
        (project / "actor.wat").write_text("(")
        watching.next('"error"')
        (project / "actor.wat").write_text(TIMES)
        upgraded = json.loads(watching.next('"upgraded"'))
        assert watching.interrupt() == 130
    finally:
        watching.close()

    assert upgraded.keys() == {"event", "id", "name", "status", "component"}
    assert (upgraded["name"], upgraded["status"], len(upgraded["component"])) == ("counter", "running", 64)


@pytest.mark.slow
def test_a_guests_last_words_do_not_reach_the_terminal_raw(project: Path, server: RunningServer) -> None:
    del server
    (project / "actor.wat").write_text(
        actor(init='(call $refuse @"\\1b]0;evil\\07\\0aerror: no")', handle=wat._TRAP),
    )
    watching = Watching(project)
    try:
        line = watching.next("refused: ")
    finally:
        watching.close()

    assert "\x1b" not in line
    assert r"\u{1b}]0;evil\u{7}\u{a}error: no" in line
    assert os.linesep == line[-1:]
