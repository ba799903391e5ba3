"""URLs as grants and requests compare them: normalised, so that what a server takes for one place is written one way.

The normalised URL is the one that is sent, so that no server sees a ``..`` that was compared as something else.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

import idna

from theater.capabilities.http_addresses import IpAddress

URL_MAX_CHARS = 8192
"""What servers take at most, as a rule."""

_SHAPE = re.compile(r"(https?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?\Z", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
_PORT_MAX = 65_535
_NAME_MAX_CHARS = 253
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_LOOKS_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
_ESCAPE = re.compile(r"%(..?)?", re.DOTALL)
_HEX = re.compile(r"[0-9A-Fa-f]{2}\Z")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_IN_PATH = "/%!$&'()*+,;=:@-._~"
_IN_QUERY = _IN_PATH + "?"
_DECODINGS_MAX = 4
"""How often an escape may be escaped again; nobody does so for a good reason."""


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """An absolute URL of ``http`` or ``https``, without user, password and fragment."""

    scheme: str
    host: str
    """A name in lower case (IDNA) without a dot at its end, or an address without brackets."""
    port: int
    path: str
    """Begins with a slash; without dot segments."""
    query: str | None = None

    @property
    def address(self) -> IpAddress | None:
        """The host, where that is no name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def authority(self) -> str:
        """As in a ``Host`` field: the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What two URLs of one server have in common."""
        return self.scheme, self.host, self.port

    @property
    def place(self) -> str:
        """Without the query."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def target(self) -> str:
        """As in a request line."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    def holds(self, other: HttpUrl) -> bool:
        """Whether ``other`` is this place or, by whole path segments, below it. Queries are not looked at."""
        folder = self.path if self.path.endswith("/") else self.path + "/"
        return self.origin == other.origin and (self.path == other.path or other.path.startswith(folder))


def parse_url(text: str) -> HttpUrl:
    """Read a URL and normalise it. Raises ``ValueError`` saying what is wrong, without the text itself."""
    if len(text) > URL_MAX_CHARS:
        raise ValueError(f"it is longer than {URL_MAX_CHARS} characters")
    if any(ord(char) <= ord(" ") or char in "\\\x7f" for char in text):
        raise ValueError("it has a blank, a control character or a backslash")
    if "#" in text:
        raise ValueError("it has a fragment")
    match = _SHAPE.match(text)
    if match is None:
        raise ValueError("write http:// or https://, a host and a path")
    scheme = match[1].lower()
    host, port = _authority(match[2], _PORTS[scheme])
    query = None if match[4] is None else _escaped(match[4], _IN_QUERY)
    return HttpUrl(scheme, host, port, _path(match[3]), query)


def _authority(text: str, default_port: int) -> tuple[str, int]:
    if "@" in text:
        raise ValueError("it has a user or a password")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or rest[:1] not in ("", ":"):
            raise ValueError("the address in brackets does not end")
        return _ipv6(host), _port(rest[1:], default_port)
    host, _, port = text.partition(":")
    return host_name(host), _port(port, default_port)


def _port(text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_PORT_MAX)) and 0 < int(text) <= _PORT_MAX):
        raise ValueError(f"a port is a number from 1 to {_PORT_MAX}")
    return int(text)


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as error:
        raise ValueError("what stands in brackets is no IPv6 address") from error
    if address.scope_id is not None:
        raise ValueError("an IPv6 address with a zone is none that can be granted")
    return str(address)


def host_name(text: str) -> str:
    """A name or IPv4 address, normalised. Raises ``ValueError``.

    An address has four decimal numbers: the older ways to write one (``127.1``, ``0x7f000001``, ``0177.0.0.1``) are
    read differently by different programs, and refused.
    """
    name = text.removesuffix(".").lower()
    if not name.isascii():
        try:
            name = idna.encode(name).decode("ascii")
        except UnicodeError as error:
            raise ValueError("its host is no name that can be written in ASCII (IDNA)") from error
    labels = name.split(".")
    if _LOOKS_NUMERIC.match(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError as error:
            raise ValueError("its host is a number and no address of four decimal ones") from error
    if len(name) > _NAME_MAX_CHARS or not all(_LABEL.match(label) for label in labels):
        raise ValueError("its host is no name")
    return name


def _path(text: str) -> str:
    path = _without_dots(_escaped(text or "/", _IN_PATH))
    _refuse_hidden_dots(path)
    return path


def _escaped(text: str, allowed: str) -> str:
    """With escapes in one form, none for what needs none, and all others for what does."""

    def escape(match: re.Match[str]) -> str:
        digits = match[1] or ""
        if not _HEX.match(digits):
            raise ValueError("it has a % that is followed by no two hexadecimal digits")
        char = chr(int(digits, 16))
        return char if char in _UNRESERVED else f"%{digits.upper()}"

    return quote(_ESCAPE.sub(escape, text), safe=allowed)


def _without_dots(path: str) -> str:
    """RFC 3986, section 5.2.4."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _refuse_hidden_dots(path: str) -> None:
    """Whatever a server decodes, and however often, it finds no way up."""
    text = path.encode("ascii")
    for _ in range(_DECODINGS_MAX):
        plain = text.replace(b"\xc0\xae", b".").replace(b"\xc0\xaf", b"/")  # overlong UTF-8, which some read
        if any(segment.partition(b";")[0].strip() in (b".", b"..") for segment in re.split(rb"[/\\]", plain)):
            raise ValueError("its path has a hidden '..' or '.'")
        decoded = unquote_to_bytes(text)
        if decoded == text:
            return
        text = decoded
    raise ValueError("its path is escaped over and over")
