"""Sockets that are bound and listen not yet: addresses that are reserved for servers."""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading

from theater.model.actor_system import Problem

_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, and bound to only where a grant has it


class Reservations:
    """Which addresses are taken by servers of this node. Any thread may use it; nothing blocks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bound: dict[str, socket.socket] = {}
        self._taken: dict[str, tuple[str, int]] = {}

    def reserve(self, server: str, address: str, port: int) -> int | Problem:
        """Bind a socket for a server; the port really bound. Problems: address-in-use, address-refused."""
        with self._lock:
            # Two sockets that do not listen yet may be bound to one address, so that the system is no help.
            if port and any(_are_one(taken, (address, port)) for taken in self._taken.values()):
                return ("address-in-use", None)
            try:
                bound = _bind(address, port)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return ("address-in-use", None)
                return ("address-refused", error.strerror or str(error))
            found: int = bound.getsockname()[1]
            self._bound[server] = bound
            self._taken[server] = (address, found)
            return found

    def take(self, server: str) -> socket.socket | None:
        """The socket of a server, which is the caller's now; its address stays taken. None where none is bound."""
        with self._lock:
            return self._bound.pop(server, None)

    def free(self, server: str) -> None:
        """The address is free again."""
        with self._lock:
            self._taken.pop(server, None)
            bound = self._bound.pop(server, None)
        if bound is not None:
            bound.close()

    def close(self) -> None:
        """Free all of them."""
        for server in list(self._taken):
            self.free(server)


def _bind(address: str, port: int) -> socket.socket:
    is_wide = ipaddress.ip_address(address).version == 6  # noqa: PLR2004 - as in IPv6
    bound = socket.socket(socket.AF_INET6 if is_wide else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or a restart would wait for old connections
        if is_wide:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # [::] is no word for 0.0.0.0
        bound.bind((address, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _are_one(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether two servers there would get in each other's way."""
    if one[1] != other[1]:
        return False
    is_alike = (":" in one[0]) == (":" in other[0])
    return one[0] == other[0] or (is_alike and (one[0] in _ANYWHERE or other[0] in _ANYWHERE))
