"""The HTTP servers of a node's actors: any number of sockets on one thread with a loop of its own.

The thread starts with the first server and ends with ``shut``. Where the loop dies of something that nobody expected,
that is reported, all that it had is closed, and no server can be opened any more.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

import uvloop

from theater.capabilities.http_front import Certificate, Farewell, Front
from theater.capabilities.http_listener.bounds import Bounds
from theater.capabilities.http_listener.connection import Connection
from theater.capabilities.http_listener.entrance import BACKLOG, Entrance
from theater.capabilities.http_listener.reception import Reception, Report
from theater.capabilities.http_listener.tls import context_of
from theater.errors import Closing, InternalError

THREAD: Final = "theater-http"

_ABORTING: Final = 0.2  # of the time that the end may take: for those that are cut off, and once more for their tasks
_JOINING_S: Final = 2.0  # beyond it: what is left then is a front that holds the loop up


class Listener:
    """See above; ``Listening`` says what its methods do. ``report`` is told, on the loop, of what nobody expected."""

    def __init__(self, front: Front, *, report: Report, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._report = report
        self._loop = uvloop.new_event_loop()
        self._reception = Reception(front, self._bounds, report, self._loop)
        self._entrances: dict[str, Entrance] = {}
        self._ending = asyncio.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_over = False

    # -- any thread ----------------------------------------------------------------------------------------------------

    def open(self, server: str, bound: socket.socket, certificate: Certificate | None) -> None:
        """As ``Listening`` says.

        Raises:
            InvalidInput: the certificate cannot be used.
            OSError: the socket cannot be listened on.
            Closing: the listener was shut.
        """
        try:
            context = None if certificate is None else context_of(certificate)
            bound.listen(BACKLOG)
            with self._lock:
                if self._is_over:
                    raise Closing("the listener is closed: no server can be opened any more")
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
                    self._thread.start()
                entrance = Entrance(self._reception, server, bound, context, self._connection)
                self._entrances[server] = entrance
                self._do(entrance.open)
        except BaseException:
            bound.close()
            raise

    def close(self, server: str) -> None:
        with self._lock:
            if self._is_over or (entrance := self._entrances.get(server)) is None:
                return
            entrance.leave()
        self._do(partial(self._close, entrance))

    def waiting_bytes(self, connection: str) -> int:
        websocket = self._reception.websockets.get(connection)
        return 0 if websocket is None else websocket.waiting_bytes

    def say(self, connection: str, message: str | bytes) -> None:
        websocket = self._reception.websockets.get(connection)
        if websocket is not None:
            self._do(websocket.say(message))

    def part(self, connection: str, farewell: Farewell) -> None:
        websocket = self._reception.websockets.get(connection)
        if websocket is not None:
            self._do(partial(websocket.part, farewell))

    @property
    def connections(self) -> int:
        """How many there are, WebSockets among them."""
        return self._reception.connections.size

    @property
    def held_bytes(self) -> int:
        """Of bodies and messages that came and are not handled."""
        return self._reception.held_bytes

    def shut(self) -> None:
        """As ``Listening`` says. Not on the loop's own thread.

        Raises:
            InternalError: the front holds the loop up.
        """
        with self._lock:
            self._is_over = True
            thread = self._thread
        if thread is None:
            self._loop.close()
            return
        self._do(self._ending.set)
        thread.join(self._bounds.shut_s + _JOINING_S)
        if thread.is_alive():
            raise InternalError(f"the thread {THREAD} does not end: something holds its loop up")

    def _do(self, action: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(action)
        except RuntimeError:  # it is closed, and everything with it
            return

    # -- the loop's thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                try:
                    runner.run(self._serve())
                except BaseException as error:  # noqa: BLE001 - the thread ends of it, and somebody hears why
                    self._report(error)
                    with self._lock:
                        self._is_over = True
                    runner.run(self._end(0.0))
        except BaseException as error:  # noqa: BLE001 - as above
            self._report(error)

    async def _serve(self) -> None:
        self._loop.set_exception_handler(self._unexpected)
        await self._ending.wait()
        await self._end(self._bounds.shut_s * (1 - 2 * _ABORTING))

    async def _end(self, grace_s: float) -> None:
        for entrance in self._entrances.values():
            entrance.close()
        await self._drained(grace_s)
        connections = self._reception.connections.connections
        for connection in list(connections):
            connection.transport.abort()
        await self._drained(self._bounds.shut_s * _ABORTING)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=self._bounds.shut_s * _ABORTING)
        for entrance in self._entrances.values():  # one may have been opened while a loop that died was cleared
            entrance.close()

    async def _drained(self, wait_s: float) -> None:
        connections = self._reception.connections
        try:
            async with asyncio.timeout(wait_s):
                while connections.connections:
                    connections.gone.clear()
                    await connections.gone.wait()
        except TimeoutError:
            return

    def _close(self, entrance: Entrance) -> None:
        if self._entrances.get(entrance.server) is entrance:
            del self._entrances[entrance.server]
        entrance.close()
        self._loop.call_later(self._bounds.grace_s, entrance.abort)

    def _connection(self, entrance: Entrance) -> Connection:
        return Connection(self._reception, entrance)

    def _unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        self._report(error if isinstance(error, BaseException) else InternalError(str(context.get("message", ""))))
