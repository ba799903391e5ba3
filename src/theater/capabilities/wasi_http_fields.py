"""``fields`` of ``wasi:http``: header fields as guests make and read them.

A name is a token (RFC 9110, section 5.6.2), found in any case and kept as it was written; a value has no control
character but the tab, so that no line can be smuggled into a request. What frames a message, or concerns the
connection, is the host's: such names are ``forbidden``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from theater.model.capability import StepContext
from theater.model.crash import StepCrash

FIELDS_MAX = 1000
FIELDS_MAX_BYTES = 256 * 1024
"""Of one resource: four times what a request may have, so that an answer's can be copied and changed."""

_ENTRY_COST_BYTES = 128
"""About what the host needs for an entry beside its name and value."""

_FORBIDDEN = frozenset(
    {
        "connection",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*\Z")

Entry = tuple[str, bytes]

_OK = ("ok", None)
_IMMUTABLE = ("err", ("immutable", None))
_INVALID = ("err", ("invalid-syntax", None))
_NOT_OURS = ("err", ("forbidden", None))


class Fields:
    """See above. Its entries are never changed in place, so that a copy costs nothing."""

    __slots__ = ("entries", "held_bytes", "is_mutable")

    def __init__(self, entries: Iterable[Entry] = (), *, is_mutable: bool = True) -> None:
        self.entries = tuple(entries)
        self.held_bytes = _cost_bytes(self.entries)
        self.is_mutable = is_mutable

    def values(self, name: str) -> list[bytes]:
        """All of this name, in any case."""
        wanted = name.lower()
        return [value for key, value in self.entries if key.lower() == wanted]

    def without(self, name: str) -> tuple[Entry, ...]:
        """All others."""
        gone = name.lower()
        return tuple(entry for entry in self.entries if entry[0].lower() != gone)


def allowed(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """What of the header of a message from elsewhere a guest is shown: what concerns the connection is over."""
    return tuple(entry for entry in entries if entry[0].lower() not in _FORBIDDEN)


def add_fields(ctx: StepContext, fields: Fields) -> int:
    """Its number. Ends the step where the host would keep too much for the guest."""
    size_bytes, fields.held_bytes = fields.held_bytes, 0
    number = ctx.resources.add(fields)
    ctx.resources.hold(fields, size_bytes, most_bytes=ctx.limits.memory_bytes)
    return number


def take_fields(ctx: StepContext, number: int) -> Fields:
    """The fields that the guest gave away for good; what is made of them keeps them unchanged."""
    fields: Fields = ctx.resources.get(number)
    ctx.resources.drop(number)
    return Fields(fields.entries, is_mutable=False)


# -- the interface ---------------------------------------------------------------------------------------------------


def new(ctx: StepContext, _grant: object) -> int:
    """``[constructor]fields``."""
    return add_fields(ctx, Fields())


def from_list(ctx: StepContext, _grant: object, entries: list[Entry]) -> object:
    """``fields.from-list``."""
    for name, value in entries:
        problem = _problem(name, [value])
        if problem is not None:
            return problem
    _check_size(entries)
    return ("ok", add_fields(ctx, Fields(entries)))


def get(ctx: StepContext, _grant: object, number: int, name: str) -> list[bytes]:
    """All values of a name; none where it cannot be one."""
    fields: Fields = ctx.resources.get(number)
    return fields.values(name)


def has(ctx: StepContext, _grant: object, number: int, name: str) -> bool:
    """Whether there is any."""
    fields: Fields = ctx.resources.get(number)
    return bool(fields.values(name))


def set_values(ctx: StepContext, _grant: object, number: int, name: str, values: list[bytes]) -> object:
    """``fields.set``: these in place of all that there are."""
    fields: Fields = ctx.resources.get(number)
    return _change(ctx, fields, name, values) or _keep(
        ctx, fields, (*fields.without(name), *((name, value) for value in values))
    )


def delete(ctx: StepContext, _grant: object, number: int, name: str) -> object:
    """No value of this name any more."""
    fields: Fields = ctx.resources.get(number)
    return _change(ctx, fields, name, []) or _keep(ctx, fields, fields.without(name))


def append(ctx: StepContext, _grant: object, number: int, name: str, value: bytes) -> object:
    """One value more."""
    fields: Fields = ctx.resources.get(number)
    return _change(ctx, fields, name, [value]) or _keep(ctx, fields, (*fields.entries, (name, value)))


def entries(ctx: StepContext, _grant: object, number: int) -> list[Entry]:
    """All of them, in their order."""
    fields: Fields = ctx.resources.get(number)
    return list(fields.entries)


def clone(ctx: StepContext, _grant: object, number: int) -> int:
    """A copy that can be changed."""
    fields: Fields = ctx.resources.get(number)
    return add_fields(ctx, Fields(fields.entries))


def _change(_ctx: StepContext, fields: Fields, name: str, values: list[bytes]) -> object:
    return _problem(name, values) if fields.is_mutable else _IMMUTABLE


def _problem(name: str, values: list[bytes]) -> object:
    if not _NAME.match(name) or not all(_VALUE.match(value) for value in values):
        return _INVALID
    return _NOT_OURS if name.lower() in _FORBIDDEN else None


def _keep(ctx: StepContext, fields: Fields, kept: tuple[Entry, ...]) -> object:
    _check_size(kept)
    more_bytes = _cost_bytes(kept) - fields.held_bytes
    ctx.resources.hold(fields, more_bytes, most_bytes=ctx.limits.memory_bytes)
    fields.entries = kept
    return _OK


def _check_size(found: Iterable[Entry]) -> None:
    sizes = [len(name) + len(value) for name, value in found]
    if len(sizes) > FIELDS_MAX or sum(sizes) > FIELDS_MAX_BYTES:
        raise StepCrash("host-data", f"header fields are {FIELDS_MAX} and {FIELDS_MAX_BYTES} bytes of them at most")


def _cost_bytes(found: Iterable[Entry]) -> int:
    return _ENTRY_COST_BYTES + sum(_ENTRY_COST_BYTES + len(name) + len(value) for name, value in found)
