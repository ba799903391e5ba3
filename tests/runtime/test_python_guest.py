"""One Python actor that does what Python programs do: each thing is recorded, and comes out the same anywhere again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.guests.python import python_actor
from theater.errors import Crashed
from theater.model.payload import CrashedPayload, HostCall, Intent, Log, Message
from theater.testing.harness import Actor, Harness

pytestmark = pytest.mark.slow

PATIENCE_S = 120.0
START_S = 1_767_225_600
"""Where a harness's clock stands."""

SOURCE = """
import datetime
import os
import random
import sys
import time
import uuid

from theater_sdk import Actor, log


def recurse(n):
    return recurse(n + 1)


class Guest(Actor):
    def handle(self, state, message):
        state["steps"] = state.get("steps", 0) + 1
        return state, answer(message.body)


def answer(body):
    match body:
        case "plain":
            return "plain"
        case "print":
            print("to stdout")
            print("to stderr", file=sys.stderr)
            sys.stdout.write("no newline")
            return None
        case "log":
            log("warn", "careful, \\u00fc")
            return None
        case "times":
            now = datetime.datetime.now(datetime.timezone.utc)
            return [time.time(), time.time(), time.monotonic(), now.isoformat(timespec="microseconds")]
        case "random":
            return [str(uuid.uuid4()), random.random(), random.randrange(10**9), os.urandom(8).hex(), time.time()]
        case {"sleep": seconds}:
            before = time.time(), time.monotonic()
            time.sleep(seconds)
            return [time.time() - before[0], time.monotonic() - before[1]]
        case "world":
            return [dict(os.environ), sys.argv]
        case {"open": path, "mode": mode}:
            try:
                with open(path, mode):
                    return "opened"
            except OSError as error:
                return type(error).__name__
        case "listdir":
            try:
                return os.listdir("/")
            except OSError as error:
                return type(error).__name__
        case "raise":
            return {}["missing"]
        case "deep":
            return recurse(0)
        case "deep, caught":
            try:
                return recurse(0)
            except RecursionError:
                return "caught"
        case "memory":
            hoard = []
            while True:
                hoard.append(bytearray(1 << 20))
        case "memory, caught":
            hoard = []
            try:
                while True:
                    hoard.append(bytearray(1 << 20))
            except MemoryError:
                size = len(hoard)
                hoard.clear()
                return size
        case {"exit": code}:
            sys.exit(code)
        case "nan":
            return float("nan")
        case "surrogate":
            return "\\ud800"
        case "unicode":
            return {"gr\\u00f6\\u00dfe": "\\U0001f3ad \\u2028 \\u202e \\x00 \\x7f"}
        case {"size": size}:
            return "x" * (size - 2)
        case {"depth": depth}:
            nested = []
            for _ in range(depth - 1):
                nested = [nested]
            return nested
        case {"integer": digits}:
            return 10 ** (digits - 1)
        case _:
            return body
"""

# A component's actor.py has the text as it was written, and a traceback names its lines.
LINES = SOURCE.splitlines()


@dataclass(frozen=True)
class Workplace:
    """A component, a cache in which it is compiled, and room for data directories."""

    component: Path
    cache: Path
    folder: Path

    def harness(self, name: str) -> Harness:
        return Harness(cache=self.cache, data_dir=self.folder / name, environ={"LANG": "tlh", "SECRET": "x"})

    def manifest(self, name: str, *, instance: str) -> Path:
        path = self.folder / f"{name}.toml"
        path.write_text(f'name = "{name}"\ncomponent = {json.dumps(str(self.component))}\ninstance = "{instance}"\n')
        return path


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("python-guest")
    return Workplace(python_actor(SOURCE), folder / "cache", folder)


@pytest.fixture
def harness(workplace: Workplace, request: pytest.FixtureRequest) -> Iterator[Harness]:
    name = re.sub(r"\W+", "-", request.node.name)
    with workplace.harness(f"data-{name}") as harness:
        yield harness


