"""Short ways to write down a capability's host functions."""

from __future__ import annotations

from collections.abc import Mapping

from theater.model.capability import HostClass, HostFunction, HostRun, StepContext


def functions(interface: str, host_class: HostClass, runs: Mapping[str, HostRun]) -> tuple[HostFunction, ...]:
    """The functions of one interface that are of one class, by their names in WIT."""
    return tuple(HostFunction(interface, name, host_class, run) for name, run in runs.items())


def methods(
    interface: str, resource: str, host_class: HostClass, runs: Mapping[str, HostRun]
) -> tuple[HostFunction, ...]:
    """The methods of one resource that are of one class, by their names in WIT."""
    return functions(interface, host_class, {f"[method]{resource}.{name}": run for name, run in runs.items()})


def drops(interface: str, *resources: str) -> tuple[HostFunction, ...]:
    """Letting go of a resource. An interface that only uses another's resource has a drop for it, too."""
    return functions(interface, HostClass.DERIVED, {f"[resource-drop]{resource}": drop for resource in resources})


def drop(ctx: StepContext, _grant: object, number: int) -> None:
    """The guest let go of its resource ``number``."""
    ctx.resources.drop(number)
