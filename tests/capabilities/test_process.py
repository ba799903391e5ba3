"""Programs: run and started, within their grant and its limits, told piece by piece and ended in any case."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.capabilities.town import (
    CAT,
    PATIENCE_S,
    SHELL,
    SLEEP,
    SORT,
    Ear,
    Town,
    finished,
    is_alive,
    shell,
    spec,
    status_of,
    wait_until,
)
from tests.capabilities.town import town as opened
from theater.capabilities import process
from theater.capabilities.process_child import Child, Nursery
from theater.capabilities.process_grant import ProcessGrant
from theater.capabilities.process_keeper import remove_tree
from theater.capabilities.process_life import GRACE_US
from theater.capabilities.process_spec import ProcessOrder, ProcessSpec, read_order
from theater.capabilities.processes import Processes
from theater.errors import MailboxFull, NotRunning, StoreError
from theater.model.capability import Denied, Wait
from theater.model.limits import Limits
from theater.model.news import Handled
from theater.runtime.services import Interrupt
from theater.testing.step_context import ACTOR, FakeStepContext

UNKNOWN = "0" * 32
FOR_EVER = "while :; do sleep 0.01; done"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with opened(tmp_path / "process") as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = _open()
    yield
    assert _open() <= before  # something of an earlier test may only now be collected
    own = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children").read_text().split()
    assert own == []


def _open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def make_late(file: Path) -> Interrupt:
    """An interruption that is wanted once the program has made a file."""
    interrupt = Interrupt()

    def watch() -> None:
        wait_until(file.exists)
        interrupt.want()

    threading.Thread(target=watch).start()
    return interrupt


# -- run -------------------------------------------------------------------------------------------------------------


def test_a_program_gets_its_input_and_gives_its_output(town: Town) -> None:
    assert town.run(spec(SORT), "b\na\n") == finished("a\nb\n")
    assert town.run(spec("cat", "-"), "hello") == finished("hello")
    assert town.run(shell("echo out; echo err >&2; exit 3")) == finished("out\n", "err\n", code=3)


def test_arguments_are_arguments_and_never_a_shells(town: Town) -> None:
    words = "$(touch /tmp/x) ; `id` | > & * ? ~ 'x' \"y\" \\ \n"

    assert town.run(spec(SHELL, "-c", 'printf %s "$1"', "x", words)) == finished(words)


def test_nothing_is_inherited(town: Town) -> None:
    os.environ["THEATER_TEST_SECRET"] = "s3cret"
    try:
        assert town.run(spec("/usr/bin/env")) == finished("")
        answer = town.run(shell("ls /proc/self/fd; umask; ulimit -c; cat /proc/self/status"))
    finally:
        del os.environ["THEATER_TEST_SECRET"]
    assert isinstance(answer, tuple)
    text = answer[1]["stdout"][1]
    assert text.startswith("0\n1\n2\n3\n0077\n0\n"), text  # 3 is what ls looks with
    assert "\nNoNewPrivs:\t1\n" in text
    for line in ("SigBlk", "SigIgn", "SigCgt"):
        [signals] = re.findall(rf"^{line}:\t([0-9a-f]{{16}})$", text, re.MULTILINE)
        # 32 and 33 are the C library's own: whatever posix_spawn starts, as make does, has them ignored for good
        assert int(signals, 16) & ~(0b11 << 31) == 0, line


def test_it_has_a_session_of_its_own_and_no_terminal(town: Town) -> None:
    answer = town.run(shell("cut -d' ' -f1,5,6,7 /proc/$$/stat"))

    assert isinstance(answer, tuple)
    pid, group, session, terminal = answer[1]["stdout"][1].split()
    assert (group, session, terminal) == (pid, pid, "0")
    assert int(session) != os.getsid(0)


def test_a_variable_is_given_where_the_grant_names_it(tmp_path: Path) -> None:
    with opened(tmp_path, environment=["LANG", "MODE"]) as town:
        assert town.run(spec("/usr/bin/env", environment={"LANG": "C", "MODE": "a b=c"})) == (
            finished("LANG=C\nMODE=a b=c\n")
        )
        assert town.run(spec("/usr/bin/env", environment={"HOME": "/"})) == (
            "err",
            ("denied", 'environment = ["HOME"]'),
        )


def test_its_directory_is_empty_its_own_and_gone_when_it_ends(town: Town) -> None:
    answer = town.run(shell("pwd; ls -a; mkdir -p a/b; echo x > a/b/c; chmod 0 a/b a .; stat -c %a $PWD"))

    assert isinstance(answer, tuple)
    [folder, *entries, mode] = answer[1]["stdout"][1].split()
    assert Path(folder).parent == town.folder
    assert entries == [".", ".."]
    assert mode == "0"
    assert list(town.folder.iterdir()) == []


@pytest.mark.slow
def test_its_directory_goes_however_deep_it_has_become(tmp_path: Path) -> None:
    kept, top = tmp_path / "kept", tmp_path / "top"
    for folder in (kept, top):
        folder.mkdir()
    (kept / "file").write_text("x")
    (top / "link").symlink_to(kept)
    (top / "file").write_text("x")
    folder_at = os.open(top, os.O_RDONLY)
    for _ in range(1200):  # more than Python calls in one another, and than a path may have bytes
        os.mkdir("d" * 200, dir_fd=folder_at)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=folder_at)
        os.close(folder_at)
        folder_at = below
    os.close(folder_at)

    remove_tree(str(top))

    assert list(tmp_path.iterdir()) == [kept]
    assert (kept / "file").read_text() == "x"


@pytest.mark.parametrize(
    ("text", "status"),
    [("exit 0", ("code", 0)), ("exit 255", ("code", 255)), ("kill -9 $$", ("signal", 9)), ("kill $$", ("signal", 15))],
)
def test_how_it_ended_is_an_answer_and_no_error(town: Town, text: str, status: object) -> None:
    assert status_of(town.run(shell(text))) == status


def test_output_is_in_the_form_that_was_asked_for(town: Town) -> None:
    def out(form: str, text: str) -> object:
        answer = town.run(shell(f"printf '{text}'", form=form))
        assert isinstance(answer, tuple)
        return answer[1] if answer[0] == "err" else answer[1]["stdout"]

    assert out("automatic", "x") == ("text", "x")
    assert out("automatic", "\\377") == ("base64", "/w==")
    assert out("text", "\\377") == ("not-text", None)
    assert out("base64", "x") == ("base64", "eA==")
    assert out("bytes", "x") == ("bytes", b"x")


def test_output_beyond_the_grant_kills_the_program(tmp_path: Path) -> None:
    with opened(tmp_path, output=1000) as town:
        assert town.run(shell("head -c 1000 /dev/zero | tr '\\0' x")) == finished("x" * 1000)
        assert town.run(shell("head -c 600 /dev/zero; head -c 401 /dev/zero >&2; sleep 1000")) == (
            "err",
            ("too-large", 1000),
        )
        assert town.run(shell("cat /dev/zero")) == ("err", ("too-large", 1000))


def test_input_beyond_the_grant_runs_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, input=1000) as town:
        assert town.run(spec("cat"), "x" * 1000) == finished("x" * 1000)
        assert town.run(spec("cat"), "x" * 1001) == ("err", ("too-large", 1000))
        outcome = process.run(town.context, town.grant, spec("cat"), ("base64", "?"))
        assert outcome == Denied(("err", ("invalid-content", None)))


def test_a_program_that_does_not_read_its_input_ends_all_the_same(town: Town) -> None:
    assert town.run(shell("exec <&-; echo done"), "x" * 1_000_000) == finished("done\n")
    assert town.run(shell("echo done"), "x" * 1_000_000) == finished("done\n")


def test_a_program_may_read_much_and_write_much_at_once(town: Town) -> None:
    text = "0123456789abcde\n" * 60_000

    assert town.run(spec("cat"), text) == finished(text)


def test_who_waits_no_longer_has_it_killed(town: Town, tmp_path: Path) -> None:
    made = tmp_path / "made"

    answer = town.run(shell(f"trap '' TERM; touch {made}; {FOR_EVER}"), None, make_late(made))

    assert answer == ("err", ("wait-exhausted", None))


def test_after_its_time_it_is_terminated_and_killed_five_seconds_later(town: Town, tmp_path: Path) -> None:
    made, asked = tmp_path / "made", tmp_path / "asked"

    def watch() -> None:
        wait_until(made.exists)
        town.clock.advance(2)
        wait_until(asked.exists)
        town.clock.advance(5)

    watching = threading.Thread(target=watch)
    watching.start()
    answer = town.run(shell(f"trap 'touch {asked}; echo so' TERM; touch {made}; {FOR_EVER}", timeout_ms=2000))
    watching.join()

    assert status_of(answer) == ("timeout", None)
    assert town.clock.timers == ()


def test_one_that_ends_when_it_is_asked_to_has_run_out_of_time_as_well(town: Town, tmp_path: Path) -> None:
    made = tmp_path / "made"

    def watch() -> None:
        wait_until(made.exists)
        town.clock.advance(2)

    watching = threading.Thread(target=watch)
    watching.start()
    answer = town.run(shell(f"trap 'echo bye; exit 0' TERM; touch {made}; {FOR_EVER}", timeout_ms=2000))
    watching.join()

    assert status_of(answer) == ("timeout", None)


def test_unless_said_otherwise_its_time_is_over_before_that_of_the_step() -> None:
    assert ProcessGrant().timeout_ms * 1000 + GRACE_US < Limits().wait_s * 1_000_000


def test_a_time_beyond_the_grant_is_denied(tmp_path: Path) -> None:
    with opened(tmp_path, timeout="2s") as town:
        assert town.run(spec("cat", timeout_ms=2000)) == finished("")
        assert town.run(spec("cat", timeout_ms=2001)) == ("err", ("denied", 'timeout = "2001ms"'))


@pytest.mark.parametrize(
    ("grant", "text", "expected"),
    [
        ({"memory": "64MiB"}, "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo $?", "exit or signal"),
        ({"files": 16}, "ulimit -n", "16\n"),
        ({"file-size": 1024}, "head -c 4096 /dev/zero > big; echo $?; stat -c %s big", "153\n1024\n"),
        ({"cpu-time": "2s"}, "ulimit -t", "2\n"),
        ({}, "ulimit -c", "0\n"),
    ],
)
@pytest.mark.slow
def test_what_it_may_use_is_limited(tmp_path: Path, grant: dict[str, object], text: str, expected: str) -> None:
    with opened(tmp_path, **grant) as town:
        answer = town.run(shell(text))

        if "memory" in grant:
            assert status_of(answer) != ("code", 0)
        else:
            assert isinstance(answer, tuple)
            assert answer[1]["stdout"] == ("text", expected)


@pytest.mark.slow
def test_a_core_that_is_used_up_ends_it(tmp_path: Path) -> None:
    with opened(tmp_path, **{"cpu-time": "1s"}) as town:
        assert status_of(town.run(shell("while :; do :; done"))) == ("signal", signal.SIGXCPU)


# -- start -----------------------------------------------------------------------------------------------------------


def test_what_it_writes_and_its_end_are_told_in_order(town: Town) -> None:
    id = town.started(shell("echo one; echo two; printf three; exit 4"))

    assert town.ear.wait_for_end() == ["stdout:one", "stdout:two", "stdout:three", "exit:code:4"]
    assert [news.source for news in town.ear.news] == ["process"] * 4
    assert len({news.id for news in town.ear.news}) == 4
    assert town.ear.entries == {}
    wait_until(lambda: town.status(id) == ("err", ("unknown-process", id)))


def test_it_is_kept_before_it_runs_and_until_its_end_is_told(town: Town) -> None:
    id = town.started(spec("cat"))
    assert list(town.ear.entries) == [id]

    assert town.close_stdin(id) == ("ok", None)

    assert town.ear.wait_for_end() == ["exit:code:0"]
    assert town.ear.entries == {}


def test_one_that_cannot_be_started_is_kept_no_longer(town: Town) -> None:
    assert town.start(spec("cat", directory="x")) == ("err", ("denied", "a directory needs [capabilities.filesystem]"))
    town.grant = town.grant.__class__(allow=("/usr/bin/nothing-of-the-kind",))

    answer = town.start(spec("/usr/bin/nothing-of-the-kind"))

    assert answer == ("err", ("not-runnable", "it is not there, or what is to interpret it is not"))
    assert town.ear.entries == {}
    assert town.service.listing(ACTOR) == []


def test_it_is_written_to_and_its_input_closed_behind_that(town: Town) -> None:
    id = town.started(shell("cat; exec sleep 1000"))

    assert town.write(id, "hello\n") == ("ok", None)
    assert town.ear.wait(lambda heard: len(heard) == 1) == ["stdout:hello"]
    assert town.write(id, "bye\n") == ("ok", None)
    assert town.close_stdin(id) == ("ok", None)
    assert town.ear.wait(lambda heard: len(heard) == 2) == ["stdout:hello", "stdout:bye"]
    assert town.write(id, "more") == ("err", ("ended", None))
    assert town.close_stdin(id) == ("ok", None)
    town.signal(id, "kill")
    assert town.ear.wait_for_end()[-1] == "exit:signal:9"


def test_input_that_nobody_reads_waits_up_to_the_limit(tmp_path: Path) -> None:
    with opened(tmp_path, input=100_000) as town:
        id = town.started(spec(SLEEP, "1000"))
        pipe = 65_536  # what the system takes itself

        assert town.write(id, "x" * 100_000) == ("ok", None)
        wait_until(lambda: len(town.life(id)._input) == 100_000 - pipe)
        assert town.write(id, "x" * pipe) == ("ok", None)
        assert town.write(id, "x") == ("err", ("input-full", 100_000))
        assert town.write(id, "x" * 100_001) == ("err", ("too-large", 100_000))
        assert town.write(id, "") == ("ok", None)


def test_one_that_has_closed_its_input_has_no_more_of_it(town: Town) -> None:
    id = town.started(shell("exec <&-; echo closed; sleep 1000"))
    town.ear.wait(lambda heard: heard == ["stdout:closed"])

    assert town.write(id, "x") == ("ok", None)

    wait_until(lambda: town.write(id, "x") == ("err", ("ended", None)))


@pytest.mark.parametrize(
    ("name", "number"),
    [("interrupt", 2), ("terminate", 15), ("kill", 9), ("hangup", 1), ("user1", 10), ("user2", 12)],
)
def test_a_signal_is_sent_and_its_end_told(town: Town, name: str, number: int) -> None:
    id = town.started(spec(SLEEP, "1000"))

    assert town.signal(id, name) == ("ok", None)

    assert town.ear.wait_for_end() == [f"exit:signal:{number}"]


def test_a_request_to_end_goes_to_all_of_its_group_and_other_signals_to_itself(town: Town, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = f"sh -c 'trap \"echo child >> {log}\" TERM USR1; touch {log}; {FOR_EVER}' &"
    id = town.started(shell(f"trap 'echo own >> {log}' TERM USR1; {child} while :; do wait; done"))
    wait_until(log.exists)

    town.signal(id, "user1")
    wait_until(lambda: log.read_text() == "own\n")
    town.signal(id, "terminate")
    wait_until(lambda: sorted(log.read_text().split()) == ["child", "own", "own"])
    town.signal(id, "kill")


def test_a_program_that_closes_its_output_goes_on(town: Town, tmp_path: Path) -> None:
    go = tmp_path / "go"
    id = town.started(shell(f"echo one; exec >&- 2>&-; while [ ! -e {go} ]; do sleep 0.01; done; exit 5"))
    town.ear.wait(lambda heard: heard == ["stdout:one"])

    answer = town.status(id)
    go.touch()

    assert isinstance(answer, tuple)
    assert answer[1]["status"] is None
    assert town.ear.wait_for_end() == ["stdout:one", "exit:code:5"]


def test_an_ended_one_is_known_until_its_end_was_heard(tmp_path: Path) -> None:
    with opened(tmp_path, Ear(answer=None)) as town:
        id = town.started(shell("echo one; exit 3"))
        town.ear.wait(lambda heard: heard == ["stdout:one"])
        wait_until(lambda: town.service.listing(ACTOR)[0]["status"] == ("code", 3))  # type: ignore[index]

        assert town.write(id, "x") == ("err", ("ended", None))
        assert town.close_stdin(id) == ("err", ("ended", None))
        assert town.signal(id, "kill") == ("err", ("ended", None))
        assert town.service.shown(ACTOR) == []
        town.ear.open.pop()(Handled(None))

        assert town.ear.wait_for_end() == ["stdout:one", "exit:code:3"]


def test_all_that_run_are_listed_by_their_start(town: Town) -> None:
    first = town.started(spec("cat"))
    town.clock.advance(1)
    second = town.started(spec(SLEEP, "1000"))
    town.clock.advance(3)

    listing = town.service.listing(ACTOR)

    started = {"seconds": town.clock.now_us() // 1_000_000 - 4, "nanoseconds": 0}
    assert listing[0] == {"id": first, "program": "cat", "started": started, "status": None}
    assert [each["id"] for each in listing] == [first, second]  # type: ignore[index]
    assert town.service.shown(ACTOR) == [
        f"runs {CAT} (pid {town.pid(first)}, 4 s)",
        f"runs {SLEEP} (pid {town.pid(second)}, 3 s)",
    ]


def test_so_many_run_at_once_and_a_run_counts(tmp_path: Path) -> None:
    with opened(tmp_path, processes=2) as town:
        first = town.started(spec("cat"))
        town.started(spec("cat"))

        assert town.start(spec("cat")) == ("err", ("too-many", 2))
        assert town.run(spec("cat")) == ("err", ("too-many", 2))
        assert len(town.ear.entries) == 2
        town.close_stdin(first)
        town.ear.wait_for_end()
        assert town.run(spec("cat")) == finished("")


def test_so_many_run_on_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("theater.capabilities.process_register.PROCESSES_MAX", 1)
    with opened(tmp_path) as town:
        town.started(spec("cat"))

        answer = town.run(spec("cat"))

        assert answer == ("err", ("other", "busy: 1 processes run on this node, the most"))


def test_an_actor_that_could_not_hear_of_it_starts_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, Ear(has_handlers=False)) as town:
        answer = town.start(spec("cat"))

        assert isinstance(answer, tuple)
        assert answer[1][0] == "other"
        assert answer[1][1].startswith("no-handlers: ")


def test_pieces_come_one_at_a_time(tmp_path: Path) -> None:
    with opened(tmp_path, Ear(answer=None)) as town:
        town.started(shell("echo one; echo two; echo three >&2"))
        town.ear.wait(lambda heard: len(heard) == 1)
        for count in range(2, 5):
            town.ear.open.pop()(Handled(None))
            town.ear.wait(lambda heard, count=count: len(heard) == count)  # type: ignore[misc]  # bound now

        assert sorted(town.ear.heard) == ["exit:code:0", "stderr:three", "stdout:one", "stdout:two"]
        assert town.ear.heard[-1] == "exit:code:0"


def test_a_full_mailbox_is_tried_again_after_growing_pauses(tmp_path: Path) -> None:
    ear = Ear(answer=MailboxFull("full"))
    with opened(tmp_path, ear) as town:
        town.started(shell("echo one"))
        wait_until(lambda: not town.service._register.lives())  # with its own timers
        pauses = []
        for count in range(1, 10):
            ear.wait(lambda heard, count=count: len(heard) == count)  # type: ignore[misc]  # bound now
            town.clock.wait_for_timers(1)
            wait_until(lambda: any(due - town.clock.now_us() <= 5_000_000 for due in town.clock.timers))
            pauses.append(min(town.clock.timers) - town.clock.now_us())
            town.clock.advance_us(pauses[-1])
        ear.answer = Handled(None)
        wait_until(lambda: bool(town.clock.timers) or ear.heard[-1].startswith("exit"))
        town.clock.advance(5)

        assert pauses[:3] == [50_000, 100_000, 200_000]
        assert max(pauses) == 5_000_000
        assert set(ear.wait_for_end()[:-1]) == {"stdout:one"}


def test_what_could_not_be_written_down_is_a_gap(tmp_path: Path) -> None:
    ear = Ear(answer=None)
    with opened(tmp_path, ear) as town:
        town.started(shell("echo one; echo two"))
        ear.wait(lambda heard: len(heard) == 1)
        ear.answer = Handled(None)
        ear.open.pop()(StoreError("the disk"))

        assert ear.wait_for_end() == ["stdout:one", "stdout:two!", "exit:code:0"]


@pytest.mark.slow
def test_what_is_more_than_waits_is_lost_and_the_next_piece_says_so(tmp_path: Path) -> None:
    ear = Ear(answer=None)
    with opened(tmp_path / "process", ear) as town:
        done = tmp_path / "done"
        town.started(shell(f"echo first; yes 0123456789 | head -n 100000; echo last; touch {done}; read -r x"))
        ear.wait(lambda heard: len(heard) == 1)
        wait_until(done.exists)
        town.close_stdin(town.context.call_id)
        wait_until(lambda: town.service.listing(ACTOR)[0]["status"] is not None)  # type: ignore[index]
        ear.answer = Handled(None)
        ear.open.pop()(Handled(None))
        heard = ear.wait_for_end()

    assert heard[0] == "stdout:first"
    assert heard[1] == "stdout:0123456789!"
    assert heard[-2:] == ["stdout:last", "exit:code:1"]
    assert not any(piece.endswith("!") for piece in heard[2:])
    assert 256 * 1024 - 20 < sum(len(piece) - len("stdout:") + 1 for piece in heard[1:-1]) <= 256 * 1024 + 65_536


# -- ends ------------------------------------------------------------------------------------------------------------


def test_it_ends_with_its_actor_which_hears_of_the_end_alone(town: Town) -> None:
    id = town.started(shell(f"trap 'echo bye; exit 6' TERM; echo on; {FOR_EVER}"))
    town.ear.wait(lambda heard: heard == ["stdout:on"])
    town.ear.is_alive = False

    town.service.ended(ACTOR)

    assert town.ear.wait_for_end() == ["stdout:on", "exit:code:6"]
    wait_until(lambda: town.status(id) == ("err", ("unknown-process", id)))


def test_what_an_actor_starts_when_it_runs_again_does_not_end_with_what_was_before(town: Town) -> None:
    held = threading.Event()
    first = town.started(spec("cat"))
    town.service._loop.call(lambda: bool(held.wait(PATIENCE_S)))  # type: ignore[arg-type]
    town.service.ended(ACTOR)
    later = threading.Thread(target=lambda: town.started(spec("cat")))
    later.start()
    wait_until(lambda: len(town.service.listing(ACTOR)) == 2)
    held.set()
    later.join()

    assert town.ear.wait_for_end() == ["exit:signal:15"]
    second = town.context.call_id
    assert second != first
    assert town.write(second, "still there\n") == ("ok", None)
    assert town.ear.wait(lambda heard: len(heard) == 2)[1] == "stdout:still there"


def test_an_end_is_told_although_what_went_before_it_found_no_place(tmp_path: Path) -> None:
    with opened(tmp_path, Ear(answer=MailboxFull("full"))) as town:
        town.started(shell("echo one; exit 2"))
        town.ear.wait(lambda heard: len(heard) == 1)
        wait_until(lambda: town.service.listing(ACTOR)[0]["status"] == ("code", 2))  # type: ignore[index]

        town.service.ended(ACTOR)

        assert town.ear.wait_for_end() == ["stdout:one", "exit:code:2"]
        assert town.ear.entries == {}


def test_one_that_does_not_want_to_end_is_killed_five_seconds_later(town: Town) -> None:
    id = town.started(shell(f"trap 'echo no' TERM; echo on; {FOR_EVER}"))
    town.ear.wait(lambda heard: heard == ["stdout:on"])
    pid = town.pid(id)

    town.service.ended(ACTOR)
    town.clock.wait_for_timers(2)
    assert is_alive(pid)
    town.clock.advance(5)

    assert town.ear.wait_for_end() == ["stdout:on", "exit:signal:9"]


def test_of_a_removed_actor_everything_is_killed_and_nobody_hears_of_it(town: Town) -> None:
    id = town.started(shell(f"trap '' TERM; echo on; {FOR_EVER}"))
    town.ear.wait(lambda heard: heard == ["stdout:on"])
    pid = town.pid(id)

    town.service.removed(ACTOR)

    wait_until(lambda: not is_alive(pid))
    assert town.service.listing(ACTOR) == []
    town.service.close()
    assert town.ear.heard == ["stdout:on"]


def test_a_step_that_is_over_when_it_runs_has_it_killed_and_nobody_hears_of_it(town: Town) -> None:
    town.context.begin_id()
    outcome = process.start(town.context, town.grant, spec("cat"), ("lines", None))
    interrupt = Interrupt()
    interrupt.want()

    assert town.did(outcome, interrupt) == ("err", ("wait-exhausted", None))

    assert town.ear.entries == {}
    wait_until(lambda: town.service.listing(ACTOR) == [])
    assert town.ear.heard == []


@pytest.mark.slow
def test_closing_asks_kills_and_tells_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("theater.capabilities.processes.CLOSING_S", 0.2)
    asked = tmp_path / "asked"
    with opened(tmp_path / "process") as town:
        first = town.started(shell(f"trap 'echo x > {asked}; exit 0' TERM; echo on; {FOR_EVER}"))
        second = town.started(shell(f"trap '' TERM; echo on; {FOR_EVER}"))
        town.ear.wait(lambda heard: len(heard) == 2)
        pids = [town.pid(first), town.pid(second)]

    assert asked.exists()
    assert not any(map(is_alive, pids))
    assert town.ear.heard == ["stdout:on"] * 2
    assert set(town.ear.entries) == {first, second}
    assert town.service.run(ACTOR, _order(town), b"", Interrupt()) == ("err", ("io", "the node closes"))


def test_what_an_earlier_node_started_is_lost_and_told_once(tmp_path: Path) -> None:
    with opened(tmp_path) as town:
        id = town.started(spec("cat"))
    left = tmp_path / "run-left"
    left.mkdir()

    with opened(tmp_path, Ear(entries=town.ear.entries)) as later:
        assert later.ear.wait_for_end() == ["exit:lost"]
        assert later.ear.news[0].arguments == (id, ("lost", None))
        assert later.ear.entries == {}
        wait_until(lambda: not left.exists())
        assert later.run(spec("cat")) == finished("")
    assert later.ear.heard == ["exit:lost"]


def test_everything_that_came_of_it_ends_with_it(town: Town, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    daemon = f"setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' &"
    twice = f"(setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' &)"
    plain = f"sh -c 'echo $$ >> {pids}; exec sleep 1000' &"

    answer = town.run(
        shell(f"{daemon} {twice}; {plain} while [ $(cat {pids} | wc -l) -lt 3 ]; do sleep 0.01; done; echo on")
    )

    assert isinstance(answer, tuple)
    assert answer[1]["stdout"] == ("text", "on\n")  # although all of them have it open
    assert not any(is_alive(int(pid)) for pid in pids.read_text().split())


@pytest.mark.slow
def test_one_that_forks_without_end_is_killed_with_all_of_its_kind(town: Town, tmp_path: Path) -> None:
    made = tmp_path / "made"
    duration = f"1000.{os.getpid()}"  # others may run this as well
    bomb = f"i=0; f() {{ i=$((i+1)); if [ $i -lt 8 ]; then f & f & fi; touch {made}; sleep {duration}; }}; f"

    answer = town.run(shell(bomb), None, make_late(made))

    assert answer == ("err", ("wait-exhausted", None))
    sleeping = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _text(path) == f"sleep\x00{duration}\x00"]
    assert sleeping == []


def test_where_its_keeper_is_killed_it_is_lost_and_nothing_of_it_is_left(town: Town, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    text = f"setsid sh -c 'echo $$ >> {pids}; (echo $$ >> {pids}; echo on; exec sleep 1000) & wait' & wait"
    id = town.started(shell(text))
    town.ear.wait(lambda heard: heard == ["stdout:on"])
    running = [town.pid(id), *map(int, pids.read_text().split())]
    keeper = int(Path(f"/proc/{running[0]}/stat").read_text().rpartition(")")[2].split()[1])

    os.kill(keeper, signal.SIGKILL)

    assert town.ear.wait_for_end() == ["stdout:on", "exit:lost"]
    wait_until(lambda: not any(map(is_alive, running)))
    assert town.run(spec("cat"), "x") == finished("x")


def test_neither_its_pipes_nor_its_directory_are_waited_for_when_it_has_ended(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, keeper = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pipes = [os.pipe() for _ in range(3)]
    child = Child(control, pipes[0][1], pipes[1][0], pipes[2][0], None)
    others = [pipes[0][0], pipes[1][1], pipes[2][1]]
    control.setblocking(False)
    monkeypatch.setattr(Nursery, "launch", lambda *_: child)
    keeper.send(b'{"pid": 1}')
    town.started(spec("cat"))
    with keeper:
        os.write(others[1], b"all\n")
        town.ear.wait(lambda heard: heard == ["stdout:all"])
        keeper.send(b'{"code": 3}')
        wait_until(lambda: town.service.listing(ACTOR)[0]["status"] == ("code", 3))  # type: ignore[index]
        town.clock.wait_for_timers(2)

        town.clock.advance(2)

        assert town.ear.wait_for_end() == ["stdout:all", "exit:code:3"]
    for descriptor in others:
        os.close(descriptor)


def test_where_no_process_can_be_made_for_a_program_the_others_go_on(tmp_path: Path) -> None:
    answer = _keeper(tmp_path, "os.fork = broken", "print('it goes on')")

    assert answer == "it goes on"


def test_what_cannot_be_killed_at_once_is_not_given_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = f"setsid sh -c 'echo $$ > {pid}; exec sleep 1000' & while [ ! -s {pid} ]; do sleep 0.01; done; exit 4"

    _keeper(tmp_path, "keeper._KILLING_MAX_S = 0", "", SHELL, "-c", text)

    assert not is_alive(int(pid.read_text()))


def test_a_node_that_dies_without_having_listened_leaves_nothing_running(town: Town, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    nursery = Nursery(tmp_path)
    child = nursery.launch(_order(town, shell(f"sh -c 'echo $$ > {pids}; exec sleep 1000' & wait")))
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))

    child.let_go()  # with what its keeper said unread

    wait_until(lambda: not is_alive(int(pids.read_text())))
    nursery.close()
    wait_until(lambda: not list(tmp_path.glob("run-*")))


def test_where_the_process_that_starts_programs_is_killed_another_takes_its_place(town: Town) -> None:
    id = town.started(spec("cat"))
    nursery = town.service._nursery._process
    assert nursery is not None
    nursery.kill()
    nursery.wait()

    assert town.run(spec("cat"), "x") == finished("x")
    assert town.write(id, "still there\n") == ("ok", None)
    assert town.ear.wait(lambda heard: len(heard) == 1) == ["stdout:still there"]


def test_who_ends_the_processes_of_a_service_one_and_all_leaves_it_to_the_node(town: Town) -> None:
    id = town.started(spec("cat"))
    nursery = town.service._nursery._process
    assert nursery is not None
    keeper = int(Path(f"/proc/{town.pid(id)}/stat").read_text().rpartition(")")[2].split()[1])

    for pid in (nursery.pid, keeper):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)

    assert town.run(spec("cat"), "x") == finished("x")
    town.signal(id, "terminate")
    assert town.ear.wait_for_end() == ["exit:signal:15"]


def test_a_node_that_can_start_no_process_says_so(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_args: object, **_more: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", none)

    assert town.run(spec("cat")) == ("err", ("io", "it could not be started: Resource temporarily unavailable"))
    assert list(town.folder.iterdir()) == []


def test_a_bug_in_starting_is_an_answer(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Nursery, _order: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Nursery, "launch", broken)
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)

    assert town.run(spec("cat")) == ("err", ("io", "it could not be started: a bug of ours"))


# -- again -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda ctx, grant: process.run(ctx, grant, spec("cat"), None),
        lambda ctx, grant: process.start(ctx, grant, spec("cat"), ("raw", None)),
        lambda ctx, grant: process.write_stdin(ctx, grant, UNKNOWN, ("text", "x")),
        lambda ctx, grant: process.close_stdin(ctx, grant, UNKNOWN),
        lambda ctx, grant: process.send_signal(ctx, grant, UNKNOWN, "kill"),
    ],
)
def test_a_call_decides_without_touching_the_world(
    call: Callable[[FakeStepContext, object], object], town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Processes, "__init__", lambda *_: pytest.fail("a service was opened"))
    context = FakeStepContext()

    wait = call(context, town.grant)

    assert isinstance(wait, Wait)
    assert wait.act is not None
    assert not wait.act.is_safe
    assert wait.act.unknown() == ("err", ("outcome-unknown", None))
    assert wait.answer() == ("err", ("wait-exhausted", None))


def test_a_process_that_is_not_there_is_unknown(town: Town) -> None:
    unknown = ("err", ("unknown-process", UNKNOWN))

    assert town.status(UNKNOWN) == unknown
    assert town.write(UNKNOWN, "x") == unknown
    assert town.close_stdin(UNKNOWN) == unknown
    assert town.signal(UNKNOWN, "kill") == unknown


def test_an_actor_that_has_ended_meanwhile_leaves_nothing_running(tmp_path: Path) -> None:
    with opened(tmp_path, Ear(answer=NotRunning("it has ended"))) as town:
        town.started(shell("echo one; echo two; exit 1"))

        assert town.ear.wait_for_end() == ["stdout:one", "exit:code:1"]


def _order(town: Town, wanted: ProcessSpec | None = None) -> ProcessOrder:
    order = read_order(town.grant, None, wanted or spec("cat"))
    assert isinstance(order, ProcessOrder)
    return order


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _keeper(folder: Path, before: str, behind: str, *words: str) -> str:
    """What a keeper in a process and a session of its own says by itself, with this done before it and behind it."""
    program, *arguments = words or (SHELL, "-c", "exit 0")
    order: dict[str, object] = {
        "path": program,
        "arguments": arguments,
        "environment": [],
        "limits": {},
        "scratch": None,
    }
    script = f"""
import os, socket
from theater.capabilities import process_keeper as keeper
def broken():
    raise OSError(11, "Resource temporarily unavailable")
control, own = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
streams = [os.open("/dev/null", os.O_RDWR) for _ in range(3)]
handed = [*streams, os.open({program!r}, os.O_PATH), os.open({str(folder)!r}, os.O_PATH)]
{before}
try:
    keeper.Keeper({order!r}, control, handed).run()
except OSError as error:
    assert error.errno == 11
{behind}
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, start_new_session=True, timeout=20
    )
    return done.stdout.strip()
