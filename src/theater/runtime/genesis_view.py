"""What an actor's first event says of it, for people: grants, limits and supervision as in a manifest."""

from __future__ import annotations

from dataclasses import dataclass, field

from theater.capabilities.registry import Registry
from theater.errors import TheaterError
from theater.model.child_spec import ChildSpec, Shutdown
from theater.model.limits import limits_from_json
from theater.model.payload import Genesis
from theater.model.ports import ActorRecord, EventStore
from theater.model.quantity import show_duration
from theater.model.supervision_table import Supervision
from theater.model.toml_text import parse_toml
from theater.model.wire import Supervision as SupervisionDocument
from theater.runtime.anatomy import supervision_of
from theater.runtime.holdings import decode_child
from theater.runtime.permissions import parse_grants

_UNSUPERVISED = ChildSpec(restart="temporary")
"""A root actor whose manifest says nothing: nobody restarts it."""

Tables = dict[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class GenesisView:
    """Empty where the first event does not tell."""

    grants: Tables = field(default_factory=dict)
    limits: dict[str, object] = field(default_factory=dict)
    limits_set: list[str] = field(default_factory=list)
    supervision: SupervisionDocument | None = None


def view_genesis(
    store: EventStore, registry: Registry, record: ActorRecord, genesis: Genesis, *, has_children: bool
) -> GenesisView:
    """What ``genesis`` says. Fails for nothing that may stand in it."""
    return GenesisView(
        grants=_grants(registry, genesis),
        limits=_limits(genesis),
        limits_set=_limits_set(genesis),
        supervision=_supervision(store, record, genesis, has_children=has_children),
    )


def _grants(registry: Registry, genesis: Genesis) -> Tables:
    """With the keys that came after it was made, too; as recorded where this version cannot read them."""
    try:
        grants = parse_grants(registry, genesis.effective, where="capabilities")
    except TheaterError:
        return genesis.effective
    return {name: dict(grant.table()) for name, grant in grants.items()}


def _limits(genesis: Genesis) -> dict[str, object]:
    try:
        return dict(limits_from_json(genesis.limits).to_manifest())
    except TheaterError:
        return dict(genesis.limits)


def _limits_set(genesis: Genesis) -> list[str]:
    try:
        table = parse_toml(genesis.manifest).get("limits")
    except TheaterError:
        return []
    return sorted(table) if isinstance(table, dict) else []


def _supervision(
    store: EventStore, record: ActorRecord, genesis: Genesis, *, has_children: bool
) -> SupervisionDocument | None:
    try:
        supervision = supervision_of(genesis)
    except TheaterError:
        return None
    supervisor = supervision.supervisor
    own = _own_spec(store, record, supervision)
    return SupervisionDocument(
        strategy=supervisor.strategy,
        intensity=supervisor.intensity,
        period=show_duration(supervisor.period_us / 1e6),
        restart=own.restart,
        restart_from=own.restart_from,
        shutdown=_show_shutdown(own.shutdown_of(has_children=has_children)),
    )


def _own_spec(store: EventStore, record: ActorRecord, supervision: Supervision) -> ChildSpec:
    """As its parent has it, else as its manifest says."""
    if record.parent is None:
        return supervision.self_spec or _UNSUPERVISED
    entry = store.entry(record.parent, "child", record.id)
    return decode_child(entry.value).spec if entry is not None else supervision.self_spec or ChildSpec()


def _show_shutdown(shutdown: Shutdown) -> str:
    return shutdown if isinstance(shutdown, str) else show_duration(shutdown / 1e3)
