"""Which request goes where: patterns of paths, and what is chosen where several match.

A path is matched part by part. It is cut at its slashes as it was sent, and each part is decoded then, so that nothing
that is decoded can make a part of its own. A path that could mean another one to whoever reads it is none at all
(``Malformed``): one with a part that is empty (but the last), ``.`` or ``..``, with a slash, a backslash or a control
character in a part, however it is encoded, or with an encoding that is none of UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote_to_bytes

import msgspec

PATTERN_MAX_CHARS = 1024
"""Of a pattern or a prefix; more than any address that a person reads."""
PARTS_MAX = 64
METHODS_MAX = 32
PROTOCOLS_MAX = 32
_PARSED_MAX = 4096
"""Patterns that are kept parsed: a server holds each new one against all that it has."""
TAG_MAX_CHARS = 1024
"""It goes into the chain with every request."""

ContentForm = Literal["automatic", "text", "base64", "bytes"]

_METHOD = re.compile(r"[A-Z][A-Z0-9_-]{0,31}\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}\Z")
"""RFC 9110 section 5.6.2: what a method, a field name or a subprotocol is made of."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")
_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DISGUISED = re.compile(r"[\x00-\x1f\x7f/\\]")


class Malformed(Exception):
    """A path that leads nowhere."""


class Route(msgspec.Struct, frozen=True, tag="route"):
    """``http-server.route``."""

    methods: tuple[str, ...]
    path: str
    tag: str
    max_body_bytes: int | None
    body_form: ContentForm


class Middleware(msgspec.Struct, frozen=True, tag="middleware"):
    """``http-server.middleware``."""

    prefix: str
    tag: str


class WebSocketRoute(msgspec.Struct, frozen=True, tag="websocket"):
    """``http-server.websocket-route``."""

    path: str
    tag: str
    protocols: tuple[str, ...]
    max_message_bytes: int | None
    binary_form: ContentForm


Spec = Route | Middleware | WebSocketRoute


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a pattern: a text, a parameter for one part, or one for the rest."""

    kind: Literal["literal", "parameter", "rest"]
    text: str


_RANK = {"literal": 0, "parameter": 1, "rest": 2}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern."""

    parts: tuple[_Part, ...]

    @property
    def shape(self) -> tuple[tuple[str, str], ...]:
        """What it matches: two patterns of one shape match the same paths."""
        return tuple((part.kind, part.text if part.kind == "literal" else "") for part in self.parts)

    @property
    def rank(self) -> tuple[int, ...]:
        """Of two patterns that match, the one whose rank is smaller goes first: a literal part before a parameter."""
        return tuple(_RANK[part.kind] for part in self.parts)

    def match(self, path: Sequence[str]) -> tuple[tuple[str, str], ...] | None:
        """What its parameters stand for in a path, in their order; None where it does not match."""
        found: list[tuple[str, str]] = []
        for place, part in enumerate(self.parts):
            if part.kind == "rest":
                if place >= len(path):
                    return None
                return (*found, (part.text, "/".join(path[place:])))
            if place >= len(path):
                return None
            if part.kind == "literal" and part.text != path[place]:
                return None
            if part.kind == "parameter":
                if not path[place]:
                    return None
                found.append((part.text, path[place]))
        return tuple(found) if len(path) == len(self.parts) else None


def parts_of(path: str) -> tuple[str, ...]:
    """The parts of a path as it was sent, decoded; the last is empty behind a slash at the end.

    Raises:
        Malformed: see above.
    """
    if not path.startswith("/") or _ENCODED.search(path):
        raise Malformed
    found = path[1:].split("/")
    try:
        parts = tuple(unquote_to_bytes(part).decode() for part in found)
    except UnicodeError as error:
        raise Malformed from error
    for place, part in enumerate(parts):
        if part in (".", "..") or _DISGUISED.search(part) or (not part and place < len(parts) - 1):
            raise Malformed
    return parts