@pytest.fixture
def guest(workplace: Workplace, harness: Harness) -> Actor:
    return harness.spawn(workplace.component)


def crash(guest: Actor, body: object) -> CrashedPayload:
    """What the chain says of the crash to which ``body`` leads; it can be verified."""
    with pytest.raises(Crashed):
        guest.request(body)
    assert guest.status == "crashed"
    assert guest.verify().ok
    said = guest.payloads("crashed")[-1]
    assert isinstance(said, CrashedPayload)
    return said


def last_kinds(guest: Actor) -> list[str]:
    """The kinds of the events of the last step."""
    kinds = guest.kinds()
    start = len(kinds) - 1 - kinds[::-1].index("message")
    return kinds[start:]


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(LINES, start=1) if line.strip() == text)


# -- what it says ----------------------------------------------------------------------------------------------------


def test_a_plain_step_costs_two_events(guest: Actor) -> None:
    before = guest.head.seq

    assert guest.request("plain") == "plain"

    assert guest.head.seq == before + 2
    assert guest.kinds() == ["genesis", "started", "message", "state", "message", "state"]


@pytest.mark.parametrize("body", ["times", "random", "world", "listdir", {"open": "/etc/passwd", "mode": "r"}])
def test_what_the_step_knows_already_costs_no_event(guest: Actor, body: object) -> None:
    guest.request(body)

    assert last_kinds(guest) == ["message", "state"]


def test_what_it_prints_is_recorded_line_by_line(guest: Actor) -> None:
    guest.request("print")

    lines = [event.header.name for event in guest.events() if event.header.kind == "log"]
    assert sorted(lines) == ["stderr", "stdout", "stdout"]
    assert {log.text for log in guest.payloads("log") if isinstance(log, Log)} == {
        "to stdout\n",
        "to stderr\n",
        "no newline",
    }


def test_what_it_logs_has_its_level(guest: Actor) -> None:
    guest.request("log")

    assert guest.payloads("log") == [Log(text="careful, ü", level="warn")]


# -- what it knows ---------------------------------------------------------------------------------------------------


def test_time_is_that_of_the_step_and_stands_still(harness: Harness, guest: Actor) -> None:
    harness.clock.advance(90.25)

    times = guest.request("times")

    assert isinstance(times, list)
    assert times[0] == times[1] == pytest.approx(START_S + 90.25, abs=1e-5)  # a float of today has 0.2 us of room
    assert times[2:] == [90.25, "2026-01-01T00:01:30.250000+00:00"]


def test_random_numbers_and_ids_follow_from_the_seed(workplace: Workplace, guest: Actor) -> None:
    first, second = guest.request("random"), guest.request("random")
    with workplace.harness("data-of-the-same-seed") as other:
        again = other.spawn(workplace.component).request("random")

    assert isinstance(first, list)
    assert isinstance(second, list)
    assert uuid.UUID(first[0]).version == 4
    assert all(one != other for one, other in zip(first[:4], second[:4], strict=True))
    assert again == first
    assert len({message.seed for message in guest.payloads("message") if isinstance(message, Message)}) == 3


def test_a_sleep_is_recorded_and_moves_its_clocks(harness: Harness, guest: Actor) -> None:
    pending = guest.start_request('{"sleep":1.5}')
    harness.clock.wait_for_timers()
    harness.clock.advance(1.5)

    assert pending.result().text == "[1.5,1.5]"

    assert last_kinds(guest) == ["message", "intent", "host", "state"]
    intent, answer = guest.payloads("intent")[-1], guest.payloads("host")[-1]
    assert isinstance(intent, Intent)
    assert isinstance(answer, HostCall)
    assert (answer.now, answer.intent) == ("2026-01-01T00:00:01.500000Z", guest.head.seq - 2)
    assert guest.verify().ok


def test_the_world_is_empty(guest: Actor) -> None:
    assert guest.request("world") == [{}, ["guest"]]
    assert guest.request("listdir") == "FileNotFoundError"
    for path in ("/etc/passwd", "actor.py", "/", ".."):
        for mode in ("r", "w"):
            assert guest.request({"open": path, "mode": mode}) == "FileNotFoundError"


