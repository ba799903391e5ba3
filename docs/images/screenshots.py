"""Makes the pictures beside it: what commands look like on a terminal, taken from one (tmux) and drawn as SVG.

    .venv/bin/python docs/images/screenshots.py [NAME...]

It starts a server on a free port with a few actors at work, in a folder that goes with it. Needs tmux.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

HERE = Path(__file__).parent
THEATER = Path(sys.executable).with_name("theater")
COLUMNS, ROWS = 116, 40
PATIENCE_S = 120.0
REST_S = 1.0
TABLES = 8
"""How many tables of ``top`` go by before one is taken: the first come before anything has happened."""

SHOTS = {
    "list": "theater list",
    "tree": "theater tree",
    "events": "theater events my-team-2",
    "inspect": "theater inspect my-actor",
    "top": "theater top",
}


_FONT = re.compile(r"^ *@font-face \{[^}]*\}\n", re.MULTILINE)


class Terminal:
    """A terminal of tmux, with a shell in it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._tmux = ["tmux", "-L", f"theater-{os.getpid()}", "-f", os.devnull]
        self._folder = folder
        self._environment = environment
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        self._call("new-session", "-d", "-s", "shots", *size, "bash --norc --noprofile")
        self._call("send-keys", "-t", "shots", "PS1='$ '; clear", "Enter")

    def run(self, line: str) -> None:
        """Type a line on a screen that was cleared."""
        self._call("send-keys", "-t", "shots", "clear", "Enter")
        self._call("send-keys", "-t", "shots", line, "Enter")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._call("send-keys", "-t", "shots", "C-c", "")

    def shown(self) -> str:
        """What is on the screen, colours included."""
        return self._call("capture-pane", "-t", "shots", "-e", "-p").rstrip("\n")

    def close(self) -> None:
        """End the terminal and all in it."""
        self._call("kill-server")

    def _call(self, *words: str) -> str:
        command = [*self._tmux, *words]
        done = subprocess.run(
            command, cwd=self._folder, env=self._environment, capture_output=True, text=True, check=True
        )
        return done.stdout


class Errands:
    """Requests that keep an actor busy while the pictures are taken."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._is_over = threading.Event()
        self._arguments = (folder, environment)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(0.1):
            theater(*self._arguments, "send", "my-actor", json.dumps({"by": 1}))
            theater(*self._arguments, "request", "my-team", json.dumps({"text": "to be or not to be"}))


def at_rest(terminal: Terminal, line: str) -> list[str]:
    """The screen without the prompt below, once the command has said all, or has changed its table a few times."""
    until = time.monotonic() + PATIENCE_S
    seen: list[str] = []
    while time.monotonic() < until:
        time.sleep(REST_S)
        seen.append(terminal.shown())
        lines = seen[-1].splitlines()
        is_over = Text.from_ansi(lines[-1]).plain.strip() == "$" if lines else False
        begins = [at for at, text in enumerate(lines) if Text.from_ansi(text).plain.rstrip() == f"$ {line}"]
        if is_over and begins:  # above that may be what was typed before the shell was ready
            return lines[begins[-1] : -1]
        if line == SHOTS["top"] and "STEPS/S" in seen[-1] and len(seen) >= TABLES:
            return lines
    raise SystemExit(f"{line} does not come to rest:\n{seen[-1]}")


def draw(lines: list[str], name: str) -> None:
    """As SVG."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi("\n".join(lines)), no_wrap=True, crop=True)  # a style may go on in the next line
        svg = console.export_svg(title="theater", unique_id=name, theme=MONOKAI)
    # A picture fetches nothing: whoever has the font sees it, and all others their own.
    text = "\n".join(line.rstrip() for line in _FONT.sub("", svg).splitlines())
    (HERE / f"{name}.svg").write_text(text + "\n", encoding="utf-8")


def theater(folder: Path, environment: dict[str, str], *words: str) -> int:
    return subprocess.run([THEATER, *words], cwd=folder, env=environment, capture_output=True, check=False).returncode


def population(folder: Path, environment: dict[str, str]) -> None:
    """A counter that has counted, a team with a worker that was restarted and one that was stopped, and a crash."""
    for words in (
        ["create", "my-actor"],
        ["build", "my-actor"],
        ["create", "my-team", "--template", "supervisor"],
        ["build", "my-team"],
        ["start", "my-actor"],
        ["start", "my-team", "--params", json.dumps({"workers": 3})],
        *(["request", "my-actor", json.dumps({"by": by})] for by in (2, 3, 5)),
        ["request", "my-team", json.dumps({"text": "to be or not to be"})],
        ["request", "my-team", json.dumps({"text": ""})],
        ["start", "my-actor", "--name", "spare"],
        ["pause", "spare"],
        ["start", "my-actor", "--name", "broken"],
        ["request", "broken", json.dumps({"by": "two"})],
    ):
        theater(folder, environment, *words)


def main() -> None:
    """Take all of them, or those that are named."""
    wanted = sys.argv[1:] or list(SHOTS)
    folder = Path(tempfile.mkdtemp(prefix="theater-shots-"))
    environment = {
        "HOME": str(folder),
        "PATH": f"{THEATER.parent}:/usr/local/bin:/usr/bin:/bin",
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
    }
    server = subprocess.Popen(
        [THEATER, "server", "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True, cwd=folder
    )
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if "listening on" in line:
                break
        threading.Thread(target=server.stderr.read, daemon=True).start()  # so that it never waits to be read
        population(folder, environment)
        terminal = Terminal(folder, environment)
        try:
            for name in wanted:
                if name == "top":
                    with Errands(folder, environment):
                        terminal.run(SHOTS[name])
                        draw(at_rest(terminal, SHOTS[name]), name)
                        terminal.interrupt()
                else:
                    terminal.run(SHOTS[name])
                    draw(at_rest(terminal, SHOTS[name]), name)
        finally:
            terminal.close()
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
