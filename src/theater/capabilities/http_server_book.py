"""Which servers, routes and connections an actor has: changed by orders alone, and kept in the store row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from theater.capabilities.http_routes import RouteTable
from theater.capabilities.http_server_orders import (
    Add,
    Added,
    Close,
    Connection,
    Lose,
    Open,
    Order,
    Part,
    Remove,
    Server,
    Take,
)

_SERVER = "server/"
_ROUTE = "route/"
_SOCKET = "socket/"

_encoder = msgspec.msgpack.Encoder()
_server_decoder = msgspec.msgpack.Decoder(Server)
_added_decoder = msgspec.msgpack.Decoder(Added)
_connection_decoder = msgspec.msgpack.Decoder(Connection)


@dataclass(frozen=True, slots=True)
class Book:
    """What one actor has, by id. To apply the same orders again changes nothing."""

    servers: Mapping[str, Server] = field(default_factory=dict)
    added: Mapping[str, Added] = field(default_factory=dict)
    connections: Mapping[str, Connection] = field(default_factory=dict)

    def after(self, orders: Iterable[Order]) -> Book:
        """What it is once these are carried out."""
        servers, added, connections = dict(self.servers), dict(self.added), dict(self.connections)
        for order in orders:
            match order:
                case Open():
                    servers |= {server.id: server for server in order.servers}
                case Close():
                    servers.pop(order.server, None)
                    added = {id: each for id, each in added.items() if each.server != order.server}
                    connections = {id: each for id, each in connections.items() if each.server != order.server}
                case Add():
                    if order.added.server in servers:
                        added[order.added.id] = order.added
                case Remove():
                    added.pop(order.added, None)
                case Take():
                    if order.connection.server in servers:
                        connections[order.connection.id] = order.connection
                case Part() | Lose():
                    connections.pop(order.connection, None)
                case _:
                    pass
        return Book(MappingProxyType(servers), MappingProxyType(added), MappingProxyType(connections))

    def added_to(self, server: str) -> list[Added]:
        """What was added to a server, in that order."""
        return sorted((each for each in self.added.values() if each.server == server), key=lambda each: each.number)

    def next_number(self) -> int:
        """That of what is added next."""
        return max((each.number for each in self.added.values()), default=-1) + 1

    def table_of(self, server: str) -> RouteTable:
        """The routes of a server, ready to be asked."""
        return RouteTable(each.spec for each in self.added_to(server))

    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return not (self.servers or self.connections)


def server_row(server: Server) -> tuple[str, bytes]:
    """How a server is kept: by which key, and what."""
    return server_key(server.id), _encoder.encode(server)


def added_row(added: Added) -> tuple[str, bytes]:
    """How what was added is kept."""
    return added_key(added.id), _encoder.encode(added)


def connection_row(connection: Connection) -> tuple[str, bytes]:
    """How a connection is kept: for its actor to be told of its end."""
    return connection_key(connection.id), _encoder.encode(connection)


def server_key(id: str) -> str:
    """By which a server is kept."""
    return _SERVER + id


def added_key(id: str) -> str:
    """By which a route, a middleware or a WebSocket route is kept."""
    return _ROUTE + id


def connection_key(id: str) -> str:
    """By which a connection is kept."""
    return _SOCKET + id


def read_book(rows: Mapping[str, bytes]) -> tuple[Book, list[str]]:
    """What was kept for an actor; and the keys of rows that stand for nothing any more: their server is closed.

    Raises:
        msgspec.MsgspecError: a row is none of ours.
    """
    servers, added, connections = {}, {}, {}
    for key, value in rows.items():
        if key.startswith(_SERVER):
            server = _server_decoder.decode(value)
            servers[server.id] = server
        elif key.startswith(_ROUTE):
            each = _added_decoder.decode(value)
            added[each.id] = each
        elif key.startswith(_SOCKET):
            connection = _connection_decoder.decode(value)
            connections[connection.id] = connection
    stale = [added_key(id) for id, each in added.items() if each.server not in servers]
    stale += [connection_key(id) for id, each in connections.items() if each.server not in servers]
    book = Book(
        servers,
        {id: each for id, each in added.items() if each.server in servers},
        {id: each for id, each in connections.items() if each.server in servers},
    )
    return book, stale
