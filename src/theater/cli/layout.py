"""Lines for people: tables and cut texts, measured in the cells of a terminal, where some characters take two.

Texts come in as they are to be shown: what is risky in them has been written out before, see ``safe``.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

Span = tuple[str, str]
"""A text and its style, in rich's words; "" for none."""

STATUS_STYLES = {"running": "green", "paused": "yellow", "stopped": "dim", "crashed": "red"}

GAP = "  "
"""Between two columns of a table."""

_KIBI = 1024

COLUMN_MIN = 4
"""What a column keeps where a table does not fit: a few characters, and the ellipsis."""


def status_style(text: str) -> str:
    """The style of a status, also of one with something behind a comma; "" for any other text."""
    return STATUS_STYLES.get(text.partition(",")[0], "")


def cut(text: str, columns: int) -> str:
    """``text`` in at most so many cells, an ellipsis where it is cut."""
    if len(text) * 2 <= columns or cell_len(text) <= columns:
        return text
    return set_cell_size(text, columns - 1).rstrip() + "…" if columns > 0 else ""


def cut_spans(spans: Sequence[Span], columns: int) -> list[Span]:
    """The spans of a line in at most so many cells together."""
    kept: list[Span] = []
    left = columns
    for text, style in spans:
        shown = cut(text, left)
        kept.append((shown, style))
        left -= cell_len(shown)
        if shown != text:
            break
    return kept


def table(names: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None) -> list[list[Span]]:
    """A line for the names and one for each row, aligned; each in at most ``columns`` cells where that is given.

    Where it does not fit, the widest columns give way first, as long as there is room for their names.
    """
    widths = [max(map(cell_len, column)) for column in zip(names, *rows, strict=True)]
    if columns is not None:
        room = columns - len(GAP) * (len(widths) - 1)
        for least in (list(map(cell_len, names)), [0] * len(names)):
            widths = _fitted(widths, room, [max(COLUMN_MIN, item) for item in least])
    return [
        [(cell, "bold") for cell in _aligned(names, widths)],
        *([(cell, status_style(cell.strip().removesuffix(GAP))) for cell in _aligned(row, widths)] for row in rows),
    ]


def size_text(size_bytes: int) -> str:
    """``1536`` -> ``1.5 KiB``: for people, rounded."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < _KIBI:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _KIBI
    return f"{size:.1f} TiB"


def count_text(number: int, noun: str) -> str:
    """``2, event`` -> ``2 events``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def last_line(text: str) -> str:
    """Of a traceback, the line that says what it was."""
    return text.strip().rsplit("\n", 1)[-1]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The cells of a line, each with the gap behind it but the last one."""
    shown = [cut(cell, width) for cell, width in zip(cells, widths, strict=True)]
    filled = [cell + " " * (width - cell_len(cell)) + GAP for cell, width in zip(shown, widths, strict=True)]
    while len(filled) > 1 and not filled[-1].strip():
        filled.pop()
    return [*filled[:-1], filled[-1].rstrip()]


def _fitted(widths: Sequence[int], room: int, least: Sequence[int]) -> list[int]:
    """The widths, taken from the widest until they fit, or none has more than its ``least``."""
    fitted = [min(width, max(room, low)) for width, low in zip(widths, least, strict=True)]
    while sum(fitted) > room:
        can_give = [index for index, width in enumerate(fitted) if width > least[index]]
        if not can_give:
            break
        fitted[max(can_give, key=fitted.__getitem__)] -= 1
    return fitted
