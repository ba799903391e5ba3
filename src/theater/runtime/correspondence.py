"""Messages from outside: how they get into a mailbox, and how the answers come back to the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from theater.model.ids import ActorId
from theater.model.ports import Append, Appended, Entry, EventStore
from theater.runtime.actor import Actor
from theater.runtime.delivery import Delivery
from theater.runtime.dispatcher import Dispatcher
from theater.runtime.letter import Answer, Asker, Letter, Reply, encode_letter
from theater.runtime.loading import HANDLE
from theater.runtime.posting import accepted, message


class Home(Protocol):
    """What it needs of its runtime."""

    @property
    def store(self) -> EventStore:
        """The chains."""

    @property
    def delivery(self) -> Delivery:
        """To the event loop."""

    async def woken(self, actor: ActorId) -> Actor:
        """The actor in memory, read from the store where it is not."""

    def new_id(self) -> str:
        """An id for a message from outside."""


class Correspondence:
    """Belongs to one event loop."""

    def __init__(self, home: Home, dispatcher: Dispatcher) -> None:
        self._home = home
        self._dispatcher = dispatcher

    async def request(self, actor: ActorId, body: str, *, by: str, expects_reply: bool) -> Reply:
        """Have an actor handle a message, and wait for its answer, or else until it has been handled."""
        message_id = self._home.new_id()
        arguments = (message(message_id, body, sender=None, expects_reply=expects_reply),)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        delivery = self._home.delivery

        def done(answer: Answer) -> None:
            delivery.put(future, answer)

        asker = Asker(done)
        letter = Letter(message_id, by, HANDLE, arguments, expects_reply, done=asker, has_place=True)
        await self.submit(actor, letter)
        try:
            return await future
        finally:
            if future.cancelled():
                asker.is_gone = True
                found = self._dispatcher.find(actor)
                if found is not None:
                    found.forgo()

    async def submit(self, actor: ActorId, letter: Letter) -> None:
        """Put a letter into an actor's mailbox that need not survive the process."""
        self._dispatcher.surroundings.thrift.require()
        found = await self._home.woken(actor)
        while not found.submit(letter):
            self._dispatcher.left(found)
            found = await self._home.woken(actor)

    async def send(self, actor: ActorId, body: str, *, by: str) -> str:
        """Have an actor handle a message some time; returns its id once it would survive the death of the process."""
        message_id = self._home.new_id()
        await self.post(actor, accepted(message_id, body, source=by, sender=None))
        return message_id

    async def post(self, actor: ActorId, letter: Letter, puts: Sequence[Entry] = ()) -> None:
        """Put a letter into an actor's mailbox for good, and in the same transaction these entries."""
        self._dispatcher.surroundings.thrift.require()
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        delivery = self._home.delivery
        (await self._home.woken(actor)).reserve_place(letter)
        entry = Entry(actor, "mailbox", letter.id, encode_letter(letter), once=True)
        batch = Append(actor, None, (), puts=(entry, *puts))
        self._home.store.append(batch, lambda result: delivery.put(future, result))
        self._dispatcher.deliver(actor, letter)
        await future
