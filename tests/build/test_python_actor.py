"""What an actor written in Python does once it is a component."""

import json
import re

import pytest

from tests.build.sandbox import Sandbox
from tests.guests.python import python_actor

pytestmark = pytest.mark.slow

SOURCE = """
import datetime
import random
import sys
import time
import uuid

from theater_sdk import NO_REPLY, Actor, Refuse, log, parent_id, self_id, self_name, shutdown

KEPT = []


def recurse(n):
    return recurse(n + 1)


class Guest(Actor):
    def init(self, params):
        if params == "refuse":
            raise Refuse("not at all")
        return {"params": params}

    def handle(self, state, message):
        match message.body:
            case "message": return state, [message.id, message.sender, message.expects_reply, repr(message.body)]
            case "unicode": return {"größe": "🎭"}, "naïve 🎭"
            case "null": return state, None
            case "defer": return state, NO_REPLY
            case "refuse": raise Refuse("nö, \\ud800")
            case "raise": return state, {}["missing"]
            case "chain":
                try:
                    return state, {}["missing"]
                except KeyError as error:
                    raise ValueError("second") from error
            case "deep": return state, recurse(0)
            case "memory":
                hoard = []
                while True:
                    hoard.append(bytearray(1 << 20))
            case "set": return state, {"a": {1, 2}}
            case "nan": return state, float("nan")
            case "surrogate": return state, "\\ud800"
            case "state only": return state
            case "exit": sys.exit(3)
            case "print":
                print("to stdout, ü")
                print("to stderr", file=sys.stderr)
                sys.stdout.write("no newline")
                return state, None
            case "log":
                log("warn", "careful, ü")
                return state, [self_id(), self_name(), parent_id()]
            case "level": log("loud", "no")
            case "shutdown":
                shutdown({"a": 1})
                return state, "bye"
            case "world":
                random.seed(0) if state == "seeded" else None
                now = datetime.datetime.now(datetime.timezone.utc)
                return state, [str(uuid.uuid4()), random.random(), time.time(), now.isoformat()]
            case "strptime": return state, datetime.datetime.strptime("2020-01-02", "%Y-%m-%d").isoformat()
            case "import in a function":
                import statistics
                return state, statistics.mean([1, 2])
            case "import by name": return state, __import__("colorsys").rgb_to_hls(0, 0, 0)
            case "import of nothing": return state, __import__("numpy")
            case "codec": return state, "€".encode("iso8859-15").hex()
            case "hidden":
                KEPT.append(1)
                self.kept = getattr(self, "kept", 0) + 1
                random.seed(1)
                return state, [len(KEPT), self.kept]
            case _: return state, message.body
"""


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    return Sandbox(python_actor(SOURCE), tmp_path_factory.mktemp("sandbox"))


def test_it_imports_no_more_of_theater_than_was_asked_for(guest: Sandbox) -> None:
    ours = {name for name in guest.imports if name.startswith("theater:")}

    # The others have types alone.
    assert ours - {"theater:actor/types@0.1.0", "theater:actor/values@0.1.0"} == {"theater:actor/runtime@0.1.0"}


def test_init_makes_the_first_state_or_refuses(guest: Sandbox) -> None:
    assert guest.init({"start": 5}).state == {"params": {"start": 5}}
    assert guest.init("refuse").refusal == "not at all"


def test_a_message_has_its_fields(guest: Sandbox) -> None:
    assert json.loads(guest.handle("message").reply or "") == ["0" * 32, None, True, "'message'"]


def test_json_passes_compactly_and_as_unicode(guest: Sandbox) -> None:
    ended = guest.handle("unicode")

    assert ended.reply == '"naïve 🎭"'
    assert ended.state == {"größe": "🎭"}
    assert guest.handle({"a": [1, 2.5, None, True]}).reply == '{"a":[1,2.5,null,true]}'


@pytest.mark.parametrize("depth", [100, 1024])
def test_json_may_be_nested_as_deep_as_the_host_allows(guest: Sandbox, depth: int) -> None:
    text = "[" * depth + "]" * depth

    assert guest.handle_text(text).reply == text


