"""What event 0 claims, checked against what follows from it.

A manifest, a ceiling and the word of a person make the grants.

A widened grant, a raised limit or a variable that no grant names cannot be told from the bytes of the chain, whose
hashes can all be made anew. It can be told by deciding again.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from theater.capabilities import environment
from theater.capabilities.registry import Registry
from theater.errors import InvalidInput, InvalidJson, Unsound
from theater.model.ids import is_actor_id, is_digest
from theater.model.json_text import check_json
from theater.model.limits import Limits, limits_from_json
from theater.model.manifest import parse_manifest
from theater.model.payload import Genesis
from theater.runtime.permissions import decide, parse_grants


@dataclass(frozen=True, slots=True)
class Caps:
    """What a verifier lets a stranger's chain use at most. A step that needs more is a fault that says how much."""

    memory_bytes: int = 2**30
    fuel: int = 100_000_000_000
    deadline_s: float = 120.0
    events_per_step: int = 100_000
    bytes_per_step: int = 256 * 2**20
    state_bytes: int = 64 * 2**20
    message_bytes: int = 64 * 2**20
    reply_bytes: int = 64 * 2**20


def check_claims(genesis: Genesis, registry: Registry) -> None:
    """Decide again what the actor gets.

    The ceiling of a child is what its parent had, which stands in another chain; that nobody allows a child anything
    beyond it can be seen here.

    Raises:
        Unsound: event 0 says something else, or something that cannot be read.
    """
    try:
        manifest = parse_manifest(genesis.manifest, settings=genesis.settings, folder=genesis.folder)
        ceiling = parse_grants(registry, genesis.ceiling, where="ceiling")
        permissions = decide(
            registry, manifest.capabilities, ceiling=ceiling, allowed=genesis.allowed, folder=genesis.folder
        )
        asked = parse_grants(registry, permissions.asked, where="capabilities")
        recorded_asked = parse_grants(registry, genesis.asked, where="capabilities")
        recorded = parse_grants(registry, genesis.effective, where="capabilities")
    except InvalidInput as error:
        raise Unsound(f"event 0: what it says was asked and allowed does not hold: {error}", seq=0) from error
    if genesis.parent is not None and genesis.allowed:
        raise Unsound("event 0: a person allowed it something, and it is the child of another actor", seq=0)
    if asked != recorded_asked:  # as grants: a table from before a key of it was there has its default for that
        raise Unsound("event 0: the grants asked for are not those of its manifest", seq=0)
    if permissions.effective != recorded:
        raise Unsound("event 0: the effective grants do not follow from what was asked and what was allowed", seq=0)
    if manifest.limits.to_json() != genesis.limits:
        raise Unsound("event 0: the limits are not those of its manifest", seq=0)
    if manifest.instance != genesis.instance:
        raise Unsound("event 0: the kind of instance is not that of its manifest", seq=0)
    if genesis.forked is not None:
        _check_forked(genesis)
    elif manifest.component.startswith("sha256:") and manifest.component != f"sha256:{genesis.program}":
        raise Unsound("event 0: the component is not the one that its manifest names", seq=0)
    if genesis.state is not None:
        _check_state(genesis.state, manifest.limits.state_bytes)
    grant = recorded.get(environment.NAME)
    for name, _ in genesis.environment:
        if not isinstance(grant, environment.EnvironmentGrant) or not grant.allows(name):
            raise Unsound(f"event 0: it has the variable {name!r}, which no grant names", seq=0)


def _check_forked(genesis: Genesis) -> None:
    """That it is a fork can be believed; that the other was as it says stands in another chain.

    Its component is the one that the other had then, or was given to it, so it need not be the manifest's.
    """
    forked = genesis.forked
    assert forked is not None
    if not is_actor_id(forked.actor) or forked.seq < 0 or not is_digest(forked.hash):
        raise Unsound("event 0: it names no event of another chain as the one that it goes on from", seq=0)
    if genesis.state is None:
        raise Unsound("event 0: it goes on from another chain, and has no state to do so", seq=0)
    if genesis.parent is not None:
        raise Unsound("event 0: it goes on from another chain, and is the child of another actor", seq=0)


def _check_state(text: str, max_bytes: int) -> None:
    """No step gave it, so nothing else has looked at it."""
    try:
        check_json(text, max_bytes=max_bytes)
    except InvalidJson as error:
        raise Unsound(f"event 0: the state that it begins with is none: {error}", seq=0) from error


def capped_limits(genesis: Genesis, caps: Caps) -> Limits:
    """The limits to run under: the recorded ones, where the verifier allows as much.

    Fuel may be capped below what is recorded, since most steps need far less; the step that does need more is told
    apart when it is judged. The deadline is the verifier's alone: how long a step took elsewhere says nothing of how
    long it takes here. Everything else changes what a guest sees, so it is refused outright.

    Raises:
        Unsound: naming what is needed and what is allowed.
    """
    limits = limits_from_json(genesis.limits)
    for field in fields(Caps):
        needed, allowed = getattr(limits, field.name), getattr(caps, field.name)
        if needed > allowed and field.name not in ("fuel", "deadline_s"):
            option = f"--max-{field.name.removesuffix('_bytes').removesuffix('_s').replace('_', '-')}"
            raise Unsound(f"event 0: needs {needed}, allowed {allowed}; raise it with {option}", seq=0)
    return replace(limits, fuel=min(limits.fuel, caps.fuel), deadline_s=caps.deadline_s)
