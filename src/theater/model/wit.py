"""WIT types as values: what the engine finds in a component and what the marshaller and the recorder are made from.

The Python shape of a value of each type, everywhere above the engine:

========================  ===========================================================================
type                      shape
========================  ===========================================================================
bool, integers, floats    ``bool``, ``int``, ``float``
char, string              ``str``
list<u8>                  ``bytes``
list<T>                   ``list``
tuple                     ``tuple``
record                    ``dict`` by field name as in WIT (``"expects-reply"``)
option<T>                 ``None`` or the value; where T is itself an option: ``None`` or ``("some", value)``
result<T, E>              ``("ok", value)`` or ``("err", error)``; a missing payload is ``None``
variant                   ``(case, payload or None)``
enum                      ``str``
flags                     ``frozenset`` of ``str``
own<R>, borrow<R>         ``int``: the number that the host gave the resource
========================  ===========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PrimitiveName = Literal["bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"]


@dataclass(frozen=True, slots=True)
class Primitive:
    """A type without parts."""

    name: PrimitiveName


@dataclass(frozen=True, slots=True)
class List:
    """``list<element>``."""

    element: Type


@dataclass(frozen=True, slots=True)
class Tuple:
    """``tuple<...>``."""

    elements: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """``record``: names and types in order."""

    fields: tuple[tuple[str, Type], ...]


@dataclass(frozen=True, slots=True)
class Option:
    """``option<payload>``."""

    payload: Type


@dataclass(frozen=True, slots=True)
class Result:
    """``result<ok, err>``, either of which may be absent."""

    ok: Type | None
    err: Type | None


@dataclass(frozen=True, slots=True)
class Variant:
    """``variant``: case names with their payload types."""

    cases: tuple[tuple[str, Type | None], ...]


@dataclass(frozen=True, slots=True)
class Enum:
    """``enum``."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flags:
    """``flags``."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Handle:
    """``own<R>`` or ``borrow<R>``; ``resource`` is the number that the linker gave R, unique in its component."""

    resource: int
    owned: bool


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A type that cannot cross our boundary (streams, futures, guest resources ...); ``what`` names it."""

    what: str


Type = Primitive | List | Tuple | Record | Option | Result | Variant | Enum | Flags | Handle | Unsupported


@dataclass(frozen=True, slots=True)
class Function:
    """The type of a function; ``is_async`` is true of component-model async functions, which are refused."""

    params: tuple[tuple[str, Type], ...]
    result: Type | None
    is_async: bool = False


U8 = Primitive("u8")


def strip_version(name: str) -> str:
    """``wasi:io/streams@0.2.9`` -> ``wasi:io/streams``."""
    return name.partition("@")[0]
