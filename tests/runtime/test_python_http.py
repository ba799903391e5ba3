"""An actor in Python that asks the web: once it is a component, against a server, and replayed without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.capabilities.web import Page, serving
from tests.guests.python import python_actor
from theater.testing.harness import Actor, Harness

PATIENCE_S = 120.0
pytestmark = pytest.mark.slow

SOURCE = """
from theater_sdk import Actor, CallFailed, http


class Guest(Actor):
    def handle(self, state, message):
        method, url = message.body
        try:
            if method == "POST":
                found = http.post(url, json={"say": "hi"}, headers={"x-own": "1"}, timeout_s=5)
            else:
                found = http.request(method, url, max_redirects=0, body=b"\\xff" if method == "PUT" else None)
        except CallFailed as error:
            return state, [error.reason, error.text]
        return state, [found.status, found.text, found.header("x-page"), len(found.content)]
"""


def test_an_actor_in_python_asks_and_is_answered_and_replays(tmp_path: Path) -> None:
    with serving() as web, Harness() as theater:
        web.pages["/v1/a"] = Page(b"hello", headers=(("X-Page", "a"),))
        web.pages["/v1/raw"] = Page(b"\xff\x00")
        manifest = tmp_path / "theater.toml"
        component = python_actor(SOURCE, capabilities=("http-client",))
        rules = [f"* {web.url}/v1/"]
        manifest.write_text(
            f'name = "guest"\ncomponent = {json.dumps(str(component))}\n[capabilities.http-client]\n'
            f'allow = {json.dumps(rules)}\nprivate = ["127.0.0.1:{web.port}"]\n'
        )
        spawned = theater.runtime.spawn(manifest, allowed=["http-client"])
        actor = Actor(theater, theater.run(spawned, timeout_s=PATIENCE_S))  # compiled on the way

        assert actor.request(["GET", f"{web.url}/v1/a"]) == [200, "hello", "a", 5]
        assert actor.request(["PUT", f"{web.url}/v1/raw"]) == [200, "\ufffd\x00", None, 2]
        assert actor.request(["POST", f"{web.url}/v1/a"]) == [200, "hello", "a", 5]
        assert actor.request(["GET", f"{web.url}/v2"]) == ["denied", f'allow = ["GET {web.url}/v2"]']
        assert [each.body for each in web.asked] == [b"", b"\xff", b'{"say":"hi"}']
        assert web.asked[2].headers["content-type"] == "application/json"
        assert actor.verify().ok
        assert len(web.asked) == 3
