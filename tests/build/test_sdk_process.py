"""The guest SDK's processes, in a rehearsal: none runs, and the test says what each one does."""

from __future__ import annotations

from typing import Any

import pytest

from theater_sdk import Actor, CallFailed, Message, process
from theater_sdk.process import ExitStatus, Finished, Output
from theater_sdk.testing import Rehearsal


class Watcher(Actor):
    """Runs, starts and hears."""

    def handle(self, state: Any, message: Message) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        match message.body:
            case {"sort": text}:
                return state, process.run("/usr/bin/sort", "-u", stdin=text, timeout_s=1.5).check().text
            case {"start": program}:
                id = process.start(program, environment={"LANG": "C"}, chunk_bytes=10)
                process.write(id, "x")
                process.close_input(id)
                process.send_signal(id, "hangup")
                assert process.status(id).program == program
                return {**state, id: []}, id
        return state, [[each.id, each.program, each.status] for each in process.processes()]

    def process_output(self, state: Any, output: Output) -> Any:  # noqa: ANN401 - any JSON
        return {**state, output.id: [*state[output.id], f"{output.source}:{output.text}{'!' if output.gap else ''}"]}

    def process_exited(self, state: Any, process_id: str, status: ExitStatus) -> Any:  # noqa: ANN401 - any JSON
        return {**state, process_id: [*state[process_id], str(status)]}


def test_what_is_run_answers_what_the_test_says() -> None:
    watcher = Rehearsal(Watcher, answers={"process_run": lambda stdin, **_: stdin[1].upper()})

    assert watcher.request({"sort": "b\na"}) == "B\nA"
    [call] = watcher.calls_of("process_run")
    assert call["process"]["arguments"] == ["-u"]
    assert call["process"]["timeout_ms"] == 1500
    watcher.answers["process_run"] = (2, "")
    with pytest.raises(CallFailed, match="code 2"):
        watcher.request({"sort": ""})
    watcher.answers["process_run"] = CallFailed("denied", 'allow = ["/usr/bin/sort"]')
    with pytest.raises(CallFailed, match="denied"):
        watcher.request({"sort": ""})


def test_a_run_needs_an_answer() -> None:
    with pytest.raises(LookupError, match="process_run"):
        Rehearsal(Watcher).request({"sort": ""})


def test_what_was_started_is_there_until_its_end_was_told() -> None:
    watcher = Rehearsal(Watcher)

    id = watcher.request({"start": "tail"})
    assert watcher.request({}) == [[id, "tail", None]]
    [call] = watcher.calls_of("process_start")
    assert call["mode"] == ("chunks", 10)
    assert call["process"]["environment"] == [("LANG", "C")]
    assert [call.function for call in watcher.calls[1:]] == [
        "process_write_stdin",
        "process_close_stdin",
        "process_send_signal",
    ]
    watcher.process_output(id, "one")
    watcher.process_output(id, b"two", source="stderr", gap=True)
    assert watcher.process_exited(id, "signal", 15) == {id: ["stdout:one", "stderr:two!", "signal 15"]}
    assert watcher.request({}) == []


def test_what_is_not_there_is_unknown() -> None:
    class Asker(Actor):
        def handle(self, state: Any, message: Message) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
            return state, process.status(message.body).program

    with pytest.raises(CallFailed, match="unknown-process"):
        Rehearsal(Asker).request("0" * 32)


def test_a_program_that_failed_says_so_when_it_is_checked() -> None:
    failed = Finished(ExitStatus("timeout"), b"", b"so far\n")

    with pytest.raises(CallFailed, match=r"run: failed \(timeout: so far\)"):
        failed.check()
    assert Finished(ExitStatus("code", 0), b"\xff", b"").check().text == "\ufffd"
