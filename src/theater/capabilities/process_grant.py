"""Which programs an actor may run, and how much each may use: the grant of ``process``."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from theater.capabilities.grant_table import (
    check_keys,
    common,
    few_texts_of,
    least,
    manifest_line,
    number_lines,
    number_of,
    outside,
)
from theater.errors import InvalidManifest
from theater.model.quantity import (
    parse_count,
    parse_duration,
    parse_milliseconds,
    parse_size,
    show_milliseconds,
    show_size,
)

NAME = "process"
PATH_MAX_BYTES = 4096
"""PATH_MAX of Linux."""

PROCESSES_DEFAULT = 8
"""As many as a person would watch."""
PROCESSES_MAX = 64
"""Each has a pipe for input, two for output, and a process that watches it."""
TIMEOUT_DEFAULT_MS = 50_000
"""With the 5 s until it is killed less than the limit ``wait`` is by itself: who waits for it hears of ``timeout``."""
TIMEOUT_MAX_MS = 365 * 24 * 3_600_000
"""A year: a program that was started may be meant to stay."""
IO_DEFAULT_BYTES = 2**20
"""As large as a message may be: it is recorded whole."""
IO_MAX_BYTES = 64 * 2**20
"""It is in memory and in the chain whole: for more, there are files."""
MEMORY_DEFAULT_BYTES = 2 * 2**30
"""Addresses, of which programs reserve more than they use: a compiler of ours is given as much."""
MEMORY_MIN_BYTES = 64 * 2**20
"""With less, what starts programs cannot do even that."""
MEMORY_MAX_BYTES = 2**44
"""16 TiB: some runtimes reserve a terabyte."""
CPU_DEFAULT_S = 60
"""The default time, on one core."""
CPU_MAX_S = TIMEOUT_MAX_MS // 1000
FILES_DEFAULT = 256
"""What some systems give everybody."""
FILES_MIN = 16
"""Below that few programs start."""
FILES_MAX = 65_536
FILE_DEFAULT_BYTES = 2**30
"""As much as an actor may fill a directory with: see the quota of ``filesystem``."""
FILE_MAX_BYTES = 2**50
"""A PiB, beyond the disks that we run on."""

_PROGRAM_NAME = re.compile(r"[A-Za-z0-9._+-]{1,64}\Z")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}\Z")
_LOADER = ("LD_", "DYLD_")
_LIBRARY = frozenset({"GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "LOCPATH", "MALLOC_TRACE", "NLSPATH"})


@dataclass(frozen=True, slots=True)
class ProcessGrant:
    """Programs, variables that they may be given, how many run at once, and what each may use.

    ``allow`` has paths, or ``NAME=path``, which allows the path as well.
    """

    allow: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    processes: int = PROCESSES_DEFAULT
    timeout_ms: int = TIMEOUT_DEFAULT_MS
    input_bytes: int = IO_DEFAULT_BYTES
    output_bytes: int = IO_DEFAULT_BYTES
    memory_bytes: int = MEMORY_DEFAULT_BYTES
    cpu_s: int = CPU_DEFAULT_S
    files: int = FILES_DEFAULT
    file_bytes: int = FILE_DEFAULT_BYTES

    def __post_init__(self) -> None:
        shown = self._shown
        for key, value, lowest, most in (
            ("processes", self.processes, 0, PROCESSES_MAX),
            ("timeout", self.timeout_ms, 0, TIMEOUT_MAX_MS),
            ("input", self.input_bytes, 0, IO_MAX_BYTES),
            ("output", self.output_bytes, 0, IO_MAX_BYTES),
            ("memory", self.memory_bytes, MEMORY_MIN_BYTES, MEMORY_MAX_BYTES),
            ("cpu-time", self.cpu_s, 1, CPU_MAX_S),
            ("files", self.files, FILES_MIN, FILES_MAX),
            ("file-size", self.file_bytes, 0, FILE_MAX_BYTES),
        ):
            if not lowest <= value <= most:
                bound = f"{shown(key, lowest)} is the least, " if lowest else ""
                raise InvalidManifest(f"[capabilities.{NAME}] {key}: {bound}{shown(key, most)} is the most")
        items = [_plain_program(item) for item in self.allow]
        object.__setattr__(self, "allow", least(items, _covers))
        object.__setattr__(self, "environment", least(map(_plain_variable, self.environment), _equals))
        names = [item.partition("=")[0] for item in self.allow if not item.startswith("/")]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InvalidManifest(f"[capabilities.{NAME}] allow: {twice[0]!r} is the name of two programs")

    def path_of(self, program: str) -> str | None:
        """The path of a program, by its name or its path; None where it is not granted."""
        for item in self.allow:
            path = path_in(item)
            if program == path or item == f"{program}={path}":
                return path
        return None

    def table(self) -> dict[str, object]:
        numbers = {key: self._shown(key, value) for key, value in self.numbers().items()}
        return {"allow": list(self.allow), "environment": list(self.environment), **numbers}

    def lines(self, beyond: ProcessGrant | None) -> list[str]:
        wide = beyond or ProcessGrant()
        found = [manifest_line("allow", [item]) for item in outside(self.allow, wide.allow, _covers)]
        found += [manifest_line("environment", [name]) for name in outside(self.environment, wide.environment, _equals)]
        own, most = self.numbers(), wide.numbers()
        shown = {key: self._shown(key, value) for key, value in own.items()}
        found += number_lines(own, most, shown, is_named=beyond is None)
        return found or ([f"[capabilities.{NAME}]"] if beyond is None else [])

    def narrowed(self, ceiling: ProcessGrant) -> ProcessGrant:
        return ProcessGrant(
            common(_with_paths(self.allow), _with_paths(ceiling.allow), _covers),
            common(self.environment, ceiling.environment, _equals),
            *(min(own, most) for own, most in zip(self.numbers().values(), ceiling.numbers().values(), strict=True)),
        )

    def numbers(self) -> dict[str, int]:
        """What is a number in it, by key, in the order of the fields."""
        return {
            "processes": self.processes,
            "timeout": self.timeout_ms,
            "input": self.input_bytes,
            "output": self.output_bytes,
            "memory": self.memory_bytes,
            "cpu-time": self.cpu_s,
            "files": self.files,
            "file-size": self.file_bytes,
        }

    @staticmethod
    def _shown(key: str, value: int) -> int | str:
        if key in ("processes", "files"):
            return value
        if key == "timeout":
            return show_milliseconds(value)
        return f"{value}s" if key == "cpu-time" else show_size(value)


def parse(table: Mapping[str, object]) -> ProcessGrant:
    """Keys: ``allow`` and ``environment``, lists; ``processes`` and ``files``, counts; ``timeout`` and ``cpu-time``,
    durations; ``input``, ``output``, ``memory`` and ``file-size``, sizes.
    """  # noqa: D205 - one list
    keys = ("processes", "timeout", "input", "output", "memory", "cpu-time", "files", "file-size")
    check_keys(NAME, table, ("allow", "environment", *keys))
    return ProcessGrant(
        allow=few_texts_of(NAME, table, "allow"),
        environment=few_texts_of(NAME, table, "environment"),
        processes=number_of(NAME, table, "processes", parse=parse_count, default=PROCESSES_DEFAULT),
        timeout_ms=number_of(NAME, table, "timeout", parse=parse_milliseconds, default=TIMEOUT_DEFAULT_MS),
        input_bytes=number_of(NAME, table, "input", parse=parse_size, default=IO_DEFAULT_BYTES),
        output_bytes=number_of(NAME, table, "output", parse=parse_size, default=IO_DEFAULT_BYTES),
        memory_bytes=number_of(NAME, table, "memory", parse=parse_size, default=MEMORY_DEFAULT_BYTES),
        cpu_s=number_of(NAME, table, "cpu-time", parse=_seconds, default=CPU_DEFAULT_S),
        files=number_of(NAME, table, "files", parse=parse_count, default=FILES_DEFAULT),
        file_bytes=number_of(NAME, table, "file-size", parse=parse_size, default=FILE_DEFAULT_BYTES),
    )


def path_in(item: str) -> str:
    """The path of an item of ``allow``."""
    return item if item.startswith("/") else item.partition("=")[2]


def _plain_program(item: str) -> str:
    name, _, path = ("", "", item) if item.startswith("/") else item.partition("=")
    is_named = item.startswith("/") or _PROGRAM_NAME.match(name)
    is_plain = path.startswith("/") and posixpath.normpath(path) == path and not path.startswith("//") and path != "/"
    if not is_named or not is_plain or "\0" in path or len(path.encode("utf-8", "replace")) > PATH_MAX_BYTES:
        raise InvalidManifest(
            f"[capabilities.{NAME}] allow: {item[:80]!r} is no program: write its path, absolute and without '.' or "
            '\'..\', or a name and its path, for example "/usr/bin/sort" or "git=/usr/bin/git"'
        )
    return item


def _plain_variable(name: str) -> str:
    if not _VARIABLE_NAME.match(name):
        raise InvalidManifest(
            f"[capabilities.{NAME}] environment: {name[:80]!r} is no name of a variable; patterns are not taken"
        )
    if name.startswith(_LOADER) or name in _LIBRARY:
        raise InvalidManifest(
            f"[capabilities.{NAME}] environment: {name} makes any program run other code; it is given to none"
        )
    return name


def _with_paths(items: Iterable[str]) -> tuple[str, ...]:
    """With the paths of named programs by themselves, too: what two grants have in common can be those alone."""
    items = tuple(items)
    return (*items, *(path_in(item) for item in items))


def _covers(wide: str, narrow: str) -> bool:
    return wide == narrow or path_in(wide) == narrow


def _equals(wide: str, narrow: str) -> bool:
    return wide == narrow


def _seconds(value: object) -> int:
    return round(parse_duration(value))
