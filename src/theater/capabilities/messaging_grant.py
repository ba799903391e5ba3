"""To whom an actor may speak: the grant of ``messaging``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from theater.capabilities.grant_table import (
    check_keys,
    common,
    items_of,
    least,
    manifest_line,
    outside,
)
from theater.errors import InvalidManifest
from theater.model.actor_system import Acquaintance, Problem
from theater.model.capability import StepContext
from theater.model.ids import is_actor_id
from theater.model.manifest import is_name
from theater.model.spelling import nearest

NAME = "messaging"
ANY: Final = "any"
NAME_PREFIX = "name:"
RELATIVES = ("parent", "children", "siblings", "descendants")
TO_DEFAULT = ("children", "parent")
"""Those whom an actor knows by itself: who started it, and whom it started."""


@dataclass(frozen=True, slots=True)
class MessagingGrant:
    """Who may be spoken to: relatives, actors of a name (``name:ledger``), anybody. Sorted; none that another covers.

    An actor may always speak to itself, and answer whoever asked it.
    """

    to: tuple[str, ...] = TO_DEFAULT

    def __post_init__(self) -> None:
        for item in self.to:
            _check(item)
        object.__setattr__(self, "to", least(self.to, _covers))

    @property
    def is_unbounded(self) -> bool:
        """Whether anybody may be spoken to."""
        return ANY in self.to

    def knows(self, name: str) -> bool:
        """Whether the guest may learn who has that name."""
        return self.is_unbounded or NAME_PREFIX + name in self.to

    def reaches(self, other: Acquaintance) -> bool:
        """Whether that actor may be spoken to."""
        return (
            self.knows(other.name)
            or "self" in other.relations
            or any(relation in self.to for relation in other.relations)
        )

    def table(self) -> dict[str, object]:
        return {"to": list(self.to)}

    def lines(self, beyond: MessagingGrant | None) -> list[str]:
        if beyond is None and not self.to:
            return [manifest_line("to", [])]  # less than the table's head alone, which is the defaults
        allowed = () if beyond is None else beyond.to
        return [manifest_line("to", [item]) for item in outside(self.to, allowed, _covers)]

    def narrowed(self, ceiling: MessagingGrant) -> MessagingGrant:
        return MessagingGrant(common(self.to, ceiling.to, _covers))


def parse(table: Mapping[str, object]) -> MessagingGrant:
    """Keys: ``to``, a list; ``allow`` is another word for it, that of ``--allow``."""
    check_keys(NAME, table, ("to", "allow"))
    items = items_of(NAME, table, "to")
    return MessagingGrant() if items is None else MessagingGrant(items)


def unreachable(ctx: StepContext, grant: MessagingGrant, to: str) -> Problem | None:
    """Why the guest may not speak to ``to``; None if it may.

    Beyond the grant the answer follows from the grant alone, so that it tells nothing of who exists. What is no id is
    the id of nobody.
    """
    other = ctx.system.acquaintance(to) if is_actor_id(to) else None
    if other is None:
        return ("not-found", to) if grant.is_unbounded else _denied(grant)
    return None if grant.reaches(other) else _denied(grant)


def _denied(grant: MessagingGrant) -> Problem:
    return ("denied", f"only {manifest_line('to', list(grant.to))} is granted")


def _covers(wide: str, narrow: str) -> bool:
    return wide in (narrow, ANY) or (wide == "descendants" and narrow == "children")


def _check(item: str) -> None:
    where = f"[capabilities.{NAME}] to: "
    if item.startswith(NAME_PREFIX):
        if not is_name(item.removeprefix(NAME_PREFIX)):
            raise InvalidManifest(
                f"{where}{item!r} names no actor: 1 to 63 of a-z, 0-9 and '-', beginning with a letter"
            )
    elif item not in (*RELATIVES, ANY):
        known = (*RELATIVES, ANY, NAME_PREFIX + item.partition(":")[2])
        raise InvalidManifest(
            f"{where}{item!r} is none of {', '.join(RELATIVES)}, {ANY} and {NAME_PREFIX}NAME{nearest(item, known)}"
        )
