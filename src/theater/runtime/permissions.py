"""What an actor gets: what its manifest asks for, within what its parent has.

A manifest comes with the code that nobody trusts, so it only asks. A root actor's parent is the node's ceiling. What
goes beyond is refused with the exact lines asked for; a person may allow them once (``--allow``) or for ever (the
ceiling). The same computation runs when a chain is verified, from what its first event says was asked and allowed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from theater.capabilities.grant_table import manifest_lines
from theater.capabilities.registry import Registry
from theater.errors import Denied, InvalidInput, InvalidManifest
from theater.model.capability import Grant, Located
from theater.model.spelling import nearest

Table = dict[str, object]
Tables = dict[str, Table]
Grants = Mapping[str, Grant]

ALWAYS = "runtime"  # self, log and shutdown: an actor without them could not even say what is wrong


@dataclass(frozen=True, slots=True)
class Permissions:
    """The decision and all that it followed from, as event 0 records it."""

    asked: Tables
    ceiling: Tables
    allowed: tuple[str, ...]
    effective: Grants
    folder: str | None = None
    """The one that paths of the manifest are relative to, where it asks for something that has paths."""

    def effective_tables(self) -> Tables:
        """The effective grants as one would write them in a manifest."""
        return {name: dict(grant.table()) for name, grant in self.effective.items()}


def parse_grants(registry: Registry, tables: Mapping[str, Mapping[str, object]], *, where: str) -> dict[str, Grant]:
    """Grants by capability name.

    Raises:
        InvalidManifest: an unknown capability (the nearest known is named), or a bad table.
    """
    grants: dict[str, Grant] = {}
    for name, table in tables.items():
        capability = registry.capabilities.get(name)
        if capability is None:
            raise InvalidManifest(
                f"[{where}.{name}]: there is no capability {name!r}{nearest(name, registry.capabilities)}"
            )
        grants[name] = capability.parse(table)
    return grants


def has_paths(registry: Registry, tables: Mapping[str, Mapping[str, object]]) -> bool:
    """Whether something is asked for that has paths. What cannot be read here has none: whoever decides refuses it."""
    for name, table in tables.items():
        capability = registry.capabilities.get(name)
        with suppress(InvalidManifest):
            if capability is not None and isinstance(capability.parse(table), Located):
                return True
    return False


def default_ceiling(registry: Registry) -> dict[str, Grant]:
    """What a node allows when nobody said anything else."""
    return {name: known.default_ceiling for name, known in registry.capabilities.items() if known.default_ceiling}


def decide(
    registry: Registry,
    asked: Mapping[str, Mapping[str, object]],
    *,
    ceiling: Grants,
    allowed: Sequence[str] = (),
    folder: str | None = None,
) -> Permissions:
    """The effective grants. ``folder`` is that of the manifest, if it has one.

    Paths become absolute first; those of the ceiling and of ``allowed``, where they are relative, are in that folder,
    too.

    Raises:
        Denied: more is asked for than is allowed; ``data["asked"]`` has the manifest lines.
        InvalidManifest: what is asked for cannot be read.
        InvalidInput: ``allowed`` names something that cannot be allowed.
    """
    wanted = {ALWAYS: {}, **asked}
    grants = _all_located(parse_grants(registry, wanted, where="capabilities"), folder)
    extra = _parse_allowed(registry, allowed)
    effective: dict[str, Grant] = {}
    beyond: list[str] = []
    for name, grant in grants.items():
        top = _located(ceiling[name], folder) if name in ceiling else None
        patterns = [pattern and _located(pattern, folder) for pattern in extra.get(name, [])]
        if None in patterns:
            effective[name] = grant
            continue
        lines = grant.lines(top)
        for pattern in patterns:
            still = grant.lines(pattern)
            lines = [line for line in lines if line in still]
        if lines:
            beyond += _pasteable(name, lines)
        elif patterns:
            effective[name] = grant
        else:
            effective[name] = grant.narrowed(top)
    if beyond:
        raise Denied(_denial(beyond), asked=beyond)
    return Permissions(
        asked={name: dict(grant.table()) for name, grant in grants.items()},
        ceiling={name: dict(grant.table()) for name, grant in ceiling.items()},
        allowed=tuple(allowed),
        effective=effective,
        folder=folder if any(isinstance(grant, Located) for grant in grants.values()) else None,
    )


def decide_again(
    registry: Registry,
    asked: Mapping[str, Mapping[str, object]],
    effective: Mapping[str, Mapping[str, object]],
    *,
    ceiling: Grants,
    allowed: Sequence[str] = (),
    folder: str | None = None,
) -> Permissions:
    """Whether an actor that was given ``effective`` on ``asked`` may go on with that: here, and now.

    Its chain may come from another node, the ceiling may be another by now, and what a person allowed once was allowed
    once. The grants that it goes on with are the recorded ones; a smaller set would not replay.

    Raises:
        Denied: that is more than is allowed now, or more than was asked for, which no honest node grants.
        InvalidManifest, InvalidInput: as ``decide``.
    """
    permissions = decide(registry, asked, ceiling=ceiling, allowed=allowed, folder=folder)
    recorded = parse_grants(registry, effective, where="capabilities")
    beyond: list[str] = []
    for name, grant in recorded.items():
        lines = grant.lines(permissions.effective.get(name))
        if lines:
            beyond += _pasteable(name, lines)
    if beyond:
        raise Denied(f"its chain says that it was given more than it asked for:\n{_indented(beyond)}", asked=beyond)
    return replace(permissions, effective=recorded)


def _all_located(grants: Mapping[str, Grant], folder: str | None) -> dict[str, Grant]:
    for name, grant in grants.items():
        if folder is None and isinstance(grant, Located) and grant.is_relative:
            raise InvalidManifest(
                f"[capabilities.{name}] has a relative path, and this manifest came without a folder that it could be"
                " relative to; write absolute paths"
            )
    return {name: _located(grant, folder) for name, grant in grants.items()}


def _located(grant: Grant, folder: str | None) -> Grant:
    return grant.located(folder) if isinstance(grant, Located) else grant


def _parse_allowed(registry: Registry, allowed: Sequence[str]) -> dict[str, list[Grant | None]]:
    """By capability: None where all that is asked for is allowed, else a grant for each pattern."""
    extra: dict[str, list[Grant | None]] = {}
    for text in allowed:
        name, equals, pattern = text.partition("=")
        if name not in registry.capabilities:
            why = f"there is no capability {name!r}{nearest(name, registry.capabilities)}"
            raise InvalidInput(f"--allow {text}: {why}")
        if not equals:
            extra.setdefault(name, []).append(None)
            continue
        try:
            grant = registry.capabilities[name].parse({"allow": [pattern]})
        except InvalidManifest as error:
            raise InvalidInput(f"--allow {text}: {error}") from error
        extra.setdefault(name, []).append(grant)
    return extra


def _pasteable(name: str, lines: Sequence[str]) -> list[str]:
    """``lines`` of one grant as one table: a list has a line for each of its items, and TOML takes a key once."""
    table: dict[str, object] = {}
    for line in lines:
        if line.startswith("["):
            continue
        for key, value in tomllib.loads(line).items():
            known = table.get(key)
            table[key] = [*known, *value] if isinstance(known, list) else value
    return [f"[capabilities.{name}]", *manifest_lines(table)]


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _denial(lines: Sequence[str]) -> str:
    names = [line[len("[capabilities.") : -1] for line in lines if line.startswith("[capabilities.")]
    flags = " ".join(f"--allow {name}" for name in names)
    tables = ", ".join(f"[ceiling.{name}]" for name in names)
    return (
        f"the manifest asks for more than this node allows:\n{_indented(lines)}\n"
        f"allow it once with {flags}, or for ever by the same lines under {tables} in config.toml"
    )
