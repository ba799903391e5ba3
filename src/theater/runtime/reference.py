"""An actor as a program holds it in its hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from theater.errors import InvalidInput, TimedOut
from theater.model.child_spec import RestartFrom, Shutdown
from theater.model.event import Head
from theater.model.ids import ActorId, Digest
from theater.model.json_text import check_json
from theater.model.ports import ActorRecord, EventStore, Status
from theater.runtime.actor import Actor
from theater.runtime.channel_ref import Channel
from theater.runtime.history import state_at
from theater.runtime.letter import Reply
from theater.runtime.python_values import from_json, to_json


class Home(Protocol):
    """What a reference needs of its runtime."""

    @property
    def store(self) -> EventStore:
        """The chains, for reading."""

    def find(self, actor: ActorId) -> Actor | None:
        """The actor, if it is in memory."""

    def record(self, actor: ActorId) -> ActorRecord | None:
        """Its row as of now."""

    async def woken(self, actor: ActorId) -> Actor:
        """The actor in memory, read from the store where it is not."""

    async def request(
        self, actor: ActorId, body: str, *, by: str, expects_reply: bool = True, key: str | None = None
    ) -> Reply:
        """Have an actor handle a message, and wait for its answer, or else until it has been handled."""

    async def send(self, actor: ActorId, body: str, *, by: str, key: str | None = None) -> str:
        """Have an actor handle a message some time; returns its id once it would survive the death of the process."""

    async def open_channel(self, actor: ActorId, opening: str, *, by: str) -> Channel:
        """Open a channel to an actor."""

    async def control(self, actor: ActorId, verb: str, status: Status, *, by: str) -> None:
        """Change an actor's status between two steps, and wait until that is durable."""

    async def stop(self, actor: ActorId, mode: Shutdown | None, *, by: str) -> None:
        """End an actor and its children, and wait until that is durable."""

    async def restart(self, actor: ActorId, start: RestartFrom, *, by: str) -> None:
        """Begin an actor again, and wait until that is durable."""

    async def upgrade(self, actor: ActorId, component: Path | bytes | str, *, by: str) -> Digest:
        """Have an actor go on with another component, and wait until that is durable."""

    def require_open(self) -> None:
        """Raise ``NotRunning`` from the moment at which it begins to close."""

    def new_id(self) -> str:
        """An id for a message from outside."""


