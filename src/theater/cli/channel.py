"""``theater channel``: talk with an actor, line by line, for as long as both want to."""

from __future__ import annotations

import time
from contextlib import suppress
from selectors import EVENT_READ, PollSelector
from typing import TYPE_CHECKING, Annotated

import typer

from theater.cli import options
from theater.cli.input_lines import InputLines
from theater.cli.listener import Listener
from theater.cli.look import Id
from theater.cli.output import Output
from theater.cli.session import session_of
from theater.cli.talk import answered
from theater.errors import Busy, ChannelClosed, InvalidJson, NotFound
from theater.model.json_text import decode_json_bytes
from theater.model.wire import ChannelOpened

if TYPE_CHECKING:
    from theater.client import Client

HEAR_WAIT_S = 20.0
"""How long one question to the server may wait for something to be said."""

QUIET_S = 2.0
"""How long the actor may be silent, once nothing more is said to it, before the channel is closed."""

LINGER_S = 60.0
"""How long it may go on speaking then."""

_CLOSED = "the channel is closed: "


def channel(
    context: typer.Context,
    id: Id,
    opening: Annotated[
        str, typer.Option("--open", metavar="JSON", help="What the actor is given when the channel is opened.")
    ] = "null",
) -> None:
    """Open a channel to an actor: each line of stdin, a JSON text, is said to it, and what it says is printed.

    Ends when the actor closes it, or after the end of stdin, once the actor has been silent for 2 seconds.
    """
    session = session_of(context)
    if opening == "-":
        raise typer.BadParameter("--open -: standard input is what is said on the channel")
    text = options.Texts().read(opening, "--open")
    with session.client() as client:
        with answered(session.output), session.output.working("opening the channel"):
            opened = client.open_channel(id, text)
        _Conversation(client, opened, session.output).hold()


class _Conversation:
    """An open channel on one command line."""

    def __init__(self, client: Client, opened: ChannelOpened, output: Output) -> None:
        self._client = client
        self._opened = opened
        self._output = output
        self._lines = InputLines(line_max_bytes=options.JSON_MAX_BYTES)
        self._said = 0
        self._closed: str | None = None

    def hold(self) -> None:
        """Until one of the two ends it. The channel is closed then."""
        opened = self._opened
        with Listener(lambda: self._client.hear(opened.channel, HEAR_WAIT_S)) as listener:
            try:
                if self._output.json:
                    self._output.document({"channel": opened.channel, "actor": opened.actor, "reply": opened.reply})
                elif opened.reply is not None:
                    self._output.json_line(bytes(opened.reply).decode())
                self._converse(listener)
            finally:
                self._close()  # and so the listener hears of it
        if self._output.json:
            self._output.document({"closed": self._closed})
        elif self._closed is not None:
            self._output.note(f"closed: {self._closed}")

    def _converse(self, listener: Listener) -> None:
        with PollSelector() as selector:
            selector.register(listener.descriptor, EVENT_READ)
            if self._lines.descriptor is not None:
                selector.register(self._lines.descriptor, EVENT_READ)
            else:
                self._say_all()
            until: float | None = None
            while self._closed is None:
                if self._lines.is_over and until is None:
                    until = time.monotonic() + LINGER_S
                    if self._lines.descriptor is not None:
                        selector.unregister(self._lines.descriptor)
                patience = None if until is None else min(QUIET_S, until - time.monotonic())
                ready = {key.fd for key, _ in selector.select(patience)} if patience is None or patience > 0 else set()
                if not ready:
                    return
                if listener.descriptor in ready:
                    self._hear(listener)
                if self._lines.descriptor in ready:
                    self._say_all()

    def _hear(self, listener: Listener) -> None:
        heard = listener.take()
        for message in heard.messages:
            if self._output.json:
                self._output.document({"message": message})
            else:
                self._output.json_line(bytes(message).decode())
        if heard.closed is not None:
            self._closed = heard.closed.removeprefix(_CLOSED)

    def _say_all(self) -> None:
        for line in self._lines.read():
            self._said += 1
            if line.strip():
                try:
                    self._say(line)
                except ChannelClosed:  # why, is heard in a moment
                    self._lines.is_over = True
                    return

    def _say(self, line: bytes) -> None:
        try:
            self._client.say(self._opened.channel, decode_json_bytes(line, max_bytes=options.JSON_MAX_BYTES).strip())
        except InvalidJson as error:
            if not self._output.is_interactive:
                raise typer.BadParameter(f"line {self._said} of standard input: {error.message}") from error
            self._output.error(error)
        except Busy as error:
            if not self._output.is_interactive:
                raise
            self._output.error(error)

    def _close(self) -> None:
        with suppress(ChannelClosed, NotFound):  # the actor was first
            self._client.close_channel(self._opened.channel)
