"""``list``, ``events``, ``logs``, ``state``."""

from pathlib import Path

import pytest

from tests.cli.conftest import Theater
from tests.guests.component import actor
from theater.cli.output import PIPE_COLUMNS
from theater.store import DataDir, SqliteEventStore


def test_list_of_a_node_without_actors_is_empty(theater: Theater, counter: str) -> None:
    plain = theater("--data-dir", "elsewhere", "list")
    document = theater("--data-dir", "elsewhere", "list", "--json")

    assert (plain.code, document.code) == (0, 0)
    assert document.document == []
    assert counter not in plain.out


def test_list_json_has_a_row_for_each_actor(theater: Theater, counter: str) -> None:
    theater("run", "moody.wasm", "--request", '"trap"')

    first, second = theater("list", "--json").rows

    assert set(first) == {"id", "name", "status", "parent", "seq", "head"}
    assert (first["id"], first["name"], first["status"], first["parent"], first["seq"]) == (
        counter,
        "counter",
        "running",
        None,
        7,
    )
    assert second["status"] == "crashed"


def test_list_shows_hidden_state(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text('name = "hidden"\ncomponent = "hidden.wasm"\ninstance = "warm"\n')
    theater("run", ".", *("--request", "1") * 3)

    assert "running, hidden state" in theater("list").out
    assert theater("list", "--json").rows[0]["status"] == "running"


def test_list_is_aligned_text_in_a_pipe(theater: Theater, counter: str) -> None:
    heading, row = theater("list").out.splitlines()

    assert heading.split() == ["ID", "NAME", "STATUS", "PARENT", "SEQ", "HEAD"]
    assert row.split()[:5] == [counter, "counter", "running", "-", "7"]
    assert heading.index("NAME") == row.index("counter")


def test_events_are_a_line_each_with_what_says_most(theater: Theater, counter: str) -> None:
    lines = theater("events", counter).out.splitlines()

    assert [line.split()[0] for line in lines] == [str(seq) for seq in range(8)]
    assert [line.split()[2] for line in lines] == [
        "genesis",
        "lifecycle",
        "message",
        "state",
        "message",
        "state",
        "message",
        "state",
    ]
    assert lines[4].endswith('from local  {"by":2}')
    assert lines[5].endswith('reply {"count":2}  state {"count":2}')


def test_events_json_links(theater: Theater, counter: str) -> None:
    rows = theater("events", counter, "--json").rows

    assert all(set(row) == {"seq", "kind", "name", "time", "hash", "prev", "payload"} for row in rows)
    assert [row["prev"] for row in rows] == ["0" * 64, *(row["hash"] for row in rows[:-1])]
    state = rows[5]["payload"]
    assert isinstance(state, dict)
    assert state["reply"] == '{"count":2}'


@pytest.mark.parametrize(
    ("options", "seqs"),
    [
        (("--kind", "state"), [3, 5, 7]),
        (("--from", "6"), [6, 7]),
        (("--limit", "2"), [0, 1]),
        (("--limit", "0"), []),
        (("--from", "4", "--kind", "state", "--limit", "1"), [5]),
        (("--from", "100"), []),
    ],
)
def test_events_can_be_chosen(theater: Theater, counter: str, options: tuple[str, ...], seqs: list[int]) -> None:
    assert [row["seq"] for row in theater("events", counter, *options, "--json").rows] == seqs
    assert len(theater("events", counter, *options).out.splitlines()) == len(seqs)


def test_events_are_cut_to_the_width_unless_full(theater: Theater) -> None:
    body = '"' + "x" * 5000 + '"'
    theater("run", "echo.wasm", "--request", body)

    assert max(len(line) for line in theater("events", "echo").out.splitlines()) == 200
    assert "x" * 5000 in theater("events", "echo", "--full").out


def test_every_kind_of_event_has_something_to_show(theater: Theater) -> None:
    theater("run", "moody.wasm", "--request", '"refuse"', "--request", '"trap"')
    theater("run", "logger.wasm", "--request", "{}")

    lines = theater("events", "moody").out + theater("events", "logger").out

    for shown in ("by local", "not today", "trap  wasm trap", "info: 1 to go"):
        assert shown in lines


def test_logs_are_what_the_guest_wrote(theater: Theater) -> None:
    theater("run", "logger.wasm", "--request", '{"times":2}')

    assert theater("logs", "logger").out == "2 to go\n1 to go\n"
    first, _ = theater("logs", "logger", "--json").rows
    assert {key: first[key] for key in ("stream", "level", "text")} == {
        "stream": "log",
        "level": "info",
        "text": "2 to go",
    }
    assert set(first) == {"seq", "time", "stream", "level", "text"}


def test_state_is_the_json_text_now_or_then(theater: Theater, counter: str) -> None:
    assert theater("state", counter).out == '{"count":5}\n'
    assert theater("state", counter, "--at", "6").out == '{"count":2}\n'
    assert theater("state", counter, "--at", "6", "--json").table == {"id": counter, "seq": 5, "state": {"count": 2}}


def test_state_is_not_parsed(theater: Theater) -> None:
    text = '{"n":' + "9" * 5000 + ',"n":1e400,"deep":' + "[" * 1000 + "]" * 1000 + "}"
    theater("run", "remember.wasm", "--request", text)

    assert theater("state", "remember").out == f"{text}\n"
    assert f'"state":{text}' in theater("state", "remember", "--json").out


def test_there_is_no_state_before_the_first_and_no_event_beyond_the_last(theater: Theater, counter: str) -> None:
    assert theater("state", counter, "--at", "2").code == 5
    assert theater("state", counter, "--at", "8").code == 5


def test_an_actor_is_found_by_name_id_and_prefix(theater: Theater, counter: str) -> None:
    for text in ("counter", counter, counter[:4]):
        assert theater("state", text).code == 0
    assert theater("state", counter[:3]).code == 5
    nearest = theater("state", "countr")
    assert nearest.code == 5
    assert "did you mean 'counter'?" in nearest.err


@pytest.mark.parametrize("command", ["events", "logs", "state"])
def test_without_an_actor_of_that_name_it_is_5_and_without_a_name_2(theater: Theater, command: str) -> None:
    assert theater(command, "nobody").code == 5
    missing = theater(command, "--json")
    assert missing.code == 2
    error = missing.table["error"]
    assert isinstance(error, dict)
    assert error["code"] == "usage"


@pytest.mark.parametrize("options", [("--kind", "nonsense"), ("--from", "-1"), ("--limit", "x")])
def test_an_option_that_cannot_be_is_wrong_usage(theater: Theater, counter: str, options: tuple[str, ...]) -> None:
    assert theater("events", counter, *options).code == 2


def test_reading_needs_no_lock(theater: Theater, place: Path, counter: str) -> None:
    data_dir = DataDir(place / "data")
    data_dir.hold("somebody")
    store = SqliteEventStore.open(data_dir)
    try:
        for command in ("events", "logs", "state", "verify", "replay"):
            assert theater(command, counter).code == 0
        assert theater("list").code == 0
        locked = theater("run", "--id", counter)
        assert locked.code == 1
        assert "somebody" in locked.err
    finally:
        store.close()
        data_dir.release()


def test_a_data_directory_that_is_a_file_is_an_error(theater: Theater) -> None:
    done = theater("list", "--data-dir", "counter.wasm", "--json")

    assert done.code == 1
    assert "counter.wasm is not a folder" in done.err


@pytest.mark.slow
def test_a_line_of_an_event_is_cut_as_it_is_shown(theater: Theater, place: Path) -> None:
    newlines = "\\0a" * 300
    (place / "evil.wat").write_text(actor(handle=f'(call $refuse @"{newlines}")'))
    theater("run", "evil.wat", "--request", "1")

    lines = theater("events", "evil").out.splitlines()

    assert max(map(len, lines)) == PIPE_COLUMNS
    assert r"\u{a}\u{a}" in lines[-1]
