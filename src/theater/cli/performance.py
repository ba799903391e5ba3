"""What ``theater run`` does once everything is decided: the actor, its messages one by one, and what came of each."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import typer

from theater.cli.exits import Exit, exit_of
from theater.cli.guest_output import log_text
from theater.cli.layout import last_line
from theater.cli.session import Session
from theater.cli.stage import Part, Player, Stage
from theater.cli.talk import REQUEST_TIMEOUT_S
from theater.errors import Crashed, InvalidInput, Refused, TheaterError
from theater.model.crash import Crash
from theater.model.payload import CrashedPayload, Log, RefusedPayload

_SAID_MAX = 64 * 1024  # a traceback is the end of what was written, and crashes keep 8 KiB of it


@dataclass(frozen=True, slots=True)
class Item:
    """One message, as a JSON text."""

    body: str
    expects_reply: bool


@dataclass(frozen=True, slots=True)
class Waking:
    """The actor to go on with, and what of its grants is allowed beyond the ceiling."""

    actor: str
    allowed: tuple[str, ...]


@dataclass(slots=True)
class _Playbill:
    """What came of it, as ``--json`` shows it."""

    code: int = Exit.OK
    replies: list[msgspec.Raw | None] = field(default_factory=list)
    refused: list[dict[str, object]] = field(default_factory=list)
    crashed: dict[str, object] | None = None
    error: dict[str, object] | None = None


def perform(session: Session, stage: Stage, what: Part | Waking, items: tuple[Item, ...]) -> int:
    """Run it, showing what happens as it happens. Returns the exit code.

    Raises:
        TheaterError: nothing was started.
    """
    with stage:
        performance = _Performance(session, stage)
        performance.begin(what, items)
        performance.play(items)
        performance.end()
        performance.stay(items)
        return performance.bill.code


class _Performance:
    """One actor on one command line."""

    def __init__(self, session: Session, stage: Stage) -> None:
        self.bill = _Playbill()
        self._session = session
        self._output = session.output
        self._stage = stage
        self._actor: Player | None = None
        self._shown = 0  # events below this seq have been shown
        self._said = ""  # what the guest wrote in the last step
        self._failed: RefusedPayload | CrashedPayload | None = None  # how the last step ended, if not well
        self._is_over = False  # it did not even start

    def begin(self, what: Part | Waking, items: tuple[Item, ...]) -> None:
        """Start the actor, or wake it."""
        if isinstance(what, Waking):
            self._wake(what)
            return
        role = self._stage.role_of(what.source) if items else "actor"
        if role != "actor":
            raise typer.BadParameter(f"a {role} takes no messages: leave out --request and --send")
        self._actor = self._stage.start(what)
        self._show_output()
        if self._actor.failure is not None:
            self._note(self._actor.failure, None)
            self._is_over = True

    def play(self, items: tuple[Item, ...]) -> None:
        """Give it its messages; a crash ends that, a refusal does not."""
        actor = self._actor
        assert actor is not None
        if self._is_over:
            return
        for number, item in enumerate(items):
            failure: TheaterError | None = None
            reply: str | None = None
            try:
                if item.expects_reply:
                    reply = actor.request(item.body, timeout_s=REQUEST_TIMEOUT_S)
                else:
                    actor.handle(item.body)
            except TheaterError as error:
                failure = error
            self._show_output()
            if item.expects_reply:
                self._show_reply(reply, is_answered=failure is None)
            if failure is not None:
                self._note(failure, number)
                if not isinstance(failure, Refused):
                    return

    def end(self) -> None:
        """The id and the head, whatever happened."""
        assert self._actor is not None
        head = self._actor.head()
        bill = self.bill
        if self._output.json:
            document = {"id": self._actor.id, "head": head.hash, "seq": head.seq, "replies": bill.replies}
            document |= {"refused": bill.refused, "crashed": bill.crashed}
            if bill.error is not None:
                document["error"] = bill.error
            self._output.document(document)
            return
        # a command's stdout is its own: what is piped from it is what it wrote
        say = self._output.note if self._is_command() else self._output.line
        say(f"id {self._actor.id}")
        say(f"head {head.seq} {head.hash}")

    def stay(self, items: tuple[Item, ...]) -> None:
        """Say what is open for the actor; where nothing was asked of it, it stays for those who do."""
        assert self._actor is not None
        lines = [] if self._is_command() else self._actor.services()
        for line in lines:
            self._output.note(line)
        if lines and not items and self.bill.code == Exit.OK:
            self._output.flush()
            self._actor.stay()

    def _wake(self, what: Waking) -> None:
        actor = self._stage.wake(what.actor, what.allowed)
        if actor.role == "command":
            raise InvalidInput("a command runs once: run it again without --id, as a new actor")
        self._actor = actor
        self._shown = actor.head().seq + 1
        if actor.status in ("stopped", "crashed"):
            self._output.note(f"it was {actor.status}: restarted from its last committed state")
            actor.restart()
            self._show_output()
            self._look_at_start()
        elif actor.status == "paused":
            self._output.note("it was paused: resumed")
            actor.resume()

    def _look_at_start(self) -> None:
        """An actor without a state begins with ``init`` again, which may fail again. Nobody else is told why."""
        match self._failed:
            case RefusedPayload() as refused:
                self._note(Refused(refused.text), None)
                self._is_over = True
            case CrashedPayload() as crashed:
                self._note(Crashed(f"crashed ({crashed.reason})"), None)
                self._is_over = True

    def _is_command(self) -> bool:
        return self._actor is not None and self._actor.role == "command"

    def _show_reply(self, text: str | None, *, is_answered: bool) -> None:
        self.bill.replies.append(msgspec.Raw(text.encode()) if text is not None else None)
        if self._output.json:
            return
        if text is not None:
            self._output.json_line(text)
        elif is_answered:
            self._output.note("no reply: the actor put it off")

    def _show_output(self) -> None:
        """What the guest wrote since the last time: its stdout where it is a command, all else to stderr."""
        assert self._actor is not None
        to_stdout = self._is_command() and not self._output.json
        self._said = ""
        self._failed = None
        for event in self._actor.events(self._shown):
            self._shown = event.seq + 1
            match event.payload:
                case Log() as log:
                    text = log_text(event.name, log)
                    self._said = (self._said + text)[-_SAID_MAX:]
                    self._output.guest(text, to_stdout=to_stdout and event.name == "stdout")
                case RefusedPayload() | CrashedPayload() as failed:
                    self._failed = failed
        self._output.end_guest_line()

    def _crash(self, error: Crashed) -> Crash:
        """How it crashed: as it was told here, or as a server's chain has it."""
        told = error.data.get("crash")
        if isinstance(told, Crash):
            return told
        match self._failed:
            case CrashedPayload() as crashed:
                return Crash(
                    crashed.reason, crashed.code or "", crashed.message or "", backtrace=crashed.backtrace or ""
                )
            case _:
                return Crash("internal", message=error.message)

    def _note(self, error: TheaterError, number: int | None) -> None:
        """A step that did not come to a reply; ``number`` is its place among the messages, None for the start."""
        self.bill.code = max(self.bill.code, exit_of(error))
        match error:
            case Refused():
                self.bill.refused.append({"message_index": number, "message": error.message})
                what = "" if self._is_command() else "refused: "
                self._output.note(f"{what}{error.message}")
            case Crashed():
                crash = self._crash(error)
                message = crash.message or crash.code or "the guest trapped"
                self.bill.crashed = {"message_index": number, "reason": crash.reason, "message": message}
                if message.strip() in self._said:  # a traceback that has just been shown need not be shown again
                    message = last_line(message)
                self._output.note(f"crashed ({crash.reason}): {message}", has_lines=True)
                if self._session.verbose and crash.backtrace:
                    self._output.note(crash.backtrace, has_lines=True)
            case _:
                self.bill.error = {"code": error.code, "message": error.message}
                self._output.error(error)
