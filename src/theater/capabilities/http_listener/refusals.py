"""What is wrong with a request that nobody gets to see: each case, with the status that it is answered with."""

from __future__ import annotations

from typing import Final

from theater.errors import BadRequest, Busy

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


def wrong_version() -> BadRequest:
    """What a request in another version of HTTP is answered with."""
    return BadRequest("HTTP/1.1 is spoken here", code="wrong-version", status=505)


def too_many_connections(most: int) -> Busy:
    """What a connection is answered with that is one too many."""
    return Busy(f"there are {most} connections, as many as may be: try again when some are closed")
