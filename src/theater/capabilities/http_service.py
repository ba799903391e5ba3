"""What ``http-server`` keeps for all actors of a node: their servers, and who is behind each address and connection.

It hears from steps what actors want (``Resident``), and has the listener do it; what clients want goes by its
front desk to the actors. An actor's book changes when it is told something, and what goes out into the world waits
for the confirmation. Its own thread looks up and changes what is kept in the store; nothing else waits here.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module

import msgspec

from theater.capabilities.http_front import Certificate, Farewell, Front, Listening
from theater.capabilities.http_front_desk import FrontDesk
from theater.capabilities.http_routes import RouteTable
from theater.capabilities.http_server_book import Book, added_key, connection_key, read_book
from theater.capabilities.http_server_listen import bracketed
from theater.capabilities.http_server_orders import (
    Add,
    Close,
    Connection,
    Lose,
    Open,
    Order,
    Part,
    Remove,
    Say,
    Server,
    Take,
)
from theater.capabilities.http_sockets import Reservations
from theater.capabilities.http_websockets import ENDED
from theater.errors import TheaterError
from theater.model.actor_system import Problem
from theater.model.ids import ActorId
from theater.model.news import Post
from theater.model.service import Place

Listen = Callable[[Front, Callable[[BaseException], None]], Listening]
"""Makes a listener for a front; the other is told of what nobody expected."""

_EMPTY = Book()


@dataclass(slots=True)
class _Doubt:
    """What an actor has told since nobody knows what was written. What it said before is as the store has it."""

    orders: list[Order] = field(default_factory=list)


class HttpService:
    """Implements ``Resident``. Any thread may use it."""

    def __init__(self, place: Place, listen: Listen | None = None) -> None:
        self._place = place
        self._listen = listen or _listen
        self._lock = threading.Lock()
        self._books: dict[ActorId, Book] = {}
        self._actors: dict[str, ActorId] = {}
        """By server and by connection."""
        self._tables: dict[str, RouteTable] = {}
        self._status: dict[str, tuple[str, object]] = {}
        """Of each server that was opened, or could not be."""
        self._unsent: dict[str, int] = {}
        """Bytes that were told for a connection, and are not confirmed yet."""
        self._doubts: dict[ActorId, _Doubt] = {}
        self._stale: dict[str, list[str]] = {}
        """Keys of what was lost with a server, until that is confirmed."""
        self._reservations = Reservations()
        self._listening: Listening | None = None
        self._is_closing = False
        self._desk = FrontDesk(self)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="theater-http-server")
        self._open_again()

    # -- Resident

    def told(self, actor: ActorId, order: object) -> None:
        """A step has closed."""
        assert isinstance(order, Order)
        with self._lock:
            self._apply(actor, order)
            if isinstance(order, Say):
                self._unsent[order.connection] = self._unsent.get(order.connection, 0) + order.size_bytes

    def confirmed(self, actor: ActorId, order: object) -> None:
        """It is durable."""
        match order:
            case Open():
                for server in order.servers:
                    self._open(server)
            case Close():
                self._shut_down(order.server)
                stale = self._stale.pop(order.server, None)
                if stale:
                    self._later(partial(self.post.keep, actor, _nobody, drops=stale))
            case Say():
                with self._lock:
                    self._unsent[order.connection] = self._unsent.get(order.connection, 0) - order.size_bytes
                    if self._unsent[order.connection] <= 0:
                        del self._unsent[order.connection]
                if self._listening is not None:
                    self._listening.say(order.connection, order.message)
            case Part() if self._listening is not None:
                self._listening.part(order.connection, Farewell(order.code, order.reason))
            case _:
                pass

    def doubted(self, actor: ActorId) -> None:
        """What holds is what is kept."""
        with self._lock:
            if actor not in self._books:
                return
            doubt = self._doubts[actor] = _Doubt()
        self._later(lambda: self._read_again(actor, doubt))

    def ended(self, actor: ActorId) -> None:
        """Its connections are closed, and its servers answer that it does not run."""
        book = self.book_of(actor)
        for connection in book.connections.values():
            if connection.is_open and self._listening is not None and not self._desk.sockets.left(connection.id):
                self._listening.part(connection.id, ENDED)

    def removed(self, actor: ActorId) -> None:
        """Its servers are closed."""
        with self._lock:
            book = self._books.pop(actor, _EMPTY)
            self._doubts.pop(actor, None)
            for id in (*book.servers, *book.connections):
                self._actors.pop(id, None)
                self._tables.pop(id, None)
                self._unsent.pop(id, None)
        for server in book.servers:
            self._shut_down(server)

    def shown(self, actor: ActorId) -> list[str]:
        """Where it listens, a line for each server."""
        book = self.book_of(actor)
        return [self._line(book, server) for _, server in sorted(book.servers.items())]

    def close(self) -> None:
        """Close every socket, and join every thread. What is kept stays."""
        self._is_closing = True
        self._worker.shutdown(wait=True, cancel_futures=True)
        listening = self._listening
        if listening is not None:
            listening.shut()
        self._reservations.close()

    # -- for host functions

    def book_of(self, actor: ActorId) -> Book:
        """What an actor has."""
        return self._books.get(actor, _EMPTY)

    def status_of(self, server: str) -> tuple[str, object]:
        """What a server does, as ``server-status`` has it."""
        return self._status.get(server, ("opening", None))

    def reserve(self, server: str, address: str, port: int) -> int | Problem:
        """Bind a socket; the port really bound. Problems: address-in-use, address-refused."""
        return self._reservations.reserve(server, address, port)

    def release(self, server: str) -> None:
        """It will not be opened."""
        self._reservations.free(server)

    def tls_problem(self, name: str) -> str | None:
        """Why a certificate cannot be used; None where it can."""
        files = self._place.certificate(name)
        if files is None:
            return f"this node has no certificate {name!r}: its config names the files under [tls.{name}]"
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files)
        except (OSError, ValueError) as error:  # which file it is is the node's business
            return f"the certificate {name!r} cannot be used: {getattr(error, 'reason', None) or 'see its files'}"
        return None

    def has_handler(self, actor: ActorId, export: str) -> bool:
        """Whether an actor that is in the middle of a step has it."""
        return self.post.has_handler(actor, export)

    def waiting_bytes(self, connection: str) -> int:
        """What waits for a client, or will with commits that are under way."""
        waiting = self._listening.waiting_bytes(connection) if self._listening is not None else 0
        return waiting + self._unsent.get(connection, 0)

    # -- for the reception

    @property
    def post(self) -> Post:
        """To the actors."""
        return self._place.post

    @property
    def place(self) -> Place:
        """Where it was opened."""
        return self._place

    @property
    def is_closing(self) -> bool:
        """Whether the node closes: what is kept says then what was open."""
        return self._is_closing

    def server(self, id: str) -> tuple[ActorId, Server, RouteTable] | None:
        """Who is behind a server, and its routes."""
        with self._lock:
            actor = self._actors.get(id)
            if actor is None:
                return None
            book = self._books[actor]
            table = self._tables.get(id)
            if table is None:
                table = self._tables[id] = book.table_of(id)
            return actor, book.servers[id], table

    def connection(self, id: str) -> tuple[ActorId, Connection] | None:
        """Whose connection it is."""
        with self._lock:
            actor = self._actors.get(id)
            return None if actor is None else (actor, self._books[actor].connections[id])

    def connections(self, actor: ActorId) -> int:
        """How many an actor has."""
        return len(self.book_of(actor).connections)

    def take(self, actor: ActorId, connection: Connection) -> None:
        """A connection is there, or its actor has taken it."""
        with self._lock:
            self._apply(actor, Take(connection))

    def lose(self, id: str) -> tuple[ActorId, Connection] | None:
        """A connection has ended; whose it was, where its actor had not closed it."""
        with self._lock:
            actor = self._actors.get(id)
            if actor is None:
                return None
            connection = self._books[actor].connections[id]
            self._apply(actor, Lose(id))
            return actor, connection

    # -- helpers

    def _apply(self, actor: ActorId, order: Order) -> None:
        """Note it. The lock is held."""
        if isinstance(order, Say):
            return
        before = self._books.get(actor, _EMPTY)
        book = before.after((order,))
        match order:
            case Close():
                self._stale[order.server] = _lost_with(before, order.server)
                self._put(actor, before, book)
            case Take() if order.connection.id in book.connections:
                self._books[actor] = book
                self._actors[order.connection.id] = actor
            case Part() | Lose() if order.connection in before.connections:
                self._books[actor] = book
                del self._actors[order.connection]
            case _:
                self._put(actor, before, book)
        if actor in self._doubts:
            self._doubts[actor].orders.append(order)
        if isinstance(order, Add):
            self._tables.pop(order.added.server, None)
        elif isinstance(order, Remove) and order.added in before.added:
            self._tables.pop(before.added[order.added].server, None)

    def _put(self, actor: ActorId, before: Book, book: Book) -> None:
        """Have this be the book of an actor. The lock is held."""
        for id in (*before.servers, *before.connections):
            self._actors.pop(id, None)
        for id in (*book.servers, *book.connections):
            self._actors[id] = actor
        if book.is_empty():
            self._books.pop(actor, None)
        else:
            self._books[actor] = book

    def _open(self, server: Server) -> None:
        """Have it take connections, or say why it cannot."""
        if self._is_closing:
            return
        problem: str | None = None
        bound = self._reservations.take(server.id)
        if bound is None:  # an earlier process had reserved it
            found = self._reservations.reserve(server.id, server.address, server.port)
            problem = None if isinstance(found, int) else str(found[1] or "the address and port are in use")
            bound = self._reservations.take(server.id)
        if problem is None and server.tls is not None:
            problem = self.tls_problem(server.tls)
        if problem is None and bound is not None:
            try:
                files = self._place.certificate(server.tls) if server.tls is not None else None
                self._started().open(server.id, bound, Certificate(*files) if files is not None else None)
            except (OSError, TheaterError) as error:
                problem = getattr(error, "strerror", None) or str(error)
        self._status[server.id] = ("open", None) if problem is None else ("failed", problem)
        if problem is not None:
            if bound is not None:
                bound.close()
            self._reservations.free(server.id)

    def _shut_down(self, server: str) -> None:
        self._status.pop(server, None)
        self._tables.pop(server, None)
        if self._listening is not None:
            self._listening.close(server)
        self._reservations.free(server)

    def _started(self) -> Listening:
        with self._lock:
            if self._listening is None:
                self._listening = self._listen(self._desk, self._place.report)
            return self._listening

    def _open_again(self) -> None:
        """As an earlier process left it: servers are opened, and actors hear that their connections are gone."""
        for actor in {kept.actor for kept in self.post.kept()}:
            book, stale = self._kept(actor)
            with self._lock:
                self._put(actor, _EMPTY, book)
            for server in book.servers.values():
                self._open(server)
            if stale:
                self._later(partial(self.post.keep, actor, _nobody, drops=stale))
            for connection in book.connections:
                self._later(partial(self._desk.sockets.broke, connection))

    def _kept(self, actor: ActorId) -> tuple[Book, list[str]]:
        rows = {kept.key: kept.value for kept in self.post.kept(actor)}
        with suppress(msgspec.MsgspecError):
            return read_book(rows)
        return _EMPTY, []

    def _read_again(self, actor: ActorId, doubt: _Doubt) -> None:
        kept, _ = self._kept(actor)
        with self._lock:
            if self._doubts.get(actor) is not doubt:
                return  # somebody is in doubt again, or it is gone
            del self._doubts[actor]
            before = self._books.get(actor, _EMPTY)
            taken = [Take(before.connections.get(each.id, _opened(each))) for each in kept.connections.values()]
            waiting = [Take(each) for each in before.connections.values() if not each.is_open]
            book = kept.after((*taken, *waiting, *doubt.orders))
            self._put(actor, before, book)
            for id in (*before.servers, *before.connections):
                self._tables.pop(id, None)
                self._unsent.pop(id, None)
        for id in before.servers.keys() - book.servers.keys():
            self._shut_down(id)
        for server in kept.servers.values():
            if server.id in book.servers and server.id not in self._status:
                self._open(server)

    def _later(self, work: Callable[[], None]) -> None:
        """On its own thread."""
        with suppress(RuntimeError):  # it is closing
            self._worker.submit(work)

    def _line(self, book: Book, server: Server) -> str:
        where = f"{'https' if server.tls else 'http'}://{bracketed(server.address)}:{server.port}"
        state, why = self.status_of(server.id)
        if state == "failed":
            return f"cannot listen on {where}: {why}"
        counts = []
        if not server.is_service:
            counts.append(_counted(len(book.added_to(server.id)), "route"))
        sockets = sum(each.is_open and each.server == server.id for each in book.connections.values())
        if sockets:
            counts.append(_counted(sockets, "WebSocket"))
        behind = f" ({', '.join(counts)})" if counts else ""
        return f"listens on {where}{behind}"


def _listen(front: Front, report: Callable[[BaseException], None]) -> Listening:
    """The real listener. Its libraries are imported when the first server is opened."""
    listening: Listening = import_module("theater.capabilities.http_listener.listener").Listener(front, report=report)
    return listening


def _opened(connection: Connection) -> Connection:
    return msgspec.structs.replace(connection, is_open=True)


def _lost_with(book: Book, server: str) -> list[str]:
    added: Iterable[str] = (added_key(id) for id, each in book.added.items() if each.server == server)
    return [*added, *(connection_key(id) for id, each in book.connections.items() if each.server == server)]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _nobody(failure: object) -> None:
    """Nobody waits for that: what stays is found, and dropped, at the next start."""
    del failure
