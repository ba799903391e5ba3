"""What ``theater run`` does once everything is decided: the actor, its messages one by one, and what came of each."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import msgspec
import typer

from theater.cli.exits import Exit, exit_of
from theater.cli.guest_output import log_text
from theater.cli.session import Session
from theater.errors import Crashed, InvalidInput, NotRunning, Refused, TheaterError
from theater.model.crash import Crash
from theater.model.event import CLOSING_KINDS
from theater.model.ids import ActorId
from theater.model.payload import CrashedPayload, Log, RefusedPayload
from theater.runtime.history import payload_of
from theater.runtime.letter import Reply
from theater.runtime.runtime import ActorRef, Runtime
from theater.runtime.sources import Source, component_of

REPLY_TIMEOUT_S = 120.0
"""How long a reply is waited for. A step takes 70 s at most by the default limits; a deferred reply may never come."""

_DURABLE_ROUNDS = 2000
_DURABLE_ROUND_S = 0.002
_SAID_MAX = 64 * 1024  # a traceback is the end of what was written, and crashes keep 8 KiB of it


@dataclass(frozen=True, slots=True)
class Item:
    """One message, as a JSON text."""

    body: str
    expects_reply: bool


@dataclass(frozen=True, slots=True)
class Order:
    """What to run: a ``source`` to start from, or the ``actor`` to go on with."""

    source: Source | None
    actor: ActorId | None
    name: str | None
    arguments: tuple[str, ...]
    allowed: tuple[str, ...]
    items: tuple[Item, ...]


@dataclass(slots=True)
class _Playbill:
    """What came of it, as ``--json`` shows it."""

    code: int = Exit.OK
    replies: list[msgspec.Raw | None] = field(default_factory=list)
    refused: list[dict[str, object]] = field(default_factory=list)
    crashed: dict[str, object] | None = None
    error: dict[str, object] | None = None


async def perform(session: Session, order: Order) -> int:
    """Run it, showing what happens as it happens. Returns the exit code.

    Raises:
        TheaterError: nothing was started.
    """
    async with Runtime(data_dir=session.data_dir, environ=session.environ, purpose="theater run") as runtime:
        performance = _Performance(session, runtime)
        await performance.begin(order)
        await performance.play(order.items)
        performance.end()
        return performance.bill.code


class _Performance:
    """One actor on one command line."""

    def __init__(self, session: Session, runtime: Runtime) -> None:
        self.bill = _Playbill()
        self._session = session
        self._output = session.output
        self._runtime = runtime
        self._actor: ActorRef | None = None
        self._id: ActorId | None = None
        self._shown = 0  # events below this seq have been shown
        self._said = ""  # what the guest wrote in the last step
        self._is_over = False  # it did not even start

    async def begin(self, order: Order) -> None:
        """Start the actor, or wake it."""
        if order.actor is not None:
            self._actor = await self._woken(order.actor, order.allowed)
            self._id = self._actor.id
            return
        assert order.source is not None
        if order.items:
            await asyncio.to_thread(self._refuse_command, order.source)
        try:
            with self._output.working("compiling and starting"):
                self._actor = await self._runtime.spawn(
                    order.source,
                    name=order.name,
                    allowed=order.allowed,
                    arguments=order.arguments,
                    rename=order.name is None,
                )
            self._id = self._actor.id
        except TheaterError as error:
            actor = error.data.get("actor")
            if not isinstance(actor, str):
                raise
            self._actor = await self._runtime.actor(actor)
            self._id = self._actor.id
            self._show_output()
            self._note(error, None)
            self._is_over = True
            return
        self._show_output()

    async def play(self, items: tuple[Item, ...]) -> None:
        """Give it its messages; a crash ends that, a refusal does not."""
        actor = self._actor
        assert actor is not None
        if self._is_over:
            return
        for number, item in enumerate(items):
            failure: TheaterError | None = None
            reply: Reply | None = None
            try:
                reply = await (
                    actor.request_json(item.body, timeout_s=REPLY_TIMEOUT_S)
                    if item.expects_reply
                    else actor.send_and_wait_json(item.body)
                )
            except TheaterError as error:
                failure = error
            self._show_output()
            if item.expects_reply:
                self._show_reply(reply)
            if failure is not None:
                self._note(failure, number)
                if not isinstance(failure, Refused):
                    return

    def _refuse_command(self, source: Source) -> None:
        node = self._runtime.node
        digest = component_of(source, node.blobs, node.engine.assemble)
        if node.loader.load(digest).role == "command":
            raise typer.BadParameter("a command takes no messages: leave out --request and --send")

    def end(self) -> None:
        """The id and the head, whatever happened."""
        assert self._id is not None
        head = self._runtime.store.head(self._id)
        bill = self.bill
        if self._output.json:
            document = {"id": self._id, "head": head.hash, "seq": head.seq, "replies": bill.replies}
            document |= {"refused": bill.refused, "crashed": bill.crashed}
            if bill.error is not None:
                document["error"] = bill.error
            self._output.document(document)
            return
        # a command's stdout is its own: what is piped from it is what it wrote
        say = self._output.note if self._is_command() else self._output.line
        say(f"id {self._id}")
        say(f"head {head.seq} {head.hash}")

    async def _woken(self, actor: ActorId, allowed: tuple[str, ...]) -> ActorRef:
        with self._output.working("starting"):
            reference = await self._runtime.actor(actor, allowed=allowed)
        if reference.role == "command":
            raise InvalidInput("a command runs once: run it again without --id, as a new actor")
        self._shown = self._runtime.store.head(actor).seq + 1
        status = reference.record.status
        if status in ("stopped", "crashed"):
            self._output.note(f"it was {status}: restarted from its last committed state")
            await reference.restart()
            await self._watch_start(reference)
        elif status == "paused":
            self._output.note("it was paused: resumed")
            await reference.resume()
        return reference

    async def _watch_start(self, reference: ActorRef) -> None:
        """An actor without a state begins with ``init`` again, which may fail again. Nobody else is told why."""
        with contextlib.suppress(NotRunning):
            await reference.resume()  # changes nothing, and comes after the step that is running
        for _ in range(_DURABLE_ROUNDS):
            if self._runtime.store.head(reference.id) == reference.head:
                break
            await asyncio.to_thread(self._runtime.store.flush)
            await asyncio.sleep(_DURABLE_ROUND_S)
        self._actor, self._id = reference, reference.id
        start = self._shown
        self._show_output()
        for event in self._runtime.store.events(reference.id, start=start):
            if event.header.kind not in CLOSING_KINDS:
                continue
            match payload_of(event):
                case RefusedPayload() as refused:
                    self._note(Refused(refused.text), None)
                    self._is_over = True
                case CrashedPayload() as crashed:
                    crash = Crash(
                        crashed.reason, crashed.code or "", crashed.message or "", backtrace=crashed.backtrace or ""
                    )
                    self._note(Crashed(f"crashed ({crash.reason})", crash=crash), None)
                    self._is_over = True
                case _:
                    pass

    def _is_command(self) -> bool:
        return self._actor is not None and self._actor.role == "command"

    def _show_reply(self, reply: Reply | None) -> None:
        text = reply.text if reply is not None else None
        self.bill.replies.append(msgspec.Raw(text.encode()) if text is not None else None)
        if self._output.json:
            return
        if text is not None:
            self._output.json_line(text)
        elif reply is not None:
            self._output.note("no reply: the actor put it off")

    def _show_output(self) -> None:
        """What the guest wrote since the last time: its stdout where it is a command, all else to stderr."""
        assert self._id is not None
        to_stdout = self._is_command() and not self._output.json
        self._said = ""
        for event in self._runtime.store.events(self._id, start=self._shown):
            self._shown = event.header.seq + 1
            if event.header.kind == "log":
                log = payload_of(event)
                assert isinstance(log, Log)
                text = log_text(event.header.name, log)
                self._said = (self._said + text)[-_SAID_MAX:]
                self._output.guest(text, to_stdout=to_stdout and event.header.name == "stdout")
        self._output.end_guest_line()

    def _note(self, error: TheaterError, number: int | None) -> None:
        """A step that did not come to a reply; ``number`` is its place among the messages, None for the start."""
        self.bill.code = max(self.bill.code, exit_of(error))
        match error:
            case Refused():
                self.bill.refused.append({"message_index": number, "message": error.message})
                what = "" if self._is_command() else "refused: "
                self._output.note(f"{what}{error.message}")
            case Crashed():
                crash = error.data.get("crash")
                assert isinstance(crash, Crash)
                message = crash.message or crash.code or "the guest trapped"
                self.bill.crashed = {"message_index": number, "reason": crash.reason, "message": message}
                if message.strip() in self._said:  # a traceback that has just been shown need not be shown again
                    message = message.strip().rsplit("\n", 1)[-1]
                self._output.note(f"crashed ({crash.reason}): {message}", has_lines=True)
                if self._session.verbose and crash.backtrace:
                    self._output.note(crash.backtrace, has_lines=True)
            case _:
                self.bill.error = {"code": error.code, "message": error.message}
                self._output.error(error)
