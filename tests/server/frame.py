"""The frame round endpoints of a test's own: everything but a runtime, which those do not use."""

import asyncio
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx

from theater.runtime.runtime import Runtime
from theater.runtime.server_files import make_or_read_token
from theater.server.app import make_app
from theater.server.endpoint import Endpoint
from theater.server.hosts import Hosts
from theater.server.log import Log, LogFormat
from theater.server.service import Service
from theater.server.tokens import TokenStore
from theater.server.traffic import Traffic
from theater.store import DataDir


@dataclass
class Frame:
    """An application, and what is behind it."""

    client: httpx.AsyncClient
    service: Service
    traffic: Traffic
    folder: DataDir
    token: str
    stream: io.StringIO

    @property
    def log(self) -> str:
        return self.stream.getvalue()

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def framed(
    folder: Path,
    endpoints: Sequence[Endpoint],
    *,
    allowed_hosts: Sequence[str] = (),
    log_format: LogFormat = "human",
) -> Iterator[Frame]:
    data = DataDir(folder)
    token = make_or_read_token(data)
    traffic = Traffic()
    service = Service(
        runtime=cast("Runtime", None),
        data_dir=folder,
        version="0",
        started="",
        openapi=b"{}",
        metrics=lambda: (b"", "text/plain"),
        stopping=asyncio.Event(),
    )
    stream = io.StringIO()
    with Log(stream, log_format) as log:
        app = make_app(
            endpoints,
            service,
            tokens=TokenStore(data),
            hosts=Hosts("node.example", allowed_hosts),
            log=log,
            traffic=traffic,
        )
        # An error that the application lets through is an error of the test.
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        client = httpx.AsyncClient(transport=transport, base_url="http://localhost:2823")
        yield Frame(client, service, traffic, data, token, stream)