# -- how it fails ----------------------------------------------------------------------------------------------------


def test_an_exception_is_a_crash_with_its_traceback(guest: Actor) -> None:
    said = crash(guest, "raise")

    text = 'return {}["missing"]'
    assert (said.reason, said.code) == ("trap", "unreachable")
    assert f'  File "actor.py", line {line_of(text)}, in answer\n    {text}\n' in (said.message or "")
    assert (said.message or "").endswith("KeyError: 'missing'")


def test_a_recursion_that_is_too_deep_is_an_error_of_its_own(guest: Actor) -> None:
    assert guest.request("deep, caught") == "caught"

    said = crash(guest, "deep")

    assert said.reason == "trap"
    assert (said.message or "").endswith("RecursionError: maximum recursion depth exceeded")
    assert f"line {line_of('return recurse(n + 1)')}, in recurse" in (said.message or "")


def test_memory_ends_at_the_limit(guest: Actor) -> None:
    megabytes = guest.request("memory, caught")
    assert isinstance(megabytes, int)
    assert 30 < megabytes < 64

    said = crash(guest, "memory")

    assert said.reason == "memory"
    assert (said.message or "").endswith("MemoryError")
    assert "    hoard.append(bytearray(1 << 20))\n" in (said.message or "")


@pytest.mark.parametrize(("code", "how"), [(0, "ok"), (None, "ok"), (3, "an error"), ("words", "an error")])
def test_an_exit_is_a_crash(guest: Actor, code: object, how: str) -> None:
    said = crash(guest, {"exit": code})

    assert (said.reason, said.message) == (
        "exit",
        f"the actor called exit with {how}; an actor returns, it does not exit",
    )


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("nan", "Out of range float values are not JSON compliant"),
        ("surrogate", "surrogates not allowed"),
    ],
)
def test_what_is_no_json_says_so(guest: Actor, body: str, why: str) -> None:
    said = crash(guest, body)

    assert why in (said.message or "")
    assert "the reply that Guest.handle() returned has to be JSON" in (said.message or "")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"size": 2**20 + 1}, "1048577 bytes, allowed 1048576"),
        ({"depth": 1025}, "nested deeper than 1024"),
    ],
)
def test_a_reply_beyond_the_limit_says_which(guest: Actor, body: object, why: str) -> None:
    said = crash(guest, body)

    assert said.reason == "not-json"
    assert why in (said.message or "")


def test_after_a_crash_it_goes_on_from_its_last_state(guest: Actor) -> None:
    guest.request("plain")
    crash(guest, "raise")
    guest.restart()

    guest.request("plain")

    assert guest.state == '{"steps":2}'


# -- what it answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("unicode", '{"größe":"🎭 \u2028 \u202e \\u0000 \x7f"}'),
        ({"size": 2**20}, '"' + "x" * (2**20 - 2) + '"'),
        ({"depth": 1024}, "[" * 1024 + "]" * 1024),
        ({"integer": 5000}, "1" + "0" * 4999),
        ({"naïve": [1.5, None, True]}, '{"naïve":[1.5,null,true]}'),
    ],
)
def test_an_answer_comes_as_it_was_written(guest: Actor, body: object, text: str) -> None:
    assert guest.request_json(json.dumps(body)).text == text
    assert guest.verify().ok


# -- again, and elsewhere --------------------------------------------------------------------------------------------

LIFE: Sequence[object] = (
    "plain",
    "print",
    "log",
    "times",
    "random",
    "world",
    "listdir",
    {"open": "/etc/passwd", "mode": "r"},
    "raise",
    "deep",
    "memory",
    "memory, caught",
    {"exit": 3},
    "nan",
    "surrogate",
    "unicode",
    {"size": 2**20},
    {"size": 2**20 + 1},
    {"depth": 1024},
    {"sleep": 1.5},
    "random",
)
"""Everything that it does, one after the other."""


