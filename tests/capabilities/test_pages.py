"""Every capability has its page, every function its row with its class, and every example in them is read."""

import re
import tomllib
from pathlib import Path

import pytest

from theater.capabilities.registry import built_in
from theater.model.capability import HostFunction

DOCS = Path(__file__).parents[2] / "docs" / "capabilities"
EVERY = built_in().capabilities

FUNCTIONS = [
    pytest.param(name, function, id=f"{function.interface}#{function.name}")
    for name, capability in EVERY.items()
    for function in capability.functions
    if not function.name.startswith("[resource-drop]")  # said once, for all
]
EXAMPLE = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def section(name: str, interface: str) -> list[str]:
    """The lines of a page from the heading of an interface to the next heading."""
    _, found, rest = page(name).partition(f"\n## `{interface}`\n")
    assert found, f"{name}.md has no heading for {interface}"
    return rest.partition("\n## ")[0].splitlines()


def test_every_capability_has_its_page_and_its_row_and_no_page_is_left_over() -> None:
    pages = {path.stem for path in DOCS.glob("*.md")} - {"README"}

    assert pages == EVERY.keys()
    for name in EVERY:
        assert f"\n| [{name}]({name}.md) |" in page("README")
        assert page(name).startswith(f"# {name}\n")


@pytest.mark.parametrize(("name", "function"), FUNCTIONS)
def test_every_function_has_its_row_with_its_class(name: str, function: HostFunction) -> None:
    title = f"`{function.name.removeprefix('[method]')}`"
    rows = [line.split("|") for line in section(name, function.interface) if line.startswith("|")]
    [row] = [row for row in rows if title in row[1].replace(" ", "").split(",")]

    assert row[2].strip() == function.host_class.value


@pytest.mark.parametrize("name", sorted(EVERY))
def test_no_row_is_left_over(name: str) -> None:
    for interface in EVERY[name].interfaces:
        known = {f.name.removeprefix("[method]") for f in EVERY[name].functions if f.interface == interface}
        rows = [line for line in section(name, interface) if line.startswith("| `")]

        assert {title for row in rows for title in re.findall(r"`([^`]+)`", row.split("|")[1])} <= known


@pytest.mark.parametrize("name", sorted(EVERY))
def test_every_page_says_what_is_recorded_and_where_the_limits_are(name: str) -> None:
    assert "\n**Recorded:** " in page(name)
    assert "\n**Limits:** " in page(name)


@pytest.mark.parametrize("name", ["README", *sorted(EVERY)])
def test_every_example_is_a_manifest_that_is_read(name: str) -> None:
    for example in EXAMPLE.findall(page(name)):
        for asked, table in tomllib.loads(example).get("capabilities", {}).items():
            EVERY[asked].parse(table)


@pytest.mark.parametrize("name", sorted(name for name, capability in EVERY.items() if capability.ungranted is None))
def test_what_has_to_be_asked_for_has_an_example(name: str) -> None:
    assert any(name in tomllib.loads(example).get("capabilities", {}) for example in EXAMPLE.findall(page(name)))
