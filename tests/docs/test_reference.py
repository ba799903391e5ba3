"""The reference is complete: every command, option, exit code, key and limit has its place, and none is left over."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.core import TyperGroup

from theater.cli.exits import Exit
from theater.cli.program import program
from theater.model.limits import Limits
from theater.model.manifest import _KEYS, parse_manifest

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
CLI = (REFERENCE / "cli.md").read_text(encoding="utf-8")
MANIFEST = (REFERENCE / "manifest.md").read_text(encoding="utf-8")
EVERYWHERE = {"--data-dir", "--server", "--json", "--verbose", "-v", "--help"}
_OPTION = re.compile(r"`(--?[a-z][a-z-]*)")


def commands(group: TyperGroup | None = None, path: str = "") -> dict[str, set[str]]:
    """The options of each command, and of each in a group by all its words."""
    found: dict[str, set[str]] = {}
    for name, command in (group or program()).commands.items():
        if command.callback is not None:
            found[f"{path}{name}"] = {
                option for parameter in command.params for option in parameter.opts if option.startswith("-")
            }
        if isinstance(command, TyperGroup):
            found |= commands(command, f"{path}{name} ")
    return found


def options_in(text: str) -> set[str]:
    """The options that have a row in the tables of a section."""
    return {
        option for line in text.splitlines() if line.startswith("| `") for option in _OPTION.findall(line.split("|")[1])
    }


def section(heading: str) -> str:
    _, found, rest = CLI.partition(heading)
    assert found, f"cli.md has no heading '{heading.strip()}'"
    return re.split(r"\n##", rest, maxsplit=1)[0]


def section_of(command: str) -> str:
    (heading,) = re.findall(rf"^### `theater {command}(?: [^a-z\n][^\n]*)?`$", CLI, re.MULTILINE)
    return section(f"\n{heading}\n") if isinstance(heading, str) else ""


def test_every_command_has_its_heading_and_no_heading_is_left_over() -> None:
    headings = re.findall(r"^### `theater ([a-z-]+(?: [a-z-]+)*)", CLI, re.MULTILINE)

    assert sorted(headings) == sorted(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_has_its_row_and_no_row_is_left_over(name: str) -> None:
    assert options_in(section_of(name)) == commands()[name] - EVERYWHERE


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_its_document(name: str) -> None:
    assert "`--json`: " in section_of(name)


def test_the_options_of_all_commands_have_their_rows() -> None:
    assert options_in(section("\n## Everywhere\n")) == EVERYWHERE
    assert all(options >= EVERYWHERE - {"--help"} for options in commands().values())


def test_every_exit_code_has_its_row() -> None:
    rows = re.findall(r"^\| (\d+) \|", section("\n## Exit codes\n"), re.MULTILINE)

    assert [int(row) for row in rows] == sorted(Exit)


def test_every_key_of_a_manifest_has_its_row() -> None:
    rows = re.findall(r"^\| `\[?([a-z]+)", MANIFEST.partition("\n## Limits\n")[0], re.MULTILINE)

    assert sorted(rows) == sorted(_KEYS)


def test_every_limit_has_its_row_with_its_default() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\S+) \|", MANIFEST.partition("\n## Limits\n")[2], re.MULTILINE)

    assert dict(rows) == {key: str(value) for key, value in Limits().to_manifest().items()}


def test_every_example_of_a_manifest_can_be_read() -> None:
    examples = re.findall(r"^```toml\n(.*?)^```", MANIFEST, re.MULTILINE | re.DOTALL)

    assert examples
    for example in examples:
        parse_manifest(example, settings={"TIMES": 3})


def test_the_example_of_a_config_is_toml() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", CLI, re.MULTILINE | re.DOTALL)

    assert set(tomllib.loads(example)) == {"data-dir", "durability", "secrets", "tls", "ceiling"}
