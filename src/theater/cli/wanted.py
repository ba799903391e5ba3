"""What a component's imports want of the grants of its actor."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from theater.capabilities import environment
from theater.capabilities.registry import Registry
from theater.model.execution import Program
from theater.model.wit import strip_version
from theater.runtime.exports import SERVICE
from theater.runtime.permissions import ALWAYS

# What WASI shows a guest comes from these grants, too: they are of use without an import of their own.
_SHOWN_BY_WASI = {environment.NAME: "wasi:cli/environment"}


@dataclass(frozen=True, slots=True)
class Difference:
    """Between what was granted and what a component imports."""

    needed: Mapping[str, list[str]]
    """Capabilities that it cannot run without, each with the imports that say so."""
    unused: list[str]
    """What was granted and it has no use for."""
    refused: list[str]
    """Why it cannot run here whatever is granted."""


def unused(registry: Registry, program: Program, names: Collection[str]) -> list[str]:
    """Those capabilities of which the component imports nothing, neither their own nor WASI's way to the same.

    One that says where a service is asked is of use to a service without an import.
    """
    used: set[str] = set()
    if (SERVICE, "handle") in program.exports:
        used |= {name for name, capability in registry.capabilities.items() if capability.serves is not None}
    for wanted in program.imports:
        found = registry.table.get((strip_version(wanted.interface), wanted.name))
        if found is not None:
            used |= {found[0].name, found[0].under or ""}
    interfaces = {strip_version(interface) for interface in program.imported_interfaces}
    return [name for name in names if name not in used and _SHOWN_BY_WASI.get(name) not in interfaces]


def difference(registry: Registry, program: Program, names: Collection[str]) -> Difference:
    """What a component asks for that takes the place of one with these capabilities."""
    needed: dict[str, list[str]] = {}
    refused: list[str] = []
    for wanted in program.imports:
        problem = registry.refusal(wanted.interface, wanted.name)
        if problem is not None:
            refused.append(problem)
            continue
        interface = strip_version(wanted.interface)
        capability, _ = registry.table[interface, wanted.name]
        if capability.ungranted is None and capability.name not in names:
            needed.setdefault(capability.name, []).append(f"{interface}#{wanted.name}")
    for interface in program.imported_interfaces:
        problem = registry.refusal(interface)
        if problem is not None:
            refused.append(problem)
    granted = sorted(name for name in names if name != ALWAYS)
    return Difference(dict(sorted(needed.items())), unused(registry, program, granted), list(dict.fromkeys(refused)))
