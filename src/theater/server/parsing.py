"""From the texts of a request to values: parameters by their declared types, and bodies as what they have to be.

Everything that cannot be used is refused here, by name, before any handler is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from theater.errors import BadRequest, InvalidInput, InvalidJson
from theater.model import wire
from theater.model.json_text import decode_json_bytes, nests_deeper
from theater.model.spelling import nearest
from theater.runtime.python_values import DEPTH_MAX
from theater.server.endpoint import JSON, Body, Parameter, Place
from theater.server.json_members import decode_in_parts

QUERY_FIELDS_MAX: Final = 50
"""Many more than any endpoint has."""

Values = dict[tuple[Place, str], object]
RawHeaders = Iterable[tuple[bytes, bytes]]


def headers_of(raw: RawHeaders) -> dict[str, str]:
    """By lower-case name; of one that came several times, the values joined by commas."""
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in raw:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


class ParameterReader:
    """Reads the parameters of one endpoint."""

    def __init__(self, parameters: Iterable[Parameter[object]]) -> None:
        self._parameters = tuple((parameter, _is_text(parameter.type)) for parameter in parameters)
        self._query = [parameter.name for parameter, _ in self._parameters if parameter.place == "query"]

    def read(self, path: Mapping[str, str], query: bytes, headers: Mapping[str, str]) -> Values:
        """Every declared parameter, with its default where it is not there.

        Raises:
            BadRequest: a query parameter is unknown or came twice, or one of the path is missing.
            InvalidInput: a value is not of its type; the message names the parameter.
        """
        queried = self._queried(query) if query else {}
        given_at = {"path": path, "query": queried, "header": headers}
        values: Values = {}
        for parameter, is_text in self._parameters:
            name = parameter.name.lower() if parameter.place == "header" else parameter.name
            text = given_at[parameter.place].get(name)
            if text is None:
                if parameter.place == "path":
                    raise BadRequest(f"the {parameter.place} parameter {parameter.name!r} is missing")
                values[parameter.place, parameter.name] = parameter.default
            else:
                values[parameter.place, parameter.name] = _value_of(parameter, text, is_text=is_text)
        return values

    def _queried(self, query: bytes) -> dict[str, str]:
        try:
            pairs = parse_qsl(
                query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX
            )
        except ValueError as error:  # a UnicodeDecodeError is one
            raise BadRequest("the query cannot be read: write name=value&name=value, percent-encoded UTF-8") from error
        found: dict[str, str] = {}
        for name, text in pairs:
            if name not in self._query:
                raise BadRequest(f"there is no query parameter {name!r} here{nearest(name, self._query)}")
            if name in found:
                raise BadRequest(f"the query parameter {name!r} is given twice")
            found[name] = text
        return found


def order_of(body: Body, data: bytes) -> wire.Order:
    """The order that a body is.

    Raises:
        InvalidJson: it is not JSON.
        InvalidInput: it is JSON, and not such an order; the message says where.
    """
    assert body.type is not None
    if not data and body.may_be_empty:
        return body.type()
    text = decode_json_bytes(data, max_bytes=body.max_bytes)  # what JSON is, is decided in one place
    try:
        if body.type is wire.StartOrder and nests_deeper(text, DEPTH_MAX):
            return decode_in_parts(text, wire.StartOrder, apart="params")
        return msgspec.json.decode(data, type=body.type)
    except RecursionError as error:
        raise InvalidInput("the body: containers are nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the body: {error}") from error


def text_of(body: Body, data: bytes) -> str:
    """The text of a body that is to be JSON, exactly as it came.

    Whether it is JSON is for the runtime to say, once, and only of a text that is no longer than the actor takes: to
    judge a large one takes seconds, in which nobody else is served.

    Raises:
        InvalidJson: it is no text at all.
    """
    if not data:
        raise InvalidJson("not accepted as JSON: there is no body", offset=0)
    assert len(data) <= body.max_bytes
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        offset = len(data[: error.start].decode())
        raise InvalidJson(f"not JSON: not UTF-8 at character {offset}", offset=offset) from error


def check_media(body: Body, headers: Mapping[str, str]) -> None:
    """Fail unless a body is of the type that is wanted, or of none.

    Raises:
        BadRequest: with code ``wrong-type``.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise BadRequest(f"a body encoded as {encoding!r} is not read: send it as it is", code="wrong-type", status=415)
    if "content-type" not in headers:
        return
    media, _, rest = headers["content-type"].partition(";")
    media = media.strip().lower()
    if media != body.media:
        raise BadRequest(f"the body is {media!r}: send {body.media}", code="wrong-type", status=415)
    charset = rest.replace(" ", "").replace('"', "").lower()
    if body.media == JSON and charset.startswith("charset=") and charset not in ("charset=utf-8", "charset=utf8"):
        raise BadRequest("JSON is UTF-8: send it as that", code="wrong-type", status=415)


def _value_of(parameter: Parameter[object], text: str, *, is_text: bool) -> object:
    try:
        if is_text:
            value: object = msgspec.convert(text, parameter.type)
        elif text != text.strip():
            raise InvalidInput(f"{text!r} begins or ends with a space")
        else:
            value = msgspec.json.decode(text.encode(), type=parameter.type)
        return parameter.read(text) if parameter.read is not None else value
    except (ValueError, InvalidInput, RecursionError) as error:
        raise InvalidInput(f"{parameter.place} parameter {parameter.name!r}: {error}") from error


def _is_text(kind: object) -> bool:
    """Whether a value of that type is the text itself, and not the JSON that the text is."""
    info = msgspec.inspect.type_info(kind)
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    if isinstance(info, msgspec.inspect.LiteralType):
        return all(isinstance(value, str) for value in info.values)
    return isinstance(info, msgspec.inspect.StrType)
