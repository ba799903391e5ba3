"""HTTP requests: the capability ``http-client``. What the grant does not name fails with ``denied``.

::

    weather = http.get("https://api.example.com/v1/weather?in=Graz").json()
    http.post("https://api.example.com/v1/notes", json={"text": "sunny"}, headers={"x-key": "{{secret:API_KEY}}"})

A request acts at once and stands if the step fails; in a replay its answer is the recorded one.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from theater_sdk.host import call
from theater_sdk.text import bytes_of, content_of, encoded
from theater_sdk.timing import milliseconds


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. Any status is an answer, and no error."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case; one may come several times."""
    content: bytes
    url: str
    """Where the answer came from, after redirects."""

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The body's value. Raises ``ValueError`` for what is not JSON."""
        return json_module.loads(self.content)

    def header(self, name: str) -> str | None:
        """The first value of a header field, by its name in any case."""
        return next((value for key, value in self.headers if key == name.lower()), None)


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | str | None = None,
    json: Any = None,  # noqa: ANN401 - any JSON
    timeout_s: float | None = None,
    max_redirects: int | None = None,
    max_bytes: int | None = None,
) -> Response:
    """Send one request and wait for the whole answer: 30 s, 10 redirects and what the grant allows unless said.

    ``json`` is a body with its content type. A header's value, or the query, may have ``{{secret:NAME}}``.

    Raises:
        CallFailed: there is no answer. "outcome-unknown", "timeout" and "protocol": the server may have acted.
    """
    given = list((headers or {}).items())
    if json is not None:
        if body is not None:
            raise TypeError("request() takes body or json, not both")
        body = encoded(json, "the json given to request()")
        if not any(name.lower() == "content-type" for name, _ in given):
            given.append(("content-type", "application/json"))
    asked = {
        "method": method,
        "url": url,
        "headers": given,
        "body": None if body is None else content_of(body),
        "timeout-ms": milliseconds(timeout_s),
        "max-redirects": max_redirects,
        "max-response-bytes": max_bytes,
        "response-form": "automatic",
    }
    answer = call("http-client", "send", {"request": asked})
    return Response(
        status=answer["status"],
        headers=tuple((name, value) for name, value in answer["headers"]),
        content=bytes_of(answer["body"]),
        url=answer["url"],
    )


def get(url: str, **more: Any) -> Response:  # noqa: ANN401 - as ``request`` has them
    """``request("GET", url, ...)``."""
    return request("GET", url, **more)


def post(url: str, **more: Any) -> Response:  # noqa: ANN401 - as ``request`` has them
    """``request("POST", url, ...)``."""
    return request("POST", url, **more)
