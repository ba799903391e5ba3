"""Asks others over wasi:http, with the bindings that componentize-py makes."""

# ruff: noqa: T201 - a program prints

from collections.abc import Callable
from urllib.parse import urlsplit

from componentize_py_types import Err  # type: ignore[import-not-found]
from wit_world.imports import outgoing_handler, streams, wasi_http_types  # type: ignore[import-not-found]

KINDS = {"GET": wasi_http_types.Method_Get, "POST": wasi_http_types.Method_Post}


def ask(base: str) -> None:
    """Print what ``base`` answers."""
    tell("get", lambda: last(answer(f"{base}/hello?x=1", headers={"x-question": "why"})))
    posted = '{"a":"ü"}'.encode()
    tell("post", lambda: last(answer(f"{base}/echo", "POST", {"content-type": "application/json"}, posted)))
    tell("big", lambda: size(answer(f"{base}/big")))
    tell("missing", lambda: last(answer(f"{base}/missing")))
    tell("both", lambda: two(base))
    tell("beyond", lambda: last(answer(f"{base}/beyond")))
    tell("elsewhere", lambda: last(answer("http://elsewhere.invalid/")))


def two(base: str) -> str:
    """Two requests at once."""
    one, other = request(f"{base}/one"), request(f"{base}/other")
    tell("one", lambda: last(response(one)))
    tell("other", lambda: last(response(other)))
    return "begun"


def tell(name: str, action: Callable[[], str]) -> None:
    try:
        print(f"{name}: {action()}")
    except Exception as error:  # noqa: BLE001 - whatever the bindings raise
        print(f"{name}: refused ({getattr(error, 'value', error)})")


def last(found: tuple[int, str, bytes]) -> str:
    return f"{found[0]} {found[1]} {found[2].decode().split(chr(10))[-1]}"


def size(found: tuple[int, str, bytes]) -> str:
    return f"{found[0]} {len(found[2])}"


def answer(
    url: str, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b""
) -> tuple[int, str, bytes]:
    return response(request(url, method, headers, body))


def request(
    url: str, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b""
) -> wasi_http_types.FutureIncomingResponse:
    parts = urlsplit(url)
    fields = [(name, value.encode()) for name, value in (headers or {}).items()]
    asked = wasi_http_types.OutgoingRequest(wasi_http_types.Fields.from_list(fields))
    asked.set_method(KINDS[method]())
    asked.set_scheme(wasi_http_types.Scheme_Http())
    asked.set_authority(parts.netloc)
    asked.set_path_with_query(parts.path + (f"?{parts.query}" if parts.query else ""))
    outgoing = asked.body()
    waiting = outgoing_handler.handle(asked, None)
    with outgoing.write() as stream:
        if body:
            stream.blocking_write_and_flush(body)
    wasi_http_types.OutgoingBody.finish(outgoing, None)
    return waiting


def response(waiting: wasi_http_types.FutureIncomingResponse) -> tuple[int, str, bytes]:
    with waiting.subscribe() as pollable:
        pollable.block()
    found = waiting.get().value.value  # of a result of a result
    if not isinstance(found, wasi_http_types.IncomingResponse):
        raise ValueError(type(found).__name__)  # noqa: TRY004 - it is an error code
    kind = found.headers().get("content-type")
    return found.status(), kind[0].decode() if kind else "nothing", read(found.consume())


def read(incoming: wasi_http_types.IncomingBody) -> bytes:
    body = b""
    with incoming.stream() as stream:
        while True:
            try:
                body += stream.blocking_read(65536)
            except Err as error:
                if isinstance(error.value, streams.StreamError_Closed):
                    break
                raise
    wasi_http_types.IncomingBody.finish(incoming)
    return body
