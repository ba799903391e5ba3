"""A service of wasi:http, with the bindings that componentize-py makes."""

from urllib.parse import urlsplit

from client import answer, read  # type: ignore[import-not-found]
from componentize_py_types import Ok  # type: ignore[import-not-found]
from wit_world.imports import wasi_http_types as types  # type: ignore[import-not-found]

PIECE = 4096


class IncomingHandler:
    def handle(self, request: types.IncomingRequest, response_out: types.ResponseOutparam) -> None:
        parts = urlsplit(request.path_with_query() or "/")
        match parts.path:
            case "/hello":
                who = request.headers().get("x-who") or [b"nobody"]
                method = type(request.method()).__name__.removeprefix("Method_").upper()
                say(response_out, 200, f"{method} {parts.query} {who[0].decode()}".encode())
            case "/echo":
                say(response_out, 201, read(request.consume()))
            case "/size":
                say(response_out, 200, str(len(read(request.consume()))).encode())
            case "/big":
                say(response_out, 200, b"x" * 200_000)
            case "/ask":
                try:
                    status, _, body = answer(parts.query)
                except Exception as error:  # noqa: BLE001 - whatever the bindings raise
                    say(response_out, 502, str(getattr(error, "value", error)).encode())
                else:
                    say(response_out, status, body)
            case "/crash":
                raise ValueError("as asked")
            case _:
                say(response_out, 404, b"")


def say(response_out: types.ResponseOutparam, status: int, body: bytes) -> None:
    fields = types.Fields.from_list([("x-service", b"python"), ("content-type", b"text/plain")])
    response = types.OutgoingResponse(fields)
    response.set_status_code(status)
    outgoing = response.body()
    types.ResponseOutparam.set(response_out, Ok(response))
    with outgoing.write() as stream:
        for start in range(0, len(body), PIECE):
            stream.blocking_write_and_flush(body[start : start + PIECE])
    types.OutgoingBody.finish(outgoing, None)