class ActorRef:
    """An actor as seen from outside.

    ``first`` is the answer to ``init``, or to a command's run, if it was just spawned.
    """

    def __init__(self, runtime: Home, actor: Actor, *, by: str) -> None:
        self._runtime = runtime
        self._actor = actor
        self._by = by
        self.first: Reply | None = None

    @property
    def id(self) -> ActorId:
        """Its id."""
        return self._actor.record.id

    @property
    def record(self) -> ActorRecord:
        """Its row: name, status, program."""
        return self._runtime.record(self.id) or self._actor.record

    @property
    def head(self) -> Head:
        """The last event of its chain."""
        here = self._here
        return here.head if here is not None else self._runtime.store.head(self.id)

    @property
    def role(self) -> str:
        """``actor`` or ``command``."""
        return self._actor.anatomy.loaded.role

    @property
    def _here(self) -> Actor | None:
        """The actor, if it is in memory. It may be another object than at first: it goes and comes."""
        return self._runtime.find(self.id)

    async def request(self, body: object, *, timeout_s: float | None = None) -> object:
        """Send ``body`` as JSON and return the reply as a value. None where the actor gave none.

        Raises: as ``request_json``; and ``InvalidInput`` where the step is done, and its reply is JSON that Python
        cannot hold.
        """
        reply = await self.request_json(to_json(body), timeout_s=timeout_s)
        return from_json(reply.text) if reply.text is not None else None

    async def request_json(self, body: str, *, timeout_s: float | None = None, key: str | None = None) -> Reply:
        """Send a JSON text; the reply comes back as exactly the guest's text, with the receipt of its event.

        With a ``key``, 1 to 255 printable ASCII characters, it may be asked again within a day, by the same and with
        the same body, also if the process died meanwhile: it is handled once, and who asks again gets the same answer.

        Raises:
            InvalidJson, NotRunning, MailboxFull: nothing was sent.
            IdempotencyMismatch, Busy: nor with a key that was used for another body, or that there is no room for.
            Refused: the guest said no; its state is unchanged.
            Crashed: the step crashed; ``data["reason"]`` says how.
            TimedOut: no answer in time; the step goes on all the same.
            StoreError: it could not be recorded, so it has not happened.
        """
        self._check(body)
        pending = self._runtime.request(self.id, body, by=self._by, key=key)
        if timeout_s is None:
            return await pending
        try:
            return await asyncio.wait_for(pending, timeout_s)
        except TimeoutError as error:
            raise TimedOut(f"no answer within {timeout_s:g} s; the step goes on") from error

    async def send(self, body: object) -> str:
        """Send ``body`` as JSON; returns as ``send_json``."""
        return await self.send_json(to_json(body))

    async def send_json(self, body: str, *, key: str | None = None) -> str:
        """Send a JSON text for which no reply is expected.

        Returns the message's id once it is accepted: it would survive the death of the process, and is handled once.
        With a ``key``, as in ``request_json``, whoever sends it again gets the id of the first, and nothing is sent.

        Raises: as ``request_json``, but for what its step comes to.
        """
        self._check(body)
        return await self._runtime.send(self.id, body, by=self._by, key=key)

    async def send_and_wait_json(self, body: str) -> Reply:
        """As ``send_json``, and wait until it has been handled: until its step has been committed.

        Raises: as ``request_json``.
        """
        self._check(body)
        return await self._runtime.request(self.id, body, by=self._by, expects_reply=False)

    async def open_channel(self, opening: object = None) -> Channel:
        """Open a channel to it; it is given ``opening`` as JSON, and accepts or refuses.

        Raises: as ``Runtime.open_channel``.
        """
        return await self.open_channel_json(to_json(opening))

    async def open_channel_json(self, opening: str) -> Channel:
        """As ``open_channel``, with a JSON text.

        Raises: as ``Runtime.open_channel``.
        """
        return await self._runtime.open_channel(self.id, opening, by=self._by)

    async def stop(self) -> None:
        """Stop it, its children first, after the step that is running.

        That step gets as long as ``shutdown`` in its manifest says, 5 s by default. It takes no more messages; requests
        that wait are refused, other messages stay.
        """
        await self._runtime.stop(self.id, None, by=self._by)

    async def terminate(self) -> None:
        """Stop it now: the step that is running ends as ``terminated``."""
        await self._runtime.stop(self.id, "brutal", by=self._by)

    async def pause(self) -> None:
        """Begin no further step; messages are accepted and wait."""
        await self._runtime.control(self.id, "paused", "paused", by=self._by)

    async def resume(self) -> None:
        """Go on after ``pause``."""
        await self._runtime.control(self.id, "resumed", "running", by=self._by)

    async def restart(self, *, from_init: bool = False) -> None:
        """Go on after a stop or a crash, from the last committed state or from a fresh ``init``.

        Raises:
            NameTaken: another living actor has its name by now.
        """
        await self._runtime.restart(self.id, "init" if from_init else "last-state", by=self._by)

    async def upgrade(self, component: Path | bytes | str) -> Digest:
        """Go on with another component, after the step that is running; returns its digest once that is durable.

        ``component`` is a ``.wasm`` or ``.wat`` file, the bytes of a component, or ``sha256:`` and the digest of one in
        the content store. Where it exports ``upgrade.migrate`` and there is a state, that makes the new state of it,
        whatever the actor's status; else the state is taken as it is. Mailbox, grants, limits, name and status stay.
        To upgrade to the component that it has already does nothing.

        Raises:
            NotFound, InvalidComponent, CompileFailed, InvalidInput: it cannot take the place of this actor's; it may
                import what the actor's grants do not give. Nothing has happened.
            Refused, Crashed: ``migrate`` did; that is in the chain, and the actor goes on with what it had.
            NotRunning: the runtime is closing. A ``migrate`` that had begun goes on when the actor is woken up.
            StoreError: it could not be recorded, so it has not happened.
        """
        return await self._runtime.upgrade(self.id, component, by=self._by)

    def state(self) -> tuple[int | None, str | None]:
        """The seq of the event that holds the last committed state, and its JSON text."""
        here = self._here
        if here is not None:
            return here.state
        head = self._runtime.store.head(self.id)
        held = state_at(self._runtime.store, self.id, head.seq) if head.seq >= 0 else None
        return (held.seq, held.text) if held is not None else (None, None)

    def _check(self, body: str) -> None:
        if self.role == "command":
            raise InvalidInput(f"{self.record.name!r} is a command: it runs once and takes no messages")
        if self.role == "service":
            raise InvalidInput(f"{self.record.name!r} is a service: it answers HTTP requests and takes no messages")
        check_json(body, max_bytes=self._actor.anatomy.limits.message_bytes)
