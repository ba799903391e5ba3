"""From a request on the wire to a ``Head``, and from an ``Answer`` to what is sent."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from theater.capabilities.http_front import Answer, Head, Headers
from theater.capabilities.http_listener.refusals import bad_request, wrong_version
from theater.errors import BadRequest, InternalError, TheaterError

RawHeaders = list[tuple[bytes, bytes]]

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_NO_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # of what is left, only these can end a line or a header
_HOST: Final = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=%:\[\]]*")  # RFC 3986 section 3.2, without a user
_OURS: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Dropped from what a front answers: they speak of the connection, which is the listener's."""

STATUS_MIN: Final = 200  # an interim answer would be taken for the whole by nobody
STATUS_MAX: Final = 599
BODILESS: Final = frozenset({204, 304})  # RFC 9110 section 6.4.1

HOLD_TOO_MUCH: Final = "more is under way than fits here: try again later"


def said(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """What the listener says itself: one line of text."""
    return Answer(status, (("content-type", "text/plain; charset=utf-8"), *headers), f"{text}\n".encode())


FAILED: Final = said(500, "something went wrong on this side")
GOING: Final = said(503, "nobody answers any more", ("retry-after", "1"))


class Date:
    """What a ``Date`` header says; made anew once a second, since it takes longer than all other headers together."""

    __slots__ = ("_made", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._made = b""

    @property
    def now(self) -> bytes:
        """In the form of RFC 9110 section 5.6.7."""
        second = int(time.time())
        if second != self._second:
            self._second, self._made = second, formatdate(second, usegmt=True).encode()
        return self._made


class Wire:
    """An ``Answer`` as it goes out, to a request of that method.

    Raises:
        InternalError: it is none that HTTP has: its front has to be mended.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, answer: Answer, method: str, date: bytes) -> None:
        if not STATUS_MIN <= answer.status <= STATUS_MAX:
            raise InternalError(f"a request was answered with the status {answer.status}, not one from 200 to 599")
        self.status = answer.status
        self.headers = [*_checked(answer.headers), (b"date", date)]
        self.body = b"" if method == "HEAD" or answer.status in BODILESS else answer.body
        if self.status not in BODILESS and (answer.body or method != "HEAD"):
            self.headers.append((b"content-length", b"%d" % len(answer.body)))


def last_words(answer: Answer, method: str = "GET") -> bytes:
    """The whole of an answer, the last on its connection. Raises as ``Wire``."""
    wire = Wire(answer, method, Date().now)
    return head_bytes(wire.status, [*wire.headers, (b"connection", b"close")]) + wire.body


def refusal(error: TheaterError) -> bytes:
    """What a request that no front sees is answered with."""
    if isinstance(error, BadRequest):
        return last_words(said(error.status, error.message))
    return last_words(said(503, error.message, ("retry-after", "1")))


def head_bytes(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of an answer."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return b"".join(
        [f"HTTP/1.1 {status} {phrase}\r\n".encode(), *(b"%b: %b\r\n" % header for header in headers), b"\r\n"]
    )


def head_of(server: str, peer: str, method: str, target: bytes, headers: RawHeaders) -> Head:
    """What a front gets to see of a request whose head was checked."""
    path, mark, query = target.partition(b"?")
    return Head(
        server=server,
        method=method,
        authority=next((_text(value) for name, value in headers if name == b"host"), ""),
        path=path.decode("ascii"),
        query=query.decode("ascii") if mark else None,
        headers=tuple((name.decode("ascii"), _text(value)) for name, value in headers),
        peer=peer,
    )


def check_head(version: str, target: bytes, headers: RawHeaders) -> None:
    """What the parser lets through and nobody may rely on.

    Raises:
        BadRequest: it is ambiguous who is asked, or where the body ends.
    """
    if version not in {"1.0", "1.1"}:
        raise wrong_version()
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):  # RFC 9112 section 3.2
        raise bad_request("a request has exactly one Host header")
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        raise bad_request("the Host header names no host")
    if version == "1.0" and any(name == b"transfer-encoding" for name, _ in headers):  # RFC 9112 section 6.1
        raise bad_request("HTTP/1.0 has no Transfer-Encoding")
    if b"#" in target:
        raise bad_request("a request has no fragment")


def size_of_body(headers: RawHeaders) -> int | None:
    """What is announced; None where the body is chunked. The parser has seen that it is a number."""
    if any(name == b"transfer-encoding" for name, _ in headers):
        return None
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def peer_of(address: object) -> str:
    """Address and port, as in a URL; "" where the system does not know it any more."""
    match address:
        case (str(host), int(port), *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case _:
            return ""


def listed(headers: RawHeaders, name: bytes) -> list[str]:
    """The items of a header that is a list (RFC 9110 section 5.6.1), over all its lines."""
    return [
        item
        for key, value in headers
        if key == name
        for piece in value.decode("latin-1").split(",")
        if (item := piece.strip(" \t"))
    ]


def is_token(text: str) -> bool:
    """Whether it is one of RFC 9110 section 5.6.2: a name of a header, a method, a subprotocol."""
    return text.isascii() and _TOKEN.fullmatch(text.encode()) is not None


def _checked(headers: Headers) -> RawHeaders:
    checked = []
    for name, value in headers:
        try:
            raw_name, raw_value = name.lower().encode("ascii"), value.encode()
        except UnicodeEncodeError as error:
            raise InternalError(f"a request was answered with a header that cannot be written: {name!r}") from error
        if _TOKEN.fullmatch(raw_name) is None or _NO_VALUE.search(raw_value) is not None:
            raise InternalError(f"a request was answered with a header that HTTP does not have: {name!r}")
        if raw_name not in _OURS:
            checked.append((raw_name, raw_value))
    return checked


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
