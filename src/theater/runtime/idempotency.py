"""Messages that come with a key, so that whoever did not hear of the first may send it again: it is handled once.

The key is put into the store in the transaction of the acceptance (``key``). A second message with it is not accepted:
a send is acknowledged with the id of the first; a request is answered as the first was, from the chain, or waits for
what becomes of it. So a request with a key is put into the store before it is handled, as a send is.

Which of two is the first is decided on the event loop, where one acceptance a key is under way at a time, and goes on
whether or not who asked for it goes on waiting.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

import msgspec

from theater.errors import Damaged, IdempotencyMismatch, NotFound, TheaterError
from theater.model.ids import ActorId
from theater.model.ports import Clock, Entry
from theater.runtime.arrivals import Arrivals
from theater.runtime.correspondence import Correspondence, Home
from theater.runtime.forgetting import Forgetting
from theater.runtime.joiners import Joiners
from theater.runtime.key import Key, KeyRow, Route, encode_row, find_row, key_place
from theater.runtime.key_answers import recorded_answer
from theater.runtime.letter import Answer, Reply
from theater.runtime.posting import accepted


@dataclass(frozen=True, slots=True)
class Claim:
    """A message with a key. ``place`` is that of the key, ``digest`` the SHA-256 of the body."""

    actor: ActorId
    body: str
    by: str
    route: Route
    place: str
    digest: bytes


class Idempotency:
    """See above. Belongs to one event loop."""

    def __init__(
        self, home: Home, mail: Correspondence, joiners: Joiners, *, clock: Clock, forgetting: Forgetting
    ) -> None:
        self._home = home
        self._mail = mail
        self._joiners = joiners
        self._clock = clock
        self._forgetting = forgetting
        self._arrivals = Arrivals()
        self._under_way: dict[str, asyncio.Future[None]] = {}

    async def send(self, actor: ActorId, body: str, *, by: str, key: str) -> str:
        """As ``Correspondence.send``; the second time the id of the first message.

        Raises:
            IdempotencyMismatch: the key was used for another message.
            Busy: so many keys of this actor are remembered that no more are taken.
            InvalidInput: it is no key. And as ``Correspondence.send``.
        """
        claim = _claim(actor, body, by=by, route="send", key=key)
        found = await self._claimed(claim)
        return found if isinstance(found, str) else found.id

    async def request(self, actor: ActorId, body: str, *, by: str, key: str) -> Reply:
        """As ``Correspondence.request``; the second time the answer to the first.

        Who stops waiting may ask again: the request goes on, also if the process dies.

        Raises: as ``send``, and what became of it.
        """
        claim = _claim(actor, body, by=by, route="request", key=key)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        delivery = self._home.delivery

        def done(answer: Answer) -> None:
            delivery.put(future, answer)

        try:
            with self._joiners.joined(claim.place, done):
                found = await self._claimed(claim)
                if isinstance(found, KeyRow) and not future.done():
                    if found.is_settled:
                        return await self._recorded(actor, found)
                    await self._home.woken(actor)  # it may rest in the store, with this before it
                return await future
        finally:
            if future.done() and not future.cancelled():
                future.exception()  # so that nobody complains of one that came too late
            future.cancel()

    async def rest(self, timeout_s: float) -> None:
        """Forget no more keys, and wait until no acceptance is under way, or for that long."""
        await self._forgetting.close()
        await self._arrivals.over(timeout_s)

    def close(self) -> None:
        """Answer whoever still waits: the runtime is closed."""
        self._joiners.close()

    async def _claimed(self, claim: Claim) -> KeyRow | str:
        """The row of the first message with this key, or the id of this one, which is the first then."""
        while (under_way := self._under_way.get(claim.place)) is not None:
            await asyncio.wait([under_way])
        row = find_row(self._home.store, claim.actor, claim.place, now_us=self._clock.now_us())
        if row is None:
            self._under_way[claim.place] = asyncio.get_running_loop().create_future()
            return await self._arrivals.arrival(self._accept(claim))
        if row.body != claim.digest:
            raise IdempotencyMismatch("this idempotency key was used before, for another message; use a new one")
        return row

    async def _accept(self, claim: Claim) -> str:
        """Put the message and its key into the store; returns its id."""
        try:
            now_us = self._clock.now_us()
            key = Key(claim.place, claim.digest, now_us)
            message_id = self._home.new_id()
            letter = accepted(
                message_id,
                claim.body,
                source=claim.by,
                sender=None,
                until_us=key.until_us if claim.route == "request" else None,
            )
            if claim.route == "request":
                letter = self._joiners.attached(msgspec.structs.replace(letter, key=key))
            row = KeyRow(message_id, claim.digest, now_us, is_send=claim.route == "send")
            self._forgetting.take_room(claim.actor, claim.place)
            await self._mail.post(claim.actor, letter, (Entry(claim.actor, "key", claim.place, encode_row(row)),))
            return message_id
        finally:
            self._under_way.pop(claim.place).set_result(None)

    async def _recorded(self, actor: ActorId, row: KeyRow) -> Reply:
        try:
            answer = await asyncio.to_thread(recorded_answer, self._home.store, actor, row)
        except Damaged:
            if self._home.store.record(actor) is None:
                raise NotFound(f"there is no actor {actor}: it was removed") from None
            raise
        if isinstance(answer, TheaterError):
            raise answer
        return answer


def _claim(actor: ActorId, body: str, *, by: str, route: Route, key: str) -> Claim:
    place = key_place(by=by, actor=actor, route=route, key=key)
    return Claim(actor, body, by, route, place, hashlib.sha256(body.encode()).digest())
