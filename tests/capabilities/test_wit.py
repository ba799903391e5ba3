"""The functions here are those of the WIT texts: Theater's own, and WASI's."""

import inspect
import re
from pathlib import Path

import pytest

import theater
from theater.capabilities.registry import THEATER_VERSION, built_in

WIT = Path(theater.__file__).parent / "wit"
# Each function and each resource's drop of every interface that a program can import from WASI 0.2.0 to 0.2.12, taken
# from the WIT texts of those releases. An interface that uses another's resource has a drop for it as well.
WASI = Path(__file__).with_name("wasi_0_2_imports.txt")

EVERY = built_in()
OURS = sorted(
    interface for interface in {interface for interface, _ in EVERY.table} if interface.startswith("theater:")
)

FUNCTION = re.compile(r"^    %?([a-z][a-z0-9-]*): func\((.*)\)", re.MULTILINE)


def text_of(interface: str) -> str:
    return (WIT / f"{interface.removeprefix('theater:actor/')}.wit").read_text(encoding="utf-8")


def test_every_function_of_wasi_0_2_is_there_and_no_other() -> None:
    expected = {(interface, name) for interface, name in map(str.split, WASI.read_text(encoding="ascii").splitlines())}

    assert {key for key in EVERY.table if key[0].startswith("wasi:")} == expected


@pytest.mark.parametrize("interface", OURS)
def test_every_function_of_ours_is_one_of_its_wit(interface: str) -> None:
    wit = {match[1] for match in FUNCTION.finditer(text_of(interface))}
    here = {name for found, name in EVERY.table if found == interface}

    assert here == wit


@pytest.mark.parametrize("interface", OURS)
def test_every_function_of_ours_takes_what_its_wit_says(interface: str) -> None:
    for name, parameters in FUNCTION.findall(text_of(interface)):
        if (interface, name) in EVERY.table:
            _, function = EVERY.table[interface, name]
            expected = len(re.findall(r"[a-z][a-z0-9-]*: ", parameters))

            assert len(inspect.signature(function.run).parameters) == 2 + expected, name


@pytest.mark.parametrize("interface", OURS)
def test_every_function_of_ours_has_the_class_that_its_wit_promises(interface: str) -> None:
    text = text_of(interface)
    for name, _ in FUNCTION.findall(text):
        if (interface, name) in EVERY.table:
            _, function = EVERY.table[interface, name]
            before = text[: text.index(f"    {name}: func(")]

            assert f"Class: {function.host_class.value}." in before[before.rindex("Class:") - 1 :] + " ", name


def test_our_version_is_that_of_the_wit() -> None:
    for path in WIT.glob("*.wit"):
        assert f"package theater:actor@{THEATER_VERSION};" in path.read_text(encoding="utf-8")


def test_every_interface_that_an_actor_can_import_is_answered() -> None:
    world = (WIT / "world.wit").read_text(encoding="utf-8")
    imported = set(re.findall(r"^    import ([a-z-]+);", world, re.MULTILINE))
    with_functions = {name for name in imported if FUNCTION.search(text_of(name))}

    assert with_functions
    assert with_functions <= {interface.removeprefix("theater:actor/") for interface in OURS}
