"""An answer for where no request can be handed on: bytes for a connection that is closed behind them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from theater.errors import BadRequest, Busy, TheaterError
from theater.server.gate import protect
from theater.server.problem import problem_response
from theater.server.trace import new_request_id

MALFORMED: Final = "the request is not HTTP/1.1 as RFC 9112 has it"


def bad_request(message: str = MALFORMED) -> BadRequest:
    """What a request is answered with that nobody can read."""
    return BadRequest(message)


def head_too_large(what: str) -> BadRequest:
    """What a head with too many or too long headers is answered with."""
    return BadRequest(f"{what}: send less", code="headers-too-large", status=431)


def target_too_long(max_bytes: int) -> BadRequest:
    """What a request is answered with whose target is too long."""
    return BadRequest(f"the target is too long: {max_bytes} bytes are allowed", code="uri-too-long", status=414)


def head_too_slow() -> BadRequest:
    """What a connection is answered with that began a request and did not go on."""
    return BadRequest("the head of the request did not arrive in time", code="too-slow", status=408)


def too_many_connections(most: int) -> Busy:
    """What a connection is answered with that is one too many."""
    return Busy(f"there are {most} connections, as many as may be: try again when some are closed")


def refusal(error: TheaterError) -> bytes:
    """The whole answer, head and all."""
    request_id = new_request_id()
    answer = problem_response(error, request_id)
    answer.headers["connection"] = "close"
    protect(answer.headers, request_id)
    lines = [f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}".encode()]
    lines += [b"%b: %b" % header for header in answer.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])
