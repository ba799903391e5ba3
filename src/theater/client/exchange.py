"""One request and its answer, as both clients send and read them: everything about it but the waiting.

A token goes to the server that it is for and nowhere else: no redirect is followed, and no proxy that the environment
names is asked.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import NoReturn, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from theater import __version__
from theater.client.calls import JSON_TYPE, Call
from theater.client.finding import Where
from theater.client.problems import of_bare_status, read_problem
from theater.errors import InternalError, InvalidInput, NoServer, TheaterError

T = TypeVar("T")

CONNECT_S = 5.0
"""For a connection; on this machine it takes a millisecond, and is refused at once where nobody listens."""

WRITE_S = 60.0
"""For the server to take the next piece of what is sent."""

PROBLEM_MAX_BYTES = 2**20
"""Of an answer that says what is wrong: a message, and what is known beyond it."""

LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=30.0)
"""Each stream holds a connection, so the number is the caller's. A server holds an idle one for 60 s."""


def tls_for(url: str) -> ssl.SSLContext:
    """What a connection to ``url`` is checked with: the system's authorities, or nothing where none is asked."""
    if url.startswith("https:"):
        return ssl.create_default_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and reading all authorities takes 30 ms


def request_of(where: Where, call: Call[T]) -> httpx.Request:
    """The request."""
    url = where.url + call.path
    if call.query:
        url = f"{url}?{urlencode(call.query)}"
    headers = {"Accept": call.accept, "Accept-Encoding": "identity", "User-Agent": f"theater/{__version__}"}
    if where.token is not None:
        headers["Authorization"] = f"Bearer {_checked(where.token)}"
    if call.content_type is not None:
        headers["Content-Type"] = call.content_type
    headers.update(call.headers)
    timeout = httpx.Timeout(connect=CONNECT_S, read=call.timeout_s, write=WRITE_S, pool=CONNECT_S)
    extensions = {"timeout": timeout.as_dict()}
    try:
        return httpx.Request(call.method, url, headers=headers, content=call.content, extensions=extensions)
    except httpx.InvalidURL as error:
        raise InvalidInput(f"{where.url!r} is no server's URL: {error}") from error


def is_hoped_for(call: Call[T], response: httpx.Response) -> bool:
    """Whether the answer has what was asked for, and can be read."""
    if not response.is_success or response.headers.get("content-encoding", "identity") != "identity":
        return False
    if response.status_code == httpx.codes.NO_CONTENT:
        return call.gives is None and call.accept == JSON_TYPE
    return media_of(response) == call.accept


def refusal_of(where: Where, response: httpx.Response, content: bytes) -> TheaterError:
    """What an answer that was not hoped for raises."""
    if response.request.method == "HEAD":
        return of_bare_status(where.url, response.status_code)
    return read_problem(where.url, response.status_code, media_of(response), content)


def media_of(response: httpx.Response) -> str:
    """The media type of an answer, without parameters; "" where it has none."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def decoded(where: Where, kind: type[T], content: bytes) -> T:
    """The document.

    Raises:
        InternalError: it is none; the server may be of another version.
    """
    try:
        content.decode()  # of a guest's value the decoder only looks at where it ends
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InternalError(f"the server at {where.url} answered what this client cannot read: {error}") from error
    except RecursionError as error:
        raise InternalError(f"the server at {where.url} answered what is nested too deep to be read here") from error


def wake(response: httpx.Response) -> None:
    """Have a thread that waits for more of an answer see its end. To close the connection alone would not do that."""
    ask = getattr(response.extensions.get("network_stream"), "get_extra_info", None)
    found = ask("socket") if callable(ask) else None
    if isinstance(found, socket.socket):
        with suppress(OSError):  # it has ended by itself
            socket.socket.shutdown(found, socket.SHUT_RDWR)  # below TLS, whose state is the reader's


def too_much(where: Where, most: int) -> InternalError:
    """What an answer raises that does not end."""
    return InternalError(f"the server at {where.url} answered more than {most} bytes")


def raise_broken(where: Where, error: httpx.HTTPError) -> NoReturn:
    """What an exchange raises that did not come to its end.

    Raises:
        NoServer: nobody listens there; or the answer did not come, or not whole, so that nobody knows.
    """
    if isinstance(error, httpx.ConnectError) and "certificate verify failed" in str(error):
        raise NoServer(
            f"nobody that this machine trusts vouches for the server at {where.url} ({error}):"
            " name the file of its own authority with SSL_CERT_FILE"
        ) from error
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        told = str(error) or "it took too long"
        raise NoServer(f"no server at {where.url} ({told}); start one with: theater server") from error
    if isinstance(error, httpx.TimeoutException):
        raise NoServer(f"the server at {where.url} is silent for too long: what became of this is not known") from error
    raise NoServer(
        f"the connection to the server at {where.url} broke ({str(error) or type(error).__name__}):"
        " what became of this is not known"
    ) from error


def _checked(token: str) -> str:
    if not (token.isascii() and token.isprintable() and token and " " not in token):
        raise InvalidInput("the token is none: look for spaces and ends of lines in THEATER_TOKEN")
    return token
