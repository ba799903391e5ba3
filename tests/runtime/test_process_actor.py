"""Programs in a runtime: recorded, told of piece by piece, ended with their actor, replayed with none of it there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.capabilities.town import is_alive, wait_until
from tests.guests import puppet
from tests.guests.puppet import ABOUT, ANSWER, FULL_ANSWER, puppet_wat
from tests.runtime.inside import settle
from tests.runtime.stage import Stage, Workshop
from theater.capabilities.processes import Processes
from theater.errors import Denied
from theater.model.payload import HostCall, Intent
from theater.testing.harness import Actor

SHELL, CAT, SLEEP = "/usr/bin/dash", "/usr/bin/cat", "/usr/bin/sleep"
GRANT: dict[str, object] = {"allow": [SHELL, SLEEP, f"cat={CAT}"]}
PATIENCE_S = 20.0

TEXT = puppet_wat(imports=("process", "timing", "runtime"), handlers=["process"])
DEAF = puppet_wat(imports=("process",))


def play(stage: Stage, text: str = TEXT, *, grant: Mapping[str, object] | None = None, **options: object) -> Actor:
    return stage.play(
        text,
        capabilities={"process": {**GRANT, **(grant or {})}, "timing": {}},
        allowed=["process", "timing"],
        **options,  # type: ignore[arg-type]  # passed on
    )


def find(stage: Stage) -> Actor:
    return stage.actor("actor", allowed=["process", "timing"])


def shell(text: str, **more: object) -> dict[str, object]:
    return puppet.program(SHELL, "-c", text, **more)  # type: ignore[arg-type]  # as they are


def ask(actor: Actor, program: str) -> str:
    """What its last call was answered."""
    answer = actor.request(program + puppet.reply(FULL_ANSWER))
    assert isinstance(answer, str)
    return answer


def start(actor: Actor, program: dict[str, object], mode: str = "lines", size_bytes: int | None = None) -> str:
    id = ask(actor, puppet.start_program(program, mode, size_bytes))
    assert len(id) == 32, id
    return id


def heard(actor: Actor) -> list[str]:
    return puppet.log_of(actor.state or "0")


def wait_for(actor: Actor, token: str) -> list[str]:
    wait_until(lambda: token in heard(actor))
    settle(actor)
    return heard(actor)


def service_of(stage: Stage) -> Processes:
    assert stage.runtime.node.services is not None
    service = stage.runtime.node.services.of("process")
    assert isinstance(service, Processes)
    return service


def pid_in(file: Path) -> int:
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


def forbid_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_args: object, **_more: object) -> None:
        raise AssertionError("a replay starts a process")

    monkeypatch.setattr(subprocess, "Popen", forbidden)
    for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "execve", "kill", "killpg"):
        monkeypatch.setattr(os, name, forbidden)


def _descriptors() -> Counter[str]:
    """What is open, by kind; compiled code, which is mapped, goes when its engine does."""
    found = Counter[str]()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found[str(path.readlink()).split(":[")[0]] += 1
    return Counter({kind: number for kind, number in found.items() if not kind.endswith("/code")})


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """No process of ours, no descriptor."""
    before = _descriptors()
    yield
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    assert not [child for child in children if "process_keeper" in Path(f"/proc/{child}/cmdline").read_text()]
    assert _descriptors() - before == Counter(), "descriptors were left open"


# -- run -------------------------------------------------------------------------------------------------------------


def test_a_program_runs_and_is_recorded_with_all_that_it_wrote(stage: Stage) -> None:
    actor = play(stage)

    answer = ask(actor, puppet.run_program(shell("cat; echo oops >&2; exit 3"), "hello"))

    assert answer == "code:3/text:hello/text:oops\n"
    settle(actor)
    [intent], [host] = actor.payloads("intent"), actor.payloads("host")
    assert isinstance(intent, Intent)
    assert isinstance(host, HostCall)
    assert json.dumps(intent.arguments).count("oops") == 1
    assert host.now is not None
    assert host.answer == {"ok": {"status": {"code": 3}, "stdout": {"text": "hello"}, "stderr": {"text": "oops\n"}}}
    assert actor.verify().ok


@pytest.mark.slow
def test_a_history_replays_with_the_programs_gone_and_the_process_table_forbidden(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = stage.folder / "tool"
    tool.write_bytes(Path(SHELL).read_bytes())
    tool.chmod(0o755)
    actor = play(stage, grant={"allow": [str(tool)]})
    run = puppet.run_program(puppet.program(str(tool), "-c", "echo here"))
    assert ask(actor, run) == "code:0/text:here\n/text:"
    start(actor, puppet.program(str(tool), "-c", "echo there"))
    wait_for(actor, "exit/code:0")
    tool.unlink()
    assert ask(actor, run).startswith("err:not-runnable:it is not there")
    assert ask(actor, puppet.call("process.list-processes")) == ""
    settle(actor)
    stage.reopen()
    forbid_processes(monkeypatch)

    report = find(stage).verify()

    assert report.ok
    assert heard(find(stage)) == ["stdout/text:there", "exit/code:0"]


def test_nothing_is_run_that_nobody_allowed(stage: Stage) -> None:
    with pytest.raises(Denied) as caught:
        stage.play(TEXT, capabilities={"process": {"allow": [CAT]}, "timing": {}}, allowed=["timing"])

    assert caught.value.data["asked"] == ["[capabilities.process]", f'allow = ["{CAT}"]']


def test_what_is_beyond_the_grant_is_denied_and_recorded(stage: Stage) -> None:
    actor = play(stage)

    assert ask(actor, puppet.run_program(puppet.program("/usr/bin/env"))) == 'err:denied:allow = ["/usr/bin/env"]'
    settle(actor)

    [host] = actor.payloads("host")
    assert isinstance(host, HostCall)
    assert host.answer == {"err": {"denied": 'allow = ["/usr/bin/env"]'}}
    assert actor.payloads("intent") == []
    assert actor.verify().ok


def test_it_runs_in_a_directory_of_the_filesystem_grant(stage: Stage) -> None:
    folder = stage.folder / "shared"
    folder.mkdir()
    (folder / "below").mkdir()
    actor = stage.play(
        TEXT,
        capabilities={"process": GRANT, "timing": {}, "filesystem": {"write": [str(folder)]}},
        allowed=["process", "timing", "filesystem"],
    )

    pwd = puppet.run_program(shell("pwd; echo x > here", directory="below"))
    assert ask(actor, pwd) == f"code:0/text:{folder}/below\n/text:"
    assert (folder / "below" / "here").read_text() == "x\n"
    outside = puppet.run_program(shell("pwd", directory="../.."))
    assert ask(actor, outside).startswith("err:invalid-spec:")
    settle(actor)
    assert actor.verify().ok


def test_the_limit_of_the_step_ends_a_program_that_is_waited_for(stage: Stage) -> None:
    actor = play(stage, limits={"wait": "1s"})
    pid = stage.folder / "pid"
    asked = actor.start_request(
        json.dumps(puppet.run_program(shell(f"echo $$ > {pid}; sleep 1000")) + puppet.reply(FULL_ANSWER))
    )
    running = pid_in(pid)

    stage.clock.advance(1)

    assert asked.result().text == '"err:wait-exhausted"'
    wait_until(lambda: not is_alive(running))
    settle(actor)
    assert actor.verify().ok


def test_a_step_that_is_ended_ends_its_program(stage: Stage) -> None:
    actor = play(stage)
    pid = stage.folder / "pid"
    asked = actor.start_request(json.dumps(puppet.run_program(shell(f"echo $$ > {pid}; sleep 1000"))))
    running = pid_in(pid)

    actor.terminate()

    wait_until(lambda: not is_alive(running))
    with pytest.raises(Exception, match=r"ended|stopped|terminated"):
        asked.result()


def test_after_its_time_a_program_is_terminated_and_killed_five_seconds_later(stage: Stage) -> None:
    actor = play(stage)
    pid, asked_to = stage.folder / "pid", stage.folder / "asked"
    text = f"trap 'echo asked; touch {asked_to}' TERM; echo $$ > {pid}; while :; do sleep 0.01; done"
    program = shell(text, timeout_ms=2000)
    asked = actor.start_request(json.dumps(puppet.run_program(program) + puppet.reply(FULL_ANSWER)))
    running = pid_in(pid)
    stage.clock.advance(2)
    wait_until(asked_to.exists)
    stage.clock.wait_for_timers(2)  # the limit of the step, and the end of the grace
    assert is_alive(running)

    stage.clock.advance(5)

    assert str(json.loads(asked.result().text or "")).startswith("timeout/text:asked")


# -- start -----------------------------------------------------------------------------------------------------------


def test_what_a_program_writes_arrives_line_by_line_and_then_its_end(stage: Stage) -> None:
    actor = play(stage)

    id = start(actor, shell("echo one; echo two >&2; printf 'three\\r\\nfour'; exit 7"))

    found = wait_for(actor, "exit/code:7")
    assert [token for token in found if token.startswith("stdout")] == [
        "stdout/text:one",
        "stdout/text:three",
        "stdout/text:four",
    ]
    assert [token for token in found if token.startswith("stderr")] == ["stderr/text:two"]
    assert found[-1] == "exit/code:7"
    assert ask(actor, puppet.call("process.status", id)) == f"err:unknown-process:{id}"
    assert actor.verify().ok


def test_it_is_written_to_asked_about_and_signalled(stage: Stage) -> None:
    actor = play(stage)
    id = start(actor, puppet.program("cat"))

    assert ask(actor, puppet.call("process.write-stdin", id, ("text", "hello\n"))) == "ok"
    wait_for(actor, "stdout/text:hello")
    assert ask(actor, puppet.call("process.status", id)).startswith(f"{id}/cat/")
    assert ask(actor, puppet.call("process.list-processes")).startswith(f"{id}/cat/")
    [line] = service_of(stage).shown(actor.id)
    assert line.startswith(f"runs {CAT} (pid ")
    assert ask(actor, puppet.call("process.close-stdin", id)) == "ok"
    wait_for(actor, "exit/code:0")

    other = start(actor, puppet.program(SLEEP, "1000"))
    assert ask(actor, puppet.call("process.send-signal", other, "hangup")) == "ok"
    wait_for(actor, "exit/signal:1")
    over = ask(actor, puppet.call("process.send-signal", other, "kill"))
    assert over in ("err:ended", f"err:unknown-process:{other}")  # until its end has been handled for good, and after
    settle(actor)
    assert actor.verify().ok


def test_an_actor_without_handlers_starts_nothing(stage: Stage) -> None:
    actor = stage.play(DEAF, capabilities={"process": GRANT}, allowed=["process"])

    assert ask(actor, puppet.start_program(shell("true"))).startswith("err:other:no-handlers: ")
    assert ask(actor, puppet.run_program(shell("echo x"))) == "code:0/text:x\n/text:"


def test_nobody_else_sees_or_touches_a_process(stage: Stage) -> None:
    actor = play(stage)
    id = start(actor, puppet.program("cat"))
    other = play(stage, name="other")

    for call in (
        puppet.call("process.status", id),
        puppet.call("process.write-stdin", id, ("text", "x")),
        puppet.call("process.close-stdin", id),
        puppet.call("process.send-signal", id, "kill"),
    ):
        assert ask(other, call) == f"err:unknown-process:{id}"
    assert ask(other, puppet.call("process.list-processes")) == ""
    assert service_of(stage).shown(other.id) == []


def test_a_failed_step_leaves_what_it_started_and_hears_of_it(stage: Stage) -> None:
    actor = play(stage)

    with pytest.raises(Exception, match="no"):
        actor.request(puppet.start_program(shell("echo still here")) + puppet.refuse("no"))

    assert wait_for(actor, "exit/code:0") == ["stdout/text:still here", "exit/code:0"]
    assert actor.verify().ok


@pytest.mark.slow
def test_a_handler_may_go_on_from_what_it_hears(stage: Stage) -> None:
    text = puppet_wat(
        imports=("process", "timing", "runtime"),
        handlers=["process"],
        programs={"output": puppet.call("process.close-stdin", ABOUT)},
    )
    actor = play(stage, text)
    id = start(actor, puppet.program("cat"))
    ask(actor, puppet.call("process.write-stdin", id, ("text", "enough\n")))

    assert wait_for(actor, "exit/code:0") == ["stdout/text:enough", "exit/code:0"]
    assert actor.verify().ok


def test_output_faster_than_the_actor_is_lost_from_its_oldest_on_and_the_gap_is_told(stage: Stage) -> None:
    actor = play(stage)
    done = stage.folder / "done"
    go = stage.folder / "go"
    text = f"echo first; while [ ! -e {go} ]; do sleep 0.01; done; i=0; "
    text += f"while [ $i -lt 9000 ]; do echo {'x' * 100}; i=$((i+1)); done; echo last; echo > {done}; read -r x"
    id = start(actor, shell(text), "chunks", 50_000)
    actor.pause()
    go.touch()
    wait_until(done.exists)
    assert ask_later(actor, puppet.call("process.close-stdin", id))
    actor.resume()

    found = wait_for(actor, "exit/code:1")

    assert any(token.endswith("/gap") for token in found)
    assert "last" in found[-2]
    assert sum(map(len, found)) < 400_000


def ask_later(actor: Actor, program: str) -> bool:
    """Of an actor that is paused."""
    actor.start_send(json.dumps(program))
    return True


# -- ends ------------------------------------------------------------------------------------------------------------


def test_programs_end_with_their_actor_and_it_hears_of_that_when_it_runs_again(stage: Stage) -> None:
    actor = play(stage)
    pid = stage.folder / "pid"
    start(actor, shell(f"echo $$ > {pid}; echo begun; sleep 1000"))
    running = pid_in(pid)
    wait_for(actor, "stdout/text:begun")

    actor.stop()
    wait_until(lambda: not is_alive(running))
    wait_until(lambda: not service_of(stage).listing(actor.id))
    actor.restart()

    assert "exit/signal:15" in wait_for(actor, "exit/signal:15")
    assert actor.verify().ok


def test_what_ignores_the_request_to_end_is_killed_five_seconds_later(stage: Stage) -> None:
    actor = play(stage)
    pid = stage.folder / "pid"
    start(actor, shell(f"trap 'echo asked >> {pid}.log' TERM; echo $$ > {pid}; while :; do sleep 0.01; done"))
    running = pid_in(pid)
    actor.stop()
    wait_until(Path(f"{pid}.log").exists)
    assert is_alive(running)

    stage.clock.advance(5)

    wait_until(lambda: not is_alive(running))


def test_an_actor_that_is_removed_takes_its_programs_with_it(stage: Stage) -> None:
    actor = play(stage)
    pid = stage.folder / "pid"
    start(actor, shell(f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.01; done"))
    running = pid_in(pid)
    actor.stop()

    stage.run(stage.runtime.remove(actor.id))

    wait_until(lambda: not is_alive(running))
    assert service_of(stage).listing(actor.id) == []


@pytest.mark.slow
def test_a_node_that_closes_ends_its_programs_and_tells_of_them_once_at_its_next_start(stage: Stage) -> None:
    actor = play(stage)
    pid = stage.folder / "pid"
    start(actor, shell(f"echo $$ > {pid}; sleep 1000"))
    running = pid_in(pid)

    stage.reopen()

    assert not is_alive(running)
    actor = find(stage)
    assert wait_for(actor, "exit/lost") == ["exit/lost"]
    stage.reopen()
    actor = find(stage)
    ask(actor, puppet.call("process.list-processes"))
    assert heard(actor) == ["exit/lost"]
    assert actor.verify().ok


# -- the node dies ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mortal(
    workshop: Workshop, folder: Path, program: str, place: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A node in a process of its own, whose actor does this."""
    with Stage(workshop, folder / "unused") as stage:
        manifest = stage.manifest(TEXT, capabilities={"process": GRANT, "timing": {}})
    task = {
        "data": str(folder / "data"),
        "cache": str(workshop.cache),
        "manifest": str(manifest),
        "body": json.dumps(program),
        **({"place": place} if place else {}),
    }
    script = Path(__file__).with_name("mortal_program.py")
    root = Path(__file__).parents[2]
    node = subprocess.Popen([sys.executable, str(script), json.dumps(task)], cwd=root, env={"PYTHONPATH": str(root)})
    try:
        yield node
    finally:
        node.kill()
        node.wait()


