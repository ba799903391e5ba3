"""Reading a capability's table of a manifest, with errors that name the key; and writing its lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from theater.errors import InvalidInput, InvalidManifest
from theater.model.spelling import nearest

V = TypeVar("V", int, float)


def check_keys(capability: str, table: Mapping[str, object], known: Iterable[str]) -> None:
    """Refuse a key that the capability does not have. Raises ``InvalidManifest``, naming the nearest known one."""
    known = tuple(known)
    for key in table:
        if key not in known:
            has = f"it has {', '.join(known)}" if known else "it has no keys"
            raise InvalidManifest(f"[capabilities.{capability}] has no key {key!r} ({has}){nearest(key, known)}")


def number_of(capability: str, table: Mapping[str, object], key: str, *, parse: Callable[[object], V], default: V) -> V:
    """The number under ``key``, or ``default``. Raises ``InvalidManifest`` where ``parse`` refuses it."""
    if key not in table:
        return default
    try:
        return parse(table[key])
    except InvalidInput as error:
        raise InvalidManifest(f"[capabilities.{capability}] {key}: {error}") from error


def texts_of(capability: str, table: Mapping[str, object], key: str) -> tuple[str, ...]:
    """The list of texts under ``key``, empty where it is missing. Raises ``InvalidManifest`` for anything else."""
    value = table.get(key, [])
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise InvalidManifest(f"[capabilities.{capability}] {key} = {value!r}: write a list of texts")
    return tuple(value)


def manifest_line(key: str, value: object) -> str:
    """A key as it stands in a manifest. ``value`` is a text, a whole number, or a list of texts."""
    # A JSON text, number or array of texts is the same in TOML, but for DEL, which JSON leaves as it is.
    return f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")


def number_lines(
    own: Mapping[str, int], most: Mapping[str, int], shown: Mapping[str, object], *, is_named: bool
) -> list[str]:
    """A line for each number in ``own`` that is beyond ``most``, as it is ``shown``.

    With ``is_named``, for each that differs: ``most`` are the defaults of a capability that is not granted.
    """
    return [
        manifest_line(key, shown[key]) for key in own if own[key] > most[key] or (is_named and own[key] != most[key])
    ]


def manifest_lines(table: Mapping[str, object]) -> list[str]:
    """A line for each key."""
    return [manifest_line(key, value) for key, value in table.items()]


Covers = Callable[[str, str], bool]
"""``(wide, narrow)``: whether all that ``narrow`` stands for is within ``wide``. True of an item and itself."""

ITEMS_MAX = 256
"""Of one list in a grant: a person has to read what they allow."""


def items_of(capability: str, table: Mapping[str, object], key: str) -> tuple[str, ...] | None:
    """The list of texts under ``key``, or under ``allow``, which is how ``--allow`` writes it; None where neither is.

    Raises ``InvalidManifest`` for both at once, for more than 256, and for what is no list of texts.
    """
    if key in table and "allow" in table:
        raise InvalidManifest(f"[capabilities.{capability}] has {key} and allow, which is the same; write {key} alone")
    found = "allow" if "allow" in table else key
    if found not in table:
        return None
    return few_texts_of(capability, table, found)


def few_texts_of(capability: str, table: Mapping[str, object], key: str) -> tuple[str, ...]:
    """As ``texts_of``. Raises ``InvalidManifest`` for more than 256 as well."""
    items = texts_of(capability, table, key)
    if len(items) > ITEMS_MAX:
        raise InvalidManifest(f"[capabilities.{capability}] {key}: {ITEMS_MAX} items are the most")
    return items


def least(items: Iterable[str], covers: Covers) -> tuple[str, ...]:
    """``items`` sorted, without those that another one covers."""
    every = set(items)
    covered = {narrow for narrow in every for wide in every if wide != narrow and covers(wide, narrow)}
    return tuple(sorted(every - covered))


def outside(items: Iterable[str], allowed: Collection[str], covers: Covers) -> list[str]:
    """Those of ``items`` that none of ``allowed`` covers."""
    return [item for item in items if not any(covers(wide, item) for wide in allowed)]


def common(left: Collection[str], right: Collection[str], covers: Covers) -> tuple[str, ...]:
    """What is within both lists."""
    apart = {*outside(left, right, covers), *outside(right, left, covers)}
    return tuple(item for item in (*left, *right) if item not in apart)
