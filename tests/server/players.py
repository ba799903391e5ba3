"""Actors behind a server that runs as a process: what a test starts there, over HTTP as anybody would."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runtime.stage import Workshop
from tests.server.process import RunningServer


@contextmanager
def peopled_server(
    workshop: Workshop, folder: Path, *options: str, texts: Iterable[str] = ()
) -> Iterator[tuple[RunningServer, Players]]:
    """A server in whose data directory these guests are compiled already."""
    for text in texts:
        workshop.file(text)
    data_dir = folder / "data"
    data_dir.mkdir(mode=0o700)
    if workshop.cache.exists():
        shutil.copytree(workshop.cache, data_dir / "cache")
    with RunningServer(folder, *options, data_dir=data_dir) as server:
        yield server, Players(server, workshop)


class Players:
    """Starts actors on a server, and again where they are gone."""

    def __init__(self, server: RunningServer, workshop: Workshop) -> None:
        self.server = server
        self._workshop = workshop

    def digest(self, text: str) -> str:
        """The component of a text, in the server's content store."""
        data = self._workshop.file(text).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        headers = {"Content-Type": "application/octet-stream"}
        put = self.server.request("PUT", f"/v1/blobs/{digest}", data, headers=headers)
        assert put.status in (200, 201), put
        return digest

    def start(self, text: str, name: str, more: str = "", **order: object) -> str:
        """The id of an actor that is started."""
        manifest = f'name = "{name}"\ncomponent = "x.wasm"\n{more}'
        order = {"manifest": manifest, "component": self.digest(text), **order}
        started = self.server.post("/v1/actors", order)
        assert started.status == 201, started
        actor = started.document["actor"]
        assert isinstance(actor, dict)
        return str(actor["id"])

    def revive(self, text: str, name: str, more: str = "") -> None:
        """Have an actor of that name that runs, whatever was done to the one before."""
        found = self.server.get(f"/v1/actors/{name}")
        if found.status == 404:
            self.start(text, name, more)
        elif '"status":"running"' not in found.body.decode():
            again = self.server.post(f"/v1/actors/{name}/restart", {"from_init": True})
            assert again.status == 200, again
