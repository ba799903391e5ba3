"""What can be said of a component's file before a compiler sees it.

The file comes from anywhere. Reading its sections (and nothing inside them but two counters) answers: is it a component
at all, is it whole, which custom sections does it carry. Custom sections never change what code does, and all of them
are taken out before compiling: function names alone can make the text of a trap hundreds of megabytes long. Where the
``name`` sections lie is remembered, so that a backtrace can be given its names when there is a crash to explain.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from theater.errors import InvalidComponent

COMPONENT_MAX_BYTES = 64 << 20
"""The largest that the toolchains make is 19 MB (CPython inside), and compiling costs up to 250 bytes per byte."""
SECTIONS_MAX = 200_000
NESTING_MAX = 16
"""Components within components; composition tools make two or three."""
GLOBALS_MAX = 100_000
"""Of one core module: they cost memory in every instance, outside the memory limit."""
MEMORIES_MAX = 1
"""That one core module defines: a pool has room for no more. What joins composed components only imports others'."""

_MAGIC = b"\0asm"
_COMPONENT = b"\x0d\0\x01\0"
_MODULE = b"\x01\0\0\0"
_CUSTOM = 0
_CORE_MODULE = 1
_NESTED_COMPONENT = 4
_MEMORY = 5  # within a core module
_GLOBAL = 6


@dataclass(frozen=True, slots=True)
class CoreModule:
    """Where a core module lies in what is compiled, and where its ``name`` section lies in the file (0, 0: none)."""

    start: int
    end: int
    names_offset: int
    names_size: int


@dataclass(frozen=True, slots=True)
class Stripped:
    """A component without its custom sections."""

    binary: bytes
    modules: tuple[CoreModule, ...]
    memories: int
    """How many the core modules define together. A module that is instantiated twice counts once."""


def read_component(path: PurePath) -> bytes:
    """The bytes of a component's file.

    Raises ``InvalidComponent`` where it is something else; the message says what, and what to do.
    """
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > COMPONENT_MAX_BYTES:
                raise InvalidComponent(f"{path} has {size} bytes; a component may have {COMPONENT_MAX_BYTES}")
            data = file.read(COMPONENT_MAX_BYTES + 1)
    except OSError as error:
        raise InvalidComponent(f"{path} cannot be read: {error.strerror}") from error
    check_preamble(data, str(path))
    return data


def check_preamble(data: bytes, name: str) -> None:
    """Raise ``InvalidComponent`` unless ``data`` begins as a component does."""
    if not data:
        raise InvalidComponent(f"{name} is empty")
    if data[:8] == _MAGIC + _COMPONENT:
        return
    if data[:8] == _MAGIC + _MODULE:
        raise InvalidComponent(
            f"{name} is a core module, not a component: wrap it with `wasm-tools component new`, "
            "or build it for a component target such as wasm32-wasip2"
        )
    if data[:4] == _MAGIC:
        what = "is cut off" if len(data) < 8 else f"has an unknown WebAssembly version ({data[4:8].hex()})"
        raise InvalidComponent(f"{name} {what}")
    if _looks_like_text(data):
        raise InvalidComponent(f"{name} holds WebAssembly text, not a binary: rename it to .wat")
    raise InvalidComponent(f"{name} is not WebAssembly: it does not begin with \\0asm")


def strip(data: bytes) -> Stripped:
    """``data`` without custom sections.

    Raises ``InvalidComponent`` where a section is cut off or a count is beyond bounds. What is inside the sections is
    for the compiler to check.
    """
    walker = _Walker(data)
    binary = walker.component(0, len(data), 0)
    return Stripped(binary, tuple(walker.modules), walker.memories)


def _looks_like_text(data: bytes) -> bool:
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    return start[:1] == b"(" or start[:2] == b";;"


@dataclass(frozen=True, slots=True)
class _Section:
    id: int
    start: int  # of its id byte
    body: int
    end: int


class _Walker:
    """One pass over one file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._sections = 0
        self.modules: list[CoreModule] = []
        self.memories = 0

    def component(self, start: int, end: int, base: int, depth: int = 0) -> bytes:
        """The component at ``start``, stripped; ``base`` is where that will lie in what is compiled."""
        if depth > NESTING_MAX:
            raise InvalidComponent(f"components are nested more than {NESTING_MAX} deep")
        parts = [self._preamble(start, end, _COMPONENT)]
        position = base + 8
        for section in self._walk(start + 8, end):
            if section.id == _CUSTOM:
                continue
            if section.id in {_CORE_MODULE, _NESTED_COMPONENT}:
                part = self._nested(section, position, depth)
            else:
                part = self._data[section.start : section.end]
            parts.append(part)
            position += len(part)
        return b"".join(parts)

    def _nested(self, section: _Section, position: int, depth: int) -> bytes:
        # The size in front of what is inside depends on it, and where that lies depends on the size: so twice.
        known = len(self.modules)
        body = self._inside(section, 0, depth)
        head = bytes((section.id,)) + _leb(len(body))
        offset = position + len(head)
        for i in range(known, len(self.modules)):
            m = self.modules[i]
            self.modules[i] = CoreModule(m.start + offset, m.end + offset, m.names_offset, m.names_size)
        return head + body

    def _inside(self, section: _Section, base: int, depth: int) -> bytes:
        if section.id == _NESTED_COMPONENT:
            return self.component(section.body, section.end, base, depth + 1)
        return self._module(section.body, section.end)

    def _module(self, start: int, end: int) -> bytes:
        parts = [self._preamble(start, end, _MODULE)]
        names = (0, 0)
        for section in self._walk(start + 8, end):
            if section.id == _CUSTOM:
                size, at = self._number(section.body, section.end)
                if self._data[at : at + size] == b"name" and size == len("name"):
                    names = (at + size, section.end - at - size)
                continue
            if section.id == _MEMORY:
                count = self._number(section.body, section.end)[0]
                if count > MEMORIES_MAX:
                    raise InvalidComponent(f"a core module defines {count} memories; it may define {MEMORIES_MAX}")
                self.memories += count
            elif section.id == _GLOBAL and (count := self._number(section.body, section.end)[0]) > GLOBALS_MAX:
                raise InvalidComponent(f"a core module has {count} globals; it may have {GLOBALS_MAX}")
            parts.append(self._data[section.start : section.end])
        binary = b"".join(parts)
        self.modules.append(CoreModule(0, len(binary), *names))
        return binary

    def _preamble(self, start: int, end: int, version: bytes) -> bytes:
        if end - start < 8 or self._data[start : start + 8] != _MAGIC + version:
            what = "component" if version == _COMPONENT else "core module"
            raise InvalidComponent(f"the {what} at byte {start} has no valid beginning")
        return _MAGIC + version

    def _walk(self, position: int, end: int) -> Iterator[_Section]:
        while position < end:
            self._sections += 1
            if self._sections > SECTIONS_MAX:
                raise InvalidComponent(f"the component has more than {SECTIONS_MAX} sections")
            size, body = self._number(position + 1, end)
            if body + size > end:
                missing = body + size - end
                raise InvalidComponent(f"the file is cut off: its section at byte {position} lacks {missing} bytes")
            yield _Section(self._data[position], position, body, body + size)
            position = body + size

    def _number(self, position: int, end: int) -> tuple[int, int]:
        """An unsigned LEB128 of 32 bits, and where it ends."""
        value = 0
        for shift in range(0, 35, 7):
            if position >= end:
                raise InvalidComponent(f"the file is cut off at byte {end}")
            byte = self._data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
        raise InvalidComponent(f"the number that ends at byte {position} is too long")


def _leb(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
