"""Sizes and durations as people write them in a manifest: ``"64MiB"``, ``"10s"``."""

from __future__ import annotations

import re

from theater.errors import InvalidInput

_SIZE = re.compile(r"(\d{1,18})\s*(B|KiB|MiB|GiB|TiB)?\Z")
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*(us|ms|s|m|h|d)\Z")

_BYTES = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_MS_PER_S = 1000


def parse_size(value: object) -> int:
    """Bytes from ``"64MiB"`` or a plain integer. Raises ``InvalidInput``."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.match(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidInput(f'{value!r} is not a size; write for example "64MiB", "16KiB" or a number of bytes')
    return int(match[1]) * _BYTES[match[2]]


def parse_duration(value: object) -> float:
    """Seconds from ``"10s"``, ``"250ms"``, ``"1.5h"`` or a plain number of seconds. Raises ``InvalidInput``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidInput(f'{value!r} is not a duration; write for example "10s", "250ms" or a number of seconds')
    return float(match[1]) * _SECONDS[match[2]]


def parse_count(value: object) -> int:
    """A whole number of 0 or more. Raises ``InvalidInput``."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise InvalidInput(f"{value!r} is not a count; write a whole number of 0 or more")


def show_size(size_bytes: int) -> str:
    """``67108864`` -> ``"64MiB"``: exact, in the largest unit that divides it."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _BYTES[unit] == 0:
            return f"{size_bytes // _BYTES[unit]}{unit}"
    return str(size_bytes)


def show_duration(seconds: float) -> str:
    """``10.0`` -> ``"10s"``."""
    return f"{seconds:g}s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:g}ms"


def parse_milliseconds(value: object) -> int:
    """As ``parse_duration``, in whole milliseconds."""
    return round(parse_duration(value) * _MS_PER_S)


def show_milliseconds(value_ms: int) -> str:
    """A time as it stands in a manifest: in whole seconds where it is some."""
    seconds, rest_ms = divmod(value_ms, _MS_PER_S)
    return f"{value_ms}ms" if rest_ms else f"{seconds}s"
