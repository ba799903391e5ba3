"""A chain as text: one form, read strictly and with bounds."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.chain.lines import decode_line, encode_line, read_lines
from theater.errors import Unsound
from theater.model.event import Event
from theater.testing.chains import ChainMaker, chain_of

CHAIN = chain_of(2)
EVENT = CHAIN.events[1]
LINE = encode_line(EVENT)


def text_of(events: list[Event]) -> io.BytesIO:
    return io.BytesIO(b"".join(encode_line(event) for event in events))


def test_a_line_is_the_compact_json_that_anybody_would_write() -> None:
    for event in CHAIN.events:
        assert event.salt is not None
        assert event.payload is not None
        fields = {"header": event.header_bytes.decode(), "salt": event.salt.hex(), "payload": event.payload.decode()}
        line = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        assert encode_line(event) == line


def test_an_exported_chain_reads_back_as_the_same_events() -> None:
    assert list(read_lines(text_of(CHAIN.events).readline)) == CHAIN.events


@given(st.text(st.characters(codec="utf-8")))
def test_any_payload_text_reads_back(text: str) -> None:
    event = ChainMaker().add("genesis", "genesis", json.dumps(text, ensure_ascii=False).encode())
    line = encode_line(event)

    assert decode_line(line, seq=0) == event
    assert line.count(b"\n") == 1
    fields = json.loads(line)
    assert json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" == line


def test_a_withheld_payload_is_two_nulls() -> None:
    withheld = Event(EVENT.header, EVENT.header_bytes, EVENT.hash, None, None)
    line = encode_line(withheld)

    assert line.endswith(b',"salt":null,"payload":null}\n')
    assert decode_line(line, seq=1) == withheld


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\n", b""),
        (b"\n", b"\r\n"),
        (b'{"header":', b'{"header": '),
        (b'{"header":', b' {"header":'),
        (b'"salt":"', b'"salt":"0'),
        (b'"salt":"', b'"Salt":"'),
        (b'"}\n', b'","more":1}\n'),
        (b'"}\n', b'","salt":null}\n'),
        ("é".encode(), b"\\u00e9"),
        (b"header", b"\\u0068eader"),
        (b"v", b"\\u0076"),
        (b"/", b"\\/"),
        (b"{", b"\xff{"),
        (b"{", b"\xef\xbb\xbf{"),
        (LINE, b"\n"),
        (LINE, b"[]\n"),
        (LINE, b'{"header":1,"salt":null,"payload":null}\n'),
        (LINE, b'{"header":"\xc3\xa9","salt":null,"payload":null}\n'),
        (LINE, b"[" * 100_000 + b"\n"),
    ],
)
def test_a_line_with_other_bytes_is_refused(old: bytes, new: bytes) -> None:
    event = ChainMaker().add("genesis", "genesis", '{"a":"é\\n/"}'.encode())
    line = encode_line(event) if old != LINE else LINE
    assert old in line
    with pytest.raises(Unsound, match="event 5: "):
        decode_line(line.replace(old, new, 1), seq=5)


@pytest.mark.parametrize("salt", ["", "00", "AB" * 16, "zz" * 16, "ab " * 16, "ab" * 17])
def test_a_salt_of_another_form_is_refused(salt: str) -> None:
    fields = {**json.loads(LINE), "salt": salt}
    with pytest.raises(Unsound, match="salt"):
        decode_line(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n", seq=1)


@pytest.mark.parametrize("missing", ["salt", "payload"])
def test_salt_and_payload_are_there_together_or_not_at_all(missing: str) -> None:
    fields = {**json.loads(LINE), missing: None}
    with pytest.raises(Unsound, match="only one of salt and payload"):
        decode_line(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n", seq=1)


def test_a_payload_over_the_limit_is_refused_before_much_is_read() -> None:
    asked: list[int] = []

    def readline(size: int) -> bytes:
        asked.append(size)
        return b"x" * size

    with pytest.raises(Unsound, match="event 0: needs a line of over"):
        list(read_lines(readline, payload_max_bytes=1000))
    assert asked[0] < 140_000
    large = ChainMaker().add("genesis", "genesis", b'"' + b"x" * 999 + b'"')
    with pytest.raises(Unsound, match="event 0: needs a payload of 1001 bytes, allowed 1000"):
        list(read_lines(text_of([large]).readline, payload_max_bytes=1000))


def test_a_large_payload_lies_beside_the_lines_of_a_bundle_and_only_there() -> None:
    payload = b'"' + b"x" * 70_000 + b'"'
    event = ChainMaker().add("genesis", "genesis", payload)
    line = encode_line(event, large_beside=True)

    assert len(line) < 1000
    assert (
        decode_line(line, seq=0, load_payload=lambda seq, size: payload if (seq, size) == (0, 70_002) else b"") == event
    )
    with pytest.raises(Unsound, match="only one of salt and payload"):
        decode_line(line, seq=0)
    with pytest.raises(Unsound, match="must lie beside"):
        decode_line(encode_line(event), seq=0, load_payload=lambda _seq, _size: payload)


def test_a_small_payload_does_not_lie_beside_the_lines() -> None:
    fields = {**json.loads(LINE), "payload": None}
    with pytest.raises(Unsound, match="payload is missing"):
        decode_line(
            json.dumps(fields, separators=(",", ":")).encode() + b"\n", seq=1, load_payload=lambda _seq, _size: b""
        )
