"""What JSON is: against a slow parser that is obviously right, and in the corners."""

from __future__ import annotations

import random
import re
import sys
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theater.errors import InvalidJson
from theater.model import json_text
from theater.model.json_text import NESTING_MAX, check_json, decode_json_bytes

LIMIT = 1 << 24


LONG, HUGE = " " * json_text._LONG, " " * json_text._HUGE


def is_json(text: str) -> bool:
    """The verdict, which is the same behind so much space that the text is judged in other ways."""
    verdicts = {is_json_as_it_is(space + text) for space in ("", LONG, HUGE)}
    assert len(verdicts) == 1, text
    return verdicts.pop()


def is_json_as_it_is(text: str) -> bool:
    try:
        check_json(text, max_bytes=LIMIT)
    except InvalidJson as error:
        offset = error.data["offset"]
    else:
        return True
    assert isinstance(offset, int)
    assert 0 <= offset <= len(text)
    return False


# -- the reference: RFC 8259's grammar, a character at a time --------------------------------------------------------


class NotJson(Exception):
    pass


class Reference:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def accepts(self) -> bool:
        try:
            self.text.encode()
            self.space()
            self.value(1)
            self.space()
        except (NotJson, UnicodeEncodeError):
            return False
        return self.position == len(self.text)

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def take(self, wanted: str) -> str:
        character = self.peek()
        if character == "" or character not in wanted:
            raise NotJson
        self.position += 1
        return character

    def space(self) -> None:
        while self.peek() != "" and self.peek() in " \t\n\r":
            self.position += 1

    def value(self, depth: int) -> None:
        match self.peek():
            case "{":
                self.container(depth, "}", has_keys=True)
            case "[":
                self.container(depth, "]", has_keys=False)
            case '"':
                self.string()
            case "t" | "f" | "n":
                for word in ("true", "false", "null"):
                    if self.text.startswith(word, self.position):
                        self.position += len(word)
                        return
                raise NotJson
            case _:
                self.number()

    def container(self, depth: int, end: str, *, has_keys: bool) -> None:
        if depth > NESTING_MAX:
            raise NotJson
        self.position += 1
        self.space()
        if self.peek() == end:
            self.position += 1
            return
        while True:
            self.space()
            if has_keys:
                self.string()
                self.space()
                self.take(":")
                self.space()
            self.value(depth + 1)
            self.space()
            if self.take("," + end) == end:
                return

    def string(self) -> None:
        self.take('"')
        while True:
            character = self.peek()
            self.position += 1
            if character == "" or character < " ":
                raise NotJson
            if character == '"':
                return
            if character == "\\":
                self.escape()

    def escape(self) -> None:
        if self.take('"\\/bfnrtu') != "u":
            return
        code = self.hex4()
        if 0xDC00 <= code <= 0xDFFF:
            raise NotJson
        if 0xD800 <= code <= 0xDBFF:
            self.take("\\")
            self.take("u")
            if not 0xDC00 <= self.hex4() <= 0xDFFF:
                raise NotJson

    def hex4(self) -> int:
        return int("".join(self.take("0123456789abcdefABCDEF") for _ in range(4)), 16)

    def digits(self) -> None:
        self.take("0123456789")
        while self.peek() != "" and self.peek() in "0123456789":
            self.position += 1

    def number(self) -> None:
        if self.peek() == "-":
            self.position += 1
        if self.peek() == "0":
            self.position += 1
        else:
            self.digits()
        if self.peek() == ".":
            self.position += 1
            self.digits()
        if self.peek() != "" and self.peek() in "eE":
            self.position += 1
            if self.peek() != "" and self.peek() in "+-":
                self.position += 1
            self.digits()


# -- against the reference -------------------------------------------------------------------------------------------

spaces = st.text(" \t\n\r", max_size=2)
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
pieces = st.sampled_from(
    ["a", "é", "😀", "\x7f", "\\n", '\\"', "\\\\", "\\/", "\\u00e9", "\\uD83D\\uDE00", "[", "}", ":", ","]
)
strings = st.lists(pieces, max_size=4).map(lambda parts: '"' + "".join(parts) + '"')
scalars = st.one_of(numbers, strings, st.sampled_from(["true", "false", "null", "[]", "{}"]))


def spaced(parts: list[str], space: str) -> str:
    return space + space.join(parts) + space


