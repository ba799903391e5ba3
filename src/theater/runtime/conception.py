"""Everything that is checked before an actor comes to be: its manifest, its grants, its component, its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from theater.errors import Busy, Denied, InvalidComponent, InvalidInput, NameTaken, NotFound
from theater.model.actor_system import Problem
from theater.model.child_spec import Backoff, ChildSpec
from theater.model.effects import ChildOrder
from theater.model.ids import Digest, is_digest
from theater.model.manifest import Manifest, check_name, parse_manifest
from theater.model.payload import Forked
from theater.runtime.directory import Directory
from theater.runtime.node import Node
from theater.runtime.permissions import Grants, Permissions, decide
from theater.runtime.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be born. ``component`` is in the content store already."""

    manifest: Manifest
    component: Digest
    name: str
    arguments: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    by: str = "runtime"
    """Who starts it, where it is a root actor."""
    environment: tuple[tuple[str, str], ...] | None = None
    """Variables of which it gets those that its grants name; None: the node's."""
    forked: Forked | None = None
    """Where it comes from, if it goes on from where another one was."""
    stdin: bytes = b""
    """What its program can read."""

    def named(self, name: str) -> Request:
        """The same under another name."""
        return replace(self, name=name)


def permissions_of(node: Node, manifest: Manifest, allowed: Sequence[str] = ()) -> Permissions:
    """What a root actor with this manifest would get on this node. Raises ``Denied``, ``InvalidManifest``."""
    return decide(node.registry, manifest.capabilities, ceiling=node.ceiling, allowed=allowed, folder=manifest.folder)


def free_name(directory: Directory, name: str) -> str:
    """``name``, or ``name-2`` and so on where a living actor has it, or one that is to be started again."""
    number = 1
    candidate = name
    while not directory.is_free(candidate):
        number += 1
        candidate = f"{name[: 62 - len(str(number))]}-{number}"
    return candidate


def root_permissions(surroundings: Surroundings, request: Request) -> Permissions:
    """What a root actor would get, once everything about it has been checked; its name is reserved then.

    Raises:
        Denied, InvalidManifest, InvalidComponent, CompileFailed, NotFound, NameTaken: nothing was written.
    """
    node = surroundings.node
    permissions = permissions_of(node, request.manifest, request.allowed)
    loaded = node.loader.load(request.component)
    node.loader.bind(loaded.program, permissions.effective)
    if not surroundings.directory.reserve_name(request.name):
        raise NameTaken(f"a living actor is called {request.name!r} already; choose another name")
    return permissions


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """A child that may be spawned: everything about it was checked, and its name is reserved."""

    request: Request
    permissions: Permissions
    spec: ChildSpec


def plan_child(
    surroundings: Surroundings, order: ChildOrder, grants: Grants, *, must: bool = False
) -> ChildPlan | Problem:
    """Check a child that an actor with these ``grants`` wants to spawn, and reserve its name.

    Problems: invalid-manifest, grants-exceeded, component-not-found, component-refused, name-taken, not-json,
    too-large, and other: busy, where its component has to be compiled and others are; unless it ``must`` be born.
    """
    node = surroundings.node
    try:
        manifest = parse_manifest(order.manifest, params=order.params)
        name = check_name(order.name) if order.name is not None else manifest.name
        spec = child_spec(order, manifest)
    except InvalidInput as error:
        return ("not-json" if error.code == "invalid-json" else "invalid-manifest", error.message)
    component = order.component or _named_digest(manifest)
    if component is None:
        return ("invalid-manifest", "component must be sha256: and the digest of one in the content store")
    try:
        permissions = decide(node.registry, manifest.capabilities, ceiling=grants)
    except Denied as error:
        asked = error.data["asked"]
        assert isinstance(asked, list)
        return ("grants-exceeded", asked)
    except InvalidInput as error:
        return ("invalid-manifest", error.message)
    try:
        node.loader.bind(node.loader.load_in_step(component, must=must).program, permissions.effective)
    except Busy as error:
        return ("other", f"busy: {error.message}")
    except NotFound:
        return ("component-not-found", component)
    except InvalidComponent as error:
        return ("component-refused", error.message)
    if not surroundings.directory.reserve_name(name):
        return ("name-taken", name)
    return ChildPlan(Request(manifest, component, name), permissions, spec)


def child_spec(order: ChildOrder, manifest: Manifest) -> ChildSpec:
    """How a child is supervised: as the order says, else as its manifest does, else as by default.

    Raises:
        InvalidInput: a time beyond what can be.
    """
    own = manifest.supervision.self_spec or ChildSpec()
    backoff = Backoff(first_ms=order.backoff_ms[0], max_ms=order.backoff_ms[1]) if order.backoff_ms else own.backoff
    return ChildSpec(
        restart=order.restart or own.restart,
        restart_from=order.restart_from or own.restart_from,
        shutdown=order.shutdown if order.shutdown is not None else own.shutdown,
        backoff=backoff,
    )


def _named_digest(manifest: Manifest) -> Digest | None:
    prefix, _, digest = manifest.component.partition(":")
    return Digest(digest) if prefix == "sha256" and is_digest(digest) else None
