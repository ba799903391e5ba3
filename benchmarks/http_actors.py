"""Requests a second to one actor over its own HTTP server, and over the node's API. Prints JSON.

The actor is the same, compiled from WAT, and so is what it does: one step, durable before its answer. The server is a
process of its own and this one is the client, on the same machine; both share its cores. ``ratio`` is that of the own
server to the API, each round's against the same round's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.http_load import Server, load
from tests.guests import puppet
from tests.runtime.served import HOST, SERVER, answering

MANIFEST = f"""
name = "web"
component = "web.wat"
[capabilities.http-server]
listen = ["{HOST}:0"]
[capabilities.messaging]
[capabilities.timing]
"""
JSON = "Content-Type: application/json"
REPLY = puppet.reply("hello")
OPENING = puppet.open_server() + puppet.log(puppet.HEAD) + answering("/", REPLY)


def theater(data_dir: Path, *words: str) -> str:
    """What a command says."""
    command = [sys.executable, "-m", "theater.cli", "--data-dir", str(data_dir), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"theater {words[0]} failed:\n{done.stderr}")
    return done.stdout


def asking(method: str, path: str, host: str, body: str = "", *fields: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([*lines, "", body]).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {"own_server": [], "api": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "web.wat").write_text(SERVER)
        (folder / "theater.toml").write_text(MANIFEST)
        with Server(folder / "served") as where:
            parts = urlsplit(where.url)
            assert parts.hostname is not None
            assert parts.port is not None
            theater(folder / "served", "start", str(folder / "theater.toml"), "--allow", "http-server")
            theater(folder / "served", "request", "web", json.dumps(OPENING))
            listed = theater(folder / "served", "inspect", "web")
            port = int(listed.partition(f"http://{HOST}:")[2].split()[0])
            host = f"{parts.hostname}:{parts.port}"
            token = f"Authorization: Bearer {where.token}"
            asked = asking("POST", "/v1/actors/web/request", host, json.dumps(REPLY), token, JSON)
            for _ in range(options.rounds):
                for kind, address, message in (
                    ("own_server", (HOST, port), asking("GET", "/", f"{HOST}:{port}")),
                    ("api", (parts.hostname, parts.port), asked),
                ):
                    found = asyncio.run(load(address, [message] * options.connections, options.seconds))
                    rates[kind].append(found["per_s"])
    ratios = [own / api for own, api in zip(rates["own_server"], rates["api"], strict=True)]
    medians = {f"{kind}_per_s": round(statistics.median(found)) for kind, found in rates.items()}
    print(json.dumps({**medians, "ratio": round(statistics.median(ratios), 2)}, indent=2))


if __name__ == "__main__":
    main()
