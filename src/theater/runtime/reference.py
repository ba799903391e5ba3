"""An actor as a program holds it in its hand."""

from __future__ import annotations

import asyncio
from typing import Protocol

from theater.errors import InvalidInput, NameTaken, TimedOut
from theater.model.event import Head
from theater.model.ids import ActorId
from theater.model.json_text import check_json
from theater.model.ports import LIVING, ActorRecord, EventStore, Status
from theater.runtime.actor import Actor
from theater.runtime.letter import Reply
from theater.runtime.loading import HANDLE
from theater.runtime.python_values import from_json, to_json


class Home(Protocol):
    """What a reference needs of its runtime."""

    @property
    def store(self) -> EventStore:
        """The chains, for reading."""

    async def post(
        self, actor: Actor, message_id: str, export: str, arguments: tuple[object, ...], *, expects_reply: bool
    ) -> Reply:
        """Submit a letter and wait until its step has been committed."""

    async def control(self, actor: Actor, verb: str, status: Status) -> None:
        """Change an actor's status between two steps, and wait until that is durable."""

    def require_open(self) -> None:
        """Raise ``NotRunning`` from the moment at which it begins to close."""

    def new_id(self) -> str:
        """An id for a message from outside."""


class ActorRef:
    """An actor as seen from outside.

    ``first`` is the answer to ``init``, or to a command's run, if it was just spawned.
    """

    def __init__(self, runtime: Home, actor: Actor) -> None:
        self._runtime = runtime
        self._actor = actor
        self.first: Reply | None = None

    @property
    def id(self) -> ActorId:
        """Its id."""
        return self._actor.record.id

    @property
    def record(self) -> ActorRecord:
        """Its row: name, status, program."""
        return self._actor.record

    @property
    def head(self) -> Head:
        """The last event of its chain."""
        return self._actor.head

    @property
    def role(self) -> str:
        """``actor`` or ``command``."""
        return self._actor.anatomy.loaded.role

    async def request(self, body: object, *, timeout_s: float | None = None) -> object:
        """Send ``body`` as JSON and return the reply as a value. None where the actor gave none.

        Raises: as ``request_json``; and ``InvalidInput`` where the step is done, and its reply is JSON that Python
        cannot hold.
        """
        reply = await self.request_json(to_json(body), timeout_s=timeout_s)
        return from_json(reply.text) if reply.text is not None else None

    async def request_json(self, body: str, *, timeout_s: float | None = None) -> Reply:
        """Send a JSON text; the reply comes back as exactly the guest's text, with the receipt of its event.

        Raises:
            InvalidJson, NotRunning, MailboxFull: nothing was sent.
            Refused: the guest said no; its state is unchanged.
            Crashed: the step crashed; ``data["reason"]`` says how.
            TimedOut: no answer in time; the step goes on all the same.
            StoreError: it could not be recorded, so it has not happened.
        """
        pending = self._send(body, expects_reply=True)
        if timeout_s is None:
            return await pending
        try:
            return await asyncio.wait_for(pending, timeout_s)
        except TimeoutError as error:
            raise TimedOut(f"no answer within {timeout_s:g} s; the step goes on") from error

    async def send_json(self, body: str) -> Reply:
        """Send a JSON text for which no reply is expected; returns once its step has been committed.

        Raises: as ``request_json``.
        """
        return await self._send(body, expects_reply=False)

    async def stop(self) -> None:
        """Stop it after the step that is running. It takes no more messages; those that wait are refused."""
        await self._runtime.control(self._actor, "stopped", "stopped")

    async def terminate(self) -> None:
        """Stop it now: the step that is running ends as ``terminated``."""
        self._actor.terminate("terminated from outside")
        await self._runtime.control(self._actor, "stopped", "stopped")

    async def pause(self) -> None:
        """Begin no further step; messages are accepted and wait."""
        await self._runtime.control(self._actor, "paused", "paused")

    async def resume(self) -> None:
        """Go on after ``pause``."""
        await self._runtime.control(self._actor, "resumed", "running")

    async def restart(self) -> None:
        """Go on after a stop or a crash, from the last committed state.

        Raises:
            NameTaken: another living actor has its name by now.
        """
        self._runtime.require_open()
        for record in self._runtime.store.find(self.record.name):
            if record.name == self.record.name and record.id != self.id and record.status in LIVING:
                raise NameTaken(f"a living actor is called {record.name!r} by now; stop that first")
        await self._runtime.control(self._actor, "restarted", "running")

    def state(self) -> tuple[int | None, str | None]:
        """The seq of the event that holds the current state, and its JSON text."""
        return self._actor.state

    async def _send(self, body: str, *, expects_reply: bool) -> Reply:
        if self.role == "command":
            raise InvalidInput(f"{self.record.name!r} is a command: it runs once and takes no messages")
        check_json(body, max_bytes=self._actor.anatomy.limits.message_bytes)
        message_id = self._runtime.new_id()
        message = {"id": message_id, "sender": None, "expects-reply": expects_reply, "body": body}
        return await self._runtime.post(self._actor, message_id, HANDLE, (message,), expects_reply=expects_reply)
