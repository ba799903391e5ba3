"""A request that a service answers: the resources that stand for it in ``wasi:http``, and what the service gave.

In the chain both are values of ``theater:actor/http-types``, as those of actors with routes are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from theater.capabilities.guest_content import Content, bytes_of, content_of
from theater.capabilities.wasi_http_codes import code_json
from theater.capabilities.wasi_http_fields import allowed
from theater.capabilities.wasi_http_requests import IncomingRequest, method_case
from theater.capabilities.wasi_http_responses import Given, OutgoingResponse, ResponseOutparam
from theater.model.capability import Resources
from theater.model.http_types import HTTP_RESPONSE
from theater.model.wit_json import encoder

STATUS_MIN, STATUS_MAX = 200, 599
"""Of an answer that ends a request; ``http-types`` has no other."""

_SCHEME = ("HTTP", None)
"""Whether there was TLS is the host's business."""


def take_in(resources: Resources, request: object) -> tuple[tuple[int, int], Given]:
    """The numbers of an ``incoming-request`` and a ``response-outparam``, and where the answer will be.

    Raises:
        ValueError: the body is not base64.
    """
    record = cast("Mapping[str, object]", request)  # as its type says: it was decoded by that
    body = bytes_of(cast("Content", record["body"]))
    if body is None:
        raise ValueError("the body is not base64")
    path, query = str(record["path"]), record["query"]
    headers = cast("list[tuple[str, str]]", record["headers"])
    incoming = IncomingRequest(
        method_case(str(record["method"])),
        path if query is None else f"{path}?{query}",
        _SCHEME,
        str(record["authority"]),
        allowed((name, value.encode()) for name, value in headers),
        body,
    )
    outparam = ResponseOutparam()
    outparam.given.request = incoming
    return (resources.add(incoming), resources.add(outparam)), outparam.given


def reply_of_service(resources: Resources, given: Given) -> tuple[str | None, str]:
    """The JSON text of the response that a service gave; or None, and why there is none.

    The step is over: what the guest still has of the request and the response is nobody's any more.
    """
    if given.request is not None:
        resources.held_bytes -= given.request.held_bytes
        given.request.let_go()
    response, error = given.response, given.error
    if error is not None:
        return None, f"the service answered with an error: {msgspec.json.encode(code_json(error)).decode()}"
    if response is None:
        return None, "the service gave no response"
    resources.held_bytes -= given.held_bytes
    text, problem = _reply(response)
    if response.body is not None:
        response.body.forget()
    return text, problem


def _reply(response: OutgoingResponse) -> tuple[str | None, str]:
    if not STATUS_MIN <= response.status <= STATUS_MAX:
        return None, f"the service gave a response with the status {response.status}"
    content: Content | None = None
    if response.body is not None:
        if not response.body.is_finished:
            return None, "the service did not finish the body of its response"
        content = content_of(bytes(response.body.content), "automatic")
    headers = [(name, _text(value)) for name, value in response.fields.entries if name.lower() != "content-length"]
    value = {"status": response.status, "headers": headers, "body": content}
    return msgspec.json.encode(encoder(HTTP_RESPONSE)(value, {})).decode(), ""


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
