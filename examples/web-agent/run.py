"""An agent with a model and a tool, told as a story: `.venv/bin/python examples/web-agent/run.py`.

The model and the tool are a server that this script starts on this machine. It goes away in the middle of the story,
and what the agent did can be run again all the same. Nothing is left behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from stand_in import standing_in

AGENT = Path(__file__).parent / "agent"
THEATER = Path(sys.executable).with_name("theater")
KEY = "sk-only-the-node-knows-this"
LINE_MAX_CHARS = 150
PATIENCE_S = 300
"""For a command: the first one compiles 19 MB, on a machine that may have other things to do."""

Say = Callable[[str], None]


class Node:
    """A node in a folder of its own, and the commands that a person would give there."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder
        self._say = say
        self._environment = {
            "HOME": str(folder),
            "PATH": os.environ.get("PATH", os.defpath),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "THEATER_DATA_DIR": str(folder / "data"),
            "MODEL_KEY": KEY,
            "COLUMNS": "120",
        }

    def configure(self, text: str) -> None:
        """Write the node's config."""
        file = self.folder / "config" / "theater" / "config.toml"
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")

    def theater(self, *arguments: str, code: int = 0, is_shown: bool = True) -> str:
        """Run ``theater ...``, show it and what it said; returns that. Fails unless it exits with ``code``."""
        shown = (f"'{argument}'" if set(argument) & set('{" ') else argument for argument in arguments)
        say = self._say if is_shown else _nothing
        say(f"   $ theater {' '.join(shown)}")
        done = subprocess.run(
            [THEATER, *arguments],
            cwd=AGENT.parent,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        for line in done.stdout.splitlines():
            say(f"     {line[:LINE_MAX_CHARS]}{'…' * (len(line) > LINE_MAX_CHARS)}")
        if done.returncode != code:
            raise RuntimeError(f"theater {arguments[0]} exited with {done.returncode}, not {code}:\n{done.stdout}")
        return done.stdout


def _nothing(line: str) -> None:
    """Say nothing."""


def story(folder: Path, say: Say = print) -> None:
    """Ask the agent that was built; then take the server away, and run all of it again."""
    node = Node(folder, say)
    say("1. A person gives the node the key of the model. A manifest has its name alone.")
    node.configure('[secrets]\nMODEL_KEY = "env:MODEL_KEY"\n')
    say('   config.toml: [secrets] MODEL_KEY = "env:MODEL_KEY"')

    with standing_in(KEY) as stand_in:
        at = ("--set", f"AT={stand_in.at}")
        say("\n2. The agent wants to reach something. Nothing out there is allowed unless a person says so.")
        node.theater("run", "agent", *at, code=1)

        say("\n3. Allowed this once, it is asked. The model wants the tool twice, and answers the third time.")
        question = '{"ask": "Is it warmer in Graz or in Oslo?"}'
        node.theater("run", "agent", *at, "--allow", "http-client", "--request", question)

        say("\n4. A weather report tells the model to fetch the keys. The model obeys; the grant does not.")
        question = '{"ask": "And in Nowhere?"}'
        node.theater("run", "--id", "web-agent", "--allow", "http-client", "--request", question)

        say("\n5. A model that never comes to an end is given up, and the conversation stays as it was.")
        question = '{"ask": "Go on for ever."}'
        node.theater("run", "--id", "web-agent", "--allow", "http-client", "--request", question, code=1)
        question = '{"ask": "How often did I ask you?"}'
        said = node.theater("run", "--id", "web-agent", "--allow", "http-client", "--request", question)

        say("\n6. What the server was asked, in all of that:")
        for line, times in Counter(stand_in.asked).items():
            say(f"     {times:2}x {line}")

    say("\n7. The server is gone. Every answer is in the chain, the denial too: here those of the second question.")
    second = question_at(node, "Nowhere")
    node.theater("events", "web-agent", "--kind", "host", "--from", str(second), "--limit", "4")
    say("   Every step is run again, with the answers from there, and comes out the same; anywhere.")
    head = said.split()[-1]
    node.theater("replay", "web-agent", "--head", head)
    bundle = folder / "web-agent.theater"
    node.theater("export", "web-agent", "-o", str(bundle))
    node.theater("verify", str(bundle), "--head", head)

    say(f"\n8. The key was on the wire, {stand_in.asked.count(_MODEL)} times. Where else is it?")
    files = [file for file in folder.rglob("*") if file.is_file()]
    texts = [node.theater("events", "web-agent", "--full", "--json", is_shown=False).encode()]
    found = sum(KEY.encode() in text for text in [*texts, *(file.read_bytes() for file in files)])
    say(f"   In {found} of the {len(files)} files of the node and of its {said_events(texts[0])} events.")
    check(asked=stand_in.asked, found=found)


def question_at(node: Node, word: str) -> int:
    """The number of the message in which a word stands."""
    messages = json.loads(node.theater("events", "web-agent", "--kind", "message", "--json", is_shown=False))
    return next(int(event["seq"]) for event in messages if word in json.dumps(event))


def said_events(document: bytes) -> int:
    """How many events a document has."""
    return len(json.loads(document))


def check(*, asked: list[str], found: int) -> None:
    """That the story is true: the server was asked what it should be and nothing since, and the key is nowhere."""
    if asked != ASKED:
        raise RuntimeError(f"the server was asked something else: {asked}")
    if found:
        raise RuntimeError("the key is in the data directory")


_MODEL, _WEATHER = "POST /v1/chat/completions", "GET /tools/weather?city="
ASKED = [
    *(_MODEL, f"{_WEATHER}Graz", _MODEL, f"{_WEATHER}Oslo", _MODEL),
    *(_MODEL, f"{_WEATHER}Nowhere", _MODEL, _MODEL),
    *(_MODEL, f"{_WEATHER}Graz") * 6,
    _MODEL,
]
"""What the server is to be asked, and nothing else."""


def main() -> None:
    subprocess.run([THEATER, "build", AGENT], check=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="theater-web-agent-") as folder:
        story(Path(folder))
    print(f"\nThat took {time.monotonic() - started:.0f} s, and left nothing behind.")


if __name__ == "__main__":
    main()
