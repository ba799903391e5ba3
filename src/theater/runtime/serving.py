"""Actors that are services (``wasi:http``): the node has them asked where their grant says, from their birth on."""

from __future__ import annotations

from collections.abc import Collection

from theater.capabilities.registry import Registry
from theater.errors import InvalidInput, StoreError
from theater.model.effects import Tell
from theater.model.ids import ActorId
from theater.model.ports import Append, Appended, Entry
from theater.runtime.loading import Loaded, Role
from theater.runtime.node import Node
from theater.runtime.permissions import Permissions
from theater.runtime.services import kept_key

_NOWHERE = (
    "this component answers HTTP requests, and nothing says where: put "
    '[capabilities.http-server] listen = ["127.0.0.1:8080"] into the manifest'
)


def prepare(node: Node, loaded: Loaded, actor: ActorId, permissions: Permissions, *, must: bool) -> Tell | None:
    """Reserve where a service is to be asked; None for an actor that is none, and for one that nobody asks.

    Raises:
        InvalidInput: it cannot be asked there, or nothing says where, and its birth is none that ``must`` go on.
    """
    if loaded.role != "service" or node.services is None:
        return None
    for name, capability in node.registry.capabilities.items():
        grant = permissions.effective.get(name)
        if capability.serves is not None and grant is not None:
            told = capability.serves(node.services.of(name), actor, grant, must)
            if told is not None:
                node.services.told(name, actor, told.order)
            return told
    if must:
        return None
    raise InvalidInput(_NOWHERE)


def check_place(registry: Registry, role: Role, granted: Collection[str]) -> None:
    """Raise ``InvalidInput`` where an actor is a service, and none of its capabilities says where it is asked."""
    if role == "service" and not any(registry.capabilities[name].serves is not None for name in granted):
        raise InvalidInput(_NOWHERE)


def rows_of(actor: ActorId, told: Tell | None) -> tuple[Entry, ...]:
    """What is kept with its birth."""
    if told is None:
        return ()
    return tuple(Entry(actor, "service", kept_key(told.capability, key), value) for key, value in told.keeps)


def serve(node: Node, actor: ActorId, told: Tell | None) -> None:
    """Its birth is durable."""
    if told is not None and node.services is not None:
        node.services.confirmed(told.capability, actor, told.order)


def serve_when_durable(node: Node, actor: ActorId, told: Tell | None) -> None:
    """Its birth is on the way into the store: what is written behind it is durable after it."""

    def written(result: Appended | StoreError) -> None:
        if not isinstance(result, StoreError):
            serve(node, actor, told)

    if told is not None:
        node.store.append(Append(actor, None, ()), written)
