"""A command of Python's standard library alone."""

# ruff: noqa: T201 - a program prints

import encodings.idna  # noqa: F401 - a component has only the modules that are imported when it is built
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from client import ask  # type: ignore[import-not-found]


class Run:
    def run(self) -> None:
        arguments = sys.argv[1:]
        if arguments[:1] == ["ask"]:
            ask(arguments[1])
            return
        print("arguments: " + "|".join(arguments))
        print("variable: " + os.environ.get("GREETING", "none"))
        print(f"stdin: {len(sys.stdin.read())}")
        try:
            files()
        except OSError as error:
            print(f"files: {error}")
        attempt("up", Path("data/../../secret.txt").read_text)
        attempt("absolute", Path("/etc/passwd").read_text)
        attempt("link", Path("data/link.txt").read_text)
        attempt("read-only", lambda: Path("data/in.txt").write_text("gone"))
        attempt("remove", Path("data/in.txt").unlink)

        print(f"random: {random.getrandbits(64):016x}")
        began = time.monotonic()
        time.sleep(0.02)
        print("slept: " + ("true" if time.monotonic() - began >= 0.02 else "false"))
        print(f"time: {int(time.time())}")

        attempt("tcp", lambda: socket.create_connection(("127.0.0.1", 9)))
        attempt("name", lambda: socket.getaddrinfo("example.invalid", 80))
        print("bye", file=sys.stderr)
        if "fail" in arguments:
            sys.exit(1)


def files() -> None:
    text = Path("data/in.txt").read_text()
    print("read: " + text.strip())
    print("listed: " + " ".join(sorted(path.name for path in Path("data").iterdir())))
    Path("out/deep").mkdir()
    draft = Path("out/deep/draft.txt")
    draft.write_text(text.upper())
    with draft.open("a") as file:
        file.write("more\n")
    draft.rename("out/result.txt")
    Path("out/deep").rmdir()
    print(f"size: {Path('out/result.txt').stat().st_size}")


def attempt(name: str, action: Callable[[], object]) -> None:
    try:
        action()
    except OSError as error:
        print(f"{name}: refused ({error.strerror})")
    else:
        print(f"{name}: done")
