"""The members of an object as they were written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theater.errors import InvalidInput
from theater.model import wire
from theater.server.json_members import decode_in_parts, members_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(), VALUES, max_size=5), st.sampled_from([None, 1]), st.booleans())
@pytest.mark.slow
def test_every_member_is_found_and_is_what_it_was(value: dict[str, object], indent: int | None, is_ascii: bool) -> None:  # noqa: FBT001 - drawn
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii)

    members = members_of(text)

    assert {key: json.loads(member) for key, member in members.items()} == value


def test_a_member_keeps_its_spelling_and_the_last_of_two_counts() -> None:
    assert members_of(' {"a" : 1.0 , "\\u0062":[1, {"a":2}],"a":"}," } ') == {"a": '"},"', "b": '[1, {"a":2}]'}
    assert members_of("{ }") == {}
    for text in ("[]", '"{}"', "null"):
        with pytest.raises(InvalidInput):
            members_of(text)


def test_a_value_that_no_parser_reads_stands_in_an_order_that_one_does() -> None:
    deep = "[" * 1023 + "]" * 1023

    order = decode_in_parts(f'{{"manifest":"m","params":{deep},"rename":true}}', wire.StartOrder, apart="params")

    assert (bytes(order.params), order.manifest, order.rename) == (deep.encode(), "m", True)  # type: ignore[arg-type]  # set
