"""A guest's JSON value stands in a document as exactly its text, and where there is none there is null."""

from __future__ import annotations

import msgspec
import pytest

from theater.model.wire import Receipt, Replied, StartOrder

RECEIPT = Receipt(seq=1, hash="a" * 64)


@pytest.mark.parametrize("text", [b"1.0000", b'{"a":1,"a":2}', b'"\xc3\xa9 \\u0000"', b"[ null ]", b'"null"', b"true"])
def test_a_value_goes_through_as_its_text(text: bytes) -> None:
    sent = msgspec.json.encode(Replied(reply=msgspec.Raw(text), receipt=RECEIPT))
    found = msgspec.json.decode(sent, type=Replied)

    assert text in sent
    assert found.reply is not None
    assert bytes(found.reply) == text


@pytest.mark.parametrize("nothing", [None, msgspec.Raw(b"null")])
def test_no_value_is_null_and_null_is_no_value(nothing: msgspec.Raw | None) -> None:
    replied = Replied(reply=nothing, receipt=RECEIPT)
    sent = msgspec.json.encode(replied)

    assert sent.startswith(b'{"reply":null,')
    assert replied.reply is None
    assert msgspec.json.decode(sent, type=Replied) == replied


def test_params_that_are_null_are_not_params_that_are_not_there() -> None:
    given = msgspec.json.decode(b'{"manifest":"","params":null}', type=StartOrder)
    absent = msgspec.json.decode(b'{"manifest":""}', type=StartOrder)

    assert isinstance(given.params, msgspec.Raw)
    assert absent.params is msgspec.UNSET
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"manifest":"","unknown":1}', type=StartOrder)
