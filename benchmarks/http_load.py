"""How many requests a second a server answers over HTTP, and whose the time is. Prints JSON.

* ``one``: requests to one actor, by as many connections as ``--connections`` says;
* ``hundred``: requests to 100 actors, each by a connection of its own: each is a step, durable before its answer;
* ``health``: the same connections ask ``/healthz``: HTTP alone, no actor, no token;
* ``inside``: the same 100 actors asked in this process without HTTP, by ``ActorRef.request_json``;
* ``seen_ms``: from the answer of a request to the sight of its closing event in a stream of the actor's events.

The server is a process of its own and this one is the client, on the same machine; both share its cores. ``server_cpu``
is what the server's process used of them, in seconds a request. Rates of one run compare with each other and with
nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.guests.wat import COUNTER
from theater.client import Client
from theater.model.wire import StartOrder
from theater.runtime.runtime import Runtime
from theater.runtime.server_files import ServerFile, read_server_file
from theater.store import DataDir

ACTORS = 100
BODY = b'{"by":1}'
MANIFEST = 'name = "counter-{number}"\ncomponent = "counter.wat"\n'


class Server:
    """A server process of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def __enter__(self) -> ServerFile:
        command = [sys.executable, "-m", "theater.cli", "--data-dir", str(self.data_dir), "server", "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "http://" in line:
                break
        threading.Thread(target=self.process.stderr.read, daemon=True).start()  # a full pipe would stop the server
        where = read_server_file(DataDir(self.data_dir))
        assert where is not None
        return where

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)

    def cpu_s(self) -> float:
        """What it has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def connection(address: tuple[str, int], message: bytes, until: float, times: list[float]) -> None:
    """Send one message after the other, and read each answer whole."""
    reader, writer = await asyncio.open_connection(*address)
    while time.perf_counter() < until:
        started = time.perf_counter()
        writer.write(message)
        await read_answer(reader)
        times.append(time.perf_counter() - started)
    writer.close()
    await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    at = head.lower().index(b"content-length:") + 15
    await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))


def rate_of(times: list[float], took: float) -> dict[str, float]:
    times.sort()
    return {
        "per_s": round(len(times) / took),
        "p50_ms": round(statistics.median(times) * 1000, 2),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 2),
    }


async def load(address: tuple[str, int], messages: list[bytes], seconds: float) -> dict[str, float]:
    """One connection for each of ``messages``."""
    times: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(connection(address, message, started + seconds, times) for message in messages))
    return {**rate_of(times, time.perf_counter() - started), "requests": len(times)}


def request(path: str, host: str, token: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY


def start_actors(client: Client, component: bytes) -> list[str]:
    digest = client.put_blob(component).digest
    orders = [StartOrder(manifest=MANIFEST.format(number=number), component=digest) for number in range(ACTORS)]
    return [client.start(order).actor.id for order in orders]


async def inside(folder: Path, seconds: float) -> dict[str, float]:
    """The same work without HTTP."""
    times: list[float] = []
    async with Runtime(data_dir=folder / "inside", environ={"HOME": str(folder)}) as runtime:
        actors = []
        for number in range(ACTORS):
            path = folder / f"{number}.toml"
            path.write_text(MANIFEST.format(number=number))
            actors.append(await runtime.spawn(path))
        started = time.perf_counter()

        async def client(number: int) -> None:
            while time.perf_counter() < started + seconds:
                begun = time.perf_counter()
                await actors[number].request_json(BODY.decode())
                times.append(time.perf_counter() - begun)

        await asyncio.gather(*(client(number) for number in range(ACTORS)))
        took = time.perf_counter() - started
    return rate_of(times, took)


async def seen(address: tuple[str, int], host: str, token: str, actor: str, rounds: int) -> dict[str, float]:
    """How long after the answer of a request its closing event is seen in a stream."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(
        f"GET /v1/actors/{actor}/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        "Accept: text/event-stream\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    asker, ask = await asyncio.open_connection(*address)
    message = request(f"/v1/actors/{actor}/request", host, token)
    times: list[float] = []
    for _ in range(rounds):
        sight = asyncio.create_task(sight_of(reader))
        ask.write(message)
        await read_answer(asker)
        answered = time.perf_counter()
        times.append(max(0.0, await sight - answered))
    for each in (writer, ask):
        each.close()
    times.sort()
    return {"p50": round(statistics.median(times) * 1000, 2), "max": round(times[-1] * 1000, 2)}


async def sight_of(reader: asyncio.StreamReader) -> float:
    while True:
        line = await reader.readline()
        if line.startswith(b"data:") and b'"kind":"state"' in line:
            return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "counter.wat").write_text(COUNTER)
        server = Server(folder / "served")
        with server as where:
            parts = urlsplit(where.url)
            assert parts.hostname is not None
            assert parts.port is not None
            address, host = (parts.hostname, parts.port), f"{parts.hostname}:{parts.port}"
            with Client(where.url, where.token) as client:
                actors = start_actors(client, assembled(folder))

            def measured(messages: list[bytes]) -> dict[str, float]:
                before = server.cpu_s()
                result = asyncio.run(load(address, messages, options.seconds))
                return {**result, "server_cpu_ms": round((server.cpu_s() - before) * 1000 / result["requests"], 3)}

            one = request(f"/v1/actors/{actors[0]}/request", host, where.token)
            results["one"] = measured([one] * options.connections)
            hundred = [request(f"/v1/actors/{actor}/request", host, where.token) for actor in actors]
            results["hundred"] = measured(hundred)
            results["health"] = measured([f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()] * ACTORS)
            results["seen_ms"] = asyncio.run(seen(address, host, where.token, actors[0], 200))
        results["inside"] = asyncio.run(inside(folder, options.seconds))
    print(json.dumps(results, indent=2))


def assembled(folder: Path) -> bytes:
    """The binary of the guest: the server takes no text."""

    async def assemble() -> bytes:
        async with Runtime(data_dir=folder / "assembling", environ={"HOME": str(folder)}) as runtime:
            return runtime.blobs.path(await runtime.put_component(folder / "counter.wat")).read_bytes()

    return asyncio.run(assemble())


if __name__ == "__main__":
    main()
