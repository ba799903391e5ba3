"""The channels that clients hold open: by id, each for the token that opened it, for as long as somebody uses it.

Over HTTP nobody holds an end of a channel in his hand, so the server does, and lets go of it when nothing was said,
read or waited for on it for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from theater.errors import Busy, NotFound, TheaterError
from theater.runtime.channel_ref import Channel

CHANNELS_MAX: Final = 1000
"""Each may have 1,000 messages waiting. Those that are closed make room for others."""

IDLE_S: Final = 300.0
"""How long a channel is kept that nobody uses."""


class HeldChannel:
    """One of them."""

    __slots__ = ("channel", "has_told_end", "owner", "timer", "users")

    def __init__(self, channel: Channel, owner: str) -> None:
        self.channel = channel
        self.owner = owner
        """The name of the token that opened it."""
        self.has_told_end = False
        """Whether its owner was told that nothing more comes."""
        self.users = 0
        """Requests that are using it now."""
        self.timer: asyncio.TimerHandle | None = None


class ChannelTable:
    """See above. Belongs to one event loop."""

    def __init__(self, *, most: int = CHANNELS_MAX, idle_s: float = IDLE_S) -> None:
        self._most = most
        self._idle_s = idle_s
        self._held: dict[str, HeldChannel] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many are held."""
        return len(self._held)

    def require_room(self) -> None:
        """Raise ``Busy`` where no more can be held."""
        if len(self._held) < self._most:
            return
        ended = next((held for held in self._held.values() if not held.channel.is_open and not held.users), None)
        if ended is None:
            raise Busy(f"{self._most} channels are open, as many as there may be; close one, or try again later")
        self._drop(ended)

    def hold(self, channel: Channel, owner: str) -> None:
        """Keep a channel for whoever opened it. Raises ``Busy``."""
        self.require_room()
        held = self._held[channel.id] = HeldChannel(channel, owner)
        self._rest(held)

    @contextmanager
    def used(self, channel: str, owner: str) -> Iterator[HeldChannel]:
        """A channel, which stays for as long as it is used.

        Raises:
            NotFound: there is none of that id that this token has opened, or it was let go.
        """
        held = self._held.get(channel)
        if held is None or held.owner != owner:
            raise NotFound(f"no channel {channel[:80]!r}: it was never opened with this token, or is long closed")
        held.users += 1
        if held.timer is not None:
            held.timer.cancel()
        try:
            yield held
        finally:
            held.users -= 1
            if not held.users:
                self._rest(held)

    async def close(self) -> None:
        """Let go of all of them. What the actors hear of it is for the runtime to see to, which closes as well."""
        for held in list(self._held.values()):
            self._drop(held)
        if self._closing:
            await asyncio.wait(self._closing)

    def _rest(self, held: HeldChannel) -> None:
        """From now on nobody uses it."""
        if held.channel.id in self._held:
            held.timer = asyncio.get_running_loop().call_later(self._idle_s, self._let_go, held)

    def _let_go(self, held: HeldChannel) -> None:
        self._drop(held)
        if held.channel.is_open:
            task = asyncio.get_running_loop().create_task(_close(held.channel))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _drop(self, held: HeldChannel) -> None:
        if held.timer is not None:
            held.timer.cancel()
        del self._held[held.channel.id]


async def _close(channel: Channel) -> None:
    try:
        await channel.close()
    except TheaterError:
        return  # the runtime closes: the actor hears of it when that is opened again
