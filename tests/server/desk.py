"""Asking the server something in this process: its application, on a stage whose guests are compiled already."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import httpx
from starlette.types import ASGIApp

from tests.runtime.stage import Stage
from theater.model.header import format_time
from theater.model.payload import Message
from theater.runtime.history import payload_of
from theater.runtime.server_files import make_or_read_token
from theater.server.app import make_app
from theater.server.hosts import Hosts
from theater.server.log import Log
from theater.server.routes import ENDPOINTS
from theater.server.service import Service
from theater.server.tokens import TokenStore, add_token
from theater.server.traffic import Traffic
from theater.store.data_dir import DataDir
from theater.testing.harness import Actor

BASE = "http://127.0.0.1"


@dataclass
class Asker:
    """One token, and what is asked with it."""

    desk: Desk
    token: str | None

    def ask(self, method: str, path: str, **options: object) -> httpx.Response:
        """The answer to one request."""
        return self.desk.stage.run(self.asking(method, path, **options))

    async def asking(self, method: str, path: str, **options: object) -> httpx.Response:
        """Likewise, for several at once."""
        transport = httpx.ASGITransport(app=self.desk.app, raise_app_exceptions=True)
        async with httpx.AsyncClient(
            transport=transport, base_url=BASE, headers=self.headers, trust_env=False
        ) as client:
            return await client.request(method, path, **options)  # type: ignore[arg-type]  # passed on

    @property
    def headers(self) -> dict[str, str]:
        """That of the token."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def get(self, path: str, **options: object) -> httpx.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, body: object = None, **options: object) -> httpx.Response:
        """``body`` as JSON, or as it stands where it is bytes; none where it is None."""
        if body is not None:
            options["content"] = body if isinstance(body, bytes) else json.dumps(body)
        return self.ask("POST", path, **options)

    def put(self, path: str, body: bytes) -> httpx.Response:
        return self.ask("PUT", path, content=body)

    def delete(self, path: str, **options: object) -> httpx.Response:
        return self.ask("DELETE", path, **options)


@dataclass
class Desk:
    """The server's application over the runtime of a stage."""

    stage: Stage
    said: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        """Open it."""
        self.folder = DataDir(self.stage._root)
        self.local = Asker(self, None)
        self.open()

    def open(self) -> None:
        """Serve the runtime that the stage has now."""
        self.stage.run(self._open())
        tokens = TokenStore(self.folder)
        self.app: ASGIApp = make_app(
            ENDPOINTS,
            self.service,
            tokens=tokens,
            hosts=Hosts("127.0.0.1"),
            log=Log(self.said),
            traffic=Traffic(),
        )
        self.local.token = make_or_read_token(self.folder)

    async def _open(self) -> None:
        self.service = Service(
            runtime=self.stage.runtime,
            data_dir=self.folder.root,
            version="0",
            started=format_time(0),
            openapi=b"{}",
            metrics=lambda: (b"# EOF\n", "application/openmetrics-text"),
            stopping=asyncio.Event(),
        )

    def close(self) -> None:
        """Let go of what the server holds."""
        self.stage.run(self.service.channels.close())

    def reopen(self) -> None:
        """As after a restart."""
        self.close()
        self.stage.reopen()
        self.open()

    def token(self, name: str, scope: str = "operate") -> Asker:
        """A further token."""
        return Asker(self, add_token(self.folder, name, scope))  # type: ignore[arg-type]  # one of two words

    def digest(self, text: str) -> str:
        """The component of a WAT text, in the content store."""
        data = self.component(text)
        self.stage.runtime.blobs.put(data)
        return hashlib.sha256(data).hexdigest()

    def component(self, text: str) -> bytes:
        """The bytes of it."""
        return self.stage.workshop.file(text).read_bytes()

    def start(self, text: str, name: str = "actor", **order: object) -> httpx.Response:
        """Start an actor of this text."""
        manifest = f'name = "{name}"\ncomponent = "x.wasm"\n'
        return self.local.post("/v1/actors", {"manifest": manifest, "component": self.digest(text), **order})

    def actor(self, text: str, name: str = "actor", **order: object) -> Actor:
        """The same actor, as the harness has it."""
        answer = self.start(text, name, **order)
        assert answer.status_code == 201, answer.text
        return self.stage.actor(str(table(answer)["actor"]["id"]))  # type: ignore[index]  # it is an object

    def sources(self, actor: str) -> list[str]:
        """Who the messages of an actor came from."""
        found: Sequence[object] = [
            payload_of(event) for event in self.stage.runtime.store.events(self.stage.actor(actor).id)
        ]
        return [payload.source for payload in found if isinstance(payload, Message)]


def table(answer: httpx.Response) -> Mapping[str, object]:
    """An answer that is a JSON object."""
    return cast("Mapping[str, object]", answer.json())


def problem(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of an answer that is an error."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = table(answer)
    assert document["status"] == answer.status_code
    assert document["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, str(document["code"])


def rows(answer: httpx.Response, name: str) -> list[Mapping[str, object]]:
    """An array of objects in an answer."""
    found = table(answer)[name]
    assert isinstance(found, list)
    return found
