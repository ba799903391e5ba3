"""The least grants under which histories would have been the same.

What each capability needs follows from the calls that were seen. Whether the histories are the same under that is
tried: a guest may have looked at what it was granted and not only used it. What such a history does not pass under
stays as it was granted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from theater.capabilities import environment
from theater.capabilities.registry import Registry
from theater.errors import InvalidInput
from theater.model.capability import Grant
from theater.model.limits import Limits
from theater.model.narrowing import AS_GRANTED
from theater.runtime.conditions import Conditions
from theater.runtime.exports import ACTOR, CHANNEL_HANDLERS, COMMAND, EVENT_HANDLERS, SUPERVISOR_HANDLERS, UPGRADE
from theater.runtime.permissions import ALWAYS, Grants
from theater.runtime.sightings import Sightings
from theater.runtime.trials import Trials

VARIABLE_TRIALS_MAX = 32
"""Replays to find the variables that are needed; those that were not tried by then stay."""

_ALONE = frozenset({ACTOR, COMMAND, UPGRADE, SUPERVISOR_HANDLERS, CHANNEL_HANDLERS, EVENT_HANDLERS})
"""Exports for which no grant of their own is needed. Any other may serve what a capability brings."""


@dataclass(slots=True)
class LeastGrants:
    """What was found. ``notes`` say what stays as it was granted, and why."""

    granted: Grants
    grants: dict[str, Grant]
    notes: list[str] = field(default_factory=list)
    ignores_fuel: bool = False
    """Whether the histories burn another amount of fuel under it, and are the same in all else."""

    @property
    def left_out(self) -> list[str]:
        """What is not needed at all."""
        return sorted(self.granted.keys() - self.grants.keys())


def widest(every: Sequence[Grants]) -> dict[str, Grant]:
    """Of each capability the grant that holds those of all histories.

    Raises:
        InvalidInput: there is none that does.
    """
    found: dict[str, Grant] = {}
    for name in sorted({name for grants in every for name in grants}):
        several = [grants[name] for grants in every if name in grants]
        holding = [wide for wide in several if not any(narrow.lines(wide) for narrow in several)]
        if not holding:
            raise InvalidInput(
                f"these histories had different grants of [capabilities.{name}], and none of them holds the others: "
                "ask for each of them"
            )
        found[name] = holding[0]
    return found


def least_grants(
    registry: Registry,
    granted: Grants,
    sightings: Sightings,
    *,
    limits: Limits,
    trials: Trials,
    variables: Collection[str],
) -> LeastGrants:
    """Derive them, and try them by replay. ``variables`` are the names of all that the actors were given."""
    found = LeastGrants(granted, _derived(registry, granted, sightings))
    for name in sorted(sightings.of_children & granted.keys()):
        found.notes.append(f"[capabilities.{name}] stays as it was granted: children were started that ask for it")
    _settle(found, limits, trials)
    _narrow_variables(found, sightings, limits, trials, variables)
    return found


def _derived(registry: Registry, granted: Grants, sightings: Sightings) -> dict[str, Grant]:
    found: dict[str, Grant] = {}
    for name, grant in granted.items():
        if name == ALWAYS or name in sightings.of_children:
            found[name] = grant
            continue
        least = registry.capabilities[name].least
        if least is None:
            if name in sightings.imported or name in sightings.calls or sightings.exported - _ALONE:
                found[name] = grant
            continue
        needs = sightings.needs.get(name, {}).keys()
        narrow = grant if sightings.is_full(name) else least.grant(grant, needs)
        if narrow.lines(grant):  # a mistake of a capability's is not to give anybody more
            narrow = grant
        if name in sightings.imported or narrow != least.grant(grant, ()):
            found[name] = narrow
    return found


def _settle(found: LeastGrants, limits: Limits, trials: Trials) -> None:
    """Take back what the histories do not pass under."""
    changed = [name for name, grant in found.granted.items() if found.grants.get(name) != grant]
    if not changed or trials.passes(Conditions(found.grants, limits), doing="trying the least grants"):
        return
    found.ignores_fuel = True
    if trials.passes(Conditions(found.grants, limits, ignores_fuel=True), doing="trying the least grants again"):
        return
    settled = dict(found.granted)
    for name in changed:
        narrow = found.grants.get(name)
        alone = {key: value for key, value in found.granted.items() if key != name}
        if narrow is not None:
            alone[name] = narrow
        if not trials.passes(Conditions(alone, limits, ignores_fuel=True), doing=f"trying less of {name}"):
            found.notes.append(
                f"[capabilities.{name}] stays as it was granted: under less a history comes out otherwise"
            )
        elif narrow is None:
            del settled[name]
        else:
            settled[name] = narrow
    found.grants = settled
    found.ignores_fuel = not trials.passes(Conditions(settled, limits), doing="trying what is left")


def _narrow_variables(
    found: LeastGrants, sightings: Sightings, limits: Limits, trials: Trials, variables: Collection[str]
) -> None:
    """A guest that gets all variables at once does not say which it needs: they are left out, half by half."""
    name = environment.NAME
    grant = found.grants.get(name)
    needs: Mapping[tuple[str | int, ...], int] = sightings.needs.get(name, {})
    if not isinstance(grant, environment.EnvironmentGrant) or (AS_GRANTED,) not in needs:
        return
    if name in sightings.of_children or sightings.is_full(name):
        return
    asked = {str(need[1]) for need in needs if need[0] == "name" and grant.allows(str(need[1]))}
    kept = {each for each in variables if grant.allows(each)} | asked
    groups = [sorted(kept - asked)]
    for _ in range(VARIABLE_TRIALS_MAX):
        if not groups:
            break
        group = groups.pop()
        fewer = kept - set(group)
        fewer_granted = {**found.grants, name: environment.only(grant, fewer)}
        if trials.passes(
            Conditions(fewer_granted, limits, ignores_fuel=True), doing=f"leaving out {len(group)} variables"
        ):
            kept = fewer
            found.ignores_fuel = True
        elif len(group) > 1:
            half = len(group) // 2
            groups += [group[half:], group[:half]]
    if groups:
        untried = sum(map(len, groups))
        found.notes.append(f"{untried} variables stay: whether they are needed was not tried, for it takes too long")
    narrow = environment.only(grant, kept)
    if kept or name in sightings.imported:
        found.grants[name] = narrow
    else:
        del found.grants[name]
