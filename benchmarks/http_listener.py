"""What the listener of actors' servers costs: requests a second, beside uvicorn's own bare application. Prints JSON.

Both answer ``GET /`` with two bytes, on keep-alive connections, each on a loop of its own in a process of its own; this
process asks them in turns, round after round, so that both see the same machine. ``ratio`` is the median over the
rounds of the listener's rate by uvicorn's. Rates of one run compare with each other and with nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import socket
import statistics
import sys
import time
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from theater.capabilities.http_front import Admission, Answer, Head, Seat
from theater.capabilities.http_listener.listener import Listener

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

GET = b"GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nUser-Agent: benchmark\r\n\r\n"
ANSWER = Answer(200, (("content-type", "text/plain"),), b"ok")


class Front:
    """Answers everything at once."""

    def admit(self, _head: Head) -> Admission:
        return Admission(1000)

    async def answer(self, _head: Head, _body: bytes) -> Answer:
        return ANSWER

    def seat(self, _head: Head, _protocols: tuple[str, ...]) -> Answer:
        return Answer(404)

    async def opened(self, _seat: Seat, _head: Head) -> None:
        raise NotImplementedError

    async def heard(self, _connection: str, _message: str | bytes) -> None:
        raise NotImplementedError

    def closed(self, _connection: str, _code: int, _reason: str) -> None:
        raise NotImplementedError


async def bare(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": b"ok", "more_body": False})


def bound() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.bind(("127.0.0.1", 0))
    return made


def serve_listener(where: Connection) -> None:
    listener, door = Listener(Front(), report=lambda error: print(error, file=sys.stderr)), bound()
    port = door.getsockname()[1]
    listener.open("0" * 32, door, None)
    where.send(port)
    where.recv()
    listener.shut()


def serve_uvicorn(where: Connection) -> None:
    door = bound()
    where.send(door.getsockname()[1])
    config = uvicorn.Config(bare, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[door]))


async def rate(port: int, connections: int, seconds: float) -> float:
    """Answers a second; the client looks at their length only."""
    until = time.perf_counter() + seconds
    counts = await asyncio.gather(*(ask(port, until) for _ in range(connections)))
    return sum(counts) / seconds


async def ask(port: int, until: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.perf_counter() < until:
        writer.write(GET)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(2)
        count += 1
    writer.close()
    await writer.wait_closed()
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ports, processes, pipes = {}, [], []
    for name, serve in (("listener", serve_listener), ("uvicorn", serve_uvicorn)):
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(there,))
        process.start()
        ports[name] = here.recv()
        processes.append(process)
        pipes.append(here)
    rates: dict[str, list[float]] = {name: [] for name in ports}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for port in ports.values():
            runner.run(rate(port, options.connections, 0.3))
        for _ in range(options.rounds):
            for name, port in ports.items():
                rates[name].append(runner.run(rate(port, options.connections, options.seconds)))
    for process in processes:
        process.terminate()
        process.join()
    ratios = [ours / theirs for ours, theirs in zip(rates["listener"], rates["uvicorn"], strict=True)]
    print(
        json.dumps(
            {
                **{f"{name}_per_s": round(statistics.median(found)) for name, found in rates.items()},
                "ratio": round(statistics.median(ratios), 3),
                "ratio_least": round(min(ratios), 3),
                "ratio_most": round(max(ratios), 3),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