@lru_cache(maxsize=_PARSED_MAX)
def parse_pattern(text: str) -> Pattern:
    """The pattern of a route. Raises ``ValueError`` saying what is wrong."""
    parts = tuple(_part(part) for part in _cut("a pattern", text))
    if any(part.kind == "rest" for part in parts[:-1]):
        raise ValueError(f"{text!r}: {{*name}} stands for the rest, so nothing can follow it")
    names = [part.text for part in parts if part.kind != "literal"]
    if len(names) != len(set(names)):
        raise ValueError(f"{text!r}: two parameters have one name")
    return Pattern(parts)


@lru_cache(maxsize=_PARSED_MAX)
def parse_prefix(text: str) -> tuple[str, ...]:
    """The parts of a middleware's prefix. Raises ``ValueError`` saying what is wrong."""
    parts = [_part(part) for part in _cut("a prefix", text)]
    if any(part.kind != "literal" for part in parts):
        raise ValueError(f"{text!r}: a prefix has no parameters")
    found = [part.text for part in parts]
    return tuple(found[:-1] if found[-1] == "" else found)


def has_prefix(path: Sequence[str], prefix: Sequence[str]) -> bool:
    """Whether a path begins with these parts."""
    return tuple(path[: len(prefix)]) == tuple(prefix)


def problem_of(spec: Spec) -> str | None:
    """What is wrong with a route, a middleware or a WebSocket route; None where nothing is."""
    try:
        if len(spec.tag) > TAG_MAX_CHARS:
            raise ValueError(f"a tag has at most {TAG_MAX_CHARS} characters")
        match spec:
            case Route():
                parse_pattern(spec.path)
                _check_all("method", spec.methods, METHODS_MAX, is_method)
            case Middleware():
                parse_prefix(spec.prefix)
            case WebSocketRoute():
                parse_pattern(spec.path)
                _check_all("subprotocol", spec.protocols, PROTOCOLS_MAX, is_token)
    except ValueError as error:
        return str(error)
    return None


def are_alike(one: Spec, other: Spec) -> bool:
    """Whether a server cannot have both: it could not choose."""
    match one, other:
        case Route(), Route():
            if parse_pattern(one.path).shape != parse_pattern(other.path).shape:
                return False
            return not (one.methods or other.methods) or not set(one.methods).isdisjoint(other.methods)
        case Middleware(), Middleware():
            return (parse_prefix(one.prefix), one.tag) == (parse_prefix(other.prefix), other.tag)
        case WebSocketRoute(), WebSocketRoute():
            return parse_pattern(one.path).shape == parse_pattern(other.path).shape
    return False


def is_method(text: str) -> bool:
    """Whether it is a method, in upper case. ``CONNECT`` is not: it asks for a tunnel."""
    return _METHOD.match(text) is not None and text != "CONNECT"


def is_token(text: str) -> bool:
    """Whether it is a token of HTTP."""
    return _TOKEN.match(text) is not None


@dataclass(frozen=True, slots=True)
class Found:
    """The route of a request, and what the parameters of its pattern stand for."""

    route: Route
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FoundWebSocket:
    """The same of a connection."""

    route: WebSocketRoute
    parameters: tuple[tuple[str, str], ...]


