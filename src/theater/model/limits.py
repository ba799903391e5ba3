"""What an actor may use, number by number, with the default of each and its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from theater.errors import InvalidInput, InvalidManifest, Unsound
from theater.model.quantity import parse_count, parse_duration, parse_size, show_duration, show_size
from theater.model.spelling import nearest


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one actor. Sizes in bytes, durations in seconds."""

    memory_bytes: int = 64 * 2**20
    """Sum over the instance's memories."""
    fuel: int = 1_000_000_000
    """About one second of computing. Deterministic: the limit that strikes a runaway guest first."""
    deadline_s: float = 10.0
    """Time that the guest itself runs in one step: the back-stop behind fuel."""
    wait_s: float = 60.0
    """Sum of the waits of one step."""
    mailbox: int = 1000
    """Messages that wait."""
    state_bytes: int = 2**20
    message_bytes: int = 2**20
    reply_bytes: int = 2**20
    events_per_step: int = 10_000
    bytes_per_step: int = 16 * 2**20
    """Payload bytes that one step may record."""
    chain_bytes: int = 10 * 2**30
    """Headers and payloads of the whole chain: an actor whose chain has as much begins no further step."""
    children: int = 100
    timers: int = 1000
    channels: int = 100
    outstanding: int = 1000
    """Requests whose answer is deferred."""

    def to_json(self) -> dict[str, int | float]:
        """As recorded in ``genesis``: by manifest key."""
        return {key: getattr(self, name) for key, (name, _, _) in _KEYS.items()}

    def to_manifest(self) -> dict[str, str | int]:
        """As one would write it in a manifest."""
        return {key: show(getattr(self, name)) for key, (name, _, show) in _KEYS.items()}


def _show_count(value: float) -> int:
    return int(value)


def _show_size(value: float) -> str:
    return show_size(int(value))


_KEYS: dict[str, tuple[str, Callable[[object], int | float], Callable[[float], str | int]]] = {
    "memory": ("memory_bytes", parse_size, _show_size),
    "fuel": ("fuel", parse_count, _show_count),
    "deadline": ("deadline_s", parse_duration, show_duration),
    "wait": ("wait_s", parse_duration, show_duration),
    "mailbox": ("mailbox", parse_count, _show_count),
    "state": ("state_bytes", parse_size, _show_size),
    "message": ("message_bytes", parse_size, _show_size),
    "reply": ("reply_bytes", parse_size, _show_size),
    "events-per-step": ("events_per_step", parse_count, _show_count),
    "bytes-per-step": ("bytes_per_step", parse_size, _show_size),
    "chain": ("chain_bytes", parse_size, _show_size),
    "children": ("children", parse_count, _show_count),
    "timers": ("timers", parse_count, _show_count),
    "channels": ("channels", parse_count, _show_count),
    "outstanding": ("outstanding", parse_count, _show_count),
}

assert {name for name, _, _ in _KEYS.values()} == {field.name for field in fields(Limits)}

# Beyond these a number is a typing error, or more than an embedded 32-bit memory or an int64 fuel counter can hold.
_CEILINGS: dict[str, float] = {
    "memory": 4 * 2**30,
    "fuel": 2**62,
    "deadline": 3600.0,
    "wait": 86_400.0,
    "state": 64 * 2**20,
    "message": 64 * 2**20,
    "reply": 64 * 2**20,
    "events-per-step": 1_000_000,
    "bytes-per-step": 2**30,
    "mailbox": 100_000,
    "children": 10_000,
    "timers": 10_000,
    "channels": 10_000,
    "outstanding": 100_000,
}

# Below these an actor could not take a single step. Others may be 0: there is none of what they bound then.
_FLOORS: dict[str, float] = {
    "memory": 2**16,  # one page
    "fuel": 1,
    "deadline": 1e-6,
    "mailbox": 1,
    "state": 1,
    "message": 1,
    "reply": 1,
    "events-per-step": 1,
}


def parse_limits(table: Mapping[str, object]) -> Limits:
    """Limits from a manifest's ``[limits]``; what is not named has its default.

    Raises:
        InvalidManifest: an unknown key (the nearest known one is named), a wrong value, one beyond what can be.
    """
    values: dict[str, int | float] = {}
    for key, raw in table.items():
        if key not in _KEYS:
            raise InvalidManifest(f"[limits] has no key {key!r}{nearest(key, _KEYS)}")
        name, parse, show = _KEYS[key]
        try:
            value = parse(raw)
        except InvalidInput as error:
            raise InvalidManifest(f"[limits] {key}: {error}") from error
        least = _FLOORS.get(key, 0)
        if value < least:
            raise InvalidManifest(f"[limits] {key}: {raw!r} is too little: it must be at least {show(least)}")
        top = _CEILINGS.get(key)
        if top is not None and value > top:
            raise InvalidManifest(
                f"[limits] {key}: {raw!r} is more than the largest that is possible, {show(int(top))}"
            )
        values[name] = value
    return Limits(**values)  # type: ignore[arg-type]  # the table pairs each name with a parser of its type


def limits_from_json(recorded: Mapping[str, int | float]) -> Limits:
    """Limits as ``to_json`` wrote them; a key of a later version is ignored.

    Raises:
        Unsound: a value that no version writes.
    """
    try:
        return parse_limits({key: value for key, value in recorded.items() if key in _KEYS})
    except InvalidManifest as error:
        raise Unsound(f"event 0: the recorded limits cannot be: {error}", seq=0) from error
