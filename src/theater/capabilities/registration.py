"""Short ways to write down a capability's host functions."""

from __future__ import annotations

from collections.abc import Container, Mapping

from theater.model.capability import HostAct, HostCheck, HostClass, HostFunction, HostRun, StepContext


def functions(interface: str, host_class: HostClass, runs: Mapping[str, HostRun]) -> tuple[HostFunction, ...]:
    """The functions of one interface that are of one class and have only a ``run``, by their names in WIT."""
    return tuple(HostFunction(interface, name, host_class, run) for name, run in runs.items())


def buffered(
    interface: str, calls: Mapping[str, tuple[HostRun, HostAct]], *, giving_ids: Container[str] = ()
) -> tuple[HostFunction, ...]:
    """The buffered functions of one interface, each with what decides and what acts."""
    return tuple(
        HostFunction(interface, name, HostClass.BUFFERED, run, act=act, gives_id=name in giving_ids)
        for name, (run, act) in calls.items()
    )


def waiting(
    interface: str, calls: Mapping[str, tuple[HostRun, HostCheck]], *, giving_ids: Container[str] = ()
) -> tuple[HostFunction, ...]:
    """The functions of one interface that wait for others, each with what it waits for and what checks that."""
    return tuple(
        HostFunction(interface, name, HostClass.WAITING, run, check=check, gives_id=name in giving_ids)
        for name, (run, check) in calls.items()
    )


def methods(
    interface: str, resource: str, host_class: HostClass, runs: Mapping[str, HostRun]
) -> tuple[HostFunction, ...]:
    """The methods of one resource that are of one class, by their names in WIT."""
    return functions(interface, host_class, {f"[method]{resource}.{name}": run for name, run in runs.items()})


def looking_methods(interface: str, resource: str, runs: Mapping[str, HostRun]) -> tuple[HostFunction, ...]:
    """The methods of one resource that look at the world, or need not: see ``HostFunction.looks``."""
    return tuple(
        HostFunction(interface, f"[method]{resource}.{name}", HostClass.READ, run, looks=True)
        for name, run in runs.items()
    )


def drops(interface: str, *resources: str) -> tuple[HostFunction, ...]:
    """Letting go of a resource. An interface that only uses another's resource has a drop for it, too."""
    return functions(interface, HostClass.DERIVED, {f"[resource-drop]{resource}": drop for resource in resources})


def drop(ctx: StepContext, _grant: object, number: int) -> None:
    """The guest let go of its resource ``number``."""
    ctx.resources.drop(number)
