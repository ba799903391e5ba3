"""What a running node knows of its actors beyond what is in its store."""

from __future__ import annotations

from collections.abc import Mapping

from theater.model.ids import ActorId
from theater.model.ports import ActorRecord
from theater.runtime.dispatcher import Dispatcher
from theater.runtime.tally import Tally


class Live:
    """Any thread may use it. What it tells holds in memory, and is durable a moment later."""

    def __init__(self, dispatcher: Dispatcher, tally: Tally) -> None:
        self._dispatcher = dispatcher
        self._tally = tally

    def record(self, actor: ActorId) -> ActorRecord | None:
        """Its row as of now; None where the directory has none."""
        card = self._dispatcher.surroundings.directory.card(actor)
        return card.record if card is not None else None

    def role(self, actor: ActorId) -> str | None:
        """``actor`` or ``command``; None where it is not in memory."""
        found = self._dispatcher.find(actor)
        return found.anatomy.loaded.role if found is not None else None

    def waiting(self, actor: ActorId) -> int | None:
        """Places of its mailbox that are taken; None where it is not in memory, so that they are all in the store."""
        card = self._dispatcher.surroundings.directory.card(actor)
        return card.places if card is not None and self._dispatcher.find(actor) is not None else None

    def deferred(self, actor: ActorId) -> int | None:
        """Requests that it put off; None where it is not in memory."""
        card = self._dispatcher.surroundings.directory.card(actor)
        return card.deferred if card is not None and self._dispatcher.find(actor) is not None else None

    def services(self, actor: ActorId) -> list[str]:
        """What the services of capabilities have for it, a line each: where it listens, what it runs."""
        services = self._dispatcher.surroundings.node.services
        return services.shown(actor) if services is not None else []

    def denials(self) -> Mapping[str, int]:
        """Calls of guests beyond their grants since the node was opened, by interface."""
        return self._dispatcher.surroundings.denials.by_interface()

    def steps(self, actor: ActorId) -> int:
        """Steps that it closed since the node was opened."""
        return self._tally.steps_of(actor)
