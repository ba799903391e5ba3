"""Where connections to one server come in: its listening socket, and those that came through it.

Connections are accepted here and not by asyncio, so that those are counted too that have not agreed on TLS yet.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

from theater.capabilities.http_listener.protocol import REFUSED_MAX
from theater.capabilities.http_listener.reception import Reception

BACKLOG: Final = 1024
"""Connections that wait to be accepted; the kernel may allow less."""

_AT_ONCE: Final = 64  # accepted before others get their turn
_REST_S: Final = 1.0  # as asyncio does it
_OUT_OF_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Guest(Protocol):
    """A connection, as its entrance sees it."""

    def shutdown(self) -> None:
        """End it when what is under way is answered; at once where nothing is."""

    def abort(self) -> None:
        """End it at once."""


class Entrance:
    """See above. Belongs to the loop, but for ``leave``."""

    def __init__(
        self,
        reception: Reception,
        server: str,
        listening: socket.socket,
        context: ssl.SSLContext | None,
        protocol: Callable[[Entrance], asyncio.Protocol],
    ) -> None:
        self.server = server
        self.connections: set[Guest] = set()
        self._is_left = False
        self._is_closed = False
        self._reception = reception
        self._socket = listening
        self._context = context
        self._protocol = protocol
        self._welcoming: set[asyncio.Task[None]] = set()
        self._resting: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Take connections from now on."""
        if self._is_closed:
            return
        self._socket.setblocking(False)
        self._reception.loop.add_reader(self._socket, self._accept)

    @property
    def is_closed(self) -> bool:
        """Whether nobody is to come in any more."""
        return self._is_closed

    def leave(self) -> None:
        """Have the address be free at once, for another server. Any thread; to be closed then on the loop."""
        self._is_left = True
        with suppress(OSError):  # where a system does not have that, it is free when it is closed
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no more. Those that are there end when what they asked is answered.

        Who is just being welcomed ends as soon as that is done: a transport that is given up before it is handed over
        would never tell its protocol that the connection is lost.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._resting is not None:
            self._resting.cancel()
        self._reception.loop.remove_reader(self._socket)
        self._socket.close()
        for connection in list(self.connections):
            connection.shutdown()

    def abort(self) -> None:
        """End those that are left."""
        for connection in list(self.connections):
            connection.abort()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                made, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if not self._is_left:
                    self._rest(error)
                return
            self._take(made)

    def _take(self, made: socket.socket) -> None:
        bounds = self._reception.bounds
        here = len(self.connections) + len(self._welcoming)
        all_of_them = self._reception.connections.size + len(self._welcoming)
        if (
            here >= bounds.connections_of_server_max + REFUSED_MAX
            or all_of_them >= bounds.connections_max + REFUSED_MAX
        ):
            made.close()
            return
        task = self._reception.loop.create_task(self._welcome(made))
        self._welcoming.add(task)
        task.add_done_callback(partial(self._welcomed, made))

    def _welcomed(self, made: socket.socket, task: asyncio.Task[None]) -> None:
        self._welcoming.discard(task)
        if task.cancelled():  # maybe before it began
            made.close()

    async def _welcome(self, made: socket.socket) -> None:
        tls_s = self._reception.bounds.tls_s if self._context is not None else None
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._reception.loop.connect_accepted_socket(
                lambda: self._protocol(self),
                made,
                ssl=self._context,
                ssl_handshake_timeout=tls_s,
                ssl_shutdown_timeout=tls_s,
            )
        except OSError:  # it went again, or does not speak TLS; so does a TimeoutError say
            made.close()

    def _rest(self, error: OSError) -> None:
        """There is no room for one more connection in this process: try again when some have ended."""
        if error.errno not in _OUT_OF_FILES:
            self._reception.report(error)
        self._reception.loop.remove_reader(self._socket)
        self._resting = self._reception.loop.call_later(_REST_S, self.open)