def test_a_number_may_have_thousands_of_digits(guest: Sandbox) -> None:
    assert guest.handle(10**4200).reply == str(10**4200)


def test_replies_are_null_or_deferred_or_dropped(guest: Sandbox) -> None:
    assert guest.handle("null").reply == "null"
    assert guest.handle("defer").reply is None
    assert guest.handle("null", expects_reply=False).reply is None


def test_a_refusal_is_its_text(guest: Sandbox) -> None:
    ended = guest.handle("refuse")

    assert (ended.refusal, ended.stderr) == ("nö, ?", "")


def test_an_exception_is_a_trap_and_its_traceback_stands_on_stderr(guest: Sandbox) -> None:
    ended = guest.handle("raise")

    line = SOURCE.splitlines().index('            case "raise": return state, {}["missing"]') + 1
    assert "unreachable" in (ended.trap or "")
    assert ended.stderr == (
        "Traceback (most recent call last):\n"
        f'  File "actor.py", line {line}, in handle\n'
        '    case "raise": return state, {}["missing"]\n'
        "                                ~~^^^^^^^^^^^\n"
        "KeyError: 'missing'\n"
    )


def test_a_chain_of_exceptions_is_shown_as_a_whole(guest: Sandbox) -> None:
    shown = guest.handle("chain").stderr

    assert "KeyError: 'missing'\n\nThe above exception was the direct cause" in shown
    assert shown.endswith("ValueError: second\n")


@pytest.mark.parametrize(
    ("body", "last_lines"),
    [
        ("deep", "RecursionError: maximum recursion depth exceeded\n"),
        ("memory", "MemoryError\n"),
        (
            "set",
            "TypeError: Object of type set is not JSON serializable\nwhen serializing dict item 'a'\nthe reply that",
        ),
        ("nan", "ValueError: Out of range float values are not JSON compliant: nan\nthe reply that"),
        ("surrogate", "surrogates not allowed\nthe reply that"),
        ("state only", "TypeError: Guest.handle() returned None; it has to return two values: `return state, reply`\n"),
        ("level", "ValueError: there is no log level 'loud'; there are trace, debug, info, warn, error\n"),
        ("import of nothing", "ModuleNotFoundError: No module named 'numpy'\na component has no files"),
    ],
)
def test_a_crash_says_why(guest: Sandbox, body: str, last_lines: str) -> None:
    ended = guest.handle(body)

    assert "unreachable" in (ended.trap or "")
    assert last_lines in ended.stderr
    assert "theater_" not in ended.stderr


def test_sys_exit_is_an_exit(guest: Sandbox) -> None:
    assert "Exited" in (guest.handle("exit").trap or "")


def test_what_is_printed_is_written_before_the_step_ends(guest: Sandbox) -> None:
    ended = guest.handle("print")

    assert ended.stdout == "to stdout, ü\nno newline"
    assert ended.stderr == "to stderr\n"


def test_the_host_is_at_hand(guest: Sandbox) -> None:
    ended = guest.handle("log")

    assert ended.logged == (("warn", "careful, ü"),)
    assert json.loads(ended.reply or "") == ["ab" * 16, "guest", None]
    assert guest.handle("shutdown").logged == (("shutdown", '{"a":1}'),)


def test_time_random_and_uuid_come_from_the_host(guest: Sandbox) -> None:
    first, second = (json.loads(guest.handle("world").reply or "") for _ in range(2))

    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first[0])
    assert first[0] != second[0]
    assert first[1] != second[1]
    assert first[2] > 1_700_000_000


def test_a_kept_instance_draws_new_random_numbers_and_a_new_object_each_step(guest: Sandbox) -> None:
    assert json.loads(guest.handle("hidden", times=3).reply or "") == [3, 1]
    assert len({guest.handle("world", times=2).reply for _ in range(2)}) == 2


@pytest.mark.parametrize("body", ["strptime", "import in a function", "import by name", "codec"])
def test_modules_of_the_standard_library_can_be_imported_at_any_time(guest: Sandbox, body: str) -> None:
    ended = guest.handle(body)

    assert ended.stderr == ""
    assert ended.reply is not None
