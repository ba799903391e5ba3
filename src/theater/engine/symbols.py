"""Function names for backtraces, read from the component's file only when there is a crash to explain.

They are guest data: cut, with control characters replaced, and bounded in number.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from theater.engine.component_file import CoreModule

NAME_MAX = 200
"""Characters of one name that are shown."""
NAMES_SECTION_MAX_BYTES = 8 << 20
"""Of a ``name`` section that is read at all; CPython's has 1 MB."""
FUNCTIONS_MAX = 300_000
"""Entries that are looked through, a few hundred nanoseconds each."""

_FRAME = re.compile(r"^ +\d+: +0x([0-9a-f]{1,16}) - (.*)$", re.MULTILINE)
_INDEX = re.compile(r"<wasm function (\d{1,9})>$")
_FUNCTION_NAMES = 1  # the subsection of the name section that has them


class Symbols:
    """The names of one component's functions."""

    def __init__(self, component: PurePath, modules: tuple[CoreModule, ...]) -> None:
        self._component = component
        self._modules = modules

    def resolve(self, backtrace: str) -> str:
        """A backtrace as wasmtime wrote it, one line a frame, with names where the file has them."""
        frames = [(int(m[1], 16), _INDEX.search(m[2])) for m in _FRAME.finditer(backtrace)]
        wanted: dict[CoreModule, set[int]] = {}
        placed = []
        for offset, index in frames:
            module = next((m for m in self._modules if m.start <= offset < m.end), None)
            number = int(index[1]) if index else -1
            placed.append((offset, module, number))
            if module is not None and number >= 0:
                wanted.setdefault(module, set()).add(number)
        names = {module: self._names(module, numbers) for module, numbers in wanted.items()}
        lines = []
        for position, (offset, module, number) in enumerate(placed):
            name = names.get(module, {}).get(number) if module else None
            lines.append(f"{position:3}: {offset:#x} {name or f'wasm-function[{number}]'}")
        return "\n".join(lines)

    def _names(self, module: CoreModule, numbers: set[int]) -> dict[int, str]:
        if not 0 < module.names_size <= NAMES_SECTION_MAX_BYTES:
            return {}
        try:
            with Path(self._component).open("rb") as file:
                file.seek(module.names_offset)
                data = file.read(module.names_size)
            return _function_names(data, numbers)
        except (OSError, IndexError):
            return {}  # the file is gone, or its names are not what they should be: then there are none


def _function_names(data: bytes, wanted: set[int]) -> dict[int, str]:
    position = 0
    while position < len(data):
        kind = data[position]
        size, position = _number(data, position + 1)
        if kind == _FUNCTION_NAMES:
            return _read_names(data, position, wanted)
        position += size
    return {}


def _read_names(data: bytes, position: int, wanted: set[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    count, position = _number(data, position)
    for _ in range(min(count, FUNCTIONS_MAX)):
        index, position = _number(data, position)
        size, position = _number(data, position)
        if index in wanted:
            text = data[position : position + min(size, 4 * NAME_MAX)].decode("utf-8", "replace")[:NAME_MAX]
            found[index] = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
            if len(found) == len(wanted):
                break
        position += size
    return found


def _number(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 35:
            return value, position
        shift += 7
