"""What a runtime does with what is kept: actors are removed and taken in, and what nobody needs is collected."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from theater.model.ids import ActorId
from theater.model.ports import ActorRecord
from theater.model.wire import Collected
from theater.runtime.arrivals import Arrivals
from theater.runtime.channel_ref import SOURCE
from theater.runtime.collection import collect
from theater.runtime.dispatcher import Dispatcher
from theater.runtime.importing import import_bundle
from theater.runtime.lookup import find_record
from theater.runtime.node import Node
from theater.runtime.removal import remove

T = TypeVar("T")


class Keeping(ABC):
    """A part of ``Runtime``; its methods belong to the event loop that entered that."""

    _node: Node
    _dispatcher: Dispatcher
    _arrivals: Arrivals

    @abstractmethod
    def require_open(self) -> None:
        """Raise ``NotRunning`` from the moment at which it begins to close."""

    @abstractmethod
    async def _off_loop(self, work: Callable[[], T]) -> T: ...

    def require_room(self) -> None:
        """Raise as ``require_open``; and ``DiskFull`` where there is less room than the reserve: nothing new begins."""
        self.require_open()
        self._dispatcher.surroundings.thrift.require()

    async def remove(self, text: str, *, tree: bool = False, by: str = SOURCE) -> list[ActorId]:
        """Remove an actor that has ended, with ``tree`` all below it too; returns them, children before parents.

        What they recorded is erased, in the background; the headers of their events stay, and who removed them.

        Raises:
            NotFound: there is none of that name or id, or somebody else is removing it.
            NotStopped: one of them has not ended, or there are some below it and no ``tree``. Nothing has happened.
            StoreError: it could not be recorded; whoever asks again goes on.
            NotRunning: the runtime is closing.
        """
        self.require_open()
        actor, dispatcher = find_record(self._node.store, text).id, self._dispatcher
        return await self._arrivals.arrival(self._off_loop(lambda: remove(dispatcher, actor, tree=tree, by=by)))

    async def collect(self) -> Collected:
        """Remove what is of no use to anybody: components, compiled code, and files that a death left behind.

        A component goes that is named nowhere, and was put and loaded for the last time more than an hour ago.

        Raises:
            Damaged: a chain cannot be read, so that nobody knows what it names; or a file cannot be removed.
            NotRunning: the runtime is closing.
        """
        self.require_open()
        wipe = self._dispatcher.erasing.wipe
        return await self._arrivals.arrival(self._off_loop(lambda: collect(self._node, wipe)))

    async def take_in(self, bundle: Path) -> ActorRecord:
        """Take in the actor of a bundle, stopped.

        Raises:
            BadBundle, Unsound: it is not a sound bundle; nothing of it was kept.
            InvalidInput: the actor is here already.
            DiskFull: there is less room than the reserve.
            NotRunning: the runtime is closing.
            StoreError: it could not be written; the actor was here, and was removed.
        """
        self.require_room()

        def take() -> ActorRecord:
            record = import_bundle(bundle, self._node.store, self._node.blobs)
            directory = self._dispatcher.surroundings.directory
            directory.put(record)
            directory.remove_child(record.id)  # its parent, if that is here, never had it on its list
            return record

        return await self._arrivals.arrival(self._off_loop(take))
