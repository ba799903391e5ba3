"""A supervisor's children as its chain tells of them: a value that every decision is computed from.

It is a fold over the supervisor's own events and never asks the children. ``alive`` is therefore what the supervisor
last decided or heard: a child that is spawned or to be restarted is alive from that decision on, also while a pause
lasts or its ``init`` runs, and until its end was handled. An ``init`` that fails is an end like any other.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from theater.errors import InvalidInput
from theater.model.child_spec import ChildSpec
from theater.model.exit_reason import ExitReason
from theater.model.ids import ActorId, is_actor_id
from theater.model.recorded import Recorded, check_whole
from theater.model.supervisor_spec import SupervisorSpec


class Child(Recorded, frozen=True, kw_only=True):
    """One child. ``restarts`` counts every restart of it, also with its siblings or asked for.

    ``ended_normally``: its last end was its own normal one, so that it starts from a fresh ``init`` if ever.

    Raises:
        InvalidInput: ``id`` is no actor id, or the child is alive and ended.
    """

    id: ActorId
    spec: ChildSpec
    alive: bool = True
    restarts: int = 0
    ended_normally: bool = False

    def __post_init__(self) -> None:
        if not is_actor_id(self.id):
            raise InvalidInput(f"{self.id!r} is no actor id")
        check_whole("restarts", self.restarts, least=0, most=2**53 - 1)
        if self.alive and self.ended_normally:
            raise InvalidInput(f"the child {self.id} is alive and has ended")

    def ended(self, *, normally: bool) -> Child:
        """The child after its end."""
        return msgspec.structs.replace(self, alive=False, ended_normally=normally)

    def restarted(self) -> Child:
        """The child after the decision to restart it."""
        return msgspec.structs.replace(self, alive=True, ended_normally=False, restarts=self.restarts + 1)


class Family(Recorded, frozen=True, kw_only=True):
    """A supervisor's ``spec``, its ``children`` in the order of their start, and the times of its restarts.

    ``restarts`` are header times in microseconds since 1970, in order: at least those that a next restart could count,
    at most ``intensity`` of them.

    Raises:
        InvalidInput: two children of one id, or times that are no times, go back or are too many.
    """

    spec: SupervisorSpec = SupervisorSpec()
    children: tuple[Child, ...] = ()
    restarts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len({child.id for child in self.children}) < len(self.children):
            raise InvalidInput("two children have the same id")
        for time_us in self.restarts:
            check_whole("the time of a restart", time_us, least=0, most=2**63 - 1)
        if list(self.restarts) != sorted(self.restarts):
            raise InvalidInput("a restart was made before the one before it: times never go back in a chain")
        if len(self.restarts) > self.spec.intensity:
            raise InvalidInput(f"{len(self.restarts)} restarts are more than the intensity, {self.spec.intensity}")

    def child(self, id: ActorId) -> Child | None:
        """The child of this id, ended or not; None where there is none."""
        return next((child for child in self.children if child.id == id), None)

    @property
    def stop_order(self) -> tuple[ActorId, ...]:
        """The living children as they are stopped: the last started first, as in OTP."""
        return tuple(child.id for child in reversed(self.children) if child.alive)

    def spawned(self, id: ActorId, spec: ChildSpec) -> Family:
        """With one child more, the last in the order. Raises ``InvalidInput`` where it is there already."""
        if self.child(id) is not None:
            raise InvalidInput(f"{id} is a child already")
        return self._with(children=(*self.children, Child(id=id, spec=spec)))

    def removed(self, id: ActorId) -> Family:
        """Without this ended child, as by OTP's ``delete_child``. Raises ``InvalidInput``: no such child, or alive."""
        if self._known(id).alive:
            raise InvalidInput(f"the child {id} has not ended, so it cannot be removed")
        return self._with(children=(child for child in self.children if child.id != id))

    def ended(self, id: ActorId, reason: ExitReason) -> Family:
        """After the end of this child was handled. A temporary one leaves the list; any other stays, as in OTP.

        Raises:
            InvalidInput: no such child, or it had ended before.
        """
        if not self._known(id).alive:
            raise InvalidInput(f"the child {id} had ended already")
        return self._with(
            children=(
                child.ended(normally=reason.kind == "normal") if child.id == id else child
                for child in self.children
                if child.id != id or child.spec.restart != "temporary"
            )
        )

    def restarted(self, ids: Iterable[ActorId]) -> Family:
        """With these children alive and restarted once more; nothing is counted towards the intensity.

        That is what restarts are that somebody asked for. Those that a decision makes are counted by ``decide``.

        Raises:
            InvalidInput: no such child.
        """
        known = {self._known(id).id for id in ids}
        return self._with(children=(child.restarted() if child.id in known else child for child in self.children))

    def closed(self) -> Family:
        """After the end of the supervisor itself: all its children were stopped, and its window is empty.

        As a new supervisor process in OTP, one that is restarted begins to count anew; else the restarts over which it
        gave up would make it give up again at once.
        """
        kept = (child for child in self.children if child.spec.restart != "temporary")
        return self._with(
            children=(child.ended(normally=False) if child.alive else child for child in kept), restarts=()
        )

    def _known(self, id: ActorId) -> Child:
        child = self.child(id)
        if child is None:
            raise InvalidInput(f"{id} is no child of this actor")
        return child

    def _with(self, *, children: Iterable[Child], restarts: tuple[int, ...] | None = None) -> Family:
        return Family(
            spec=self.spec,
            children=tuple(children),
            restarts=self.restarts if restarts is None else restarts,
        )
