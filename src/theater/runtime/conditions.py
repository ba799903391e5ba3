"""Under what a history is replayed in place of what its event 0 says: other grants, other limits.

Event 0 stays what it is, and is checked as ever. What an actor is given from it changes: its bindings, its variables,
its limits. A replay under such conditions says whether the history would have been the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from theater.capabilities import environment
from theater.model.limits import Limits
from theater.runtime.anatomy import Anatomy
from theater.runtime.claims import Caps
from theater.runtime.loading import Loader
from theater.runtime.permissions import Grants


@dataclass(frozen=True, slots=True)
class Conditions:
    """What an actor is given in place of what it was."""

    grants: Grants
    limits: Limits
    ignores_fuel: bool = False
    """Whether a step may burn another amount than it did, within the limits. A guest that is given all of its variables
    at once, or all of its directories, burns less where there are fewer."""


def under(conditions: Conditions, anatomy: Anatomy, loader: Loader, caps: Caps) -> Anatomy:
    """The same actor, given that. The deadline is the verifier's in any case, and no more fuel burnt than it allows.

    Raises:
        InvalidComponent: the component imports what is not granted any more.
    """
    granted = conditions.grants.get(environment.NAME)
    limits = replace(
        conditions.limits, fuel=min(conditions.limits.fuel, caps.fuel), deadline_s=anatomy.limits.deadline_s
    )
    facts = replace(
        anatomy.facts,
        limits=limits,
        grants=conditions.grants,
        environment=tuple(
            (name, value)
            for name, value in anatomy.facts.environment
            if isinstance(granted, environment.EnvironmentGrant) and granted.allows(name)
        ),
    )
    bindings = loader.bind(anatomy.loaded.program, conditions.grants)
    return replace(anatomy, facts=facts, bindings=bindings, grants=conditions.grants)
