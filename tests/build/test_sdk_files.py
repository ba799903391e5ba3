"""The guest SDK's files, in a rehearsal, which are those of a host: both answer alike."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capabilities.acting import answered
from theater.capabilities.filesystem import CAPABILITY
from theater.capabilities.filesystem_grant import FilesystemGrant
from theater.capabilities.filesystem_usage import Usage
from theater.testing.step_context import FakeStepContext
from theater_sdk import Actor, CallFailed, Message, Refuse, files
from theater_sdk.testing import Rehearsal, RehearsedFiles


class Clerk(Actor):
    """Reads, writes and lists what it is told."""

    def handle(self, state: Any, message: Message) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        match message.body:
            case {"note": text}:
                files.append("notes/today.txt", f"{text}\n")
                if text == "no":
                    raise Refuse("not that")
                return state, files.read_text("notes/today.txt")
            case {"read": path}:
                return state, files.read_bytes(path).decode("utf-8", "replace")
        return state, [[each.name, each.file_type] for each in files.list_directory(message.body["list"])]


def test_what_a_step_writes_is_there_in_the_next_one() -> None:
    clerk = Rehearsal(Clerk)
    clerk.files.put("notes/old.txt", "x")

    assert clerk.request({"note": "sunny"}) == "sunny\n"
    assert clerk.request({"note": "rain"}) == "sunny\nrain\n"
    assert clerk.request({"list": "notes"}) == [["old.txt", "file"], ["today.txt", "file"]]
    assert clerk.request({"list": ""}) == [["notes", "directory"]]
    assert clerk.files.contents() == {"notes/old.txt": b"x", "notes/today.txt": b"sunny\nrain\n"}
    assert [(call.function, call["mode"]) for call in clerk.calls] == [("files_write", "append")] * 2


def test_what_a_step_wrote_stands_if_it_fails() -> None:
    clerk = Rehearsal(Clerk)
    clerk.files.create_directory("notes")

    with pytest.raises(Refuse):
        clerk.request({"note": "no"})

    assert clerk.files.contents() == {"notes/today.txt": b"no\n"}
    assert len(clerk.calls_of("files_write")) == 1


def test_a_test_may_say_what_fails() -> None:
    clerk = Rehearsal(Clerk, answers={"files_write": CallFailed("quota", 10)})
    clerk.files.put("notes/raw", b"\xff")

    with pytest.raises(CallFailed, match=r"write: quota \(10\)"):
        clerk.request({"note": "x"})
    assert clerk.request({"read": "notes/raw"}) == "\ufffd"
    with pytest.raises(CallFailed, match="read: not-found"):
        clerk.request({"read": "nothing"})


class Caller(Actor):
    """Calls everything there is."""

    def handle(self, state: Any, message: Message) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        del message
        files.create_directory("a/b", parents=True)
        files.create("a/raw", b"abc\xff")
        files.write_range("a/raw", 5, b"!")
        files.set_size("a/raw", 7)
        files.copy("a/raw", "a/b/copy")
        files.rename("a/raw", "a/moved")
        info = files.stat("a/moved")
        assert info == files.FileInfo("file", 7, datetime(2000, 1, 1, tzinfo=UTC))
        parts = [files.read_range("a/moved", 2, 3), files.read_bytes("a/b/copy")]
        assert parts == [b"c\xff\0", b"abc\xff\0!\0"]
        files.write("a/b/text", "ü")
        found = [files.read_text("a/b/text"), [each.name for each in files.list_directory("a/b")]]
        files.remove_file("a/b/text")
        files.remove_directory("a/b", recursive=True)
        return state, [*found, files.exists("a/b"), [each.name for each in files.list_directory("a")]]


def test_every_function_does_what_it_says() -> None:
    assert Rehearsal(Caller).request(None) == ["ü", ["copy", "text"], False, ["moved"]]


def test_names_are_asked_for_in_pages() -> None:
    class Counter(Actor):
        def handle(self, state: Any, message: Message) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
            return state, [each.name for each in files.list_directory()] == message.body

    counter = Rehearsal(Counter)
    names = [f"{number:04}" for number in range(2500)]
    for name in names:
        counter.files.put(name, "")

    assert counter.request(names) is True


# -- as a host answers -----------------------------------------------------------------------------------------------

PATHS = st.sampled_from(["", "a", "b", "a/a", "a/b", "b/a", "a/a/a", "../a", "a//b", "a\\b", "/a", "\0"])
FORM = st.sampled_from(["text", "automatic"])
CONTENT = st.sampled_from([("text", "hello"), ("base64", "/wA="), ("text", "")])
NUMBER = st.integers(0, 9)
MODE = st.sampled_from(["replace", "create-new", "append"])
CALLS: dict[str, Mapping[str, st.SearchStrategy[Any]]] = {
    "read": {"path": PATHS, "form": FORM},
    "read-range": {"path": PATHS, "offset": NUMBER, "length": NUMBER, "form": FORM},
    "stat": {"path": PATHS},
    "exists": {"path": PATHS},
    "list-directory": {"path": PATHS, "after": st.sampled_from([None, "a"]), "limit": st.integers(1, 3)},
    "write": {"path": PATHS, "content": CONTENT, "mode": MODE},
    "write-range": {"path": PATHS, "offset": NUMBER, "content": CONTENT},
    "set-size": {"path": PATHS, "size-bytes": NUMBER},
    "create-directory": {"path": PATHS, "parents": st.booleans()},
    "remove-file": {"path": PATHS},
    "remove-directory": {"path": PATHS, "recursive": st.booleans()},
    "rename": {"old-path": PATHS, "new-path": PATHS},
    "copy": {"old-path": PATHS, "new-path": PATHS},
}
REAL = {function.name: function.run for function in CAPABILITY.functions}
Call = tuple[str, dict[str, Any]]


def one(name: str) -> st.SearchStrategy[Call]:
    return st.tuples(st.just(name), st.fixed_dictionaries(dict(CALLS[name])))


def of_a_host(grant: FilesystemGrant, usage: Usage, call: Call) -> object:
    """What a host answers, without texts for people and times."""
    name, args = call
    outcome = REAL[name](FakeStepContext(), grant, **{key.replace("-", "_"): value for key, value in args.items()})
    return shown(answered(outcome, usage=usage))


def of_the_rehearsal(rehearsed: RehearsedFiles, call: Call) -> object:
    try:
        return shown(("ok", rehearsed.call(*call)))
    except CallFailed as error:
        return shown(("err", (error.reason, error.detail)))


def shown(answer: object) -> object:
    match answer:
        case ("err", (case, _)):
            return case
        case ("ok", dict(info)):
            return {key: value for key, value in info.items() if key != "modified"}
        case ("ok", value):
            return value
    raise AssertionError(answer)


def test_every_function_of_the_interface_is_rehearsed() -> None:
    assert REAL.keys() == CALLS.keys()


@given(st.lists(st.sampled_from(sorted(CALLS)).flatmap(one), min_size=1, max_size=12))
@settings(max_examples=400)
@pytest.mark.slow
def test_a_rehearsal_answers_as_a_host_does(calls: list[Call]) -> None:
    rehearsed, usage = RehearsedFiles(), Usage()
    with tempfile.TemporaryDirectory() as folder:
        grant = FilesystemGrant(write=(folder,))
        for call in calls:
            assert of_the_rehearsal(rehearsed, call) == of_a_host(grant, usage, call), call
