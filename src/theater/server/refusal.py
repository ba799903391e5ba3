"""An answer for where no request can be handed on: bytes for a connection that is closed behind them."""

from __future__ import annotations

from http import HTTPStatus

from theater.errors import TheaterError
from theater.server.gate import protect
from theater.server.problem import problem_response
from theater.server.trace import new_request_id


def refusal(error: TheaterError) -> bytes:
    """The whole answer, head and all."""
    request_id = new_request_id()
    answer = problem_response(error, request_id)
    answer.headers["connection"] = "close"
    protect(answer.headers, request_id)
    lines = [f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}".encode()]
    lines += [b"%b: %b" % header for header in answer.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])