@pytest.mark.slow
def test_a_node_that_is_killed_takes_everything_with_it_and_leaves_an_unknown_outcome_once(
    workshop: Workshop, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    text = f"setsid sleep 1000 & echo $! >> {pids}; sleep 1000 & echo $! >> {pids}; echo $$ >> {pids}; wait"
    (tmp_path / "unused").mkdir()
    with mortal(workshop, tmp_path, puppet.run_program(shell(text)) + puppet.log(ANSWER)) as node:
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 3)
        running = [int(pid) for pid in pids.read_text().split()]
        assert all(map(is_alive, running))
        node.kill()
        wait_until(lambda: not any(map(is_alive, running)))

    with Stage(workshop, tmp_path) as stage:
        actor = find(stage)
        assert wait_for(actor, "err:outcome-unknown") == ["err:outcome-unknown"]
        assert actor.verify().ok
        stage.reopen()
        assert heard(find(stage)) == ["err:outcome-unknown"]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["before-launch", "behind-launch"])
def test_a_node_that_dies_while_it_starts_a_program_says_that_it_is_lost(
    workshop: Workshop, tmp_path: Path, place: str
) -> None:
    (tmp_path / "unused").mkdir()
    program = puppet.start_program(shell("sleep 1000")) + puppet.log(ANSWER)
    with mortal(workshop, tmp_path, program, place) as node:
        assert node.wait(PATIENCE_S) == -signal.SIGKILL

    with Stage(workshop, tmp_path) as stage:
        actor = find(stage)
        assert wait_for(actor, "exit/lost") == ["err:outcome-unknown", "exit/lost"]
        assert actor.verify().ok
        stage.reopen()
        assert heard(find(stage)) == ["err:outcome-unknown", "exit/lost"]


@pytest.mark.slow
def test_a_node_that_is_killed_says_of_a_program_that_runs_that_it_is_lost(workshop: Workshop, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    (tmp_path / "unused").mkdir()
    with mortal(workshop, tmp_path, puppet.start_program(shell(f"echo $$ > {pid}; sleep 1000"))) as node:
        wait_until(lambda: pid.exists() and pid.read_text().endswith("\n"))
        running = int(pid.read_text())
        node.kill()
        wait_until(lambda: not is_alive(running))

    with Stage(workshop, tmp_path) as stage:
        assert wait_for(find(stage), "exit/lost") == ["exit/lost"]
        assert find(stage).verify().ok
