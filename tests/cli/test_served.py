"""The commands that act, with a server process that holds the data directory."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND, Result, Theater
from tests.cli.test_hostile import EVIL, EVIL_JSON, evil_guest, looked_at
from tests.guests import puppet
from tests.guests.puppet import puppet_manifest, puppet_wat
from tests.server.process import RunningServer

__all__ = ["evil_guest"]  # a fixture of another file

pytestmark = pytest.mark.slow

PATIENCE_S = 60.0
MANIFEST = 'name = "counter"\ncomponent = "counter.wasm"\n'
ASKING = MANIFEST + '[capabilities.environment]\nallow = ["LANG"]\n'


def ids(theater: Theater) -> dict[str, str]:
    """Of all actors, by name."""
    return {str(row["name"]): str(row["id"]) for row in theater("list", "--json").rows}


def compared(done: Result) -> tuple[int, list[str], str]:
    """What a run says, but for what is of that run alone."""
    return done.code, [line for line in done.out.splitlines() if not line.startswith(("id ", "head "))], done.err


# -- run -------------------------------------------------------------------------------------------------------------

RUNS = [
    ("counter.wasm", "--request", '{"by":2}', "--request", '{"by":3}'),
    ("moody.wasm", "--request", '"refuse"', "--request", '{"by":1}', "--request", '"trap"', "--request", "1"),
    ("remember.wasm", "--send", "1", "--request", "2", "--send", "3", "--request", "4"),
    ("echo.wasm", "--request", '{"a":1e400,"a":[1,\n2]}'),
    ("logger.wasm", "--request", '{"times":2}'),
    ("last-words.wasm", "--request", "1", "--request", "2"),
    ("refuse-init.wasm", "--request", "1"),
    ("trap-init.wasm", "--request", "1"),
]


@pytest.mark.usefixtures("place")
def test_a_run_shows_the_same_through_a_server_as_without(theater: Theater, tmp_path: Path) -> None:
    here = [theater("--data-dir", "other", "run", *arguments) for arguments in RUNS]
    documents = [theater("--data-dir", "other", "run", *arguments, "--json") for arguments in RUNS]
    with RunningServer(tmp_path):
        there = [theater("run", *arguments) for arguments in RUNS]
        served = [theater("run", *arguments, "--json") for arguments in RUNS]

    for one, other in zip(here, there, strict=True):
        assert compared(one) == compared(other)
    for one, other in zip(documents, served, strict=True):
        assert one.code == other.code
        for key in ("replies", "refused", "crashed", "error"):
            assert one.table.get(key) == other.table.get(key)
        assert one.table.get("seq") == other.table.get("seq")


@pytest.mark.usefixtures("server")
def test_a_run_goes_on_with_actors_of_the_server_and_leaves_them_there(theater: Theater) -> None:
    first = theater("run", "moody.wasm", "--request", '{"by":4}', "--request", '"trap"')
    crashed = theater("run", "--id", "moody", "--request", '{"by":1}')
    theater("pause", "moody")
    paused = theater("run", "--id", "moody", "--request", '{"by":1}', "--json")
    theater("run", "trap-init.wasm")
    again = theater("run", "--id", "trap-init", "--request", "1")

    assert first.code == 1
    assert crashed.out.splitlines()[0] == '{"count":5}'
    assert "it was crashed: restarted" in crashed.err
    assert "it was paused: resumed" in paused.err
    assert paused.table["replies"] == [{"count": 6}]
    assert (again.code, [line.split()[0] for line in again.out.splitlines()]) == (1, ["id", "head"])
    assert "crashed (trap): " in again.err
    assert theater("request", "moody", '{"by":1}').out == '{"count":7}\n'


@pytest.mark.usefixtures("server")
def test_a_command_runs_in_the_server_and_keeps_stdout_for_itself(theater: Theater) -> None:
    done = theater("run", "command.wasm", "--", "--flag", "word")
    refused = theater("run", "command.wasm", "--request", "1")
    failed = theater("run", "failing-command.wasm")

    assert (done.code, done.out) == (0, "")
    assert [line.split()[0] for line in done.err.splitlines()] == ["grant", "id", "head"]
    assert (refused.code, failed.code) == (2, 1)
    assert failed.err.splitlines()[1] == "the command exited with status 1"
    assert sorted(ids(theater)) == ["command", "failing-command"]
    assert "runs once" in theater("run", "--id", "command").err


@pytest.mark.usefixtures("server")
def test_what_goes_beyond_the_ceiling_needs_the_owners_word(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text(ASKING)

    refused = theater("run", ".", "--json")
    allowed = theater("run", ".", "--allow", "environment=LANG")
    started = theater("start", ".", "--allow", "environment")
    elsewhere = theater(
        "--data-dir", str(place / "other"), "--server", "http://127.0.0.1:1", "start", ".", "--allow", "x"
    )

    assert (refused.code, allowed.code, started.code) == (1, 0, 0)
    for text in ("[capabilities.environment]", 'allow = ["LANG"]', "--allow environment"):
        assert text in refused.err
    for done in (allowed, started):
        assert 'grant  environment  allow = ["LANG"]' in done.err
    assert elsewhere.code == 1
    assert "owner of the server's data directory" in elsewhere.err
    assert list((place / "data" / "allowances").iterdir()) == []


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("command", ["start", "run"])
def test_relative_paths_of_a_manifest_are_in_its_folder_as_without_a_server(
    theater: Theater, place: Path, command: str
) -> None:
    project = place / "project"
    (project / "data").mkdir(parents=True)
    manifest = MANIFEST.replace("counter.wasm", "../counter.wasm")
    (project / "theater.toml").write_text(manifest + '[capabilities.filesystem]\nread = ["data"]\n')

    started = theater(command, "project")
    assert started.code == 0, started.err
    assert f'read = ["{project.resolve()}/data"]' in started.err
    assert theater("verify", "counter").code == 0
    theater("stop", "counter")
    assert theater("restart", "counter").code == 0

    (project / "theater.toml").write_text(manifest + '[capabilities.filesystem]\nwrite = ["data"]\n')
    denied = theater(command, "project", "--name", "b")
    assert denied.code == 1
    assert f'write = ["{project.resolve()}/data"]' in denied.err
    assert theater(command, "project", "--name", "b", "--allow", "filesystem=write:data").code == 0


def test_what_was_allowed_once_was_allowed_once(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text(ASKING)
    with RunningServer(place):
        theater("start", ".", "--allow", "environment")
        theater("stop", "counter")
    with RunningServer(place):
        restarted = theater("restart", "counter")
        allowed = theater("restart", "counter", "--allow", "environment=LANG")
        theater("stop", "counter")
    with RunningServer(place):
        refused = theater("run", "--id", "counter", "--request", "{}")
        run = theater("run", "--id", "counter", "--request", "{}", "--allow", "environment")
    here = theater("run", "--id", "counter", "--request", "{}", "--allow", "environment")

    assert [done.code for done in (restarted, allowed, refused, run, here)] == [1, 0, 1, 0, 0]
    for done in (restarted, refused):
        assert 'allow = ["LANG"]' in done.err
        assert "--allow environment" in done.err
    assert list((place / "data" / "allowances").iterdir()) == []


# -- actors ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("server")
def test_the_first_steps_of_a_newcomer(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text(MANIFEST)

    started = theater("start", "theater.toml")
    listed = theater("list")
    id = started.out.split()[1]
    shown = theater("events", id)
    other = theater("start", "theater.toml", "--id-only", "--name", "other")
    second = theater("start", "theater.toml", "--id-only")
    taken = theater("start", "theater.toml", "--name", "other")

    assert (started.code, listed.code, shown.code, other.code, second.code) == (0, 0, 0, 0, 0)
    assert id in listed.out
    assert [line.split()[2] for line in shown.out.splitlines()] == ["genesis", "lifecycle", "message", "state"]
    assert ids(theater) == {"counter": id, "other": other.out.strip(), "counter-2": second.out.strip()}
    assert "it is called 'counter-2'" in second.err
    assert taken.code == 1
    assert "'other'" in taken.err


@pytest.mark.usefixtures("server")
def test_a_life_on_a_server(theater: Theater) -> None:
    def status(*arguments: str) -> str:
        done = theater(*arguments, "--json")
        assert done.code == 0, done.err
        return str(done.table["status"])

    theater("start", "counter.wasm")

    assert theater("request", "counter", '{"by":2}').out == '{"count":2}\n'
    assert theater("send", "counter", '{"by":2}').out.startswith("message ")
    assert status("pause", "counter") == "paused"
    assert status("resume", "counter") == "running"
    assert status("stop", "counter") == "stopped"
    assert theater("request", "counter", "{}").code == 1
    assert status("restart", "counter") == "running"
    assert theater("request", "counter", '{"by":1}').out == '{"count":5}\n'
    assert status("stop", "counter", "--now") == "stopped"
    assert status("restart", "counter", "--from-init") == "running"
    assert theater("request", "counter", '{"by":1}').out == '{"count":1}\n'
    assert theater("rm", "counter", "--yes").code == 1
    theater("stop", "counter")
    assert theater("rm", "counter", "--yes", "--json").code == 0
    assert ids(theater) == {}


@pytest.mark.usefixtures("server")
def test_an_upgrade_brings_the_component_along_and_keeps_the_state(theater: Theater) -> None:
    theater("run", "counter.wasm", "--request", '{"by":2}')

    done = theater("upgrade", "counter", "moody.wasm", "--json")

    assert done.code == 0
    assert theater("request", "counter", '{"by":2}').out == '{"count":4}\n'
    assert "refused: not today" in theater("request", "counter", '"refuse"').err
    assert theater("upgrade", "counter", "command.wasm").code == 1
    assert theater("upgrade", "counter", "sha256:" + "0" * 64).code == 5


@pytest.mark.usefixtures("server")
def test_a_request_is_answered_once_for_each_key(theater: Theater) -> None:
    theater("start", "moody.wasm")
    request = ("request", "moody", '{"by":2}', "--idempotency-key", "k")

    first, second = theater(*request, "--json"), theater(*request, "--json")
    other = theater("request", "moody", '{"by":3}', "--idempotency-key", "k")
    late = theater("request", "moody", '"defer"', "--timeout", "100ms", "--json")
    crashed = theater("request", "moody", '"trap"')

    assert first.code == 0
    assert first.out == second.out
    assert other.code == 1
    assert isinstance(late.table["error"], dict)
    assert late.table["error"]["code"] == "timed-out"
    assert crashed.code == 1
    assert crashed.err.startswith("crashed: trap")


def test_a_channel_with_an_actor_of_the_server(theater: Theater, place: Path, server: RunningServer) -> None:
    (place / "puppet.wat").write_text(puppet_wat(handlers=["channels"]))
    manifest = puppet_manifest("0" * 64, "puppet", capabilities={"messaging": "", "supervisor": "", "timing": ""})
    (place / "puppet.toml").write_text(manifest.replace(f"sha256:{'0' * 64}", "puppet.wat"))
    assert theater("start", "puppet.toml").code == 0
    said = [json.dumps(puppet.send_on_channel(puppet.ABOUT, puppet.Json(str(number)))) for number in range(3)]
    closing = json.dumps(puppet.close_channel(puppet.ABOUT))
    opening = json.dumps(puppet.reply("welcome"))

    done = theater("channel", "puppet", "--open", opening, stdin="\n".join([*said, closing]).encode())
    refused = theater("channel", "puppet", "--open", json.dumps(puppet.refuse("not now")))
    quiet = theater("channel", "puppet", "--open", opening, stdin=f"{said[1]}\n".encode())
    talking = subprocess.Popen(
        [*COMMAND, "channel", "puppet", "--open", opening],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=server.environ,
    )
    assert talking.stdin is not None
    assert talking.stdout is not None
    heard = [talking.stdout.readline()]
    for line in said:
        talking.stdin.write(f"{line}\n")
        talking.stdin.flush()
        heard.append(talking.stdout.readline())
    talking.send_signal(signal.SIGINT)
    _, err = talking.communicate(timeout=PATIENCE_S)

    assert (done.code, done.out) == (0, '"welcome"\n0\n1\n2\n')
    assert done.err.startswith("closed: ")
    assert (refused.code, refused.err) == (1, "refused: not now\n")
    assert (quiet.code, quiet.out) == (0, '"welcome"\n1\n')
    assert heard == ['"welcome"\n', "0\n", "1\n", "2\n"]
    assert (talking.returncode, err) == (130, "interrupted\n")
    assert theater("inspect", "puppet", "--json").table["channels"] == 0


def test_start_with_subscribe_shows_events_until_it_is_interrupted(place: Path, server: RunningServer) -> None:
    process = subprocess.Popen(
        [*COMMAND, "start", str(place / "counter.wasm"), "--subscribe"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=server.environ,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)

    assert lines[0].startswith("id ")
    assert [line.split()[2] for line in lines[1:]] == ["genesis", "lifecycle", "message", "state"]
    assert (process.returncode, err.splitlines()[-1]) == (130, "interrupted")


def test_an_id_can_be_piped_to_subscribe(place: Path, server: RunningServer) -> None:
    line = (
        f"{sys.executable} -m theater.cli start {place}/counter.wasm --id-only"
        f" | {sys.executable} -m theater.cli subscribe -"
    )
    shell = subprocess.Popen(
        ["bash", "-c", line],
        stdout=subprocess.PIPE,
        text=True,
        env=server.environ,
        start_new_session=True,
    )
    assert shell.stdout is not None
    lines = [shell.stdout.readline() for _ in range(4)]
    os.killpg(shell.pid, signal.SIGINT)
    shell.communicate(timeout=PATIENCE_S)

    assert [shown.split()[2] for shown in lines] == ["genesis", "lifecycle", "message", "state"]


# -- keep ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("server")
def test_what_is_kept_goes_through_the_server(theater: Theater, place: Path) -> None:
    theater("run", "counter.wasm", "--request", '{"by":2}', "--request", '{"by":3}')
    large = theater("run", "echo.wasm", "--request", '"' + "x" * 100_000 + '"')
    assert large.code == 0

    for name in ("counter", "echo"):
        assert theater("export", name, "-o", f"{name}.theater").code == 0
        assert theater("export", name, "-o", f"{name}.jsonl").code == 0
        taken = theater("--data-dir", "other", "import", f"{name}.theater")
        assert taken.code == 0
        for kind in ("theater", "jsonl"):
            assert theater("--data-dir", "other", "export", name, "-o", f"again.{kind}", "--force").code == 0
            assert (place / f"again.{kind}").read_bytes() == (place / f"{name}.{kind}").read_bytes()
    assert theater("export", "counter", "-o", "counter.theater").code == 1
    assert theater("import", "counter.theater").code == 1
    theater("stop", "counter")
    theater("rm", "counter", "--yes")
    gone = theater("gc", "--json")
    copied = theater("backup", "copy", "--json")

    assert gone.code == 0
    assert set(gone.table) == {"components", "payloads", "cached", "bytes"}
    assert copied.code == 0
    assert [row["name"] for row in theater("--data-dir", "copy", "list", "--json").rows] == ["echo"]


def test_a_bundle_is_taken_in_by_the_server(theater: Theater, tmp_path: Path, counter: str) -> None:
    theater("export", counter, "-o", "counter.theater")
    with RunningServer(tmp_path, data_dir=tmp_path / "other"):
        done = theater("--data-dir", "other", "import", "counter.theater")
        bad = theater("--data-dir", "other", "import", "counter.wasm", "--json")
        listed = theater("--data-dir", "other", "list", "--json")

    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == ["id", "head"]
    assert [(row["id"], row["status"]) for row in listed.rows] == [(counter, "stopped")]
    assert bad.code == 1
    assert isinstance(bad.table["error"], dict)
    assert bad.table["error"]["code"] == "bad-bundle"


@pytest.mark.usefixtures("server")
def test_what_a_hostile_guest_says_through_a_server_is_shown_safely(theater: Theater, evil_guest: Path) -> None:
    for more in ((), ("--json",)):
        done = looked_at(theater("run", evil_guest, "--request", EVIL_JSON, "--request", '"refuse"', *more))
        assert done.code == 1
        looked_at(theater("start", evil_guest, *more))
        looked_at(theater("request", "evil", EVIL_JSON, *more))
        assert looked_at(theater("request", "evil", '"refuse"', *more)).code == 1
        looked_at(theater("send", "evil", '"refuse"', *more))
        looked_at(theater("stop", EVIL, "evil", *more))
        looked_at(theater("restart", "evil", *more))
        looked_at(theater("export", "evil", "-o", "evil.theater", "--force", *more))
        looked_at(theater("--data-dir", "other", "import", "evil.theater", *more))


@pytest.mark.parametrize(
    "arguments",
    [
        ("start", "counter.wasm"),
        ("stop", "x"),
        ("restart", "x"),
        ("pause", "x"),
        ("resume", "x"),
        ("upgrade", "x", "counter.wasm"),
        ("send", "x", "1"),
        ("request", "x", "1"),
        ("channel", "x"),
    ],
)
def test_without_a_server_it_is_exit_code_4(theater: Theater, arguments: tuple[str, ...]) -> None:
    done = theater(*arguments, "--json")

    assert done.code == 4
    assert "theater server" in done.err
    assert isinstance(done.table["error"], dict)
    assert done.table["error"]["code"] == "no-server"
