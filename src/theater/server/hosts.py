"""For which hosts a server answers. A page that has its own name point here sends that name, and is refused."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from theater.errors import InvalidInput

_HOST: Final = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::[0-9]{0,5})?\Z")


class Hosts:
    """Loopback, whatever its name; the host that is bound; and those that were allowed.

    Raises:
        InvalidInput: one that was allowed is no host.
    """

    def __init__(self, bound: str, allowed: Iterable[str] = ()) -> None:
        self._names = {_plain(bound), *(_allowed(text) for text in allowed)}

    def allow(self, header: str) -> bool:
        """Whether the text of a ``Host`` header names one of them. Its port does not matter."""
        match = _HOST.match(header.lower())
        if match is None:
            return False
        name = _plain(match[1])
        return name == "localhost" or is_loopback(name) or name in self._names


def is_loopback(address: str) -> bool:
    """Whether a text is an address of this machine that no other can reach."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _allowed(text: str) -> str:
    match = _HOST.match(text.lower())
    if match is None:
        raise InvalidInput(f"--allow-host {text!r}: write the name or the address that clients use")
    return _plain(match[1])


def _plain(name: str) -> str:
    return name.lower().removeprefix("[").removesuffix("]").rstrip(".")
