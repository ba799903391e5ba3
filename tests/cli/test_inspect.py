"""``inspect``: everything about one actor."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Theater
from theater.cli import inspect_actor, output
from theater.model.wire import ActorDetail, ActorRow

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")


def lines_of(theater: Theater, id: str) -> dict[str, str]:
    """What stands behind each label; lines without one belong to the label above."""
    found: dict[str, str] = {}
    label = ""
    for line in theater("inspect", id).out.splitlines()[1:]:
        label = line[2:15].strip() or label
        found[label] = (found.get(label, "") + "\n" + line[15:]).strip()
    return found


def test_everything_is_on_one_screen(theater: Theater, counter: str) -> None:
    said = theater("inspect", "counter").out
    found = lines_of(theater, "counter")

    assert said.splitlines()[0] == "counter  running"
    assert found["id"] == counter
    assert found["parent"] == "none"
    assert found["role"] == "actor, fresh instance"
    assert found["state"] == 'event 7, 11 B: {"count":5}'
    assert found["grants"] == 'runtime  log = "64KiB"'
    assert re.fullmatch(r"8 events, \d\.\d KiB, head 7 [0-9a-f]{64}", found["chain"])
    assert found["holds"] == "0 waiting, 0 put off, 0 timers, 0 channels"
    assert "failure" not in found
    assert [line.split()[0] for line in said.splitlines()[-5:]] == ["3", "4", "5", "6", "7"]


def test_a_limit_that_was_set_is_marked(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text('name = "x"\ncomponent = "counter.wasm"\n[limits]\nmailbox = 7\n')
    theater("run", ".")

    limits = re.split(r"  |\n", lines_of(theater, "x")["limits"])

    assert [item for item in limits if item.endswith("(set)")] == ["mailbox = 7 (set)"]
    assert len(limits) > 10


def test_what_of_a_grant_is_no_default_is_marked(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text(
        'name = "x"\ncomponent = "counter.wasm"\n[capabilities.store]\nquota = "1MiB"\n'
    )
    theater("run", ".")

    grants = lines_of(theater, "x")["grants"].splitlines()

    assert grants == [
        'runtime  log = "64KiB"',
        'store  space = ["self"], read = [], quota = "1MiB" (set), blob = "1MiB"',
    ]


def test_all_fits_on_a_screen_of_80_columns(theater: Theater, counter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "PIPE_COLUMNS", 80)

    lines = theater("inspect", counter).out.splitlines()

    assert max(map(len, lines)) <= 80
    assert len(lines) <= 30
    assert lines[-1].endswith('handle  reply {"count":5}  state {"count":5}')


def test_a_failure_says_why(theater: Theater) -> None:
    theater("run", "moody.wasm", "--request", '"trap"')

    assert lines_of(theater, "moody")["failure"].startswith("crashed (trap) in event 5: ")
    assert "\\u{a}" not in lines_of(theater, "moody")["failure"]
    assert theater("inspect", "moody").out.startswith("moody  crashed\n")


def test_a_state_that_is_too_large_is_not_fetched(
    theater: Theater, counter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect_actor, "STATE_SHOWN_MAX_BYTES", 10)

    assert lines_of(theater, counter)["state"] == "event 7, 11 B"


def test_an_actor_without_a_state_has_none(theater: Theater) -> None:
    theater("run", "trap-init.wasm")

    assert lines_of(theater, "trap-init")["state"] == "none"


def test_the_document_is_that_of_the_server_and_of_the_reference(theater: Theater, counter: str) -> None:
    document = theater("inspect", counter, "--json").table
    described = REFERENCE.partition("### `theater inspect ID`")[2].partition("### ")[0]
    actor = document["actor"]

    assert tuple(document) == ActorDetail.__struct_fields__
    assert isinstance(actor, dict)
    assert tuple(actor) == ActorRow.__struct_fields__
    for key in (*document, *actor):
        assert f'"{key}"' in described, key


def test_nobody_is_5(theater: Theater, counter: str) -> None:
    done = theater("inspect", "countr")

    assert done.code == 5
    assert "did you mean 'counter'?" in done.err
    assert theater("inspect", counter[:6]).code == 0
