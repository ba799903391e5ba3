"""Programs of other toolchains that ask others over ``wasi:http``: recorded, and run again with nobody there."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.capabilities.web import Page, Web, serving
from tests.toolchains.conftest import furnish, recorded, run, written

pytestmark = pytest.mark.slow

CLIENTS = [("rust-client", ()), ("javascript-command", ("ask",)), ("python-command", ("ask",))]
PLACES = ("hello", "echo", "big", "missing", "one", "other", "gone")
BIG = 200_000
TEXT = (("content-type", "text/plain"),)


def pages(web: Web) -> None:
    """What a client is answered."""
    web.pages |= {
        "/hello": Page(b"hello", headers=TEXT),
        "/big": Page(b"x" * BIG),
        "/missing": Page(b"not here", 404, TEXT),
        "/one": Page(b"1", headers=TEXT),
        "/other": Page(b"2", headers=TEXT),
    }


def granted(web: Web) -> str:
    """All that there is but ``/beyond``."""
    allow = [f"* {web.url}/{place}" for place in PLACES]
    return f'[capabilities.http-client]\nallow = {allow}\nprivate = ["127.0.0.1:{web.port}"]\n'


def forbidden(*_arguments: object, **_more: object) -> object:
    raise AssertionError("a replay touches no network")


@pytest.mark.parametrize(("guest", "arguments"), CLIENTS)
def test_a_client_of_another_toolchain_asks_what_it_may_and_its_chain_verifies_with_nobody_there(
    guest: str, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as web:
        pages(web)
        home = furnish(tmp_path, guest, granted(web))
        asyncio.run(run(home, *arguments, web.url, allowed=("http-client",)))

    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    events = recorded(home, "http-client")
    lines = written(events)
    assert lines["get"] == "200 text/plain hello"
    assert lines["post"] == '200 nothing {"a":"ü"}'
    assert lines["big"] == f"200 {BIG}"
    assert lines["missing"] == "404 text/plain not here"
    assert lines["one"] == "200 text/plain 1"
    assert lines["other"] == "200 text/plain 2"
    assert [name for name in ("beyond", "elsewhere") if not lines[name].startswith("refused (")] == []

    assert [asked.target for asked in web.asked][:4] == ["/hello?x=1", "/echo", "/big", "/missing"]
    assert sorted(asked.target for asked in web.asked[4:]) == ["/one", "/other"]
    assert web.asked[0].headers["x-question"] == "why"
    assert web.asked[1].body.decode() == '{"a":"ü"}'


@pytest.mark.parametrize(("guest", "arguments"), CLIENTS)
def test_without_a_grant_a_client_of_another_toolchain_reaches_nobody(
    guest: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    with serving() as web:
        home = furnish(tmp_path, guest)
        asyncio.run(run(home, *arguments, web.url))

    lines = written(recorded(home))
    assert [name for name, text in lines.items() if not text.startswith("refused (")] == []
    assert lines.keys() >= {"get", "post", "big", "missing", "beyond", "elsewhere"}
    assert web.asked == []
