"""What happened gets its place, its commitment and its hash."""

from __future__ import annotations

import hashlib

import pytest

from theater.chain.links import ChainChecker
from theater.chain.sealing import seal
from theater.errors import InvalidInput
from theater.model.commitment import payload_commit, why_not_committed
from theater.model.event import EMPTY, NO_HASH, Event, Head
from theater.model.ids import ActorId

ACTOR = ActorId("ab" * 16)
SALT = bytes(range(16))


def sealed(head: Head = EMPTY, **changed: object) -> Event:
    fields: dict[str, object] = {"kind": "genesis", "name": "genesis", "payload": b"{}", "salt": SALT, "time_us": 1000}
    return seal(head, actor=ACTOR, **{**fields, **changed})  # type: ignore[arg-type] # the fields of one test each


def test_an_event_takes_the_place_behind_the_head() -> None:
    first = sealed()
    second = sealed(Head(0, first.hash), kind="lifecycle", name="started")

    assert (first.header.seq, first.header.prev) == (0, NO_HASH)
    assert (second.header.seq, second.header.prev) == (1, first.hash)
    checker = ChainChecker()
    checker.feed(first)
    checker.feed(second)
    assert checker.head == Head(1, second.hash)


def test_the_commitment_is_the_salted_hash_of_the_payload() -> None:
    event = sealed(payload=b'{"a":1}')

    assert event.header.commit == hashlib.sha256(b"theater/payload/v1\n" + SALT + b'{"a":1}').hexdigest()
    assert event.header.size_bytes == 7


def test_the_commitment_to_a_large_payload_is_that_of_the_whole() -> None:
    payload = b'"' + b"x" * 200_000 + b'"'

    assert payload_commit(SALT, payload) == hashlib.sha256(b"theater/payload/v1\n" + SALT + payload).hexdigest()


def test_a_name_that_no_header_can_hold_is_refused() -> None:
    with pytest.raises(InvalidInput):
        sealed(name='"')


@pytest.mark.parametrize(
    ("salt", "payload", "problem"),
    [
        (SALT, b"{}", None),
        (None, None, None),
        (SALT, None, "only one"),
        (None, b"{}", "only one"),
        (SALT[:15], b"{}", "a salt of 15 bytes"),
        (SALT, b"{} ", "has 3 bytes and the header says 2"),
        (SALT, b"[]", "commits to"),
        (SALT[::-1], b"{}", "commits to"),
    ],
)
def test_a_payload_that_was_not_committed_to_is_found(
    salt: bytes | None, payload: bytes | None, problem: str | None
) -> None:
    event = sealed()
    found = why_not_committed(Event(event.header, event.header_bytes, event.hash, salt, payload))

    assert (found is None) if problem is None else (found is not None and problem in found)