def containers(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.builds(lambda key, value, space: key + space + ":" + space + value, strings, children, spaces)
    return st.one_of(
        st.builds(
            lambda items, s: spaced(["[", f"{s},{s}".join(items), "]"], s), st.lists(children, max_size=4), spaces
        ),
        st.builds(
            lambda items, s: spaced(["{", f"{s},{s}".join(items), "}"], s), st.lists(members, max_size=4), spaces
        ),
        children.map(lambda child: f"[[[[{child}]]]]"),
        children.map(lambda child: f'{{"a":[{{"b":{child}}}]}}'),
    )


texts = st.recursive(scalars, containers, max_leaves=30)
SCRAPS = [
    *'[]{},:"\\ \n-+.eE019tfn',
    "true",
    "null",
    "\\u",
    "d800",
    "\\uDC00",
    "\x00",
    "\x1f",
    "\ud800",
    "\ufeff",
    "\xa0",
]


@pytest.mark.slow
@settings(max_examples=400)
@given(texts)
def test_every_text_of_the_grammar_is_json(text: str) -> None:
    assert Reference(text).accepts()
    assert is_json(text)


@pytest.mark.slow
@settings(max_examples=600)
@given(texts, st.data())
def test_a_changed_text_is_json_exactly_if_the_reference_says_so(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 2)))
        text = text[:start] + data.draw(st.sampled_from(["", *SCRAPS])) + text[end:]

    assert is_json(text) == Reference(text).accepts()


@settings(max_examples=200)
@given(st.lists(st.sampled_from(SCRAPS), max_size=14).map("".join))
@example('{"a":1,"b"}')
@example("[1[2]]")
@example('"[\n]"')
@example('["a[[1\n]",[[[[]]]]]')
@example('[""[]]')
@example("{[]:1}")
@example("{[[[[1]]]]:1}")
@example('[[[[[1]]]]"a"]')
@example('{"a":[[[[]]]],[]:1}')
def test_a_heap_of_scraps_is_json_exactly_if_the_reference_says_so(text: str) -> None:
    assert is_json(text) == Reference(text).accepts()


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(["[", "]", "{", "}", '{"k":', ",", '"s"', "0", '"k":', "[]", "{}"]), max_size=24).map(
        "".join
    )
)
def test_brackets_are_json_exactly_if_the_reference_says_so(text: str) -> None:
    assert is_json(text) == Reference(text).accepts()


# -- the corners -----------------------------------------------------------------------------------------------------

GOOD = [
    "0", "-0", "-0.0e-0", "1e400", "-1E+999999999", "9" * 5000, "0." + "1" * 5000,
    "true", "false", "null", '""', '"\x7f"',
    '{"a":1,"a":2}', '{"":{"":{}}}', '"\\ud83d\\ude00"', '"\\uD83D\\uDE00\\u0000"', '"\\ufffe\\uffff"', '"\u2028"',
    " \t\r\n[ ] \n", "[1 , 2 ]", '{ "a" : 1 }', '"\ufeff"', "[[[[[[]]]]],[[[[[]]]]]]",
]  # fmt: skip

