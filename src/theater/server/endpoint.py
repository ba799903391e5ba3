"""One way to ask the server something, as data: routing, checks, OpenAPI and tests are all made from these.

A handler is thin: it takes from the ``Call`` what the frame has parsed and checked, calls one method, and shapes the
answer with ``document``, ``nothing`` or ``stream``. It raises ``TheaterError`` and lets everything else pass: the
frame answers it from one table. What a handler never does itself: authentication, limits, parsing, error documents.

    LIMIT = Parameter[int]("limit", "query", Annotated[int, Meta(ge=1, le=1000)], "How many at most.", default=100)

    async def events(call: Call) -> Response:
        return document(wire.EventPage(events=..., next=...))

    EVENTS = Endpoint("GET", "/v1/events", "listNodeEvents", "Events of all actors", "read", events,
                      parameters=(FROM, LIMIT), answers=(Answer(200, wire.EventPage),))
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Generic, Literal, TypeVar, cast

import msgspec
from msgspec import Meta
from starlette.responses import Response, StreamingResponse

from theater.model import wire
from theater.model.quantity import parse_duration
from theater.server.piecewise import Piecewise
from theater.server.service import Service
from theater.server.token import Token

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE"]
Place = Literal["path", "query", "header"]

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
ZIP: Final = "application/zip"
BYTES: Final = "application/octet-stream"

ORDER_MAX_BYTES: Final = 2 * 2**20
"""An order: its largest part is a manifest, or the ``params`` of an actor, 1 MiB by default."""

JSON_MAX_BYTES: Final = 64 * 2**20
"""A message: the largest that any manifest may allow. What the actor's own allows is checked where it is delivered."""

TIME_LIMIT_S: Final = 60.0
"""How long a request may take that does not say otherwise: it answers from memory, or from one commit."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
O = TypeVar("O", bound=wire.Order)  # noqa: E741 - O for order


@dataclass(frozen=True)  # without slots: Generic sets an attribute, and expects an AttributeError where it cannot
class Parameter(Generic[T_co]):
    """A value in the path, the query or a header; ``call.value(parameter)`` has it, parsed and checked.

    ``type`` is what msgspec makes of the text, with its bounds as ``Meta``: a ``str`` or a ``Literal`` of the text
    itself, anything else of the JSON that it is (``5``, ``true``). It is also the schema. ``read`` makes the value of
    the text then, and may raise ``InvalidInput``. One that is not there is ``default``. A path parameter is named in
    the template, arrives percent-decoded, and is never absent. An unknown query parameter, and one given twice, is
    refused before any handler is called.
    """

    name: str
    place: Place
    type: object
    description: str
    default: T_co = cast("T_co", None)  # noqa: RUF009 - a constant
    read: Callable[[str], T_co] | None = None


def duration(name: str, place: Place, description: str, *, default: float) -> Parameter[float]:
    """A time as people write it, ``5s`` or ``250ms``; the value is in seconds. Bound it in the handler."""
    text = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?(us|ms|s|m|h|d)$", examples=["5s"])]
    return Parameter[float](name, place, text, description, default=default, read=parse_duration)


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries. Make one with ``order``, ``any_json`` or ``raw``."""

    kind: Literal["order", "json", "bytes"]
    max_bytes: int
    media: str
    description: str
    type: type[wire.Order] | None = None
    may_be_empty: bool = False


def order(kind: type[wire.Order], *, may_be_empty: bool = False) -> Body:
    """An order, decoded and checked: ``call.order(kind)``. Where it is empty, and may be, one with its defaults."""
    return Body("order", ORDER_MAX_BYTES, JSON, inspect.cleandoc(kind.__doc__ or ""), kind, may_be_empty)


def any_json(description: str, *, max_bytes: int = JSON_MAX_BYTES) -> Body:
    """Any JSON value, exactly as it came: ``call.text``. Whom it is handed to checks that it is one, and its size."""
    return Body("json", max_bytes, JSON, description)


def raw(media: str, description: str, *, max_bytes: int) -> Body:
    """Bytes, streamed: ``async for chunk in call.chunks``; more than ``max_bytes`` raises ``BadRequest`` there."""
    return Body("bytes", max_bytes, media, description)


@dataclass(frozen=True, slots=True)
class Answer:
    """One way in which a request ends well: a document, bytes of a media type, or both, or (204) nothing."""

    status: int
    document: type[wire.Document] | None = None
    media: tuple[str, ...] = ()
    """Media types beside the document's ``application/json``, such as ``EVENT_STREAM`` or ``ZIP``."""
    description: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of this answer that are worth knowing, with what each says."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, parsed and checked, as a handler gets it."""

    service: Service
    """What a handler works with: the runtime, and what belongs to the server."""
    caller: Token
    """Who asks: what is done is recorded as done ``by=call.caller.name``."""
    headers: Mapping[str, str]
    """By lower-case name; of one that came twice, the values joined by commas."""
    values: Mapping[tuple[Place, str], object]
    chunks: AsyncIterator[bytes]
    """The body of an endpoint whose body is ``raw``; else nothing."""
    text: str = ""
    """The body of an endpoint whose body is ``any_json``."""
    ordered: wire.Order | None = None

    def value(self, parameter: Parameter[T]) -> T:
        """What a declared parameter is in this request."""
        return cast("T", self.values[parameter.place, parameter.name])

    def order(self, kind: type[O]) -> O:
        """The body of an endpoint whose body is ``order(kind)``."""
        assert isinstance(self.ordered, kind)
        return self.ordered

    def accepts(self, media: str) -> bool:
        """Whether the ``Accept`` header names that media type itself; a wildcard does not."""
        named = self.headers.get("accept", "").split(",")
        return any(part.partition(";")[0].strip().lower() == media for part in named)


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    ``path`` is a template, ``/v1/actors/{id}/state``. ``operation`` is unique, in camelCase, and becomes the
    ``operationId``. ``scope`` is what the token needs, None where none is wanted. ``errors`` are the codes that the
    handler may end in beside those of the frame itself: OpenAPI lists the status of exactly these. A request that
    takes longer than ``time_limit_s`` until its handler has returned is answered with ``timed-out``; None where the
    handler bounds itself. What a stream then sends is not bounded.
    """

    method: Method
    path: str
    operation: str
    summary: str
    scope: wire.Scope | None
    handler: Handler
    answers: tuple[Answer, ...]
    parameters: tuple[Parameter[object], ...] = ()
    body: Body | None = None
    errors: tuple[str, ...] = ()
    time_limit_s: float | None = TIME_LIMIT_S
    description: str = ""
    ends_with_asker: bool = False
    """Whether the handler is cancelled where whoever asked goes away: it waits for somebody else. Not with ``raw``."""


_ENCODER: Final = msgspec.json.Encoder()


def document(value: wire.Document, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that is one JSON document."""
    return Response(_ENCODER.encode(value), status, headers=headers, media_type=JSON)


def nothing() -> Response:
    """An answer without a body: 204."""
    return Response(status_code=204)


def stream(chunks: AsyncIterator[bytes], media: str, *, headers: Mapping[str, str] | None = None) -> StreamingResponse:
    """An answer that is sent piece by piece, each awaited until the reader has room for more.

    ``chunks`` should be an async generator that takes what it holds only when it is first asked, and lets go of it in
    a ``finally``: where the reader goes away it is closed, and for a HEAD request it is never begun.
    """
    return Piecewise(chunks, media, headers)
