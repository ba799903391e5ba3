"""Server-sent events, as WHATWG defines them, whatever the pieces in which they come."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from theater.client.event_stream import EventStream, StreamEvent
from theater.errors import InternalError

LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"",
                b"",
                b"data",
                b"data:",
                b"data: x",
                b"data:  y",
                b"event: e",
                b"id: 7",
                b"id",
                b"id: a\0b",
                b"retry: 1",
            ]
        ),
        st.binary(max_size=12).map(lambda text: text.replace(b"\r", b"").replace(b"\n", b"")),
    ),
    max_size=12,
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


def fed(*pieces: bytes) -> list[StreamEvent]:
    stream = EventStream()
    return [event for piece in pieces for event in stream.feed(piece)]


def by_the_book(text: bytes) -> list[StreamEvent]:
    """The standard's algorithm over a whole text, in the order in which it is written there."""
    found: list[StreamEvent] = []
    data, kind, last_id = b"", b"", b""
    lines = text.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for line in lines[:-1]:
        if line == b"":
            if data:
                found.append(StreamEvent(kind.decode(errors="replace") or "message", data[:-1], last_id.decode()))
            data, kind = b"", b""
        elif not line.startswith(b":"):
            field, _, value = line.partition(b":")
            value = value[1:] if value.startswith(b" ") else value
            if field == b"event":
                kind = value
            elif field == b"data":
                data += value + b"\n"
            elif field == b"id" and b"\0" not in value:
                last_id = value
    return found


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [StreamEvent("message", b"YHOO\n+2\n10", "")]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [
                StreamEvent("message", b"first event", "1"),
                StreamEvent("message", b"second event", ""),
                StreamEvent("message", b" third event", ""),
            ],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [StreamEvent("message", b"", ""), StreamEvent("message", b"\n", "")]),
        (b"data:test\n\ndata: test\n\n", [StreamEvent("message", b"test", "")] * 2),
        (b"event: a\n\ndata: x\n\n", [StreamEvent("message", b"x", "")]),
        (b"event: a\ndata: x\n\n", [StreamEvent("a", b"x", "")]),
        (b"id: 5\n\ndata: x\n\n", [StreamEvent("message", b"x", "5")]),
        (b"id: 5\nid: a\0b\ndata: x\n\n", [StreamEvent("message", b"x", "5")]),
        (b"\xef\xbb\xbfdata: x\n\n", [StreamEvent("message", b"x", "")]),
        (b"data: x", []),
        (b"data: x\n", []),
        (b"Data: x\n\n data: y\n\n", []),
        (b"", []),
    ],
)
def test_the_examples_of_the_standard(text: bytes, events: list[StreamEvent]) -> None:
    assert fed(text) == events
    assert fed(*(text[at : at + 1] for at in range(len(text)))) == events


@given(LINES, st.lists(ENDS, min_size=12, max_size=12), st.lists(st.integers(0, 200), max_size=8))
@example([b"data: x", b"", b"data: y", b""], [b"\r\n"] * 12, [8, 9, 10])
@example([b"data: x", b""], [b"\r", b"\n", *[b"\n"] * 10], [8])
@pytest.mark.slow
def test_any_pieces_give_the_same_events(lines: list[bytes], ends: list[bytes], cuts: list[int]) -> None:
    text = b"".join(line + end for line, end in zip(lines, ends, strict=False))
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:stop] for start, stop in pairwise(places)]

    assert fed(*pieces) == fed(text)
    try:
        expected = by_the_book(text)
    except UnicodeDecodeError:  # of an id: the book of this test reads none that is no text
        return
    assert fed(text) == expected


def test_where_to_go_on_is_known_without_an_event() -> None:
    stream = EventStream()

    assert stream.feed(b"id: 12\n") == []
    assert stream.last_id == ""
    assert stream.feed(b"\n") == []
    assert stream.last_id == "12"


@pytest.mark.parametrize("text", [b"data: xxxxxxxx", b"x" * 20, b"data: x\n" * 20, b"data:\n" * 20])
def test_what_never_ends_is_not_kept(text: bytes) -> None:
    stream = EventStream(event_max_bytes=10)

    def feed() -> None:
        for at in range(len(text)):
            stream.feed(text[at : at + 1])

    with pytest.raises(InternalError, match="more than 10 bytes"):
        feed()


def test_an_event_may_be_as_large_as_the_limit_and_the_next_one_too() -> None:
    stream = EventStream(event_max_bytes=10)

    assert len(stream.feed(b"data:1234\n\n" * 100)) == 100
