"""The main job from end to end, on real input, with what really comes out: ``make demo`` runs it and asks nothing.

Each part runs the ``theater`` command as a person would type it. The one thing that no command does is forging a
history; that is done here, in ``forge``, as well as it can be done by somebody who has the file and knows the format.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from theater.chain.lines import encode_line, read_lines
from theater.chain.sealing import seal
from theater.model.event import EMPTY, Head

EXAMPLES = Path(__file__).parent
THEATER = Path(sys.executable).with_name("theater")


class Demo:
    """Runs commands in a folder of its own, and shows them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "HOME": str(folder),
            "PATH": f"{THEATER.parent}:/usr/local/bin:/usr/bin:/bin",
            "THEATER_DATA_DIR": str(folder / "data"),
            "SECRET_TOKEN": "hunter2",
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "COLUMNS": "120",
        }

    def say(self, text: str) -> None:
        print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n# {text}", flush=True)

    def run(self, *arguments: str, status: int = 0, lines: int = 40) -> str:
        """Run ``theater ...``, show it and what it printed; returns that. Fails unless it exits with ``status``."""
        shown = " ".join(argument if argument.isidentifier() else _quoted(argument) for argument in arguments)
        print(f"$ theater {shown}", flush=True)
        done = subprocess.run(
            [THEATER, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        output = done.stdout.rstrip().splitlines()
        for line in output[:lines]:
            print(f"  {line}")
        if len(output) > lines:
            print(f"  … {len(output) - lines} more lines")
        if done.returncode:
            print(f"  [exit {done.returncode}]")
        if done.returncode != status:
            sys.exit(f"the demo expected exit {status} and got {done.returncode}")
        return done.stdout

    def quietly(self, *arguments: str) -> str:
        """The same without showing anything."""
        done = subprocess.run(
            [THEATER, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout


def _quoted(argument: str) -> str:
    return f"'{argument}'" if set(argument) & set('{}" ') else argument


def forge(chain: Path, forged: Path) -> int:
    """Write a history in which a reply is another, with every commitment and every hash made anew behind it."""
    head, changed = EMPTY, -1
    with chain.open("rb") as old, forged.open("wb") as new:
        for event in read_lines(old.readline):
            assert event.payload is not None
            payload = event.payload
            if event.header.kind == "state" and b'\\"count\\":5' in payload:
                payload = payload.replace(b'\\"count\\":5', b'\\"count\\":50')
                changed = event.header.seq
            header = event.header
            sealed = seal(
                head,
                actor=header.actor,
                kind=header.kind,
                name=header.name,
                payload=payload,
                salt=os.urandom(16),
                time_us=header.time_us,
            )
            head = Head(sealed.header.seq, sealed.hash)
            new.write(encode_line(sealed))
    return changed


def tamper(chain: Path, tampered: Path) -> int:
    """Change one digit in one event, as a bad disk or a clumsy hand would."""
    lines = chain.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        if rb"\"by\\\":3" in line:
            lines[number] = line.replace(rb"\"by\\\":3", rb"\"by\\\":4")
            tampered.write_bytes(b"".join(lines))
            return number
    raise AssertionError("the chain has no such message")


def main() -> None:
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="theater-demo-"))
    try:
        story(Demo(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\nThat took {time.monotonic() - started:.0f} s, and left nothing behind.")


def story(demo: Demo) -> None:
    folder = demo.folder
    demo.say("1. An actor: 15 lines of Python, built into a sandboxed WebAssembly component.")
    demo.run("create", "counter")
    for line in (folder / "counter" / "actor.py").read_text().splitlines():
        print(f"  | {line}")
    demo.run("build", "counter")

    demo.say("2. Run it. Every message is one step; state and history are kept.")
    demo.run("run", "counter/theater.toml", "--request", '{"by":2}', "--request", '{"by":3}')
    demo.run("run", "--id", "counter", "--request", '{"by":10}')
    demo.run("events", "counter")

    demo.say("3. Any past state can be seen, and the whole history runs again to the same bytes.")
    demo.run("state", "counter")
    demo.run("state", "counter", "--at", "5")
    demo.run("replay", "counter", "--step")

    demo.say("4. Now one that nobody should trust.")
    shutil.copytree(EXAMPLES / "mischief", folder / "mischief", ignore=shutil.ignore_patterns("build"))
    demo.run("build", "mischief")
    demo.say("   It loops for ever:")
    demo.run("run", "mischief", "--name", "looper", "--request", '{"do":"loop"}', status=1)
    demo.say("   It eats memory:")
    demo.run("run", "mischief", "--name", "eater", "--request", '{"do":"eat"}', status=1)
    demo.say(
        "   It reads the environment, in which there is a SECRET_TOKEN, but not for it; then it attacks the terminal:"
    )
    demo.run("run", "mischief", "--name", "snoop", "--request", '{"do":"environment"}', "--request", '{"do":"escape"}')
    demo.say("   It opens a file:")
    demo.run("run", "mischief", "--name", "thief", "--request", '{"do":"file"}', status=1)
    demo.say("   It asks for the token in its manifest instead:")
    manifest = folder / "mischief" / "theater.toml"
    manifest.write_text(manifest.read_text() + '\n[capabilities.environment]\nallow = ["SECRET_TOKEN"]\n')
    demo.run("run", "mischief", "--name", "beggar", "--request", '{"do":"environment"}', status=1)
    demo.say("   Each of them was contained, and its history says why it ended, and verifies:")
    demo.run("list")
    for name in ("looper", "eater", "thief"):
        crash = json.loads(demo.quietly("events", name, "--kind", "crashed", "--json"))[0]["payload"]
        last = str(crash.get("message", "")).strip().splitlines()[-1:]
        print(f"  {name}: crashed ({crash['reason']}) after {crash['fuel']:,} units of fuel: {' '.join(last)}")
        demo.run("verify", name, lines=1)

    demo.say("5. A stranger gets the history as one file, and needs nothing else to check it.")
    head = json.loads(demo.quietly("list", "--json"))[0]["head"]
    demo.run("export", "counter", "-o", "counter.theater")
    demo.run("verify", "counter.theater", "--head", head)

    demo.say("6. Somebody changes one digit in it:")
    demo.run("export", "counter", "-o", "counter.jsonl")
    tamper(folder / "counter.jsonl", folder / "tampered.jsonl")
    component = "counter/build/counter.wasm"
    demo.run("verify", "tampered.jsonl", "--component", component, status=1)

    demo.say("7. Somebody cleverer changes a reply and makes every hash behind it anew. The hashes are in order:")
    forge(folder / "counter.jsonl", folder / "forged.jsonl")
    demo.run("verify", "forged.jsonl", "--no-execute")
    demo.say("   But the component, run again, does not say that:")
    demo.run("verify", "forged.jsonl", "--component", component, status=1)


if __name__ == "__main__":
    main()
