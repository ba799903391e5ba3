"""What ``http-client`` keeps for a node: a loop on a thread, which sends requests to addresses that were checked.

A connection is made to one address and for one request. It is never used again: what was checked for one grant, and for
one name, says nothing about another.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import TypeVar

import httpx

from theater.capabilities.http_addresses import IpAddress
from theater.capabilities.http_url import HttpUrl

CONNECTIONS_MAX = 64
"""As many as acts are performed at once on a node."""
ADDRESSES_MAX = 4
"""Of a name's, that are tried: who has more has the others for other clients."""
CONNECT_TIMEOUT_S = 10.0
"""For one address; the next one may answer."""
LOOKUPS_MAX = 32
"""Names that are looked up at once. The system's resolver cannot be interrupted: each has a thread till it ends."""
LOOKUP_GRACE_S = 2.0
"""How long the end of a node waits for lookups that nobody waits for any more."""

LookUp = Callable[[str, int], Sequence[str]]
"""Host and port to addresses. Raises ``OSError``. May block; called on a thread of its own."""

T = TypeVar("T")


def system_look_up(host: str, port: int) -> list[str]:
    """As the operating system resolves names."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class HttpService:
    """See above. Any thread may use ``run`` and ``close``; the rest belongs to the loop."""

    def __init__(
        self,
        secret: Callable[[str], str | None],
        *,
        look_up: LookUp = system_look_up,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """``secret`` gives the value of one of the node's secrets. ``trust``: None for the usual authorities."""
        self.secret = secret
        self._look_up = look_up
        self._lookups: set[threading.Thread] = set()
        self._room = asyncio.Semaphore(LOOKUPS_MAX)
        self._transport = httpx.AsyncHTTPTransport(
            verify=trust if trust is not None else httpx.create_ssl_context(trust_env=False),
            trust_env=False,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=0),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="theater-http-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[object, object, T]) -> Future[T]:
        """Have it done on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Break everything off, and join the threads."""
        self.run(self._end()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for thread in list(self._lookups):
            thread.join(LOOKUP_GRACE_S / max(1, len(self._lookups)))
        self._loop.close()

    async def addresses(self, url: HttpUrl) -> list[IpAddress]:
        """Where the host of ``url`` is: all addresses that its name has, or itself. Raises ``OSError``."""
        if url.address is not None:
            return [url.address]
        found = await self._looked_up(url.host, url.port)
        addresses = [ipaddress.ip_address(text) for text in dict.fromkeys(found)]
        if not addresses:
            raise OSError("the name has no address")
        return addresses

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send it to the host of its URL, which is an address. Raises as httpx does."""
        return await self._transport.handle_async_request(request)

    async def _looked_up(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Sequence[str]] = loop.create_future()

        def told(found: Sequence[str] | None, error: OSError | None) -> None:
            self._room.release()
            self._lookups.discard(thread)
            if future.done():
                return
            if found is not None:
                future.set_result(found)
            else:
                future.set_exception(error or OSError("the name has no address"))

        def look_up() -> None:
            found, error = None, None
            try:
                found = self._look_up(host, port)
            except (OSError, UnicodeError) as problem:
                error = problem if isinstance(problem, OSError) else OSError(str(problem))
            if not loop.is_closed():
                _tell(loop, lambda: told(found, error))

        await self._room.acquire()
        thread = threading.Thread(target=look_up, name="theater-http-lookup", daemon=True)
        self._lookups.add(thread)
        thread.start()
        return await future

    async def _end(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._transport.aclose()


def _tell(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(action)
    except RuntimeError:  # closed meanwhile: nobody waits any more
        return
