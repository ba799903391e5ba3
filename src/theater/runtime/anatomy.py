"""What of an actor does not change: all of it follows from event 0 and the component that it names."""

from __future__ import annotations

from dataclasses import dataclass

from theater.capabilities.registry import Registry
from theater.errors import Unsound
from theater.model.ids import ActorId
from theater.model.limits import Limits, limits_from_json
from theater.model.manifest import InstanceMode
from theater.model.payload import BOUNDARY, Genesis
from theater.runtime.boundary import Bindings
from theater.runtime.context import ActorFacts
from theater.runtime.loading import Loaded, Loader
from theater.runtime.permissions import parse_grants


@dataclass(frozen=True, slots=True)
class Anatomy:
    """An actor's facts, program and bindings, live or in a replay."""

    facts: ActorFacts
    loaded: Loaded
    bindings: Bindings
    mode: InstanceMode
    params: str
    """What ``init`` is given."""

    @property
    def limits(self) -> Limits:
        """Its limits."""
        return self.facts.limits


def anatomy_of(
    registry: Registry, loader: Loader, actor: ActorId, genesis: Genesis, loaded: Loaded, started_us: int
) -> Anatomy:
    """What event 0, of that time, says the actor is, bound to its loaded program.

    Raises:
        Unsound: event 0 says something that cannot be.
        InvalidComponent: the program imports what these grants do not give.
    """
    if genesis.boundary != BOUNDARY:
        raise Unsound(f"event 0: boundary {genesis.boundary} is not known to this version ({BOUNDARY})", seq=0)
    grants = parse_grants(registry, genesis.effective, where="capabilities")
    facts = ActorFacts(
        actor=actor,
        name=genesis.name,
        started_us=started_us,
        environment=tuple((name, value) for name, value in genesis.environment),
        arguments=tuple(genesis.arguments),
        parent=ActorId(genesis.parent) if genesis.parent is not None else None,
        component=loaded.program.digest,
        limits=limits_from_json(genesis.limits),
    )
    mode: InstanceMode = "warm" if genesis.instance == "warm" else "fresh"
    return Anatomy(facts, loaded, loader.bind(loaded.program, grants), mode, genesis.params)
