"""What a guest can do with the world, each as a line of Python that it is sent: ``CASES``.

To add one, add a line here, and its capability to ``CAPABILITIES``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.guests.python import python_actor

SOURCE = """
import os, random, sys, time, uuid
from datetime import UTC, datetime
from pathlib import Path

from theater_sdk import Actor, CallFailed, files, http, log, request, self_id, send, sleep, store, whereis
from wit_world.imports import environment, process, values
from wit_world.imports import random as host_random


def ran(program, *arguments):
    form = values.ContentForm.AUTOMATIC
    return process.run(process.ProcessSpec(program, list(arguments), None, [], None, form), None).stdout.value


class Guest(Actor):
    def handle(self, state, message):
        names = globals() | {"answer": None, "message": message}
        exec(message.body, names)
        return names["answer"], names["answer"]
"""
"""Does what it is told, which is Python, and answers with ``answer``."""


@dataclass(frozen=True, slots=True)
class Case:
    """Something to do, with ``{url}`` for a server, ``{folder}`` for the name of a directory."""

    name: str
    body: str
    expected: object = None
    """What it answers while the world is there; None where that is not known."""
    touches: str = ""
    """The beginning of the audit event that it raises, live; "" where Python sees nothing of it."""

    def program(self, place: Mapping[str, str]) -> str:
        """The body of the message."""
        text = self.body
        for key, value in place.items():
            text = text.replace(f"{{{key}}}", value)
        return text


CASES = (
    Case("a safe request", 'answer = http.get("{url}/v1/hello").text', "hello", "socket."),
    Case("an unsafe request", 'answer = http.post("{url}/v1/hello", json=1).text', "hello", "socket."),
    Case("a denied request", 'try: http.get("{url}/v2")\nexcept CallFailed as e: answer = e.reason', "denied"),
    Case("reading a file", 'answer = files.read_text("{folder}/a.txt")', "hello", "open"),
    Case("writing a file", 'answer = files.write("{folder}/b.txt", "b")', None, "open"),
    Case("many changes of files", 'for n in range(9): files.append("{folder}/log", f"{n}")', None, "open"),
    Case("making a directory", 'answer = files.create_directory("{folder}/d")', None, "open"),
    Case("renaming a file", 'answer = files.rename("{folder}/a.txt", "{folder}/c.txt")', None, "open"),
    Case("listing a directory", 'answer = [each.name for each in files.list_directory("{folder}/d")]', [], "open"),
    Case("Python's own files", 'p = Path("{folder}/p"); p.write_text("p"); answer = p.read_text()', "p", "open"),
    Case("a program", 'answer = ran("/usr/bin/printf", "hello")', "hello", "open"),
    Case("blobs", 'answer = store.get_text(store.put_at_label("l", "kept"))', "kept"),
    Case("a variable", 'answer = [environment.get("LANG"), os.environ.get("LANG")]', ["tlh", "tlh"]),
    Case("randomness", "answer = [random.random(), uuid.uuid4().hex, os.urandom(4).hex()]"),
    Case("the capability random", "answer = [host_random.random_u64(), host_random.random_uuid()]"),
    Case("clocks", "answer = [time.time(), time.monotonic(), str(datetime.now(UTC))]"),
    Case("sleeping", "time.sleep(0.01); sleep(0.01); answer = time.time()"),
    Case("a request to another actor", 'answer = request(whereis("other"), "answer = 6 * 7")', 42),
    Case("a message to itself", 'send(self_id(), "answer = 1"); answer = 2', 2),
    Case("what is printed", 'print("said"); print("said too", file=sys.stderr); log("info", "so"); answer = 3', 3),
)
CAPABILITIES = ("environment", "filesystem", "http-client", "messaging", "process", "random", "store", "timing")


def guest() -> Path:
    """The component that does it all."""
    return python_actor(SOURCE, capabilities=CAPABILITIES)


def write_manifest(folder: Path, name: str, place: Mapping[str, str]) -> Path:
    """A manifest, in ``folder``, that grants what the cases need: the server, and the directory below ``folder``."""
    at = place["url"].removeprefix("http://")
    (folder / place["folder"]).mkdir(exist_ok=True)
    (folder / "beside").mkdir(exist_ok=True)  # so that a path begins with the name of a directory
    manifest = folder / f"{name}.toml"
    manifest.write_text(
        f'name = "{name}"\ncomponent = {json.dumps(os.fspath(guest()))}\n[limits]\nmemory = "256MiB"\n'
        + "".join(f"[capabilities.{each}]\n{_KEYS.get(each, '')}\n" for each in CAPABILITIES)
        .replace("URL", f"{place['url']}/v1/")
        .replace("AT", at)
        .replace("FOLDER", place["folder"])
    )
    return manifest


_KEYS = {
    "environment": 'allow = ["LANG"]',
    "filesystem": 'write = ["FOLDER", "beside"]',
    "http-client": 'allow = ["* URL"]\nprivate = ["AT"]',
    "messaging": 'to = ["any"]',
    "process": 'allow = ["/usr/bin/printf"]',
}
