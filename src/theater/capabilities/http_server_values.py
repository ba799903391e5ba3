"""The values of ``theater:actor/http-server`` as guests hand them over, and as they are kept."""

from __future__ import annotations

from typing import TypedDict

from theater.capabilities.guest_content import Content, bytes_within
from theater.capabilities.guest_json import size_bytes
from theater.capabilities.http_routes import ContentForm, Middleware, Route, Spec, WebSocketRoute
from theater.model.actor_system import Problem

_WHATEVER_BYTES = 2**63


class ServerOptions(TypedDict):
    """``server-options``."""

    address: str
    port: int
    tls: str | None


RouteValue = TypedDict(
    "RouteValue",
    {"methods": list[str], "path": str, "tag": str, "max-body-bytes": int | None, "body-form": ContentForm},
)
"""``route``."""


class MiddlewareValue(TypedDict):
    """``middleware``."""

    prefix: str
    tag: str


WebSocketValue = TypedDict(
    "WebSocketValue",
    {"path": str, "tag": str, "protocols": list[str], "max-message-bytes": int | None, "binary-form": ContentForm},
)
"""``websocket-route``."""

MessageValue = tuple[str, str | Content]
"""``websocket-message``."""


def route_of(value: RouteValue) -> Route:
    """As it is kept."""
    return Route(tuple(value["methods"]), value["path"], value["tag"], value["max-body-bytes"], value["body-form"])


def middleware_of(value: MiddlewareValue) -> Middleware:
    """As it is kept."""
    return Middleware(value["prefix"], value["tag"])


def websocket_of(value: WebSocketValue) -> WebSocketRoute:
    """As it is kept."""
    protocols, most = tuple(value["protocols"]), value["max-message-bytes"]
    return WebSocketRoute(value["path"], value["tag"], protocols, most, value["binary-form"])


def spec_value(spec: Spec) -> tuple[str, object]:
    """A ``route-spec``."""
    match spec:
        case Route():
            route: RouteValue = {
                "methods": list(spec.methods),
                "path": spec.path,
                "tag": spec.tag,
                "max-body-bytes": spec.max_body_bytes,
                "body-form": spec.body_form,
            }
            return "route", route
        case Middleware():
            return "middleware", {"prefix": spec.prefix, "tag": spec.tag}
        case WebSocketRoute():
            websocket: WebSocketValue = {
                "path": spec.path,
                "tag": spec.tag,
                "protocols": list(spec.protocols),
                "max-message-bytes": spec.max_message_bytes,
                "binary-form": spec.binary_form,
            }
            return "websocket", websocket


def said(message: MessageValue, most_bytes: int = _WHATEVER_BYTES) -> str | bytes | Problem:
    """What goes over the wire, or why it cannot: ``too-large``, ``invalid-content``."""
    kind, value = message
    if kind == "text":
        assert isinstance(value, str)
        return value if size_bytes(value) <= most_bytes else ("too-large", most_bytes)
    assert isinstance(value, tuple)
    return bytes_within(value, most_bytes)
