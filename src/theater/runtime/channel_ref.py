"""A channel as a program outside of any actor holds it in its hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from theater.errors import Busy, ChannelClosed, NoChannels
from theater.model.ids import ActorId
from theater.model.json_text import check_json
from theater.model.ports import Appended
from theater.runtime.actor import Actor
from theater.runtime.channel_settlement import message_letter, opening_letter
from theater.runtime.channels import Channels, Offer
from theater.runtime.delivery import Delivery
from theater.runtime.exports import CHANNEL_OPENED
from theater.runtime.letter import Answer, Letter, Reply
from theater.runtime.outside import Outside
from theater.runtime.python_values import from_json, to_json

SOURCE = "local"
"""Who a message is from that came through this interface."""


class Home(Protocol):
    """What a channel needs of its runtime."""

    @property
    def channels(self) -> Channels:
        """Those of the node."""

    @property
    def delivery(self) -> Delivery:
        """To the event loop."""

    async def woken(self, actor: ActorId) -> Actor:
        """The actor in memory, read from the store where it is not."""

    async def submit(self, actor: ActorId, letter: Letter) -> None:
        """Put a letter into an actor's mailbox that need not survive the process."""

    async def post(self, actor: ActorId, letter: Letter) -> None:
        """Put one there for good."""

    def new_id(self) -> str:
        """An id for a message from outside."""


class Channel:
    """One end of an open channel; the other end has an actor. Belongs to one event loop.

    ``reply`` is what the actor said when it accepted. A reader that falls 1,000 messages behind loses the channel.
    """

    def __init__(self, home: Home, channel: str, actor: ActorId, *, most_bytes: int, by: str) -> None:
        self.id = channel
        self.actor = actor
        self.reply: str | None = None
        self._by = by
        self._home = home
        self._most_bytes = most_bytes
        self._reading = asyncio.Lock()
        self._waiter: asyncio.Future[None] | None = None
        self._end = Outside(wake=self._wake, lost=self._lost)

    @property
    def is_open(self) -> bool:
        """Whether something can be said on it."""
        return self._end.reason is None

    @property
    def reason(self) -> str | None:
        """Why it is closed; None while it is open."""
        return self._end.reason

    async def send(self, body: object) -> None:
        """Say ``body`` as JSON; see ``send_json``."""
        await self.send_json(to_json(body))

    async def send_json(self, body: str) -> str:
        """Say a JSON text. Returns the message's id once that would survive the death of the process.

        What was said when the actor closed the channel is handled all the same, or lost with the actor.

        Raises:
            InvalidJson, ChannelClosed, NotRunning, MailboxFull: nothing was said.
            StoreError: it could not be recorded, so it has not happened.
        """
        check_json(body, max_bytes=self._most_bytes)
        if not self.is_open or self._home.channels.find(self.actor, self.id) is None:
            raise self._closed()
        message_id = self._home.new_id()
        await self._home.post(self.actor, message_letter(self.id, message_id, body, sender=None, source=self._by))
        return message_id

    async def receive(self) -> object:
        """What the actor says next, as a value; see ``receive_json``."""
        return from_json(await self.receive_json())

    async def receive_json(self) -> str:
        """The JSON text that the actor says next. What it said is durable. Waits for it, one reader after the other.

        Raises:
            ChannelClosed: everything was read, and nothing more comes.
        """
        while True:
            body = self.receive_nowait()
            if body is not None:
                return body
            await self.wait_readable()

    def receive_nowait(self) -> str | None:
        """The JSON text that the actor has said next; None where it has said no more yet.

        Raises:
            ChannelClosed: everything was read, and nothing more comes.
        """
        was_open = self.is_open  # before it is looked for: nothing is put behind the end
        body = self._end.take()
        if body is None and not was_open:
            raise self._closed()
        return body

    async def wait_readable(self) -> None:
        """Wait until there is something to receive, or nothing more comes."""
        async with self._reading:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                if self._end.is_empty and self.is_open:
                    await self._waiter
            finally:
                self._waiter = None

    async def __aiter__(self) -> AsyncIterator[object]:
        """What the actor says, until the channel is closed."""
        while True:
            try:
                body = await self.receive()
            except ChannelClosed:
                return
            yield body

    async def close(self) -> None:
        """End it, and wait until that is durable. What was received can still be read."""
        self._end.end("it was closed here")
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        delivery = self._home.delivery
        is_closed_here = self._home.channels.close(
            self.id, self.actor, done=lambda result: delivery.put(future, result)
        )
        if is_closed_here:
            await future

    async def open(self, opening: str, *, there_max: int) -> None:
        """Ask for it, and wait until it is accepted. Once."""
        channels, delivery = self._home.channels, self._home.delivery
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def done(answer: Answer) -> None:
            delivery.put(future, answer)

        offer = Offer(None, self.actor, self._end)
        if channels.offer(self.id, offer, here_max=0, there_max=there_max) is not None:
            raise Busy(f"the actor has {there_max} channels, its limit; try again when some are closed")
        try:
            letter = opening_letter(self.id, opening, opener=None, source=self._by, done=done)
            await self._home.submit(self.actor, letter)
            self.reply = (await future).text
        except BaseException:
            if channels.give_up(self.id):
                channels.close(self.id, self.actor)
            raise

    def _closed(self) -> ChannelClosed:
        return ChannelClosed(f"the channel is closed: {self._end.reason or 'the actor closed it'}")

    def _lost(self) -> None:
        """On any thread: nobody reads what the actor says."""
        self._home.channels.close(self.id, self.actor)

    def _wake(self) -> None:
        """On any thread."""
        waiter = self._waiter
        if waiter is not None:
            self._home.delivery.put(waiter, None)


async def open_channel(home: Home, actor: ActorId, opening: str, *, by: str) -> Channel:
    """Open a channel to an actor, which is given ``opening``, a JSON text.

    Raises:
        InvalidJson, NotRunning, NoChannels, MailboxFull: nothing was asked.
        Busy: the actor has as many channels as its manifest allows.
        Refused, Crashed: the actor did not accept.
    """
    found = await home.woken(actor)
    limits = found.anatomy.limits
    check_json(opening, max_bytes=limits.message_bytes)
    if CHANNEL_OPENED not in found.anatomy.loaded.handlers:
        raise NoChannels(f"actor {found.record.name!r} takes no channels: it does not export channel-handlers")
    channel = Channel(home, home.new_id(), actor, most_bytes=limits.message_bytes, by=by)
    await channel.open(opening, there_max=limits.channels)
    return channel
