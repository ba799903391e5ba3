"""The socket that a server listens on, and what may be listened on without encryption."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Final

from theater.errors import InvalidInput
from theater.server.hosts import is_loopback

BACKLOG: Final = 1024
"""Connections that wait to be accepted; the kernel may allow less."""

_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - named to be told apart


@dataclass(frozen=True, slots=True)
class Door:
    """A bound socket, not listening yet."""

    socket: socket.socket
    host: str
    """As it was asked for."""

    @property
    def port(self) -> int:
        """The one that is bound, also where any was asked for."""
        return int(self.socket.getsockname()[1])

    def listen(self) -> None:
        """From now on connections are taken.

        Raises:
            InvalidInput: another process was faster.
        """
        try:
            self.socket.listen(BACKLOG)
        except OSError as error:
            raise _cannot(error, self.host, self.port) from error

    def url(self, *, is_secure: bool) -> str:
        """The origin at which a client on this machine finds it."""
        host = _ANY.get(self.host, self.host)
        return f"{'https' if is_secure else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"


def bind(host: str, port: int, *, may_be_public: bool) -> Door:
    """Take a port. ``0``: any that is free.

    Raises:
        InvalidInput: the port is in use, or the host is none of this machine's; or others could reach it, and
            ``may_be_public`` is False.
    """
    host = host.removeprefix("[").removesuffix("]")
    family, address = _resolved(host, port)
    if not may_be_public and not is_loopback(address[0]):
        raise InvalidInput(
            f"others can reach {host}, and tokens would cross the network unencrypted: give --tls-cert and --tls-key,"
            " or --insecure-behind-proxy if a proxy in front of it does TLS"
        )
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, so that asyncio sets TCP_NODELAY
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except OSError as error:
        made.close()
        raise _cannot(error, host, port) from error
    return Door(made, host)


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise InvalidInput(f"there is no host {host!r} to listen on: name an address of this machine") from error
    family, _, _, _, address = found[0]
    return family, (str(address[0]), port)


def _cannot(error: OSError, host: str, port: int) -> InvalidInput:
    match error.errno:
        case errno.EADDRINUSE:
            what = "is in use: stop what listens there, or take another with --port (0: any that is free)"
        case errno.EACCES:
            what = "is not for this user: take one above 1023 with --port"
        case errno.EADDRNOTAVAIL:
            return InvalidInput(f"{host} is no address of this machine: name another with --host")
        case _:
            what = f"cannot be listened on: {error.strerror}"
    return InvalidInput(f"port {port} on {host} {what}")
