"""A letter is the same when it has waited in the store."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.model.event import Head
from theater.model.ids import ActorId, Digest
from theater.model.payload import Cause
from theater.runtime.letter import (
    Answer,
    Deferred,
    Letter,
    Reply,
    decode_deferred,
    decode_letter,
    encode_deferred,
    encode_letter,
    nobody,
)

ACTOR = ActorId("a" * 32)
IDS = st.text("0123456789abcdef", min_size=32, max_size=32).map(ActorId)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
CAUSES = st.builds(
    Cause,
    actor=IDS,
    seq=st.integers(0, 2**40),
    hash=st.text("0123456789abcdef", min_size=64, max_size=64).map(Digest),
)
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
LETTERS = st.builds(
    Letter,
    id=TEXTS,
    source=TEXTS,
    export=TEXTS,
    arguments=st.lists(BODIES, max_size=3).map(tuple),
    expects_reply=st.booleans(),
    done=st.just(nobody),
    sender=st.none() | IDS,
    cause=st.none() | CAUSES,
    expires_us=st.none() | st.integers(0, 2**53),
    is_durable=st.just(True),  # that is what it is once it is there
    has_place=st.booleans(),
)


@given(LETTERS)
@pytest.mark.slow
def test_a_letter_comes_back_as_it_was(letter: Letter) -> None:
    assert decode_letter(encode_letter(letter)) == letter


def test_a_letter_from_the_store_is_durable_and_answers_whoever_is_named() -> None:
    heard: list[Answer] = []
    volatile = Letter("m", "test", "handle", ({"body": "{}"},), True, nobody)

    found = decode_letter(encode_letter(volatile), heard.append)
    answer = Reply("1", Head(3, Digest("0" * 64)))
    found.done(answer)

    assert found == msgspec.structs.replace(volatile, done=heard.append, is_durable=True)
    assert heard == [answer]


@given(TEXTS, st.none() | IDS, st.integers(0, 2**53))
@pytest.mark.slow
def test_a_deferred_request_comes_back_as_it_was(request_id: str, sender: ActorId | None, expires_us: int) -> None:
    request = Deferred(request_id, sender, expires_us, nobody)

    assert decode_deferred(request_id, encode_deferred(request)) == request
