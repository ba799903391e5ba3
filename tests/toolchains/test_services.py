"""Services of other toolchains, for ``wasi:http``: each request a step, and their chains verify with nobody there."""

import socket
from pathlib import Path

import pytest

from tests.capabilities.web import Page, serving
from tests.runtime.served import ask
from tests.toolchains.conftest import PATIENCE_S, forbidden, furnish
from theater.testing.harness import Actor, Harness

pytestmark = pytest.mark.slow

SERVICES = ["rust", "javascript", "python"]
BIG = 200_000
ALLOWED = ("http-server", "http-client")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@pytest.mark.parametrize("language", SERVICES)
def test_a_service_of_another_toolchain_answers_and_its_chain_verifies_with_nobody_there(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with serving() as web:
        web.pages["/page"] = Page(b"from elsewhere")
        grants = (
            f'[capabilities.http-server]\nlisten = ["127.0.0.1:{port}"]\n'
            f'[capabilities.http-client]\nallow = ["GET {web.url}/page"]\nprivate = ["127.0.0.1:{web.port}"]\n'
        )
        home = furnish(tmp_path, f"{language}-service", grants)
        with Harness(data_dir=home.data_dir) as harness:
            started = harness.runtime.spawn(home.manifest, allowed=ALLOWED)
            actor = Actor(harness, harness.run(started, timeout_s=PATIENCE_S))

            hello = ask(port, "/hello?a=b%20c", headers=[("x-who", "world")])
            assert (hello.status, hello.body) == (200, "GET a=b%20c world")
            assert (hello.headers["x-service"], hello.headers["content-type"]) == (language, "text/plain")
            echo = ask(port, "/echo", method="POST", body="grüß dich".encode())
            assert (echo.status, echo.body) == (201, "grüß dich")
            assert ask(port, "/size", method="PUT", body=b"x" * BIG).body == str(BIG)
            assert ask(port, "/big").body == "x" * BIG
            assert ask(port, "/nothing").status == 404
            found = ask(port, f"/ask?{web.url}/page")
            assert (found.status, found.body) == (200, "from elsewhere")
            assert ask(port, f"/ask?{web.url}/beyond").status == 502
            assert ask(port, "/hello", method="HEAD").body == ""
            assert ask(port, "/crash").status == 500

            assert [asked.target for asked in web.asked] == ["/page"]
            assert actor.kinds().count("message") == 9

    with Harness(data_dir=home.data_dir) as harness, monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", forbidden)
        patch.setattr(socket.socket, "connect", forbidden)
        (id,) = [record.id for record in harness.runtime.store.records()]
        report = harness.verify(id)
    assert report.ok, report
