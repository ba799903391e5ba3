"""The grant of every ``wasi:*`` capability, and what they share.

Toolchains import WASI whether the program uses it or not, so ``wasi:*`` is always linked and never asked for. What it
answers is an empty world: the step's own time and seed, stdout and stderr that become ``log`` events, the variables and
arguments that the actor was given, no files, no network. What it shows beyond that, files for one, comes from the
grants of Theater's own capabilities, never from one of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from theater.capabilities.grant_table import check_keys
from theater.model.capability import Capability, HostFunction


@dataclass(frozen=True, slots=True)
class WasiGrant:
    """Nothing: there is nothing to ask for."""

    def table(self) -> dict[str, object]:
        return {}

    def lines(self, beyond: WasiGrant | None) -> list[str]:
        return []

    def narrowed(self, ceiling: WasiGrant | None) -> WasiGrant:
        return self


EMPTY_WORLD = WasiGrant()


def wasi_capability(
    name: str, functions: tuple[HostFunction, ...], *, under: str | None = None
) -> Capability[WasiGrant]:
    """A capability that is linked without a grant. Its interfaces are those of its functions.

    ``under`` names the capability whose grant its functions are given, where the actor has that.
    """

    def parse(table: Mapping[str, object]) -> WasiGrant:
        check_keys(name, table, ())
        return EMPTY_WORLD

    return Capability(
        name=name,
        parse=parse,
        functions=functions,
        interfaces=tuple(dict.fromkeys(function.interface for function in functions)),
        default_ceiling=EMPTY_WORLD,
        ungranted=EMPTY_WORLD,
        under=under,
    )
