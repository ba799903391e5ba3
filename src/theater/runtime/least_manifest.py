"""A manifest that asks for the least, as a text: each line says what it comes from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time

from theater.capabilities.grant_table import manifest_line
from theater.capabilities.registry import Registry
from theater.errors import InvalidInput
from theater.model.capability import Grant
from theater.model.limits import Limits, parse_limits
from theater.model.narrowing import Need
from theater.model.toml_text import parse_toml
from theater.runtime.consumption import Consumption
from theater.runtime.least_grants import LeastGrants
from theater.runtime.least_limits import LeastLimit
from theater.runtime.permissions import ALWAYS
from theater.runtime.sightings import Sightings

COUNTED_MAX = 200_000
"""Items times needs for which calls are counted by item: some seconds. Beyond that items have no count."""

FUNCTIONS_SHOWN = 6
"""Of one capability, the most called first."""

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
"""A key of TOML that needs no quotes."""

_COPIED = ("instance", "params", "supervision")
"""What a manifest says that neither asks for anything nor limits it."""


def manifest_text(
    registry: Registry,
    histories: Sequence[Consumption],
    grants: LeastGrants,
    sightings: Sightings,
    *,
    recorded: Limits,
    limits: Sequence[LeastLimit],
) -> str:
    """The whole manifest: of the first history, what it asks for replaced."""
    first = histories[0]
    steps = sum(each.steps for each in histories)
    lines = [
        f"# The least that {_count(len(histories), 'history', 'histories')}, {_count(steps, 'step')}, passed under."
    ]
    lines += _head(first)
    limit_lines = list(_limits(recorded, limits))
    if limit_lines:
        lines += ["", "[limits]", *limit_lines]
    for name, grant in sorted(grants.grants.items()):
        table = list(_capability(registry, name, grant, grants, sightings))
        if name != ALWAYS or len(table) > 1:
            lines += ["", *table]
    if grants.left_out:
        lines += [
            "",
            *(f"# [capabilities.{name}] was granted, and nothing of it was used." for name in grants.left_out),
        ]
    return "\n".join(lines) + "\n"


def _head(first: Consumption) -> Iterator[str]:
    table = _table(first.genesis.manifest)
    yield f"name = {_value(table.get('name', first.genesis.name))}"
    yield f'component = "sha256:{first.program}"'
    for key in _COPIED:
        if key in table:
            yield f"{key} = {_value(table[key])}"


def _limits(recorded: Limits, found: Sequence[LeastLimit]) -> Iterator[str]:
    default = Limits().to_manifest()
    lower = {each.key: each for each in found}
    for key, value in recorded.to_manifest().items():
        if key in lower:
            shown = parse_limits({key: lower[key].value}).to_manifest()[key]
            yield f"{manifest_line(key, shown)}  # was {value}; {lower[key].why}"
        elif value != default[key]:
            yield f"{manifest_line(key, value)}  # as it was"


def _capability(
    registry: Registry, name: str, grant: Grant, grants: LeastGrants, sightings: Sightings
) -> Iterator[str]:
    capability = registry.capabilities[name]
    before = grants.granted[name].table()
    default = capability.parse({}).table()
    yield f"[capabilities.{name}]  # {_calls(name, sightings)}"
    items = _items(grant.table())
    counts = _Counts(registry, name, grants.granted[name], sightings.needs.get(name, Counter()), items=len(items))
    for key, value in grant.table().items():
        if value == default.get(key):
            continue
        if isinstance(value, list) and value:
            yield f"{key} = ["
            for item in value:
                yield f"    {_value(item)},{counts.comment(grant, key, item)}"
            yield "]"
        else:
            was = "as it was" if value == before.get(key) else f"was {_value(before.get(key))}"
            yield f"{key} = {_value(value)}  # {was}"


class _Counts:
    """How many calls an item of a list is there for: those that are not within the grant without it."""

    def __init__(self, registry: Registry, name: str, granted: Grant, needs: Mapping[Need, int], *, items: int) -> None:
        self._capability = registry.capabilities[name]
        self._granted = granted
        self._needs = needs if len(needs) * items <= COUNTED_MAX else {}

    def comment(self, grant: Grant, key: str, item: object) -> str:
        """Behind the item; nothing where no call tells."""
        least = self._capability.least
        if least is None:
            return ""
        table = grant.table()
        try:
            without = self._capability.parse({**table, key: [each for each in table[key] if each != item]})
        except InvalidInput:  # it cannot be without
            return ""
        calls = sum(count for need, count in self._needs.items() if least.grant(self._granted, [need]).lines(without))
        return f"  # {_count(calls, 'call')}" if calls else ""


def _items(table: Mapping[str, object]) -> list[object]:
    return [item for value in table.values() if isinstance(value, list) for item in value]


def _calls(name: str, sightings: Sightings) -> str:
    calls = sightings.calls.get(name, Counter())
    if not calls:
        evidence = sorted(sightings.evidence.get(name, ()))
        return f"seen through {', '.join(evidence)}" if evidence else "never called"
    most = calls.most_common(FUNCTIONS_SHOWN)
    shown = ", ".join(f"{each.partition('#')[2].removeprefix('[method]')} {count}" for each, count in most)
    rest = sum(calls.values()) - sum(count for _, count in most)
    return f"{_count(sum(calls.values()), 'call')}: {shown}{f', others {rest}' if rest else ''}"


def _count(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def _table(text: str) -> Mapping[str, object]:
    try:
        return parse_toml(text)
    except InvalidInput:  # it was read once, by a version that read it otherwise
        return {}


def _value(value: object) -> str:
    """A value that TOML has, on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case datetime() | date() | time():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    return _quoted(str(value))


def _key(text: str) -> str:
    return text if _BARE.match(text) else _quoted(text)


def _quoted(text: str) -> str:
    quoted = manifest_line("", text).removeprefix(" = ")
    return "".join(map(_shown, quoted))


def _shown(char: str) -> str:
    """A character that is not seen, or ends a line for some, as TOML's escape: what is printed is what was proven."""
    return char if char.isprintable() else f"\\U{ord(char):08x}"
