"""What may stand next on a command line."""

from collections.abc import Iterator

import pytest

from theater.cli.commands import ROWS
from theater.cli.completing import ACTORS_MAX, Actor, suggestions

CAST = (
    Actor("counter", "ab" * 16, "running"),
    Actor("echo", "cd" * 16, "crashed"),
    Actor("$(touch pwned)", "ef" * 16, "running"),
    Actor("-rf", "01" * 16, "running"),
    Actor("x\n`id`", "`id`" * 8, "running"),
)


def cast() -> Iterator[Actor]:
    yield from CAST


def words(*line: str) -> list[str]:
    return [item.word for item in suggestions(line[:-1], line[-1], cast)]


def test_the_first_word_is_a_command() -> None:
    assert words("") == list(ROWS)
    assert words("ins") == ["inspect-component", "inspect"]
    assert words("--data-dir", "x", "sta") == [name for name in ROWS if name.startswith("sta")]
    assert all(item.help for item in suggestions([], "", cast))


def test_an_option_of_the_command_and_of_all() -> None:
    assert words("events", "--") == ["--kind", "--from", "--limit", "--full", *words("version", "--")]
    assert {"--data-dir", "--json", "--verbose", "--help"} <= set(words("version", "--"))
    assert words("events", "counter", "--li") == ["--limit"]
    assert words("--da") == ["--data-dir"]


def test_a_value_where_all_that_it_can_be_is_known() -> None:
    assert words("events", "--kind", "st") == ["state"]
    assert words("list", "--status", "") == ["running", "paused", "stopped", "crashed"]
    assert words("completion", "") == ["bash", "zsh", "fish"]


def test_a_value_behind_an_equals_sign() -> None:
    assert words("events", "--kind=st") == ["--kind=state"]  # as zsh and fish have it
    assert words("events", "--kind", "=", "st") == ["state"]  # as bash has it
    assert words("events", "--kind", "=") == words("events", "--kind", "")


@pytest.mark.parametrize("command", ["events", "state", "logs", "tree", "inspect", "subscribe", "verify", "replay"])
def test_an_actor_by_name_where_one_is_wanted(command: str) -> None:
    assert words(command, "") == ["counter", "echo"]
    assert words(command, "co") == ["counter"]


def test_an_actor_by_id_once_it_could_be_one() -> None:
    assert words("events", "abab") == ["ab" * 16]
    assert words("events", "aba") == []


def test_a_status_is_told_with_the_name() -> None:
    assert [item.help for item in suggestions(["events"], "", cast)] == ["running", "crashed"]


def test_where_anything_may_stand_nothing_is_suggested() -> None:
    assert words("state", "counter", "--at", "") == []
    assert words("run", "") == []
    assert words("events", "counter", "") == []
    assert words("nonsense", "") == []


def test_behind_the_dashes_there_is_no_option() -> None:
    assert words("run", "x.wasm", "--", "--js") == []


def test_names_that_a_shell_could_take_for_more_are_left_out() -> None:
    for begun in ("", "$", "$(", "-", "`", "x", "efef", "0101"):
        assert not {"$(touch pwned)", "-rf", "x\n`id`", "`id`" * 8} & set(words("events", begun))


@pytest.mark.parametrize("begun", ["\x1b[31m", "a\nb", "\u202e", "\udcff"])
def test_a_hostile_word_has_no_suggestions(begun: str) -> None:
    assert words("events", begun) == []
    assert words(begun, "") == []


def test_no_more_actors_are_asked_for_than_are_shown() -> None:
    asked = 0

    def many() -> Iterator[Actor]:
        nonlocal asked
        while True:
            asked += 1
            yield Actor(f"actor-{asked}", f"{asked:032x}", "running")

    assert len(suggestions(["events"], "", many)) == ACTORS_MAX
    assert asked == ACTORS_MAX + 1
