"""What is not ours is shown as what it is."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from theater.model.safe_text import safe, safe_json

RISKY = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *map(chr, (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029, 0xD800, 0xDFFF)),
]
ANY_TEXT = st.text(st.one_of(st.sampled_from(RISKY), st.characters()), max_size=50)


@pytest.mark.parametrize("character", RISKY)
def test_each_risky_character_is_written_out(character: str) -> None:
    assert safe(f"a{character}b") == f"a\\u{{{ord(character):x}}}b"


def test_what_is_to_be_kept_is_kept() -> None:
    assert safe("a\n\t\x1b", keep="\n\t") == "a\n\t\\u{1b}"


@pytest.mark.parametrize("text", ["", "plain", "[red]markup[/red]", "Grüße, 世界 🎭", "\u200d\ufe0f"])
def test_other_text_is_left_alone(text: str) -> None:
    assert safe(text) == safe_json(text) == text


@given(ANY_TEXT)
@example("".join(RISKY))
def test_nothing_risky_is_left(text: str) -> None:
    for shown in (safe(text), safe_json(text)):
        assert not set(RISKY) & set(shown)
        shown.encode()


@given(st.recursive(ANY_TEXT, lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner), max_leaves=5))
def test_json_stays_json_of_the_same_value_on_one_line(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)

    shown = safe_json(text)

    assert json.loads(shown) == value
    assert "\n" not in shown


def test_what_is_escaped_already_is_not_touched() -> None:
    text = json.dumps("\x1b\u202e")

    assert re.fullmatch(r'"(\\u[0-9a-f]{4}){2}"', text)
    assert safe_json(text) == text
