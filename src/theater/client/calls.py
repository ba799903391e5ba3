"""The one place where each endpoint is described as a client sees it: what is sent, and what comes back.

Both clients only carry these out. A guest's value goes out and comes back as its JSON text, never parsed.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar
from urllib.parse import quote

import msgspec

from theater.errors import InvalidInput, NotFound
from theater.model import wire
from theater.model.ids import is_digest

T = TypeVar("T")

Json = str | bytes | msgspec.Raw
"""A value as its JSON text: what the server takes, it gives on exactly so."""

Content = bytes | Iterable[bytes] | AsyncIterable[bytes]
"""What is sent: whole, or in pieces."""

PROMPT_S = 60.0
"""A look at something, or a change that is one commit: if the server is silent for so long, it is not well."""

WORK_S = 900.0
"""What may first have to compile, or to go through all that there is."""

WAIT_S = 3700.0
"""Waiting for an actor that may take its time: an hour for a step, and no server waits longer."""

MARGIN_S = 15.0
"""On top of the time that the server is told: for the way there and back, and so that it is the one to say so."""

SILENCE_S = 45.0
"""Without a word on a stream of events: the server says something every 15 s."""

ANSWER_MAX_BYTES = 512 * 2**20
"""Of one document. A page of events is cut by its size long before; a value has at most 64 MiB."""

JSON_TYPE = "application/json"
BYTES_TYPE = "application/octet-stream"
ZIP_TYPE = "application/zip"
STREAM_TYPE = "text/event-stream"
METRICS_TYPE = "application/openmetrics-text"

_ID_MAX_CHARS = 200  # names have 63, ids 32
_KEY_MAX_CHARS = 255


@dataclass(frozen=True)  # without slots, which a generic class of this version cannot have
class Call(Generic[T]):
    """One request. ``gives`` is the document that answers it, None where something else does; see ``accept``."""

    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE"]
    path: str
    gives: type[T] | None
    query: tuple[tuple[str, str], ...] = ()
    content: Content | None = None
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    accept: str = JSON_TYPE
    timeout_s: float = PROMPT_S


def node() -> Call[wire.NodeDocument]:
    """GET /v1/node."""
    return Call("GET", "/v1/node", wire.NodeDocument)


def actors(status: str | None, parent: str | None, after: str | None) -> Call[wire.ActorPage]:
    """GET /v1/actors."""
    return Call("GET", "/v1/actors", wire.ActorPage, _query(status=status, parent=parent, after=after))


def actor(id: str) -> Call[wire.ActorDetail]:
    """GET /v1/actors/{id}."""
    return Call("GET", _actor(id), wire.ActorDetail)


def start(order: wire.StartOrder) -> Call[wire.Started]:
    """POST /v1/actors."""
    return Call("POST", "/v1/actors", wire.Started, content=_encoded(order), content_type=JSON_TYPE, timeout_s=WORK_S)


def remove(id: str, *, tree: bool) -> Call[wire.Removed]:
    """DELETE /v1/actors/{id}."""
    return Call("DELETE", _actor(id), wire.Removed, _query(tree=tree or None), timeout_s=WAIT_S)


def send(id: str, body: Json, *, key: str | None, wait: bool) -> Call[wire.Accepted]:
    """POST /v1/actors/{id}/send."""
    return Call(
        "POST",
        f"{_actor(id)}/send",
        wire.Accepted,
        _query(wait=wait or None),
        content=_text(body),
        content_type=JSON_TYPE,
        headers=_key(key),
        timeout_s=WAIT_S if wait else PROMPT_S,
    )


def request(id: str, body: Json, *, timeout_s: float | None, key: str | None) -> Call[wire.Replied]:
    """POST /v1/actors/{id}/request."""
    return Call(
        "POST",
        f"{_actor(id)}/request",
        wire.Replied,
        _query(timeout=_duration(timeout_s)),
        content=_text(body),
        content_type=JSON_TYPE,
        headers=_key(key),
        timeout_s=WAIT_S if timeout_s is None else timeout_s + MARGIN_S,
    )


def stop(id: str, *, now: bool) -> Call[wire.ActorRow]:
    """POST /v1/actors/{id}/stop."""
    return _ordered(id, "stop", wire.StopOrder(now=now))


def restart(id: str, *, from_init: bool, allowance: str | None) -> Call[wire.ActorRow]:
    """POST /v1/actors/{id}/restart."""
    return _ordered(id, "restart", wire.RestartOrder(from_init=from_init, allowance=allowance))


def pause(id: str) -> Call[wire.ActorRow]:
    """POST /v1/actors/{id}/pause."""
    return _ordered(id, "pause", None)


def resume(id: str) -> Call[wire.ActorRow]:
    """POST /v1/actors/{id}/resume."""
    return _ordered(id, "resume", None)


def upgrade(id: str, digest: str) -> Call[wire.ActorRow]:
    """POST /v1/actors/{id}/upgrade."""
    return _ordered(id, "upgrade", wire.UpgradeOrder(component=_digest(digest)))


def fork(id: str, order: wire.ForkOrder) -> Call[wire.Started]:
    """POST /v1/actors/{id}/fork."""
    path, content = f"{_actor(id)}/fork", _encoded(order)
    return Call("POST", path, wire.Started, content=content, content_type=JSON_TYPE, timeout_s=WORK_S)


def state(id: str, at: int | None) -> Call[wire.StateDocument]:
    """GET /v1/actors/{id}/state."""
    return Call("GET", f"{_actor(id)}/state", wire.StateDocument, _query(at=at))


def events(id: str, *, start: int, kind: str | None, limit: int | None) -> Call[wire.EventPage]:
    """GET /v1/actors/{id}/events."""
    query = _query(**{"from": start}, kind=kind, limit=limit)
    return Call("GET", f"{_actor(id)}/events", wire.EventPage, query)


def node_events(*, start: int, limit: int | None) -> Call[wire.EventPage]:
    """GET /v1/events."""
    return Call("GET", "/v1/events", wire.EventPage, _query(**{"from": start}, limit=limit))


def follow(id: str | None, start: int) -> Call[wire.EventRow]:
    """GET /v1/actors/{id}/events, or /v1/events, as a stream that begins with ``start``."""
    path = "/v1/events" if id is None else f"{_actor(id)}/events"
    # The same position said in the standard's own way: what stands between may hold on to that, and not to a query.
    resumed = (("Last-Event-ID", str(start - 1)),) if start > 0 else ()
    query = () if start > 0 else _query(**{"from": start})
    return Call("GET", path, wire.EventRow, query, headers=resumed, accept=STREAM_TYPE, timeout_s=SILENCE_S)


def open_channel(id: str, opening: Json) -> Call[wire.ChannelOpened]:
    """POST /v1/actors/{id}/channels."""
    path, content = f"{_actor(id)}/channels", _text(opening)
    return Call("POST", path, wire.ChannelOpened, content=content, content_type=JSON_TYPE, timeout_s=WAIT_S)


def say(channel: str, body: Json) -> Call[wire.Accepted]:
    """POST /v1/channels/{id}/messages."""
    path = f"{_channel(channel)}/messages"
    return Call("POST", path, wire.Accepted, content=_text(body), content_type=JSON_TYPE)


def hear(channel: str, wait_s: float) -> Call[wire.ChannelMessages]:
    """GET /v1/channels/{id}/messages."""
    path, query = f"{_channel(channel)}/messages", _query(wait=_duration(wait_s))
    return Call("GET", path, wire.ChannelMessages, query, timeout_s=wait_s + MARGIN_S)


def close_channel(channel: str) -> Call[None]:
    """DELETE /v1/channels/{id}."""
    return Call("DELETE", _channel(channel), None)


def bundle(id: str) -> Call[None]:
    """GET /v1/actors/{id}/bundle."""
    return Call("GET", f"{_actor(id)}/bundle", None, accept=ZIP_TYPE, timeout_s=WAIT_S)


def import_bundle(content: Content, size_bytes: int) -> Call[wire.Imported]:
    """POST /v1/bundles."""
    return Call(
        "POST",
        "/v1/bundles",
        wire.Imported,
        content=content,
        content_type=ZIP_TYPE,
        headers=(("Content-Length", str(size_bytes)),),
        timeout_s=WAIT_S,
    )


def has_blob(digest: str) -> Call[None]:
    """HEAD /v1/blobs/{digest}."""
    return Call("HEAD", f"/v1/blobs/{_digest(digest)}", None, accept=BYTES_TYPE)


def blob(digest: str) -> Call[None]:
    """GET /v1/blobs/{digest}."""
    return Call("GET", f"/v1/blobs/{_digest(digest)}", None, accept=BYTES_TYPE)


def put_blob(digest: str, data: bytes) -> Call[wire.Blob]:
    """PUT /v1/blobs/{digest}."""
    path = f"/v1/blobs/{_digest(digest)}"
    return Call("PUT", path, wire.Blob, content=data, content_type=BYTES_TYPE, timeout_s=WORK_S)


def collect() -> Call[wire.Collected]:
    """POST /v1/gc."""
    return Call("POST", "/v1/gc", wire.Collected, content=b"", timeout_s=WAIT_S)


def health() -> Call[wire.Health]:
    """GET /healthz."""
    return Call("GET", "/healthz", wire.Health)


def metrics() -> Call[None]:
    """GET /metrics."""
    return Call("GET", "/metrics", None, accept=METRICS_TYPE)


def openapi() -> Call[dict[str, object]]:
    """GET /openapi.json."""
    return Call("GET", "/openapi.json", dict[str, object])


def _ordered(id: str, verb: str, order: wire.Order | None) -> Call[wire.ActorRow]:
    content, media = (b"", None) if order is None else (_encoded(order), JSON_TYPE)
    path = f"{_actor(id)}/{verb}"
    return Call("POST", path, wire.ActorRow, content=content, content_type=media, timeout_s=WAIT_S)


def _actor(id: str) -> str:
    return f"/v1/actors/{_segment(id, 'actor')}"


def _channel(id: str) -> str:
    return f"/v1/channels/{_segment(id, 'channel')}"


def _segment(id: str, what: str) -> str:
    """``id`` as one segment of a path. One that no path can hold names nothing: it is not asked for."""
    try:
        text = quote(id, safe="")
    except UnicodeEncodeError:
        text = ""
    if text in ("", ".", "..") or "/" in id or len(id) > _ID_MAX_CHARS:  # a server takes %2F for a slash
        raise NotFound(f"no {what} {id[:_ID_MAX_CHARS]!r}")
    return text


def _digest(digest: str) -> str:
    if not is_digest(digest):
        raise InvalidInput(f"{digest[:80]!r} is no digest: write 64 lower-case hex digits")
    return digest


def _query(**values: str | int | None) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in values.items()
        if value is not None
    )


def _key(key: str | None) -> tuple[tuple[str, str], ...]:
    if key is None:
        return ()
    if not (0 < len(key) <= _KEY_MAX_CHARS and key.isascii() and key.isprintable()):
        raise InvalidInput(f"idempotency key {key[:80]!r}: use 1 to {_KEY_MAX_CHARS} printable characters of ASCII")
    return (("Idempotency-Key", key),)


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    if not 0 <= seconds <= WAIT_S:
        raise InvalidInput(f"a wait of {seconds} s: use 0 to {WAIT_S:.0f}")
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def _encoded(order: wire.Order) -> bytes:
    return msgspec.json.encode(order)


def _text(body: Json) -> bytes:
    if isinstance(body, str):
        try:
            return body.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput("not JSON: a lone surrogate in the text") from error
    return bytes(body)