BAD = [
    ("", 0, "end of the text"), (" ", 1, "end of the text"), ("\ufeff1", 0, "byte order mark"), ("NaN", 0, "NaN"),
    ("[Infinity]", 1, "Infinity"), ("-Infinity", 0, "no value"), ("01", 1, "after the end"), ("+1", 0, "no value"),
    (".5", 0, "no value"), ("1.", 1, "after the end"), ("1e", 1, "after the end"), ("-", 0, "no value"),
    ("0x1", 1, "after the end"), ("1 2", 2, "after the end"), ("[] []", 3, "after the end"),
    ("{}}", 2, "after the end"),
    ("[1,]", 3, "no value"), ("[,1]", 1, "no value"), ("[1 2]", 3, "neither ','"), ("[1", 2, "where '[' is open"),
    ("[", 1, "end of the text"), ("{", 1, "no key"), ('{"a"}', 4, "no ':'"), ('{"a":}', 5, "no value"),
    ('{"a":1,}', 7, "no key"), ("{1:2}", 1, "no key"), ("{'a':1}", 1, "no key"), ('{"a":1', 6, "where '{' is open"),
    ("[1}", 2, "'}' where '[' is open"), ('{"a":[}', 6, "no value"), ('[{"a":1]]', 7, "']' where '{' is open"),
    ('"', 1, "in a string"), ('"a', 2, "in a string"), ('"\n"', 1, "control character U+000A"),
    ('["ok","\x00"]', 7, "control character U+0000"), ('"\\x"', 1, "unknown escape"), ('"\\u12"', 1, "unknown escape"),
    ('"\\ud800"', 1, "lone surrogate"), ('"\\udc00"', 1, "lone surrogate"), ('"\\ud800\\ud800"', 1, "lone surrogate"),
    ('"\\uD800\\u0041"', 1, "lone surrogate"), ('"a\ud800"', 2, "lone surrogate"), ("\x0b1", 0, "no value"),
    ("\xa01", 0, "no value"), ("tru", 0, "no value"), ("True", 0, "no value"), ("nulll", 4, "after the end"),
    ("/**/1", 0, "no value"), ("[[[[[1]]]],x]", 11, "no value"), ('[[[[[{"a":1,"b":}]]]]]', 16, "no value"),
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_a_corner_that_is_json(text: str) -> None:
    assert Reference(text).accepts()
    assert is_json(text)


@pytest.mark.parametrize(("text", "offset", "reason"), BAD)
def test_a_corner_that_is_not_json_is_refused_with_place_and_reason(text: str, offset: int, reason: str) -> None:
    assert not Reference(text).accepts()
    with pytest.raises(InvalidJson) as caught:
        check_json(text, max_bytes=LIMIT)

    assert caught.value.data["offset"] == offset
    assert reason in caught.value.message


TOWERS: list[Callable[[int], str]] = [
    lambda depth: "[" * depth + "]" * depth,
    lambda depth: '{"k":' * depth + "0" + "}" * depth,
    lambda depth: '[{"k":' * (depth // 2) + "[" * (depth % 2) + "0" + "]" * (depth % 2) + "}]" * (depth // 2),
    lambda depth: "[0,[],0," * (depth - 1) + "[]" + ",{}]" * (depth - 1),
    lambda depth: '["[[[",' * (depth - 1) + "[]" + ',"]]]"]' * (depth - 1),
    lambda depth: "[" * (depth - 3) + "[[[]]],0,[[[]]]" + "]" * (depth - 3),
    lambda depth: "[" * (depth - 1) + "{}" + " ]" * (depth - 1),
]


def at_depth(frames: int, action: Callable[[], None]) -> None:
    if frames == 0:
        action()
    else:
        at_depth(frames - 1, action)


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("frames", [0, 700])
def test_nesting_is_allowed_to_1024_from_any_stack(tower: Callable[[int], str], frames: int) -> None:
    def check() -> None:
        assert is_json(tower(NESTING_MAX))
        with pytest.raises(InvalidJson, match="nested deeper than 1024"):
            check_json(tower(NESTING_MAX + 1), max_bytes=LIMIT)
        with pytest.raises(InvalidJson, match="nested deeper than 1024"):
            check_json(tower(100_000), max_bytes=LIMIT)

    at_depth(frames, check)


def test_nesting_is_allowed_to_1024_on_a_thread_with_a_small_stack() -> None:
    seen: list[bool] = []
    before = threading.stack_size(64 * 1024)
    try:
        thread = threading.Thread(target=lambda: seen.extend(is_json(TOWERS[0](depth)) for depth in (1024, 1025)))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)

    assert seen == [True, False]


@pytest.mark.parametrize(
    ("text", "offset"), [("[1,2,x]", 5), ('["\u00e9\u20ac", +1]', 7), ('"\\ud800"', 8), ("[1,", 3)]
)
def test_the_place_of_what_is_wrong_in_a_huge_text_is_named(text: str, offset: int) -> None:
    with pytest.raises(InvalidJson) as caught:
        check_json(HUGE + text, max_bytes=LIMIT)

    assert caught.value.data["offset"] == len(HUGE) + offset


def test_a_huge_text_that_is_hostile_takes_no_longer_than_one_that_is_not() -> None:
    size = 1 << 22
    times = []
    for text in (f"[{'1,' * (size // 2)}1]", "[" * size, "[" * 900 + "1," * (size // 2)):
        begun = time.thread_time()
        is_json_as_it_is(text)
        times.append(time.thread_time() - begun)

    assert max(times) < 50 * times[0]


def test_the_place_of_the_first_bracket_too_deep_is_named() -> None:
    with pytest.raises(InvalidJson) as caught:
        check_json('["[",' + "[" * 1025 + "]" * 1025 + "]", max_bytes=LIMIT)

    assert caught.value.data["offset"] == len('["[",') + 1023


def test_no_limit_of_the_interpreter_on_digits_decides() -> None:
    assert sys.get_int_max_str_digits() < 100_000
    assert is_json("[" + "7" * 100_000 + "]")


def test_the_size_is_counted_in_bytes() -> None:
    check_json('"é"', max_bytes=4)
    with pytest.raises(InvalidJson, match="4 bytes, allowed 3"):
        check_json('"é"', max_bytes=3)
    with pytest.raises(InvalidJson, match="4 bytes, allowed 3"):
        decode_json_bytes('"é"'.encode(), max_bytes=3)


def test_bytes_are_decoded_and_given_back_as_they_are() -> None:
    text = ' {"é":[1e400,"\\ud83d\\ude00"]}\n'
    assert decode_json_bytes(text.encode(), max_bytes=100) == text


@pytest.mark.parametrize("data", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\xaf"', b'"\xc3', "[]".encode("utf-16")])
def test_bytes_that_are_not_utf8_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidJson, match="not UTF-8"):
        decode_json_bytes(data, max_bytes=100)


def test_bytes_with_a_byte_order_mark_are_refused() -> None:
    with pytest.raises(InvalidJson, match="byte order mark"):
        decode_json_bytes(b"\xef\xbb\xbf{}", max_bytes=100)


HARMLESS_GROUPS = [r'(?:\\.[^"\\\x00-\x1f]*+)*+', r'(?:\\.[^"\x00-\x1f\\]*+)*+', r"(?:\.[0-9][0-9]*+)?+"]
"""A turn of these fails, if it does, before it has come to its own quantifier."""


def test_every_possessive_group_puts_the_position_back_as_old_interpreters_need_it() -> None:
    patterns = [value for value in vars(json_text).values() if isinstance(value, re.Pattern)]
    guarded = 0
    for pattern in (*patterns, *json_text._REST.values()):
        source = pattern.pattern
        for group in HARMLESS_GROUPS:
            source = source.replace(group, "")
        ends = re.findall(r"(.{5})\)[*+?]\+", source)
        assert set(ends) <= {"|(?!)"}, pattern.pattern
        guarded += len(ends)

    assert guarded > 20  # it was looked at what it should


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        '"a"',
        "1",
        "[]",
        "[[[[]]]]",
        '{"k":[{"k":[{"k":0}]}]}',
        "[" * 1022 + "]" * 1022,
        "[[]," * 1000 + "0" + "]" * 1000,
    ],
)
@pytest.mark.parametrize("end", ["]", "x]"])
def test_time_grows_with_the_size_and_no_faster(unit: str, end: str) -> None:
    def seconds(size: int) -> float:
        text = "[" + ",".join([unit] * (size // len(unit))) + end
        begun = time.thread_time()
        assert is_json(text) == (end == "]")
        return time.thread_time() - begun

    assert seconds(400_000) < 10 * seconds(100_000) + 0.05


SEEDS: list[str] = [
    *'1[{"',
    "[]",
    "{}",
    "[[1]]",
    '{"a":[1]}',
    '{"a":{"b":{"c":0}}}',
    '"]"',
    '"\\\\"',
    '"\\ud83d\\ude00"',
    " 2 ",
    "1e5",
]


def tree(chance: random.Random, height: int) -> str:
    if height == 0 or chance.random() < 0.25:
        return chance.choice(SEEDS[4:])
    children = [tree(chance, height - 1) for _ in range(chance.randint(0, 3))]
    if chance.random() < 0.6:
        return "[" + ",".join(children) + "]"
    return "{" + ",".join(f'"k{chance.choice(["", "[", "}"])}":{child}' for child in children) + "}"


@pytest.mark.slow
def test_thousands_of_trees_with_scraps_in_them_are_json_exactly_if_the_reference_says_so() -> None:
    chance = random.Random(0)
    for _ in range(20_000):
        text = tree(chance, chance.randint(0, 8))[:2000]
        for _ in range(chance.randint(0, 2)):
            position = chance.randint(0, len(text))
            behind = position + chance.randint(0, 2)
            text = text[:position] + chance.choice([*SCRAPS, *SEEDS, ""]) + text[behind:]
        assert is_json(text) == Reference(text).accepts(), text
