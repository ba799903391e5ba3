"""What went wrong on the wire, as ``wasi:http`` calls it."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator

import httpx

from theater.capabilities.http_body import Unreadable
from theater.capabilities.http_wire.exchange import Failed
from theater.capabilities.wasi_http_codes import ErrorCode

_UNROUTABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})


def error_code(failed: Failed) -> ErrorCode:
    """The ``error-code`` of an order that was not answered."""
    case, value = failed.problem
    causes = list(_causes(failed.__cause__))
    match case:
        case "denied":  # behind the first check of the grant only an address can be
            return ("destination-IP-prohibited", None)
        case "name-not-resolved":
            return ("DNS-error", {"rcode": value, "info-code": None})
        case "connection-failed":
            return (_not_connected(causes), None)
        case "tls-failed":
            is_certificate = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)
            return ("TLS-certificate-error" if is_certificate else "TLS-protocol-error", None)
        case "timeout":
            return ("HTTP-response-timeout" if value is None else "connection-read-timeout", None)
        case "too-large":
            return ("HTTP-response-body-size", value)
        case "protocol":
            return _broken(causes)
        case _:
            return ("configuration-error", None)  # a secret for which the node has no value


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _not_connected(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, ConnectionRefusedError):
            return "connection-refused"
        if isinstance(cause, httpx.ConnectTimeout):
            return "connection-timeout"
        if isinstance(cause, OSError) and cause.errno in _UNROUTABLE:
            return "destination-IP-unroutable"
    return "destination-unavailable"


def _broken(causes: list[BaseException]) -> ErrorCode:
    for cause in causes:
        if isinstance(cause, Unreadable):
            return ("HTTP-response-content-coding", None)
        if isinstance(cause, httpx.RemoteProtocolError) and "peer closed" in str(cause):
            return ("HTTP-response-incomplete", None)
        if isinstance(cause, httpx.ReadError | httpx.WriteError | httpx.CloseError):
            return ("connection-terminated", None)
    return ("HTTP-protocol-error", None)
