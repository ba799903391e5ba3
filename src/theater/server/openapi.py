"""The description of the API, OpenAPI 3.1, made from the endpoints and the types that the code itself uses.

    python -m theater.server.openapi > docs/reference/openapi.json

It is the same, byte for byte, as long as they are. It lists the statuses that an endpoint can answer with, and no
others: those of its own answers, of its errors, and of what the frame may refuse before the handler is asked.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

import msgspec

from theater import __version__
from theater.model import wire
from theater.server.endpoint import BYTES, EVENT_STREAM, JSON, Answer, Endpoint, Parameter
from theater.server.problem import MEDIA, ROWS
from theater.server.routes import ENDPOINTS

Schema = dict[str, object]

_REFERENCE: Final = "#/components/schemas/{name}"

_FRAME: Final = (
    "bad-request",
    "foreign-origin",
    "foreign-host",
    "headers-too-large",
    "uri-too-long",
    "closing",
    "internal",
)
"""What any request may come to."""

_WITH_TOKEN: Final = ("unauthorized", "forbidden")
_WITH_BODY: Final = ("too-large", "wrong-type", "too-slow", "busy")
_WITH_JSON: Final = ("invalid-json", "invalid-input")
_WITH_LIMIT: Final = ("timed-out",)
_WITH_PARAMETERS: Final = ("invalid-input",)
_WITH_PLACE: Final = ("no-such-route", "no-such-method")  # what stands in the path can make it another path


def make_openapi(endpoints: Sequence[Endpoint]) -> bytes:
    """The document, as JSON text that a person can read."""
    types = _types(endpoints)
    references, components = msgspec.json.schema_components(types, schema_hook=_any_value, ref_template=_REFERENCE)
    schemas = dict(zip(types, references, strict=True))
    paths: dict[str, dict[str, object]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Theater",
            "version": __version__,
            "description": "Actors that nobody has to trust: sandboxed, recorded, replayed, verified.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "One made by `theater config token add`, or the node's own in its data directory.",
                }
            },
            "headers": {
                "RequestId": {
                    "description": "The id under which the server's log has the request.",
                    "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
                }
            },
            "schemas": {name: _as_prose(schema) for name, schema in sorted(components.items())},
        },
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _as_prose(schema: Schema) -> Schema:
    """A schema whose description is not indented as its docstring is: before CPython 3.13 that was kept."""
    says = schema.get("description")
    return {**schema, "description": inspect.cleandoc(says)} if isinstance(says, str) else schema


def statuses(endpoint: Endpoint) -> dict[int, list[str]]:
    """The error codes that an endpoint may answer with, by status."""
    codes = [*endpoint.errors, *_FRAME]
    if endpoint.scope is not None:
        codes += _WITH_TOKEN
    if endpoint.body is not None:
        codes += _WITH_BODY
        if endpoint.body.kind != "bytes":
            codes += _WITH_JSON
    if endpoint.parameters:
        codes += _WITH_PARAMETERS
    if "{" in endpoint.path:
        codes += _WITH_PLACE
    if endpoint.time_limit_s is not None:
        codes += _WITH_LIMIT
    found: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        found.setdefault(ROWS[code][0], []).append(code)
    return dict(sorted(found.items()))


def _types(endpoints: Iterable[Endpoint]) -> list[type]:
    types: dict[type, None] = {wire.Problem: None}
    for endpoint in endpoints:
        if endpoint.body is not None and endpoint.body.type is not None:
            types[endpoint.body.type] = None
        types |= {answer.document: None for answer in endpoint.answers if answer.document is not None}
    if any(EVENT_STREAM in answer.media for endpoint in endpoints for answer in endpoint.answers):
        types[wire.EventRow] = None
    return list(types)


def _any_value(kind: type) -> Schema:
    """The schema of what may be any JSON value. An empty one says that, but msgspec takes it for none."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(kind)


def _operation(endpoint: Endpoint, schemas: Mapping[type, Schema]) -> Schema:
    operation: Schema = {"operationId": endpoint.operation, "summary": endpoint.summary}
    if endpoint.description:
        operation["description"] = endpoint.description
    operation["tags"] = [endpoint.path.split("/")[2] if endpoint.path.startswith("/v1/") else "server"]
    if endpoint.scope is None:
        operation["security"] = []
    else:
        operation["x-scope"] = endpoint.scope
    if endpoint.parameters:
        operation["parameters"] = [_parameter(parameter) for parameter in endpoint.parameters]
    if endpoint.body is not None:
        body = endpoint.body
        schema = schemas[body.type] if body.type is not None else {}
        operation["requestBody"] = {
            "description": body.description,
            "required": not body.may_be_empty,
            "content": {body.media: {"schema": schema} if body.kind != "bytes" else {}},
        }
    answers = {str(answer.status): _answer(answer, schemas) for answer in endpoint.answers}
    problems = {
        str(status): _problem(codes, schemas)
        for status, codes in statuses(endpoint).items()
        if str(status) not in answers
    }
    operation["responses"] = dict(sorted({**answers, **problems}.items()))
    return operation


def _parameter(parameter: Parameter[object]) -> Schema:
    schema, _ = _schema_of(parameter.type)
    if parameter.default is not None and parameter.read is None:
        schema = {**schema, "default": parameter.default}
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.description,
        "schema": schema,
    }


def _schema_of(kind: object) -> tuple[Schema, Mapping[str, Schema]]:
    (schema,), components = msgspec.json.schema_components([kind], schema_hook=_any_value, ref_template=_REFERENCE)
    assert not components, kind
    return cast("Schema", schema), components


def _answer(answer: Answer, schemas: Mapping[type, Schema]) -> Schema:
    content: dict[str, object] = {}
    if answer.document is not None:
        content[JSON] = {"schema": schemas[answer.document]}
    for media in answer.media:
        content[media] = _media(media, schemas)
    headers: dict[str, object] = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    for name, says in answer.headers.items():
        headers[name] = {"description": says, "schema": {"type": "string"}}
    shown: Schema = {"description": answer.description or "It was done.", "headers": headers}
    if content:
        shown["content"] = content
    return shown


def _media(media: str, schemas: Mapping[type, Schema]) -> Schema:
    """OpenAPI 3.1 describes bytes by their media type alone; of a stream, each event's data are what is described."""
    if media == EVENT_STREAM:
        return {
            "schema": {
                "type": "string",
                "description": "Server-sent events: `event: event` has an EventRow as `data`, and its place as `id`; "
                "`event: end` says why nothing more comes.",
                "contentMediaType": JSON,
                "contentSchema": schemas[wire.EventRow],
            }
        }
    if media.startswith(("text/", "application/openmetrics-text")):
        return {"schema": {"type": "string"}}
    if media in (JSON, "application/schema+json"):
        return {"schema": {"type": "object"}}
    assert media in (BYTES, "application/zip", "application/wasm"), media
    return {}


def _problem(codes: Sequence[str], schemas: Mapping[type, Schema]) -> Schema:
    says = "; ".join(f"`{code}`: {ROWS[code][1]}" for code in codes)
    return {
        "description": says,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
        "content": {MEDIA: {"schema": schemas[wire.Problem]}},
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(make_openapi(ENDPOINTS))
