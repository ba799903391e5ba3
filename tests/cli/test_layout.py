"""Tables and cut texts, in the cells of a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from theater.cli.layout import count_text, cut, cut_spans, size_text, table


def text_of(lines: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(text for text, _ in spans) for spans in lines]


@given(st.text(), st.integers(0, 40))
def test_a_cut_text_takes_no_more_cells_than_it_may(text: str, columns: int) -> None:
    shown = cut(text, columns)

    assert cell_len(shown) <= columns
    assert shown == text or cell_len(text) > columns


def test_a_wide_character_is_counted_as_two() -> None:
    assert cut("日本語", 6) == "日本語"
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 4) == "日…"


def test_columns_are_aligned_where_characters_are_wide() -> None:
    assert text_of(table(["A", "B"], [["日本", "1"], ["x", "2"]], None)) == ["A     B", "日本  1", "x     2"]


def test_the_widest_column_gives_way_first() -> None:
    rows = [["short", "x" * 60, "y" * 30]]

    line = text_of(table(["A", "B", "C"], rows, 60))[1]

    assert line.startswith("short  xxx")
    assert "y" * 23 in line
    assert cell_len(line) <= 60


@given(st.lists(st.lists(st.text("abc日 ", max_size=30), min_size=3, max_size=3), max_size=5), st.integers(20, 80))
def test_a_table_fits(rows: list[list[str]], columns: int) -> None:
    assert all(cell_len(line) <= columns for line in text_of(table(["ONE", "TWO", "THREE"], rows, columns)))


def test_without_a_width_nothing_is_cut() -> None:
    assert "x" * 500 in text_of(table(["A"], [["x" * 500]], None))[1]


def test_a_status_has_its_colour() -> None:
    _, running, hidden = table(["A", "STATUS"], [["running-actor", "running"], ["b", "running, hidden state"]], None)

    assert running == [("running-actor  ", ""), ("running", "green")]
    assert hidden[1] == ("running, hidden state", "green")


def test_spans_are_cut_together() -> None:
    assert cut_spans([("ab", "bold"), ("cdef", ""), ("g", "")], 5) == [("ab", "bold"), ("cd…", "")]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**20, "3.0 MiB"), (2**41, "2.0 TiB")]
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert size_text(size) == text


def test_one_event_two_events() -> None:
    assert (count_text(1, "event"), count_text(2, "event")) == ("1 event", "2 events")
