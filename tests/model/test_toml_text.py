"""TOML from strangers: read as ever, refused where it nests too deep, and never parsed to the end of the stack."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Mapping
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.errors import InvalidInput
from theater.model import toml_text
from theater.model.toml_text import DEPTH_MAX, parse_toml

BRACKETS = "[{" * 200

# What stands where, each with a number of levels below the table that the text is.
NESTED: dict[str, Callable[[int], str]] = {
    "arrays": lambda depth: f"x = {'[' * depth}{']' * depth}",
    "arrays over lines": lambda depth: "x = " + "[ # {\n" * depth + "]\n" * depth,
    "inline tables": lambda depth: f"x = {'{a = ' * depth}1{'}' * depth}",
    "both": lambda depth: f"x = {'[{a = ' * (depth // 2)}{'[]' * (depth % 2) or '1'}{'}]' * (depth // 2)}",
    "a dotted key": lambda depth: f"{'a.' * depth}b = 1",
    "a dotted key with spaces": lambda depth: f"{'a . ' * depth}b = 1",
    "a dotted key of strings": lambda depth: f"{quoted_key(depth)}b = 1",
    "a dotted key in an inline table": lambda depth: f"x = {{{'a.' * (depth - 1)}b = 1}}",
    "a header": lambda depth: f"[{'a.' * (depth - 1)}b]",
    "a header of an array": lambda depth: f"[[{'a.' * (depth - 2)}b]]",
    "header, key and value": lambda depth: f"[{'a.' * 29}a]\n{'b.' * 30}b = {'[' * (depth - 60)}{']' * (depth - 60)}",
    "dotted keys in each other": lambda depth: (
        f"x = {'{a.b = ' * 20}{'[' * (depth - 40)}{']' * (depth - 40)}{'}' * 20}"
    ),
}


def quoted_key(parts: int) -> str:
    return "".join(('"=.[".', "'#,{'.", "k.")[number % 3] for number in range(parts))


def depth_of(value: object) -> int:
    if isinstance(value, Mapping):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def unreachable(_: str) -> NoReturn:
    raise AssertionError("the parser was asked")


@pytest.mark.parametrize("kind", NESTED)
def test_a_hundred_levels_are_allowed_and_one_more_is_refused(kind: str) -> None:
    assert DEPTH_MAX == 100
    assert depth_of(parse_toml(NESTED[kind](100))) == 101  # the table that the text is, and a hundred below

    with pytest.raises(InvalidInput, match="nested deeper than 100"):
        parse_toml(NESTED[kind](101))


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 20_000,
        "x = " + "{a = " * 20_000,
        "x = " + "[{a=" * 20_000,
        'y = "]]]"\nx = ' + '["]", ' * 20_000,
        "x = " + "[#]\n" * 20_000,
        "a." * 120_000 + "b = 1",  # the parser would keep every beginning of the key: gigabytes
        "[" + "a." * 120_000 + "b]",
        "]" * 20 + "[" * 20_000,
        "x = '''a'''''[[[" + "[" * 20_000,
        'x = """a\\""""""' + "[" * 20_000,
    ],
    ids=range(10),
)
def test_what_would_exhaust_the_parser_is_refused_or_wrong_before(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(tomllib, "loads", unreachable)

    with pytest.raises(InvalidInput, match=r"^nested deeper than 100 \(at line \d+, column \d+\)$"):
        parse_toml(text)


def test_line_and_column_of_the_first_bracket_too_many_are_named() -> None:
    with pytest.raises(InvalidInput, match=r"\(at line 2, column 105\)"):
        parse_toml("# [\nx = " + "[" * 101 + "]" * 101)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f'x = "{BRACKETS}"', BRACKETS),
        (f'x = "\\"{BRACKETS}\\\\"', f'"{BRACKETS}\\'),
        (f"x = '{BRACKETS}\\'", f"{BRACKETS}\\"),
        (f'x = """\n{BRACKETS}"" \\""" {BRACKETS}\n"""', f'{BRACKETS}"" """ {BRACKETS}\n'),
        (f'x = """{BRACKETS}"""""', f'{BRACKETS}""'),
        (f"x = '''\n{BRACKETS}'' {BRACKETS}\\'''", f"{BRACKETS}'' {BRACKETS}\\"),
        (f"x = '''{BRACKETS}'''''", f"{BRACKETS}''"),
        (f'x = ""  # "{BRACKETS}', ""),
        (f"#'''{BRACKETS}\nx = '' # \"\"\"{BRACKETS}", ""),
        (f'x = """"""  # {BRACKETS}', ""),
        (f"x = 'a#b' # {BRACKETS}", "a#b"),
        (f'x = "{"." * 500}" # {"." * 500}', "." * 500),
    ],
)
def test_what_stands_in_strings_and_comments_does_not_count(text: str, value: str) -> None:
    assert parse_toml(text) == {"x": value}


def test_what_was_closed_does_not_count() -> None:
    assert parse_toml("x = [" + "[{a = []}]," * 500 + "]") == {"x": [[{"a": []}]] * 500}
    assert len(parse_toml("".join(f"[t{n}]\na.b = 1.5\n" for n in range(500)))) == 500
    assert parse_toml("x = [" + "1.5, " * 500 + "]") == {"x": [1.5] * 500}


@pytest.mark.parametrize("quote", ['"', "'", '"""', "'''"])
@pytest.mark.parametrize("inside", ["", "a", BRACKETS, f"\\\\{BRACKETS}"])
def test_a_string_that_does_not_end_is_no_toml(quote: str, inside: str) -> None:
    for text in (f"x = {quote}{inside}", f"x = {quote}{inside}\ny = 1", f"{quote}{inside}"):
        with pytest.raises(InvalidInput):
            parse_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "x = ",
        "x = 1\nx = 2",
        "x = 1]",
        "]",
        'x = "\\ud800"',
        "x = 2020-13-41",
        "x = [1\n",
        "\0",
    ],
)
def test_every_failure_is_one_error(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_toml(text)


def test_a_number_that_python_does_not_read_is_the_same_error() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(4300)
    try:
        with pytest.raises(InvalidInput):
            parse_toml("x = " + "9" * 5000)
    finally:
        sys.set_int_max_str_digits(before)


@given(
    st.lists(
        st.sampled_from(
            [
                "x = ",
                "y.z = ",
                "\n",
                "\r\n",
                '"""',
                "'''",
                '"',
                "'",
                "\\",
                "#",
                "[",
                "]",
                "{",
                "}",
                "a",
                ".",
                ",",
                "=",
                "1",
            ]
        ),
        max_size=20,
    ).map("".join)
)
def test_exactly_what_is_deeper_is_refused_and_nothing_else_changes(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toml_text, "DEPTH_MAX", 1)
        try:
            found: object = parse_toml(text)
        except InvalidInput as error:
            found = "deeper" if error.message.startswith("nested deeper") else "wrong"
    try:
        parsed = tomllib.loads(text)
    except ValueError:
        assert found in ("wrong", "deeper")
    else:
        assert found == (parsed if depth_of(parsed) <= 2 else "deeper")
