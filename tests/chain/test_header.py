"""The bytes of a header: one form, and nothing but that form is read."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.errors import InvalidInput, Unsound
from theater.model import header as header_module
from theater.model.event import KINDS, NO_HASH, SEQ_MAX, Header
from theater.model.header import decode_header, encode_header, event_hash, format_time, parse_time
from theater.model.ids import ActorId, Digest

HEADER = Header(
    actor=ActorId("0123456789abcdef" * 2),
    seq=7,
    prev=Digest("ab" * 32),
    time_us=1_767_225_600_000_042,
    kind="host",
    name="theater:timing#now",
    commit=Digest("cd" * 32),
    size_bytes=12,
)
BYTES = (
    b'{"v":1,"actor":"0123456789abcdef0123456789abcdef","seq":7,"prev":"' + b"ab" * 32 + b'","time":'
    b'"2026-01-01T00:00:00.000042Z","kind":"host","name":"theater:timing#now","commit":"' + b"cd" * 32 + b'","size":12}'
)

hexes = st.text("0123456789abcdef", min_size=64, max_size=64)
plain = st.text([chr(c) for c in range(32, 127) if chr(c) not in '"\\'])
headers = st.builds(
    Header,
    actor=st.text("0123456789abcdef", min_size=32, max_size=32).map(ActorId),
    seq=st.integers(0, SEQ_MAX),
    prev=hexes.map(Digest),
    time_us=st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
    kind=st.sampled_from(KINDS),
    name=plain.filter(lambda text: len(text) <= 200),
    commit=hexes.map(Digest),
    size_bytes=st.integers(0, SEQ_MAX),
    trace=st.none() | plain,
)


def test_a_header_has_exactly_these_bytes() -> None:
    assert encode_header(HEADER) == BYTES
    assert decode_header(BYTES, seq=7) == HEADER


def test_the_hash_of_an_event_is_the_leaf_hash_of_its_header() -> None:
    assert event_hash(BYTES) == hashlib.sha256(b"\x00" + BYTES).hexdigest()


@given(headers)
def test_what_is_encoded_is_decoded_and_is_compact_json(header: Header) -> None:
    data = encode_header(header)

    assert decode_header(data, seq=0) == header
    assert json.dumps(json.loads(data), separators=(",", ":")).encode() == data


@given(headers, st.data())
@pytest.mark.slow
def test_no_other_bytes_are_read_as_the_same_header(header: Header, data: st.DataObject) -> None:
    encoded = bytearray(encode_header(header))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= data.draw(st.integers(1, 255))

    try:
        changed = decode_header(bytes(encoded), seq=0)
    except Unsound:
        return
    assert changed != header
    assert encode_header(changed) == encoded


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"v":1', b'"v":2', "version 2 is not known"),
        (b'"v":1', b'"v":"1"', "version '1' is not known"),
        (b'{"v":1,"actor"', b'{"v":3,"author"', "version '3' is not known"),
        (b'"host"', b'"guest"', "kind 'guest' is not known"),
        (b'"host"', b'"Host"', "kind 'Host' is not known"),
        (b'"seq":7', b'"seq":07', "not JSON"),
        (b'"seq":7', b'"seq":7.0', "one form"),
        (b'"seq":7', b'"seq":-7', "one form"),
        (b'"seq":7', b'"seq":9007199254740992', "not between"),
        (b'"size":12', b'"size":9007199254740992', "not between"),
        (b'"size":12', b'"size":99999999999999999999', "one form"),
        (b'"v":1,', b'"v":1, ', "one form"),
        (b'"v":1,"actor"', b'"v":1,"v":1,"actor"', "one form"),
        (b'{"v":1', b"[" * 60_000 + b'{"v":1', "one form"),
        (b'{"v":1', b'{"x":' * 10_000 + b'{"v":1', "one form"),
        (b'{"v":1', b'{"v":2,"more":' + b"[" * 50 + b"]" * 50, "version '2' is not known"),
        (b"ab" * 32, b"AB" * 32, "one form"),
        (b"0123456789abcdef" * 2, b"0123456789abcdef", "one form"),
        (b"2026-01-01T", b"2026-02-30T", "no such time"),
        (b"T00:00:00.", b"T24:00:00.", ""),
        (b"T00:00:00.", b"T23:59:60.", "no such time"),
        (b".000042Z", b".000042z", "one form"),
        (b".000042Z", b".0042Z", "one form"),
        (b".000042Z", b"+00:0042", "one form"),
        (b"2026-01-01T", b"2026-01-01 ", "one form"),
        (b"theater:timing#now", b"a" * 201, "no name"),
        (b"theater:timing#now", b"caf\xc3\xa9", "one form"),
        (b"theater:timing#now", b"a\\u0062", "one form"),
        (b"theater:timing#now", b"a\nb", "not JSON"),
        (b"theater:timing#now", b"\x7f", "one form"),
        (b'"size":12}', b'"size":12,"trace":null}', "one form"),
        (b'"size":12}', b'"size":12,"more":1}', "one form"),
        (b'"size":12}', b'"size":12}\n', "one form"),
        (b'"size":12}', b'"size":12', "not JSON"),
        (b'"size":12}', b'"size":12,"trace":"' + b"t" * 65_536 + b'"}', "at most 65535"),
    ],
)
def test_other_bytes_are_refused_and_the_event_is_named(old: bytes, new: bytes, reason: str) -> None:
    assert old in BYTES
    with pytest.raises(Unsound, match="event 7: ") as caught:
        decode_header(BYTES.replace(old, new), seq=7)

    assert reason in caught.value.message
    assert caught.value.data["seq"] == 7


def test_bytes_that_a_laxer_parser_takes_are_refused_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    lax = re.compile(header_module._HEADER.pattern.replace(b',"seq"', b', ?"seq"'))
    monkeypatch.setattr(header_module, "_HEADER", lax)
    assert decode_header(BYTES, seq=7) == HEADER

    with pytest.raises(Unsound, match="event 7: the header, written again, has other bytes"):
        decode_header(BYTES.replace(b',"seq"', b', "seq"'), seq=7)


def test_a_header_just_under_64_kib_is_read() -> None:
    trace = "t" * (65_535 - len(BYTES) - len(',"trace":""'))
    data = BYTES[:-1] + f',"trace":"{trace}"}}'.encode()

    assert len(data) == 65_535
    assert decode_header(data, seq=7).trace == trace


@pytest.mark.parametrize(
    "changed",
    [
        {"name": 'a"b'},
        {"name": "a\\b"},
        {"name": "caf\xe9"},
        {"name": "a\n"},
        {"name": "a" * 201},
        {"seq": SEQ_MAX + 1},
        {"seq": -1},
        {"size_bytes": -1},
        {"time_us": 10**18},
        {"time_us": -(10**18)},
        {"trace": '"'},
        {"trace": "t" * 65_536},
    ],
)
def test_a_header_that_could_not_be_read_again_is_not_written(changed: dict[str, object]) -> None:
    fields = {name: getattr(HEADER, name) for name in HEADER.__struct_fields__} | changed
    with pytest.raises(InvalidInput):
        encode_header(Header(**fields))


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_a_time_is_written_as_the_calendar_says_and_read_back(time_us: int) -> None:
    text = format_time(time_us)

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    assert text == moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert parse_time(text) == time_us


@pytest.mark.parametrize(
    "text", ["", "2026-01-01T00:00:00Z", "2026-1-01T00:00:00.000000Z", "\uff12026-01-01T00:00:00.000000Z"]
)
def test_a_time_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_time(text)


def test_the_first_event_follows_64_zeros() -> None:
    assert NO_HASH == "0" * 64
