"""The client for programs that wait for answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import httpx

from theater.client import calls, exchange
from theater.client.asking import Asking
from theater.client.calls import Call, Json
from theater.client.event_pages import EventPages
from theater.client.finding import Where, origin_of
from theater.client.following import Following, OnBreak, tell_nobody
from theater.errors import Damaged, InternalError
from theater.model import wire

PIECE_BYTES = 2**18
"""Of a file, at once."""


class Client:
    """A server's API, a method for each endpoint.

    An ``id`` of an actor is its exact name, its exact id, or 4 or more of its first digits. A body is the text of a
    JSON value, and a reply or a state comes back as exactly the text that the guest wrote.

    Every method raises ``NoServer`` where nobody answers or the connection broke, ``Unauthorized`` and ``Forbidden``
    where the token does not do, ``Busy`` where the server is stopping or has too much to do, and ``InternalError``
    where an answer cannot be read; what else is named with the method. An error of the server is raised here as what it
    was there. Nothing is sent twice, so an error that leaves open what became of a message is followed up with a key.

    Threads may share a client. It holds connections: ``close`` it, or use it in a ``with``.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        again: Callable[[], Where] | None = None,
    ) -> None:
        """``again`` looks where the server is by now, when a stream of events broke; see ``find``.

        Raises:
            InvalidInput: ``url`` is none of a server.
        """
        self._asking = Asking(Where(origin_of(url), token, "argument", again))

    @classmethod
    def at(cls, where: Where) -> Client:
        """A client for the server that ``find`` found."""
        return cls(where.url, where.token, again=where.again)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The server's origin."""
        return self._asking.where.url

    def close(self) -> None:
        """Let go of the connections. What follows events ends, on whatever thread."""
        self._asking.close()

    # -- the node ----------------------------------------------------------------------------------------------------

    def node(self) -> wire.NodeDocument:
        """The node that the server serves, and what the token may do there."""
        return self._asking.document(calls.node())

    def health(self) -> wire.Health:
        """That it serves. Wants no token."""
        return self._asking.document(calls.health())

    def metrics(self) -> str:
        """What it counts, as OpenMetrics text."""
        return self._asking.content(calls.metrics()).decode("utf-8", "replace")

    def openapi(self) -> dict[str, object]:
        """The description of the API, OpenAPI 3.1. Wants no token."""
        return self._asking.document(calls.openapi())

    def collect(self) -> wire.Collected:
        """Remove components and payloads that are of no use to anybody."""
        return self._asking.document(calls.collect())

    # -- actors ------------------------------------------------------------------------------------------------------

    def actors(self, status: str | None = None, parent: str | None = None) -> Iterator[wire.ActorRow]:
        """The actors, oldest first; only those of a status, or the children of an actor. Pages are read as needed.

        Raises:
            NotFound: there is no such parent; at once.
        """
        return self._actors(status, parent, self._asking.document(calls.actors(status, parent, None)))

    def actor(self, id: str) -> wire.ActorDetail:
        """Everything about one actor but its events and its state.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        return self._asking.document(calls.actor(id))

    def start(self, order: wire.StartOrder) -> wire.Started:
        """Start an actor; returns once its first step is committed.

        Raises:
            InvalidManifest, InvalidComponent, CompileFailed, InvalidInput: nothing was started.
            NotFound: the server does not have the component; ``put_blob`` brings it.
            Denied: it asks for more than the ceiling, and the order names no allowance for it.
            NameTaken: a living actor has that name.
            Refused, Crashed: so its first step ended.
        """
        return self._asking.document(calls.start(order))

    def remove(self, id: str, *, tree: bool = False) -> wire.Removed:
        """Erase what an actor recorded; the headers of its events stay. With ``tree``, its descendants' too.

        Raises:
            NotFound: there is none.
            NotStopped: it lives, or has children.
        """
        return self._asking.document(calls.remove(id, tree=tree))

    def stop(self, id: str, *, now: bool = False) -> wire.ActorRow:
        """End an actor and its children, between two steps; with ``now``, in the middle of one.

        Raises: as ``pause``.
        """
        return self._asking.document(calls.stop(id, now=now))

    def restart(self, id: str, *, from_init: bool = False, allowance: str | None = None) -> wire.ActorRow:
        """Begin an actor again, from its last committed state or with a fresh ``init``.

        Raises:
            NotFound: there is none.
            Denied: it has ended, and its grants are not within the ceiling any more; ``allowance`` as for ``start``.
            InvalidInput: there is no such allowance.
            Refused, Crashed: so its first step ended.
        """
        return self._asking.document(calls.restart(id, from_init=from_init, allowance=allowance))

    def pause(self, id: str) -> wire.ActorRow:
        """Begin no further step of an actor until ``resume``. It takes messages all the same.

        Raises:
            NotFound: there is none.
            NotRunning: it has ended.
        """
        return self._asking.document(calls.pause(id))

    def resume(self, id: str) -> wire.ActorRow:
        """Go on with an actor that is paused.

        Raises: as ``pause``.
        """
        return self._asking.document(calls.resume(id))

    def upgrade(self, id: str, digest: str) -> wire.ActorRow:
        """Have an actor go on with another component, which the server has; see ``put_blob``.

        Raises:
            NotFound: there is no such actor, or no such component.
            InvalidComponent, CompileFailed: it cannot go on with that one, and goes on with its own.
            NotRunning: it has ended.
            Refused, Crashed: so the step ended that was to take over the state; it goes on with its own.
        """
        return self._asking.document(calls.upgrade(id, digest))

    def fork(self, id: str, order: wire.ForkOrder) -> wire.Started:
        """Make a new actor that goes on from where another one was, with the state alone, before event ``order.at``.

        Raises:
            NotFound: there is no such actor or event; or the server does not have the component, see ``put_blob``.
            InvalidInput and its children: there was no state, or it cannot go on with that component.
            Denied: its manifest asks for more than the ceiling.
            NameTaken: a living actor has that name.
            Refused, Crashed: so the step ended that was to take over the state; ``data["actor"]`` is the fork all the
                same, with the component that the other one had.
        """
        return self._asking.document(calls.fork(id, order))

    # -- messages ----------------------------------------------------------------------------------------------------

    def send(self, id: str, body: Json, *, key: str | None = None) -> wire.Accepted:
        """Have an actor handle a message, once, also if the server dies after this.

        ``key``, 1 to 255 printable characters, makes it safe to send again: the second time is answered as the first.

        Raises:
            NotFound: there is none.
            NotRunning, MailboxFull: it takes no messages, or no more of them now.
            InvalidJson, InvalidInput: ``body`` is no JSON, or larger than the actor takes.
            IdempotencyMismatch: ``key`` came before with another body.
        """
        return self._asking.document(calls.send(id, body, key=key, wait=False))

    def send_and_wait(self, id: str, body: Json) -> wire.Accepted:
        """The same without a key, and wait until it has been handled: there is a receipt then.

        Raises: as ``send``; and
            Refused, Crashed: so the step ended.
            TimedOut: it has not been handled within five minutes. It will be.
        """
        return self._asking.document(calls.send(id, body, key=None, wait=True))

    def request(self, id: str, body: Json, *, timeout_s: float | None = None, key: str | None = None) -> wire.Replied:
        """Have an actor handle a message, and return its reply. ``timeout_s``: 30 by default, and at most 300.

        Raises: as ``send``; and
            Refused, Crashed: so the step ended.
            TimedOut: no reply came in time. The step goes on; with a ``key``, asking again brings its reply.
        """
        return self._asking.document(calls.request(id, body, timeout_s=timeout_s, key=key))

    # -- events ------------------------------------------------------------------------------------------------------

    def state(self, id: str, at: int | None = None) -> wire.StateDocument:
        """An actor's state, now or as of event ``at``.

        Raises:
            NotFound: there is no such actor or event, or there was no state then.
        """
        return self._asking.document(calls.state(id, at))

    def events(
        self, id: str, start: int = 0, kind: str | None = None, limit: int | None = None
    ) -> Iterator[wire.EventRow]:
        """An actor's events from ``start`` on, in pages that are read as needed.

        Raises:
            NotFound: there is no such actor; at once.
        """
        return self._events(lambda at, most: calls.events(id, start=at, kind=kind, limit=most), start, limit)

    def node_events(self, start: int = 0, limit: int | None = None) -> Iterator[wire.EventRow]:
        """The events of all actors, by the node-wide index, which is set in each row."""
        return self._events(lambda at, most: calls.node_events(start=at, limit=most), start, limit)

    def follow(
        self,
        id: str,
        start: int | None = None,
        *,
        patience_s: float | None = None,
        on_break: OnBreak = tell_nobody,
    ) -> Iterator[wire.EventRow]:
        """An actor's events from ``start`` on (None: those that come from now on), as they are committed.

        Where the connection breaks or the server stops, it goes on as soon as there is one again, with the event behind
        the last: none is missed and none comes twice. ``patience_s`` is how long that may take; None: for ever.
        ``on_break`` is told of each connection that broke or could not be made, before the next one is tried. It ends
        when the actor is removed, or the client closed.

        Raises:
            NotFound: there is no such actor; at once.
            NoServer, Busy: at once where there is no server, and later when the patience is over.
            Unsound: another chain has taken its place.
        """
        row = self.actor(id).actor
        start = row.seq + 1 if start is None else start
        # By its id from here on: of its name there may be another actor one day.
        return self._asking.followed(Following(row.id, start, patience_s=patience_s, on_break=on_break))

    def follow_node(
        self, start: int | None = None, *, patience_s: float | None = None, on_break: OnBreak = tell_nobody
    ) -> Iterator[wire.EventRow]:
        """The events of all actors, by the node-wide index; otherwise as ``follow``."""
        start = self.node().events if start is None else start
        return self._asking.followed(Following(None, start, patience_s=patience_s, on_break=on_break))

    # -- channels ----------------------------------------------------------------------------------------------------

    def open_channel(self, actor: str, opening: Json) -> wire.ChannelOpened:
        """Open a channel to an actor, which is given ``opening`` to decide by.

        Raises:
            NotFound: there is none.
            NoChannels, NotRunning, Refused, Crashed: it takes none, or not this one.
        """
        return self._asking.document(calls.open_channel(actor, opening))

    def say(self, channel: str, body: Json) -> wire.Accepted:
        """Say something on a channel.

        Raises:
            NotFound, ChannelClosed: there is none, or no more.
            MailboxFull: the actor takes no more now.
        """
        return self._asking.document(calls.say(channel, body))

    def hear(self, channel: str, wait_s: float) -> wire.ChannelMessages:
        """What the actor said since this was called last; waits up to ``wait_s``, 60 at most, where that is nothing.

        Raises:
            NotFound: there is no such channel.
            ChannelClosed: it is closed, and everything was heard, and that it is closed was told.
        """
        return self._asking.document(calls.hear(channel, wait_s))

    def close_channel(self, channel: str) -> None:
        """Close a channel.

        Raises:
            NotFound: there is none.
        """
        self._asking.content(calls.close_channel(channel))

    # -- files -------------------------------------------------------------------------------------------------------

    def bundle(self, id: str, to: BinaryIO) -> None:
        """Write an actor's bundle, a zip, to ``to``. If this raises, what was written is not whole.

        Raises:
            NotFound: there is no such actor.
        """
        with self._asking.opened(calls.bundle(id)) as response:
            to.writelines(response.iter_raw())

    def import_bundle(self, path: Path) -> wire.Imported:
        """Take an actor in from a bundle, stopped.

        Raises:
            BadBundle: it is none, or does not verify; nothing was kept.
            InvalidInput: the actor is, or was, here already.
            OSError: the file cannot be read.
        """
        with path.open("rb") as file:
            size_bytes = file.seek(0, 2)
            file.seek(0)
            pieces = iter(lambda: file.read(PIECE_BYTES), b"")
            return self._asking.document(calls.import_bundle(pieces, size_bytes))

    def has_blob(self, digest: str) -> bool:
        """Whether the server has that component."""
        with self._asking.sent(calls.has_blob(digest)) as response:
            if response.status_code == httpx.codes.NOT_FOUND:
                return False
            if not response.is_success:
                raise exchange.refusal_of(self._asking.where, response, b"")
        return True

    def blob(self, digest: str) -> bytes:
        """A component, which is what its digest says.

        Raises:
            NotFound: the server does not have it.
            Damaged: what came is something else.
        """
        content = self._asking.content(calls.blob(digest))
        if hashlib.sha256(content).hexdigest() != digest:
            raise Damaged(f"the server at {self.url} has something else under {digest[:12]}")
        return content

    def put_blob(self, data: bytes) -> wire.Blob:
        """Bring the server a component; one that it has is not sent again.

        Raises:
            InvalidComponent: it is none that can run there.
        """
        digest = hashlib.sha256(data).hexdigest()
        if self.has_blob(digest):
            return wire.Blob(digest=digest, size=len(data))
        return self._asking.document(calls.put_blob(digest, data))

    def _actors(self, status: str | None, parent: str | None, page: wire.ActorPage) -> Iterator[wire.ActorRow]:
        yield from page.actors
        while page.next is not None:
            after = page.next
            page = self._asking.document(calls.actors(status, parent, after))
            if page.next == after:
                raise InternalError(f"the server at {self.url} sends the same page of actors for ever")
            yield from page.actors

    def _events(
        self, call: Callable[[int, int], Call[wire.EventPage]], start: int, limit: int | None
    ) -> Iterator[wire.EventRow]:
        pages = EventPages(start, limit)
        first = [] if pages.is_over else pages.took(self._asking.document(call(pages.start, pages.size)))
        return self._more(call, pages, first)

    def _more(
        self, call: Callable[[int, int], Call[wire.EventPage]], pages: EventPages, rows: list[wire.EventRow]
    ) -> Iterator[wire.EventRow]:
        yield from rows
        while not pages.is_over:
            yield from pages.took(self._asking.document(call(pages.start, pages.size)))
