"""What of an actor does not change from step to step.

All of it follows from event 0 and the component that it names, or to which the actor was upgraded since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from theater.errors import InvalidComponent, InvalidInput, InvalidManifest, Unsound
from theater.model.ids import ActorId
from theater.model.limits import Limits, limits_from_json
from theater.model.manifest import InstanceMode, parse_manifest
from theater.model.payload import BOUNDARY, Genesis
from theater.model.stdin import stdin_bytes
from theater.model.supervision_table import Supervision
from theater.runtime.boundary import Bindings
from theater.runtime.context import ActorFacts
from theater.runtime.loading import Loaded, Loader
from theater.runtime.permissions import Grants


@dataclass(frozen=True, slots=True)
class Anatomy:
    """An actor's facts, program and bindings, live or in a replay."""

    facts: ActorFacts
    loaded: Loaded
    bindings: Bindings
    mode: InstanceMode
    params: str
    """What ``init`` is given."""
    grants: Grants
    supervision: Supervision
    """How it supervises its children, and wants to be supervised itself."""

    @property
    def limits(self) -> Limits:
        """Its limits."""
        return self.facts.limits


def anatomy_of(loader: Loader, actor: ActorId, genesis: Genesis, loaded: Loaded, started_us: int) -> Anatomy:
    """What event 0, of that time, says the actor is, bound to its loaded program.

    Raises:
        Unsound: event 0 says something that cannot be.
        InvalidComponent: the program imports what these grants do not give.
    """
    if genesis.boundary != BOUNDARY:
        raise Unsound(f"event 0: boundary {genesis.boundary} is not known to this version ({BOUNDARY})", seq=0)
    grants = loader.parse_grants(genesis.effective)
    facts = ActorFacts(
        actor=actor,
        name=genesis.name,
        started_us=started_us,
        environment=tuple((name, value) for name, value in genesis.environment),
        arguments=tuple(genesis.arguments),
        parent=ActorId(genesis.parent) if genesis.parent is not None else None,
        component=loaded.program.digest,
        limits=_limits(tuple(genesis.limits.items())),
        grants=grants,
        stdin=_stdin(genesis),
    )
    mode: InstanceMode = "warm" if genesis.instance == "warm" else "fresh"
    return Anatomy(
        facts, loaded, loader.bind(loaded.program, grants), mode, genesis.params, grants, supervision_of(genesis)
    )


def supervision_of(genesis: Genesis) -> Supervision:
    """What its manifest says of supervision."""
    if "supervision" not in genesis.manifest:  # most say nothing, and reading a manifest takes as long as a step
        return _UNSUPERVISED
    if not genesis.settings:
        return _supervision(genesis.manifest)
    return _parsed(genesis.manifest, genesis.settings)


def _parsed(manifest: str, settings: Mapping[str, object]) -> Supervision:
    try:
        return parse_manifest(manifest, settings=settings).supervision
    except InvalidManifest as error:
        raise Unsound(f"event 0: its manifest cannot be read: {error}", seq=0) from error


@lru_cache(maxsize=256)  # the children of one supervisor are alike
def _supervision(manifest: str) -> Supervision:
    return _parsed(manifest, {})


@lru_cache(maxsize=256)
def _limits(items: tuple[tuple[str, int | float], ...]) -> Limits:
    return limits_from_json(dict(items))


_UNSUPERVISED = Supervision()


def upgraded_anatomy(anatomy: Anatomy, loader: Loader, loaded: Loaded) -> Anatomy:
    """The same actor with another component, bound under the same grants.

    Raises:
        InvalidComponent: it cannot take the place of this actor's, or imports what its grants do not give.
    """
    if loaded.role != anatomy.loaded.role:
        raise InvalidComponent(f"this component is of the role {loaded.role}, the actor's {anatomy.loaded.role}")
    facts = replace(anatomy.facts, component=loaded.program.digest)
    return replace(anatomy, facts=facts, loaded=loaded, bindings=loader.bind(loaded.program, anatomy.grants))


def _stdin(genesis: Genesis) -> bytes:
    try:
        return stdin_bytes(genesis.stdin)
    except InvalidInput as error:
        raise Unsound(f"event 0: {error}", seq=0) from error
