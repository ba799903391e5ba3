"""A replay touches nothing: whatever guests did with the world, it comes out the same where there is none."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.capabilities.web import Page, serving
from tests.guests import puppet
from tests.runtime.served import GRANT, HOST, SERVER, answering, ask
from tests.runtime.worldly import CAPABILITIES, CASES, guest, write_manifest
from theater.model.ids import ActorId
from theater.runtime.bundle import write_bundle_of
from theater.runtime.opening import Options
from theater.runtime.runtime import ActorRef, Runtime

pytestmark = pytest.mark.slow

PATIENCE_S = 300.0
ROOT = Path(__file__).parents[2]
FOLDER = "papers"
COMMAND = [sys.executable, "-c", "import sys; from theater.cli.main import main; sys.exit(main())"]


@dataclass(frozen=True)
class Played:
    """What is left when the world is gone: bundles with their heads, what each case answered, and the compiled code."""

    bundles: dict[str, str]
    answers: dict[str, object]
    cache: Path
    data: Path


async def played(folder: Path, place: dict[str, str], cache: Path) -> Played:
    """Every case, one after the other, by one actor on the real clock."""
    bundles: dict[str, str] = {}
    answers: dict[str, object] = {}
    environ = {"XDG_CONFIG_HOME": str(folder), "LANG": "tlh"}
    options = Options(data_dir=folder / "data", cache=cache, reserve_bytes=0)
    async with Runtime.with_options(options, environ) as runtime, asyncio.timeout(PATIENCE_S):
        manifests = [write_manifest(folder, name, place) for name in ("guest", "other")]
        actors = [await runtime.spawn(manifest, allowed=CAPABILITIES) for manifest in manifests]
        for case in CASES:
            answers[case.name] = await actors[0].request(case.program(place))
        while not runtime.is_quiet:  # the message that it sent itself
            await actors[0].request("answer = 0")
        actors.append(await served(runtime, folder))
        runtime.store.flush()
        for actor in actors:
            bundles[export(runtime, actor.id, folder)] = actor.head.hash
    return Played(bundles, answers, cache, folder / "data")


async def served(runtime: Runtime, folder: Path) -> ActorRef:
    """An actor that serves HTTP and was asked: each request is a message of its chain."""
    (folder / "server.wat").write_text(SERVER)
    manifest = folder / "server.toml"
    manifest.write_text(
        'name = "server"\ncomponent = "server.wat"\n[capabilities.messaging]\n[capabilities.timing]\n'
        f"[capabilities.http-server]\nlisten = {json.dumps(GRANT['listen'])}\n"
    )
    actor = await runtime.spawn(manifest, allowed=["http-server"])
    routes = answering("/hello/{name}", puppet.reply(puppet.SENDER)) + answering("/trap", puppet.refuse("no"))
    opened = puppet.open_server(HOST, 0) + puppet.reply(puppet.FULL_ANSWER) + puppet.log(puppet.HEAD) + routes
    answer = await actor.request(opened)
    assert isinstance(answer, str)
    port = int(answer.split("/")[2])
    for path, status in (("/hello/world", 200), ("/trap", 500), ("/nowhere", 404)):
        page = await asyncio.to_thread(ask, port, path)
        assert page.status == status, page
    await actor.stop()
    return actor


def export(runtime: Runtime, actor: ActorId, folder: Path) -> str:
    path = folder / f"{actor}.theater"
    with path.open("wb") as file:
        write_bundle_of(file, runtime.store, runtime.blobs, actor, runtime.store.head(actor))
    return str(path)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the guest's code is, compiled once for all processes."""
    guest()
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Played]:
    """All that was recorded, when the server is stopped and the directory is gone."""
    folder = tmp_path_factory.mktemp("played")
    with serving() as web:
        web.pages["/v1/hello"] = Page(b"hello")
        place = {"url": web.url, "folder": FOLDER}
        (folder / FOLDER).mkdir()
        (folder / FOLDER / "a.txt").write_text("hello")
        found = asyncio.run(played(folder, place, cache))
        assert len(web.asked) == 2
    shutil.rmtree(folder / FOLDER)
    yield found
    assert not (folder / FOLDER).exists()


def sealed(task: dict[str, object]) -> dict[str, object]:
    """What the process says in which the world is forbidden."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtime.sealed"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, object] = json.loads(done.stdout)
    return said


def test_each_case_did_what_it_says(history: Played) -> None:
    for case in CASES:
        if case.expected is not None:
            assert history.answers[case.name] == case.expected, case.name


def test_a_replay_is_identical_where_files_sockets_and_processes_are_forbidden(history: Played) -> None:
    said = sealed({"replay": history.bundles, "cache": str(history.cache)})

    assert said["tried"] == []
    reports = said["reports"]
    assert isinstance(reports, dict)
    assert reports.keys() == history.bundles.keys()
    for ok, fault, verdicts in reports.values():
        assert ok, fault
        assert set(verdicts) == {"identical"}
    steps = [len(verdicts) for _, _, verdicts in reports.values()]
    assert steps[0] >= len(CASES) + 2  # init, and the message to itself
    assert steps[1] == 2
    assert steps[2] == 4  # init, the step that opened the server, and two requests


def command(verb: str, target: str, head: str, **environ: str) -> str:
    """What the command says."""
    done = subprocess.run(
        [*COMMAND, verb, target, "--head", head],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={"PATH": os.defpath, **environ},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_verify_finds_every_bundle_sound_with_the_world_gone(history: Played, tmp_path: Path) -> None:
    for bundle, head in history.bundles.items():
        assert command("verify", bundle, head, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path)).startswith("sound")


def test_replay_finds_every_actor_identical_with_the_world_gone(history: Played, tmp_path: Path) -> None:
    for bundle, head in history.bundles.items():
        said = command("replay", Path(bundle).stem, head, HOME=str(tmp_path), THEATER_DATA_DIR=str(history.data))
        assert said.startswith("identical")


def test_what_is_forbidden_is_what_a_live_step_does(cache: Path, tmp_path: Path) -> None:
    """So that the replay above shows something: the same programs, live, run into what it does not."""
    with serving() as web:
        (tmp_path / FOLDER).mkdir()
        (tmp_path / FOLDER / "a.txt").write_text("hello")
        tried = sealed({"live": {"url": web.url, "folder": FOLDER}, "folder": str(tmp_path), "cache": str(cache)})

        assert web.asked == []
    for case in CASES:
        if case.touches:
            events = tried[case.name]
            assert isinstance(events, list)
            assert any(event.startswith(case.touches) for event in events), (case.name, events)
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["a.txt"]