class RouteTable:
    """What was added to one server, ready to be asked. Never changes."""

    def __init__(self, specs: Iterable[Spec]) -> None:
        """``specs`` in the order in which they were added."""
        specs = tuple(specs)
        self._routes = [(parse_pattern(spec.path), spec) for spec in specs if isinstance(spec, Route)]
        self._websockets = [(parse_pattern(spec.path), spec) for spec in specs if isinstance(spec, WebSocketRoute)]
        self.middlewares = tuple((parse_prefix(spec.prefix), spec) for spec in specs if isinstance(spec, Middleware))

    def find(self, method: str, path: Sequence[str]) -> Found | tuple[str, ...]:
        """The route of a request; where none takes its method, those that are taken there: none where no route is.

        Of those that take the method the one goes first whose pattern does; one that names the method goes before one
        that takes all. ``HEAD`` goes to a route for ``GET`` where no route names it.
        """
        matching = [
            (pattern, spec, parameters)
            for pattern, spec in self._routes
            if (parameters := pattern.match(path)) is not None
        ]
        taking = [
            (pattern.rank, how, spec, parameters)
            for pattern, spec, parameters in matching
            if (how := _taken(spec, method)) is not None
        ]
        if taking:
            _, _, spec, parameters = min(taking, key=lambda each: each[:2])
            return Found(spec, parameters)
        return tuple(sorted({method for _, spec, _ in matching for method in _allowed(spec)}))

    def find_websocket(self, path: Sequence[str]) -> FoundWebSocket | None:
        """The WebSocket route of a path."""
        matching = [
            (pattern.rank, spec, parameters)
            for pattern, spec in self._websockets
            if (parameters := pattern.match(path)) is not None
        ]
        if not matching:
            return None
        _, spec, parameters = min(matching, key=lambda each: each[0])
        return FoundWebSocket(spec, parameters)

    def is_watched(self, path: Sequence[str]) -> bool:
        """Whether a middleware looks at such a path."""
        return any(has_prefix(path, prefix) for prefix, _ in self.middlewares)


def chosen_protocol(taken: Sequence[str], offered: Sequence[str]) -> str | None:
    """The subprotocol of a connection: the first that is taken and offered."""
    return next((protocol for protocol in taken if protocol in offered), None)


def _taken(route: Route, method: str) -> int | None:
    """How well a route takes a method, best first; None where it does not."""
    if method in route.methods:
        return 0
    if method == "HEAD" and "GET" in route.methods:
        return 1
    return None if route.methods else 2


def _allowed(route: Route) -> tuple[str, ...]:
    return (*route.methods, "HEAD") if "GET" in route.methods else route.methods


def _cut(what: str, text: str) -> list[str]:
    if not text.startswith("/"):
        raise ValueError(f"{text!r}: {what} begins with a slash")
    if len(text) > PATTERN_MAX_CHARS:
        raise ValueError(f"{what} has at most {PATTERN_MAX_CHARS} characters")
    parts = text[1:].split("/")
    if len(parts) > PARTS_MAX:
        raise ValueError(f"{what} has at most {PARTS_MAX} parts")
    for place, part in enumerate(parts):
        if part in (".", "..") or (not part and place < len(parts) - 1):
            raise ValueError(f"{text!r}: the part {part!r} is no name")
        if _DISGUISED.search(part) or any(char in part for char in "?#%"):
            raise ValueError(
                f"{text!r}: a part has none of ?, #, % and backslash, and no control character; write it decoded"
            )
    return parts


def _part(text: str) -> _Part:
    if "{" not in text and "}" not in text:
        return _Part("literal", text)
    if not (text.startswith("{") and text.endswith("}")):
        raise ValueError(f"{text!r}: a parameter is a whole part, written {{name}}")
    name = text[1:-1]
    is_rest = name.startswith("*")
    name = name.removeprefix("*")
    if not _NAME.match(name):
        raise ValueError(
            f"{text!r}: a parameter's name has up to 64 letters, digits, _ and -, and begins with no digit"
        )
    return _Part("rest" if is_rest else "parameter", name)


def _check_all(what: str, texts: Sequence[str], most: int, is_one: Callable[[str], bool]) -> None:
    if len(texts) > most:
        raise ValueError(f"a route has at most {most} {what}s")
    for text in texts:
        if not is_one(text):
            raise ValueError(f"{text!r} is no {what}{' in upper case' if what == 'method' else ''}")
    if len(set(texts)) != len(texts):
        raise ValueError(f"it names a {what} twice")
