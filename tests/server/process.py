"""A server as a process of its own, on a free port and a data directory that ends with it.

    with RunningServer(tmp_path) as server:
        server.get("/healthz")

It is known to listen by the first line that says so, and nothing sleeps.
"""

import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

COMMAND = [sys.executable, "-c", "import sys; from theater.cli.main import main; sys.exit(main())", "server"]
PATIENCE_S = 60.0

_LISTENING = re.compile(r'listening on (https?://[^\s"]+)')


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, object]:
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document


class RunningServer:
    """``folder`` holds its data directory, config and log. Options are those of ``theater server``."""

    def __init__(
        self, folder: Path, *options: str, data_dir: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.data_dir = data_dir or folder / "data"
        self.url = ""
        self._options = options
        self._environ = environ or {}
        self._listens = threading.Event()
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def environ(self) -> dict[str, str]:
        """In which clients find this server, its own config and nobody else's."""
        given = {name: value for name, value in os.environ.items() if not name.startswith(("THEATER_", "XDG_"))}
        return {
            **given,
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "THEATER_DATA_DIR": str(self.data_dir),
            **self._environ,
        }

    @property
    def token(self) -> str:
        """The default token."""
        return (self.data_dir / "token").read_text().strip()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    @property
    def log(self) -> str:
        """What it has said on stderr so far."""
        return "".join(self._lines)

    def start(self, *, port: int = 0) -> None:
        """Start it, and return when it listens."""
        self._listens.clear()
        self.process = subprocess.Popen(
            [*COMMAND, "--port", str(port), *self._options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self.environ,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), name="server-log")
        self._reader.start()
        if not self._listens.wait(PATIENCE_S) or not self.url:
            self.kill()
            raise AssertionError(f"the server does not listen:\n{self.log}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop, and return its exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Its exit code."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def kill(self) -> None:
        """End it at once, as the system would."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        token: str | None = "",
    ) -> Answer:
        """One request on a connection of its own; ``token`` is the default one, none where it is None."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE_S)
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.token}"
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str, **options: object) -> Answer:
        """``GET`` with the default token."""
        return self.request("GET", path, **options)  # type: ignore[arg-type]  # passed on

    def post(self, path: str, document: object = None, **options: object) -> Answer:
        """``POST`` of a JSON document with the default token."""
        return self.request("POST", path, json.dumps(document).encode(), **options)  # type: ignore[arg-type]  # passed on

    def connection(self) -> socket.socket:
        """A connection on which nothing has been said."""
        return socket.create_connection(self.address, timeout=PATIENCE_S)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        with io.TextIOWrapper(process.stderr, "utf-8", errors="surrogateescape", newline="\n") as stderr:  # as it is
            for line in stderr:
                self._lines.append(line)
                found = _LISTENING.search(line)
                if found is not None and not self._listens.is_set():
                    self.url = found[1]
                    self._listens.set()
        self._listens.set()


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other end closes; an abrupt end is an end."""
    said = b""
    while True:
        try:
            data = connection.recv(65_536)
        except ConnectionError:
            return said
        if not data:
            return said
        said += data
