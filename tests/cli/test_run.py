"""``theater run``."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Theater
from tests.guests import wat

MANIFEST = """
name = "counter"
component = "counter.wasm"
params = {{ start = {start} }}
"""


def test_run_prints_each_reply_then_the_id_and_the_head(theater: Theater) -> None:
    done = theater("run", "counter.wasm", "--request", '{"by":2}', "--request", '{"by":3}')

    *replies, id_line, head_line = done.out.splitlines()
    assert done.code == 0
    assert replies == ['{"count":2}', '{"count":5}']
    (record,) = theater("list", "--json").rows
    assert id_line == f"id {record['id']}"
    assert head_line == f"head {record['seq']} {record['head']}"


def test_run_shows_the_effective_grants_on_stderr(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text(MANIFEST.format(start=0) + "[capabilities.timing]\n")

    done = theater("run", "theater.toml")

    assert done.err.splitlines() == [
        'grant  runtime  log = "64KiB"',
        'grant  timing  sleep = "60s", schedule = "365d", repeat = "1s"',
    ]


def test_run_takes_a_manifest_a_folder_and_a_component(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text(MANIFEST.format(start=7))

    for target, count in (("theater.toml", 8), (".", 8), ("counter.wasm", 1)):
        done = theater("run", target, "--request", '{"by":1}')
        assert done.code == 0
        assert done.out.splitlines()[0] == f'{{"count":{count}}}'


def test_run_json_is_one_document(theater: Theater) -> None:
    done = theater("--json", "run", "moody.wasm", "--request", '{"by":2}', "--send", "{}")

    document = done.table
    assert done.code == 0
    assert set(document) == {"id", "head", "seq", "replies", "refused", "crashed"}
    assert document["replies"] == [{"count": 2}]
    assert document["refused"] == []
    assert document["crashed"] is None


def test_run_does_not_wait_for_ever_for_a_reply(theater: Theater, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("theater.cli.performance.REQUEST_TIMEOUT_S", 0.05)

    done = theater("--json", "run", "moody.wasm", "--request", '"defer"', "--request", '{"by":2}')

    document = done.table
    assert done.code == 1
    assert document["replies"] == [None]
    assert isinstance(document["error"], dict)
    assert document["error"]["code"] == "timed-out"


def test_run_puts_replies_into_the_document_as_the_guest_wrote_them(theater: Theater) -> None:
    reply = '{"a":1e400,"a":' + "7" * 5000 + "}"

    done = theater("run", "echo.wasm", "--request", reply, "--json")

    assert f'"replies":[{reply}]' in done.out


def test_run_keeps_the_order_of_requests_and_sends(theater: Theater) -> None:
    done = theater("run", "remember.wasm", "--send", "1", "--request", "2", "--send", "3", "--request", "4")

    assert done.out.splitlines()[:2] == ["1", "3"]


def test_run_goes_on_from_the_stored_state(theater: Theater, counter: str) -> None:
    for target in (counter, counter[:4], "counter"):
        done = theater("run", "--id", target, "--request", '{"by":1}')
        assert done.code == 0
        assert done.out.splitlines()[1] == f"id {counter}"
    assert theater("state", counter).out == '{"count":8}\n'


def test_run_with_an_id_warns_where_the_manifest_is_another(theater: Theater, place: Path, counter: str) -> None:
    (place / "theater.toml").write_text(MANIFEST.format(start=100))

    done = theater("run", "theater.toml", "--id", counter, "--request", '{"by":1}')

    assert done.out.splitlines()[0] == '{"count":6}'
    assert "warning: theater.toml is not what 'counter' was started with" in done.err


def test_run_reads_a_request_from_stdin(theater: Theater) -> None:
    done = theater("run", "counter.wasm", "--request", "-", stdin=b' {"by":9}\n')

    assert done.out.splitlines()[0] == '{"count":9}'


def test_run_takes_params_and_settings(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text(MANIFEST.format(start='"${FROM}"'))

    assert theater("run", ".", "--set", "FROM=4", "--request", "{}").out.startswith('{"count":4}\n')
    assert theater("run", "counter.wasm", "--params", '{"start":6}', "--request", "{}").out.startswith('{"count":6}\n')
    missing = theater("run", ".")
    assert missing.code == 1
    assert "--set FROM=VALUE" in missing.err


def test_run_names_the_actor(theater: Theater) -> None:
    theater("run", "counter.wasm")
    theater("run", "counter.wasm", "--name", "other")
    theater("run", "counter.wasm")

    assert [row["name"] for row in theater("list", "--json").rows] == ["counter", "other", "counter-2"]
    taken = theater("run", "counter.wasm", "--name", "other")
    assert taken.code == 1
    assert "'other'" in taken.err


def test_after_a_refusal_the_remaining_requests_still_run(theater: Theater) -> None:
    arguments = ("run", "moody.wasm", "--request", '"refuse"', "--request", '{"by":1}')

    plain = theater(*arguments)
    document = theater(*arguments, "--json")

    assert (plain.code, document.code) == (1, 1)
    assert plain.out.splitlines()[0] == '{"count":1}'
    assert "refused: not today" in plain.err
    assert document.table["replies"] == [None, {"count": 1}]
    assert document.table["refused"] == [{"message_index": 0, "message": "not today"}]


def test_a_crash_stops_the_run_and_shows_its_reason(theater: Theater) -> None:
    arguments = ("run", "moody.wasm", "--request", '{"by":1}', "--request", '"trap"', "--request", '{"by":1}')

    plain = theater(*arguments)
    document = theater(*arguments, "--json").table

    assert plain.code == 1
    assert "crashed (trap): " in plain.err
    reply, id_line, head_line = plain.out.splitlines()
    assert reply == '{"count":1}'
    assert id_line.startswith("id ")
    assert head_line.startswith("head 7 ")
    assert document["replies"] == [{"count": 1}, None]
    assert isinstance(document["crashed"], dict)
    assert (document["crashed"]["reason"], document["crashed"]["message_index"]) == ("trap", 1)


def test_a_crashed_actor_is_restarted_from_its_last_state(theater: Theater) -> None:
    theater("run", "moody.wasm", "--request", '{"by":4}', "--request", '"trap"')

    done = theater("run", "--id", "moody", "--request", '{"by":1}')

    assert done.code == 0
    assert done.out.splitlines()[0] == '{"count":5}'
    assert "it was crashed: restarted" in done.err


@pytest.mark.parametrize(("guest", "said"), [("refuse-init", "refused: not at all"), ("trap-init", "crashed (trap): ")])
def test_an_init_that_fails_leaves_an_id_and_a_head(theater: Theater, guest: str, said: str) -> None:
    done = theater("run", f"{guest}.wasm", "--request", "1")

    assert done.code == 1
    assert said in done.err
    assert [line.split()[0] for line in done.out.splitlines()] == ["id", "head"]


def test_messages_after_a_shutdown_are_an_error(theater: Theater) -> None:
    done = theater("run", "last-words.wasm", "--request", "1", "--request", "2", "--json")

    assert done.code == 1
    assert done.table["replies"] == ["bye", None]
    error = done.table["error"]
    assert isinstance(error, dict)
    assert error["code"] == "not-running"


def test_a_command_runs_once_and_keeps_stdout_for_itself(theater: Theater) -> None:
    done = theater("run", "command.wasm", "--", "--flag", "word")

    assert (done.code, done.out) == (0, "")
    assert [line.split()[0] for line in done.err.splitlines()] == ["grant", "id", "head"]
    (genesis,) = theater("events", "command", "--kind", "genesis", "--json").rows
    assert isinstance(genesis["payload"], dict)
    assert genesis["payload"]["arguments"] == ["--flag", "word"]
    again = theater("run", "--id", "command")
    assert again.code == 1
    assert "runs once" in again.err


def test_a_command_that_fails_exits_1(theater: Theater) -> None:
    done = theater("run", "failing-command.wasm")

    assert done.code == 1
    assert done.err.splitlines()[1] == "the command exited with status 1"


def test_a_command_takes_no_messages_and_is_not_started(theater: Theater) -> None:
    done = theater("run", "command.wasm", "--request", "1")

    assert done.code == 2
    assert "takes no messages" in done.err
    assert theater("list", "--json").document == []


@pytest.mark.parametrize(("guest", "said"), [("refuse-init", "refused: not at all"), ("trap-init", "crashed (trap): ")])
def test_an_init_that_fails_again_says_why_again(theater: Theater, guest: str, said: str) -> None:
    first = theater("run", f"{guest}.wasm", "--json").table

    plain = theater("run", "--id", guest, "--request", "1")
    document = theater("run", "--id", guest, "--json")

    assert (plain.code, document.code) == (1, 1)
    assert said in plain.err
    assert "error: " not in plain.err
    assert [line.split()[0] for line in plain.out.splitlines()] == ["id", "head"]
    for key in ("refused", "crashed", "replies"):
        assert document.table[key] == first[key]


def test_what_a_guest_logs_goes_to_stderr(theater: Theater) -> None:
    done = theater("run", "logger.wasm", "--request", '{"times":2}')

    assert "2 to go\n1 to go\n" in done.err
    assert "to go" not in done.out


def test_more_than_the_ceiling_is_refused_with_the_lines_and_the_flag(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text(MANIFEST.format(start=0) + '[capabilities.environment]\nallow = ["LANG"]\n')

    done = theater("run", ".", "--json")

    assert done.code == 1
    for text in ("[capabilities.environment]", 'allow = ["LANG"]', "--allow environment"):
        assert text in done.err
    assert done.table["error"] == {"code": "denied", "message": json.loads(done.out)["error"]["message"]}


def test_allow_grants_beyond_the_ceiling_once(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text(MANIFEST.format(start=0) + '[capabilities.environment]\nallow = ["LANG"]\n')

    first = theater("run", ".", "--allow", "environment=LANG")
    without = theater("run", "--id", "counter", "--request", "{}")
    again = theater("run", "--id", "counter", "--request", "{}", "--allow", "environment")

    assert (first.code, without.code, again.code) == (0, 1, 0)
    assert 'grant  environment  allow = ["LANG"]' in first.err
    assert "--allow environment" in without.err


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_on_a_terminal_a_person_is_asked_once(
    theater: Theater, place: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    (place / "theater.toml").write_text(MANIFEST.format(start=0) + '[capabilities.environment]\nallow = ["LANG"]\n')
    monkeypatch.setattr("theater.cli.output.Output.is_interactive", property(lambda _: True))

    done = theater("run", ".", stdin=answer.encode())

    assert done.code == code
    assert done.err.count("[y/N]") == 1
    assert 'allow = ["LANG"]' in done.err


def test_an_import_that_was_not_granted_says_which_line_to_add(theater: Theater) -> None:
    done = theater("run", "sleeper.wasm")

    assert done.code == 1
    assert "add [capabilities.timing]" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("counter.wasm", "--request", "{"),
        ("counter.wasm", "--send", "NaN"),
        ("counter.wasm", "--request", "-", "--request", "-"),
        ("counter.wasm", "--params", "nope"),
        ("counter.wasm", "--set", "novalue"),
        ("counter.wasm", "--allow", "=x"),
        ("counter.wasm", "--name", "Not A Name"),
        ("--id", "counter", "--name", "x"),
        ("counter.wasm", "--id", "counter", "--", "word"),
        ("counter.wasm", "--nonsense"),
    ],
)
def test_wrong_usage_exits_2_before_anything_is_done(theater: Theater, arguments: tuple[str, ...]) -> None:
    done = theater("run", *arguments, "--json") if "--" not in arguments else theater("--json", "run", *arguments)

    assert done.code == 2
    assert done.err.startswith("error: ")
    assert done.table["error"] == {"code": "usage", "message": json.loads(done.out)["error"]["message"]}
    assert theater("list", "--json").document == []


@pytest.mark.parametrize("arguments", [("nowhere.toml",), ("--id", "nobody"), ("missing.toml", "--id", "nobody")])
def test_what_is_not_there_exits_5(theater: Theater, arguments: tuple[str, ...]) -> None:
    done = theater("run", *arguments, "--json")

    assert done.code == 5
    assert done.table["error"] == {"code": "not-found", "message": json.loads(done.out)["error"]["message"]}


@pytest.fixture
def repeater(theater: Theater, place: Path) -> str:
    """A command that writes what it reads."""
    del theater
    (place / "repeater.wat").write_text(wat.REPEATER)
    return "repeater.wat"


def test_a_command_reads_what_it_was_given_and_reads_it_again_when_it_is_replayed(
    theater: Theater, place: Path, repeater: str
) -> None:
    (place / "poem").write_bytes(b"one\ntwo\n")

    from_file = theater("run", repeater, "--name", "of-file", "--stdin", "poem")
    from_stdin = theater("run", repeater, "--name", "of-pipe", "--stdin", "-", stdin=b"three\n\xff")
    nothing = theater("run", repeater, "--name", "of-nothing", stdin=b"not for it")

    assert from_file.out.startswith("one\ntwo\n")
    assert from_stdin.out.startswith("three\n")
    assert nothing.out == ""
    (place / "poem").unlink()
    for name in ("of-file", "of-pipe", "of-nothing"):
        assert theater("verify", name).out.startswith("sound"), name


def test_more_than_a_message_may_have_is_not_given(theater: Theater, place: Path, repeater: str) -> None:
    (place / "much").write_bytes(b"x" * (2**20 + 1))

    refused = theater("run", repeater, "--stdin", "much")

    assert refused.code == 1
    assert "stdin has 1048577 bytes, and the limit 'message' of the manifest is 1048576" in refused.err


def test_a_file_for_stdin_that_is_not_there_is_wrong_usage(theater: Theater, repeater: str) -> None:
    refused = theater("run", repeater, "--stdin", "nowhere")

    assert refused.code == 2
    assert "--stdin nowhere: it cannot be read: No such file or directory" in refused.err
