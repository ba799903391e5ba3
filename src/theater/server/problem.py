"""Every error that the server answers with: the one table from a code to a status, and the one way to make a problem.

RFC 9457, ``application/problem+json``. ``code`` is stable and is what a program looks at; ``title`` says the same to a
person, and ``detail`` is the message of the case. An error that is none of ours is answered with ``internal`` and
tells nothing of itself: it is in the log, under the same request id.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from starlette.responses import Response

from theater.errors import BadRequest, Forbidden, TheaterError, Unauthorized
from theater.model.safe_text import encodable, safe_json
from theater.model.wire import Problem

MEDIA: Final = "application/problem+json"

RETRY_AFTER_S: Final = 1
"""When to try again what is too much at the moment: most of it is over with the next commit."""

NOTHING_TOLD: Final = "something went wrong in the server; its log says what, under this request's id"

ROWS: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "error": (500, "It failed"),
        # the call has to be another one
        "invalid-input": (400, "This cannot be used as it is"),
        "invalid-json": (400, "This is not JSON"),
        "bad-request": (400, "This is no request of this interface"),
        "unauthorized": (401, "A token is needed"),
        "forbidden": (403, "The token does not allow this"),
        "foreign-origin": (403, "Requests of web pages are not served"),
        "denied": (403, "More was asked for than is allowed here"),
        "no-such-route": (404, "There is no such route"),
        "not-found": (404, "There is nothing of that name"),
        "no-such-method": (405, "The route does not have this method"),
        "too-slow": (408, "The request did not arrive in time"),
        "name-taken": (409, "The name is taken"),
        "not-running": (409, "It is not running"),
        "no-channels": (409, "It takes no channels"),
        "not-stopped": (409, "It has not stopped"),
        "channel-closed": (410, "The channel is closed"),
        "too-large": (413, "The body is too large"),
        "uri-too-long": (414, "The target is too long"),
        "wrong-type": (415, "The body is of the wrong type"),
        "foreign-host": (421, "The request is meant for another host"),
        "invalid-manifest": (422, "The manifest cannot be used"),
        "invalid-component": (422, "The component cannot run here"),
        "compile-failed": (422, "The component cannot be compiled"),
        "build-failed": (422, "The source cannot be built"),
        "bad-bundle": (422, "The bundle cannot be taken in"),
        "idempotency-mismatch": (422, "The key came before with another body"),
        "refused": (422, "The actor refused"),
        "crashed": (424, "The actor crashed"),
        "headers-too-large": (431, "The head of the request is too large"),
        # the same call may succeed later
        "mailbox-full": (429, "The mailbox is full"),
        "busy": (503, "Too much is going on"),
        "closing": (503, "The server is stopping"),
        "head-conflict": (503, "The chain went on meanwhile"),
        "fenced": (503, "The node lost its hold of the chain"),
        "store-error": (503, "It could not be recorded"),
        "data-dir-locked": (503, "The data directory is in use"),
        "no-server": (503, "There is no server"),
        "timed-out": (504, "It took too long"),
        "disk-full": (507, "The disk is full"),
        # no call helps
        "diverged": (500, "A replay went elsewhere"),
        "unsound": (500, "A chain is not what it says it is"),
        "damaged": (500, "Stored data are damaged"),
        "wrong-version": (505, "HTTP/1.1 is spoken here"),
        "internal": (500, "Something went wrong in the server"),
    }
)
"""By code: the status, and the title. OpenAPI is made from this table too."""

_RETRIED: Final = frozenset({429, 503})
_encode = msgspec.json.Encoder(enc_hook=str).encode


def status_of(code: str) -> int:
    """The status with which an error of that code is answered."""
    return ROWS.get(code, ROWS["internal"])[0]


def problem_of(error: BaseException, request_id: str) -> Problem:
    """What is told of an error."""
    code, detail, data = "internal", NOTHING_TOLD, dict[str, object]()
    if isinstance(error, TheaterError) and not is_ours_to_explain(error):
        code, detail = error.code, encodable(error.message)
        data = {name: value for name, value in error.data.items() if not name.startswith("_") and _is_json(value)}
    status, title = ROWS[code]
    return Problem(
        type=f"urn:theater:error:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
        data=data,
    )


def is_ours_to_explain(error: BaseException) -> bool:
    """Whether an error has to be looked into by whoever runs the server: its traceback belongs into the log."""
    return not isinstance(error, TheaterError) or error.code == "internal" or error.code not in ROWS


def is_broken_here(error: BaseException) -> bool:
    """Whether an error says that something on this machine has to be mended, which whoever asks cannot do."""
    return isinstance(error, TheaterError) and status_of(error.code) == status_of("internal")


def headers_of(error: BaseException, status: int) -> dict[str, str]:
    """What an error says beside its document."""
    headers: dict[str, str] = {}
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = 'Bearer realm="theater"'
    if isinstance(error, Forbidden) and error.code == "forbidden":
        headers["www-authenticate"] = 'Bearer realm="theater", error="insufficient_scope"'
    if isinstance(error, BadRequest) and isinstance(allowed := error.data.get("allowed"), list):
        headers["allow"] = ", ".join(str(method) for method in allowed)
    if status in _RETRIED:
        headers["retry-after"] = str(RETRY_AFTER_S)
    return headers


def problem_response(error: BaseException, request_id: str) -> Response:
    """The whole answer to a request that ended in ``error``.

    It quotes what was sent, and is what somebody looks at first who has ``curl`` and a terminal.
    """
    problem = problem_of(error, request_id)
    content = safe_json(_encode(problem).decode())
    return Response(content, problem.status, headers=headers_of(error, problem.status), media_type=MEDIA)


def _is_json(value: object, depth: int = 8) -> bool:
    match value:
        case str():
            return encodable(value) == value
        case None | bool() | int() | float():
            return True
        case list() | tuple():
            return depth > 0 and all(_is_json(item, depth - 1) for item in value)
        case dict():
            return depth > 0 and all(isinstance(key, str) and _is_json(item, depth - 1) for key, item in value.items())
        case _:
            return False
