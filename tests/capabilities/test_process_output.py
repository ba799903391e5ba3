"""Output is cut where it may be cut, nothing of it gets lost below the limit, and what is lost is the oldest."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.capabilities.guest_content import bytes_of
from theater.capabilities.process_output import WAITING_MAX_BYTES, Output
from theater.capabilities.process_spec import PIECE_MAX_BYTES, OutputMode

TEXTS = st.text(st.sampled_from("aé€😀\r\n"), max_size=60)
FORMS = st.sampled_from(["automatic", "text", "base64", "bytes"])
MODES = st.sampled_from([("raw", None), ("lines", None), ("chunks", 4), ("chunks", 5), ("chunks", 17)])


def pieces(mode: OutputMode, form: str, written: Sequence[bytes], *, is_over: bool = True) -> list[str]:
    """What comes of it when each piece is taken as soon as it is there: texts, or base64 behind ``=``."""
    output = Output(mode, form)
    found: list[str] = []
    for data in [*written, None]:
        if data is not None:
            output.write(data)
        elif is_over:
            output.end()
        while (piece := output.take()) is not None:
            (kind, value), has_gap = piece
            assert not has_gap
            assert isinstance(value, str)
            found.append(value if kind == "text" else f"={value}")
    assert output.is_done == is_over
    return found


def test_raw_is_as_it_comes() -> None:
    assert pieces(("raw", None), "automatic", [b"ab", b"c\n", b"d"]) == ["ab", "c\n", "d"]


def test_lines_come_without_their_ends_and_the_last_one_at_the_end() -> None:
    written = [b"on", b"e\ntwo\r\n\nfo", b"ur"]

    assert pieces(("lines", None), "automatic", written) == ["one", "two", "", "four"]


def test_chunks_have_their_size_and_the_last_one_is_shorter() -> None:
    assert pieces(("chunks", 4), "automatic", [b"abc", b"defghi"]) == ["abcd", "efgh", "i"]


@pytest.mark.parametrize("mode", [("raw", None), ("lines", None), ("chunks", 4)])
def test_a_character_is_never_cut(mode: OutputMode) -> None:
    euro = "€".encode()

    assert "".join(pieces(mode, "text", [euro[:1], euro[1:2], euro[2:] + euro])) == "€€"
    assert all(not piece.startswith("=") for piece in pieces(mode, "text", [euro[:1], euro[1:] + b"a" + euro]))


def test_bytes_are_cut_anywhere() -> None:
    euro = "€".encode()

    assert pieces(("raw", None), "base64", [euro[:1], euro[1:]]) == ["=4g==", "=gqw="]
    assert pieces(("chunks", 1), "base64", [euro]) == ["=4g==", "=gg==", "=rA=="]


def test_half_a_character_comes_when_nothing_more_does() -> None:
    assert pieces(("raw", None), "text", [b"a\xe2\x82"]) == ["a", "=4oI="]


def test_what_is_no_text_is_base64() -> None:
    assert pieces(("lines", None), "text", [b"\xff\xfe\nok\n"]) == ["=//4=", "ok"]


@pytest.mark.parametrize("size_bytes", [PIECE_MAX_BYTES - 1, PIECE_MAX_BYTES, PIECE_MAX_BYTES + 1, 2 * PIECE_MAX_BYTES])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_long_line_comes_in_pieces_of_64_kib(size_bytes: int, end: bytes) -> None:
    found = pieces(("lines", None), "automatic", [b"x" * size_bytes + end, b"next\n"][: 2 if end else 1])

    expected = ["x" * PIECE_MAX_BYTES] * (size_bytes // PIECE_MAX_BYTES)
    expected += ["x" * (size_bytes % PIECE_MAX_BYTES)] if size_bytes % PIECE_MAX_BYTES else []
    assert found == expected + (["next"] if end else [])


def test_a_piece_has_at_most_64_kib() -> None:
    found = pieces(("raw", None), "automatic", [b"x" * (3 * PIECE_MAX_BYTES + 1)])

    assert [len(piece) for piece in found] == [PIECE_MAX_BYTES] * 3 + [1]


def test_as_much_waits_as_may_and_of_more_the_oldest_is_lost() -> None:
    output = Output(("raw", None), "automatic")
    output.write(b"a" + b"x" * (WAITING_MAX_BYTES - 1))
    first = output.take()
    assert first is not None
    assert not first[1]
    output.write(b"y" * PIECE_MAX_BYTES)
    output.write(b"zz")

    total, gaps = 0, []
    while (piece := output.take()) is not None:
        total += len(bytes_of(piece[0]) or b"")
        gaps.append(piece[1])

    assert total == WAITING_MAX_BYTES
    assert gaps == [True] + [False] * (len(gaps) - 1)


def test_behind_a_loss_a_line_begins_at_its_beginning_and_a_character_too() -> None:
    lines = Output(("lines", None), "automatic")
    lines.write(b"0123456789\n" * (WAITING_MAX_BYTES // 11 + 3))
    assert lines.take() == (("text", "0123456789"), True)
    assert lines.take() == (("text", "0123456789"), False)

    text = Output(("raw", None), "text")
    text.write("€".encode() * (WAITING_MAX_BYTES // 3 + 2))
    piece = text.take()
    assert piece is not None
    assert piece[0][0] == "text"
    assert piece[1]


def test_one_endless_line_is_lost_from_its_beginning() -> None:
    output = Output(("lines", None), "automatic")
    output.write(b"x" * (WAITING_MAX_BYTES + 10))

    piece = output.take()

    assert piece == (("text", "x" * PIECE_MAX_BYTES), True)


@given(st.lists(TEXTS.map(str.encode), max_size=6), MODES, FORMS)
def test_nothing_is_lost_and_every_text_is_one(written: list[bytes], mode: OutputMode, form: str) -> None:
    output = Output(mode, form)
    found = b""
    for data in [*written, None]:
        if data is None:
            output.end()
        else:
            output.write(data)
        while (piece := output.take()) is not None:
            content, has_gap = piece
            assert not has_gap
            if form in ("automatic", "text"):
                assert content[0] == "text"
            data_of = bytes_of(content) or b""
            assert len(data_of) <= (mode[1] or PIECE_MAX_BYTES)
            found += data_of + (b"\n" if mode[0] == "lines" else b"")
    whole = b"".join(written)
    if mode[0] == "lines":
        assert found.removesuffix(b"\n") == whole.replace(b"\r\n", b"\n").removesuffix(b"\n")
    else:
        assert found == whole


@given(st.lists(st.binary(max_size=40), max_size=6), MODES.filter(lambda mode: mode[0] != "lines"))
def test_bytes_of_any_kind_come_out_as_they_went_in(written: list[bytes], mode: OutputMode) -> None:
    found = b"".join(base64.b64decode(piece[1:]) for piece in pieces(mode, "base64", written))

    assert found == b"".join(written)
