"""What an answer that is an error raises: the error that the server had, as if it had been raised here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from theater import errors
from theater.errors import BadRequest, Forbidden, InternalError, NoServer, TheaterError, Unauthorized
from theater.model.wire import Problem

PROBLEM = "application/problem+json"

# Codes that a class has beside its own, because they say which case of it is meant.
_FORBIDDEN = ("foreign-origin",)
_BAD_REQUESTS = (
    "foreign-host",
    "headers-too-large",
    "no-such-method",
    "no-such-route",
    "too-large",
    "too-slow",
    "uri-too-long",
    "wrong-type",
    "wrong-version",
)

_CLASSES: Mapping[str, type[TheaterError]] = MappingProxyType(
    {
        **{one.code: one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, TheaterError)},
        **dict.fromkeys(_FORBIDDEN, Forbidden),
        **dict.fromkeys(_BAD_REQUESTS, BadRequest),
    }
)


def error_of(problem: Problem) -> TheaterError:
    """The error of the problem's ``code``, with its message and data. An unknown code is kept by a ``TheaterError``."""
    error: TheaterError = _CLASSES.get(problem.code, TheaterError)(problem.detail)
    if error.code != problem.code:
        error.code = problem.code
    if isinstance(error, BadRequest):
        error.status = problem.status
    error.data = dict(problem.data)  # not as arguments: a key could have the name of one
    return error


def read_problem(url: str, status: int, media: str, content: bytes) -> TheaterError:
    """What an answer with that status, which is none that was hoped for, raises.

    A server of ours says what is wrong in a ``Problem``. Anything else comes from somebody else, or from a bug.
    """
    if media == PROBLEM:
        try:
            return error_of(msgspec.json.decode(content, type=Problem))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return InternalError(f"the server at {url} answered {status} with a problem that cannot be read: {error}")
    return NoServer(f"what answers at {url} is no server of Theater: it said {status}, {media or 'of no type'}")


def of_bare_status(url: str, status: int) -> TheaterError:
    """What an answer raises that has no content to say what is wrong, as one to HEAD has none."""
    match status:
        case 401:
            return Unauthorized(f"the server at {url} does not take this token: set THEATER_TOKEN to one that it knows")
        case 403:
            return Forbidden(f"the server at {url} does not let this token do that")
        case _:
            return NoServer(f"the server at {url} answered {status} and nothing else")
