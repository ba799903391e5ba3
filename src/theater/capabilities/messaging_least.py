"""The least grant of ``messaging`` that the calls of a history need.

A chain says who its actor's parent is, which children it started, and which names it looked up. Who else an id is does
not stand in it: whatever was granted that this may come under stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from theater.capabilities.messaging_grant import ANY, NAME_PREFIX, MessagingGrant
from theater.capabilities.supervisor_spawn import INTERFACE as SUPERVISOR
from theater.model.manifest import is_name
from theater.model.narrowing import Least, Need, SeenCall

_TO = frozenset({"send", "request", "open-channel"})
_SPAWNS = frozenset({"spawn", "resume"})


def needs(call: SeenCall) -> Iterator[Need]:
    """``to`` with an id that is spoken to, ``name`` with one that is looked up; ``kin`` with who somebody is."""
    if call.interface == SUPERVISOR:
        yield from _children(call)
    elif call.function in _TO and not _is_denied(call.answer):
        to = str(call.arguments[0])
        if to != call.actor:
            yield "to", to
        if to == call.parent:
            yield "kin", to, "parent"
    elif call.function == "whereis" and not _is_denied(call.answer):
        name = str(call.arguments[0])
        yield "name", name
        match call.answer:
            case ("ok", str(found)):
                yield "kin", found, NAME_PREFIX + name


def grant(granted: MessagingGrant, found: Collection[Need]) -> MessagingGrant:
    """The relations to those who were spoken to."""
    kin: dict[str, set[str]] = {}
    for kind, *rest in found:
        if kind == "kin":
            kin.setdefault(str(rest[0]), set()).add(str(rest[1]))
    wanted = {NAME_PREFIX + str(need[1]) for need in found if need[0] == "name" and is_name(str(need[1]))}
    for to in {str(need[1]) for need in found if need[0] == "to"}:
        relations = kin.get(to, set()) & _within(granted, kin.get(to, set()))
        wanted |= {min(relations, key=_narrowness)} if relations else _others(granted)
    return MessagingGrant(tuple(wanted)).narrowed(granted)


LEAST = Least(needs, grant, also=(SUPERVISOR,))


def _children(call: SeenCall) -> Iterator[Need]:
    match call.function, call.answer:
        case str(name), ("ok", str(child)) if name in _SPAWNS:
            yield "kin", child, "children"
        case "list-children", ("ok", list() as children):
            relation = "children" if call.arguments[0] is None else "descendants"
            for child in children:
                yield "kin", str(child["id"]), relation


def _within(granted: MessagingGrant, relations: set[str]) -> set[str]:
    return {relation for relation in relations if not MessagingGrant((relation,)).lines(granted)}


def _narrowness(relation: str) -> tuple[bool, str]:
    """A relation before a name, so that it is the same whether the name was looked up or not."""
    return relation.startswith(NAME_PREFIX), relation


def _others(granted: MessagingGrant) -> set[str]:
    """Whom an id may belong to of which no more is known: anybody but the parent."""
    return {item for item in granted.to if item != "parent"} or {ANY}


def _is_denied(answer: object) -> bool:
    match answer:
        case ("err", ("denied", _)):
            return True
    return False