def live(harness: Harness, actor: Actor, bodies: Sequence[object]) -> list[str | None]:
    """What it answers to each; after a crash it is restarted."""
    answers: list[str | None] = []
    for body in bodies:
        pending = actor.start_request(json.dumps(body))
        if isinstance(body, dict) and "sleep" in body:
            harness.clock.wait_for_timers()
            harness.clock.advance(body["sleep"])
        try:
            answers.append(pending.result().text)
        except Crashed as crashed:
            answers.append(str(crashed.data["reason"]))
            actor.restart()
        harness.clock.advance(0.25)
    return answers


def theater(*arguments: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """The command, in another folder, in an environment that has nothing but ``environ``."""
    folder.mkdir(exist_ok=True)
    given = [f"{name}={value}" for name, value in environ.items()]
    code = "import sys; from theater.cli.main import main; sys.exit(main())"
    command = ["env", "-i", *given, sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=PATIENCE_S, check=False)


@pytest.fixture(scope="module")
def bundle(workplace: Workplace) -> Path:
    """The life of one actor, exported."""
    with workplace.harness("data-of-a-life") as harness:
        actor = harness.spawn(workplace.component, name="lived")
        live(harness, actor, LIFE)
        report = actor.verify()
        assert (report.ok, report.steps, report.unreproducible) == (True, len(LIFE) + 1, 0)
        folder = harness.runtime.config.data_dir.value
    done = theater("--data-dir", folder, "export", "lived", "-o", "lived.theater", folder=workplace.folder)
    assert done.returncode == 0, done.stderr
    return workplace.folder / "lived.theater"


def test_a_life_is_verified_elsewhere_by_a_stranger(bundle: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()

    done = theater("verify", str(bundle), "--json", folder=tmp_path / "elsewhere", HOME=str(home))

    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert (report["ok"], report["steps"], report["unreproducible"], report["fault"]) == (True, len(LIFE) + 1, 0, None)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert not (home / ".local").exists()


def test_a_replay_says_the_same_bytes_each_time(bundle: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()

    first, second = (
        theater("replay", str(bundle), "--step", folder=tmp_path / name, HOME=str(home)) for name in ("one", "two")
    )

    assert (first.returncode, second.returncode) == (0, 0), (first, second)
    assert first.stdout == second.stdout
    assert first.stdout.count(b"identical\n") == len(LIFE) + 1


def test_fresh_and_warm_give_equal_replies(workplace: Workplace) -> None:
    answers = []
    for instance in ("fresh", "warm"):
        with workplace.harness(f"data-{instance}") as harness:
            actor = harness.spawn(workplace.manifest("guest", instance=instance))
            answers.append(live(harness, actor, LIFE))
            assert harness.runtime._sampler.wait_quiet(PATIENCE_S)
            assert "hidden-state" not in actor.kinds()
            assert actor.verify().ok

    assert answers[0] == answers[1]


def test_fresh_and_warm_give_equal_replies_to_what_draws_nothing(workplace: Workplace) -> None:
    bodies = [body for body in LIFE if body != "random"]
    answers = []
    for instance in ("fresh", "warm"):
        with workplace.harness(f"data-{instance}-undrawn") as harness:
            actor = harness.spawn(workplace.manifest("guest", instance=instance))
            answers.append(live(harness, actor, bodies))
            assert harness.runtime._sampler.wait_quiet(PATIENCE_S)
            assert "hidden-state" not in actor.kinds()
            assert actor.verify().ok

    assert answers[0] == answers[1]


@pytest.mark.parametrize("instance", ["fresh", "warm"])
def test_two_hundred_steps_replay_identically(workplace: Workplace, harness: Harness, instance: str) -> None:
    actor = harness.spawn(workplace.manifest("guest", instance=instance))

    answers = live(harness, actor, ["random"] * 200)

    assert len(set(answers)) == 200
    assert len(actor.events()) == 4 + 2 * 200
    report = actor.verify()
    assert (report.ok, report.steps, report.not_compared) == (True, 201, 0)
