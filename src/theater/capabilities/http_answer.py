"""What an actor's answer looks like on the wire, and what is wrong with one that could not be sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import TypedDict, cast

import msgspec

from theater.capabilities.guest_content import Content, bytes_of, content_of
from theater.capabilities.http_front import Answer, Head
from theater.capabilities.http_routes import is_token
from theater.model.http_types import HTTP_RESPONSE, VERDICT
from theater.model.wit_json import Encode, decoder, encoder

STATUS_MIN, STATUS_MAX = 200, 599
FIELDS_MAX = 100
"""Of one answer; so many does our own client take."""
FIELDS_MAX_BYTES = 64 * 1024
"""Names and values together."""

OWN_FIELDS = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Those of one connection, and what the host itself says: an actor's are left out."""

_BODILESS = frozenset({204, 205, 304})
_BREAKING = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What ends a field's value, or the head; a tab does not."""

_decode_response = decoder(HTTP_RESPONSE)
_decode_verdict = decoder(VERDICT)


class ResponseValue(TypedDict):
    """``http-types.http-response``."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: Content | None


class RequestValue(TypedDict):
    """``http-types.http-request``."""

    id: str
    server: str
    tag: str
    method: str
    authority: str
    path: str
    query: str | None
    parameters: list[tuple[str, str]]
    headers: list[tuple[str, str]]
    body: Content
    peer: str


def response_problem(response: ResponseValue) -> str | None:
    """Why such an answer cannot be sent; None where it can, unless its content is not base64."""
    if not STATUS_MIN <= response["status"] <= STATUS_MAX:
        return f"{response['status']} is no status from {STATUS_MIN} to {STATUS_MAX}"
    return fields_problem(response["headers"])


def fields_problem(fields: Sequence[tuple[str, str]]) -> str | None:
    """What is wrong with header fields; None where nothing is."""
    if len(fields) > FIELDS_MAX:
        return f"an answer has at most {FIELDS_MAX} header fields"
    if sum(len(name) + len(value.encode("utf-8", "replace")) for name, value in fields) > FIELDS_MAX_BYTES:
        return f"the header fields of an answer have at most {FIELDS_MAX_BYTES} bytes"
    for name, value in fields:
        if not is_token(name):
            return f"{name[:100]!r} is no name of a header field"
        if _BREAKING.search(value):
            return f"the value of {name} has a control character in it"
    return None


def answer_of(response: ResponseValue, *, gives_type: bool = True) -> Answer | None:
    """As it is sent; None where it cannot be. ``gives_type``: whether a body that says no type is given one."""
    if response_problem(response) is not None:
        return None
    content = response["body"]
    body = b"" if content is None else bytes_of(content)
    if body is None:
        return None
    if response["status"] in _BODILESS:
        body = b""
    fields = [(name.lower(), value.strip(" \t")) for name, value in response["headers"]]
    fields = [(name, value) for name, value in fields if name not in OWN_FIELDS]
    if gives_type and content is not None and body and all(name != "content-type" for name, _ in fields):
        kind = "text/plain; charset=utf-8" if content[0] == "text" else "application/octet-stream"
        fields.append(("content-type", kind))
    return Answer(response["status"], tuple(fields), body)


def response_text(response: ResponseValue) -> str:
    """An answer in the form in which a step's reply has it: JSON. Its content must be one."""
    content = response["body"]
    if content is not None and content[0] == "bytes":
        data = bytes_of(content)
        assert data is not None
        content = content_of(data, "base64")
    value = {"status": response["status"], "headers": list(response["headers"]), "body": content}
    return msgspec.json.encode(_response_encoder()(value, {})).decode()


def read_response(text: str) -> ResponseValue:
    """An answer out of a reply. Raises ``ValueError`` where it is none."""
    return cast("ResponseValue", _decode_response(msgspec.json.decode(text)))


def read_verdict(text: str) -> tuple[str, object]:
    """A middleware's verdict out of a reply. Raises ``ValueError`` where it is none."""
    return cast("tuple[str, object]", _decode_verdict(msgspec.json.decode(text)))


def plain(status: int, fields: Mapping[str, str] | None = None) -> Answer:
    """An answer of the host's own: the name of its status."""
    headers = (("content-type", "text/plain; charset=utf-8"), *(fields or {}).items())
    return Answer(status, headers, f"{status} {HTTPStatus(status).phrase}\n".encode())


def request_value(
    head: Head,
    *,
    id: str,
    tag: str,
    parameters: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    form: str = "automatic",
) -> RequestValue:
    """A request as actors get it."""
    return {
        "id": id,
        "server": head.server,
        "tag": tag,
        "method": head.method,
        "authority": head.authority,
        "path": head.path,
        "query": head.query,
        "parameters": list(parameters),
        "headers": list(head.headers),
        "body": handed_out(body, form),
        "peer": head.peer,
    }


def handed_out(data: bytes, form: str) -> Content:
    """Content in the form that a route asks for; where that cannot be, in base64."""
    return content_of(data, form) or content_of(data, "base64") or ("bytes", data)


@cache
def _response_encoder() -> Encode:
    return encoder(HTTP_RESPONSE)
