"""Values as they are written on the command line, checked before anything is done: a wrong one is wrong usage."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from theater.errors import InvalidInput, InvalidJson
from theater.model.json_text import check_json, decode_json_bytes
from theater.model.manifest import is_name, parse_setting
from theater.model.quantity import parse_duration, parse_size

Params = Annotated[
    str | None, typer.Option("--params", metavar="JSON", help="What init is given, in place of the manifest's params.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A value for a placeholder of the manifest.")
]
Stdin = Annotated[
    str | None, typer.Option("--stdin", metavar="FILE|-", help="What a command reads from stdin; - is this one's.")
]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="CAP[=PATTERN]", help="Allow this beyond the node's ceiling, this once."),
]

JSON_MAX_BYTES = 64 * 2**20
"""The largest message that any actor can be allowed to take; each has a limit of its own."""

_SHOWN_MAX_CHARS = 80

_HASH = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(slots=True)
class Texts:
    """JSON texts of one command line; ``-`` is standard input, which can be read once."""

    is_stdin_read: bool = field(default=False)

    def read(self, text: str, option: str) -> str:
        """The text, or what stdin has. A text that is not JSON is wrong usage."""
        try:
            if text == "-":
                if self.is_stdin_read:
                    raise typer.BadParameter(f"{option} -: standard input was read already")
                self.is_stdin_read = True
                if sys.stdin is None:
                    raise typer.BadParameter(f"{option} -: standard input is closed")
                return decode_json_bytes(sys.stdin.buffer.read(JSON_MAX_BYTES + 1), max_bytes=JSON_MAX_BYTES).strip()
            check_json(text, max_bytes=JSON_MAX_BYTES)
        except InvalidJson as error:
            raise typer.BadParameter(f"{option} {text[:_SHOWN_MAX_CHARS]!r}: {error.message}") from error
        except OSError as error:
            raise typer.BadParameter(f"{option} -: standard input cannot be read: {error.strerror}") from error
        return text

    def read_stdin(self, path: str | None) -> bytes:
        """What a program is given to read: a file's bytes, or with ``-`` all that stdin has."""
        if path is None:
            return b""
        try:
            if path != "-":
                with Path(path).open("rb") as file:
                    data = file.read(JSON_MAX_BYTES + 1)
            elif self.is_stdin_read or sys.stdin is None:
                raise typer.BadParameter("--stdin -: standard input is closed, or was read already")
            else:
                self.is_stdin_read = True
                data = sys.stdin.buffer.read(JSON_MAX_BYTES + 1)
        except OSError as error:
            raise typer.BadParameter(f"--stdin {path}: it cannot be read: {error.strerror}") from error
        if len(data) > JSON_MAX_BYTES:
            raise typer.BadParameter(f"--stdin {path}: it has more than {JSON_MAX_BYTES} bytes")
        return data


def settings(texts: list[str]) -> dict[str, object]:
    """``--set NAME=VALUE``, each name once or the last one counts."""
    try:
        return dict(parse_setting(text) for text in texts)
    except InvalidInput as error:
        raise typer.BadParameter(error.message) from error


def name(text: str | None) -> str | None:
    """An actor's name."""
    if text is not None and not is_name(text):
        raise typer.BadParameter(f"--name {text!r}: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter")
    return text


def hash_of(text: str | None) -> str | None:
    """An event's hash."""
    if text is not None and not _HASH.match(text):
        raise typer.BadParameter(f"--head {text[:80]!r}: a hash is 64 lower-case hex digits")
    return text


def size(text: str | None, option: str, default: int) -> int:
    """Bytes, as ``64MiB``."""
    try:
        return default if text is None else parse_size(int(text) if text.isdigit() else text)
    except InvalidInput as error:
        raise typer.BadParameter(f"{option}: {error.message}") from error


def duration(text: str | None, option: str, default: float) -> float:
    """Seconds, as ``10s``."""
    try:
        return default if text is None else parse_duration(text)
    except InvalidInput as error:
        raise typer.BadParameter(f"{option}: {error.message}") from error
