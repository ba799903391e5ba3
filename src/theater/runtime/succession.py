"""Which component runs which step of a replayed chain: that of event 0, until the actor is upgraded to another.

An upgrade is a ``lifecycle`` event that names both components. Where the new one has a ``migrate``, that is run before,
as a step under the new component, and gives the state with which it takes over. So a migration that succeeded is
followed by the upgrade that it was for, and such an upgrade by nothing but its migration is preceded; a chain may end
between the two.
"""

from __future__ import annotations

from collections.abc import Callable

from theater.errors import TheaterError
from theater.model.event import Event
from theater.model.ids import Digest
from theater.model.payload import Lifecycle, Message, Payload, State
from theater.runtime.anatomy import Anatomy
from theater.runtime.exports import HANDLERS, MIGRATE
from theater.runtime.messages import upgrade_of
from theater.runtime.report import Fault, Faulty

Succeed = Callable[[Anatomy, Digest], Anatomy]
"""The same actor under another component. Raises ``TheaterError``: it is not there, or cannot be that."""


class Succession:
    """Follows the events of one chain; raises ``Faulty`` where they say what cannot be."""

    def __init__(self, anatomy: Anatomy, succeed: Succeed) -> None:
        self.anatomy = anatomy
        """Of the component that the actor has now."""
        self._succeed = succeed
        self._next: Anatomy | None = None
        self._has_migrated = False

    def anatomy_for(self, message: Event, payload: Message) -> Anatomy:
        """What the step that begins with ``message``, which is sound in itself, is run with."""
        seq = message.header.seq
        if self._has_migrated:
            raise Faulty(Fault(seq=seq, why="a step begins behind a migration, and the actor has not been upgraded"))
        if payload.component is None:
            anatomy = self.anatomy
        else:
            if payload.arguments != [self.anatomy.facts.component]:
                why = f"it migrates from {payload.arguments[0]}, and the actor's component is"
                raise Faulty(Fault(seq=seq, why=f"{why} {self.anatomy.facts.component}"))
            anatomy = self._next = self._successor(Digest(payload.component), seq)
        if payload.export in HANDLERS and payload.export not in anatomy.loaded.handlers:
            raise Faulty(Fault(seq=seq, why=f"it begins a step with {payload.export}, which the component has not"))
        return anatomy

    def close(self, payload: Message, result: Payload) -> None:
        """The step that began with ``payload`` came to ``result``."""
        self._has_migrated = payload.export == MIGRATE and isinstance(result, State)

    def upgrade(self, event: Event, lifecycle: Lifecycle, *, has_state: bool) -> None:
        """The actor goes on with another component."""
        seq = event.header.seq
        try:
            before, after = upgrade_of(lifecycle)
        except ValueError as error:
            raise Faulty(Fault(seq=seq, why=str(error))) from error
        if before != self.anatomy.facts.component:
            why = f"it upgrades from {before}, and the actor's component is {self.anatomy.facts.component}"
            raise Faulty(Fault(seq=seq, why=why))
        if self._has_migrated:
            assert self._next is not None
            if self._next.facts.component != after:
                why = f"it upgrades to {after}, and the step before migrated to {self._next.facts.component}"
                raise Faulty(Fault(seq=seq, why=why))
            anatomy = self._next
        else:
            anatomy = self._successor(after, seq)
            if has_state and MIGRATE in anatomy.loaded.handlers:
                raise Faulty(Fault(seq=seq, why="it upgrades to a component that migrates states, and none was"))
        self.anatomy = anatomy
        self._next = None
        self._has_migrated = False

    def _successor(self, digest: Digest, seq: int) -> Anatomy:
        try:
            return self._succeed(self.anatomy, digest)
        except TheaterError as error:
            raise Faulty(Fault(seq=seq, why=str(error))) from error
