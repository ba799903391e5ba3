"""The least grant of ``process`` that the calls of a history need: programs, their variables, how long they were given.

What a program used of what it is given, memory for one, is its own affair, and stays as it was granted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from theater.capabilities.process_grant import ProcessGrant, path_in
from theater.model.narrowing import AS_GRANTED, Least, Need, SeenCall, number_within


def needs(call: SeenCall) -> Iterator[Need]:
    """``program`` with a name or path, ``variable`` with a name, ``timeout`` with milliseconds."""
    match call.function, call.arguments:
        case "run" | "start", (dict() as spec, *_):
            yield "program", str(spec["program"])
            for name, _ in spec["environment"]:
                yield "variable", str(name)
            timeout_ms = spec["timeout-ms"]
            yield "timeout", timeout_ms if isinstance(timeout_ms, int) else AS_GRANTED


def grant(granted: ProcessGrant, found: Collection[Need]) -> ProcessGrant:
    """The programs that were started, called as they were, with the variables that they were given."""
    programs = {str(need[1]) for need in found if need[0] == "program"}
    variables = {str(need[1]) for need in found if need[0] == "variable"}
    return replace(
        granted,
        allow=tuple(item for item in granted.allow if _is_called(item, programs)),
        environment=tuple(name for name in granted.environment if name in variables),
        timeout_ms=number_within(found, "timeout", granted.timeout_ms),
    )


LEAST = Least(needs, grant)


def _is_called(item: str, programs: Collection[str]) -> bool:
    path = path_in(item)
    return path in programs or item.removesuffix(f"={path}") in programs
