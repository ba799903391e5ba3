"""``send`` and ``request``: a message to an actor that a server runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from theater.cli import options
from theater.cli.exits import Exit
from theater.cli.look import Id
from theater.cli.output import Output
from theater.cli.session import session_of
from theater.errors import Crashed, Refused
from theater.model.wire import Replied

REQUEST_TIMEOUT_S = 120.0
"""How long a reply is waited for. A step takes 70 s at most by the default limits; a deferred reply may never come."""

_KEY_MAX = 255
_CRASHED = "the step crashed: "

Body = Annotated[str, typer.Argument(metavar="JSON|-", help="The message; - is stdin.", show_default=False)]
Key = Annotated[
    str | None,
    typer.Option("--idempotency-key", metavar="KEY", help="Send the message once, however often this is repeated."),
]


def send(context: typer.Context, id: Id, body: Body, key: Key = None) -> None:
    """Send an actor a message, and print the message's id once it is accepted: it will be handled once."""
    session = session_of(context)
    text = options.Texts().read(body, "the message")
    _check(key)
    with session.client() as client:
        accepted = client.send(id, text, key=key)
    if session.output.json:
        session.output.document({"id": accepted.id, "receipt": accepted.receipt})
    else:
        session.output.line(f"message {accepted.id}")


def request(
    context: typer.Context,
    id: Id,
    body: Body,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="How long to wait for the reply; else 120s.")
    ] = None,
    key: Key = None,
) -> None:
    """Send an actor a message, wait for its reply, and print that. Exits 1 after a refusal or a crash."""
    session = session_of(context)
    output = session.output
    text = options.Texts().read(body, "the message")
    timeout_s = options.duration(timeout, "--timeout", REQUEST_TIMEOUT_S)
    _check(key)
    with session.client() as client, answered(output), output.working("waiting for the reply"):
        replied = client.request(id, text, timeout_s=timeout_s, key=key)
    reply = reply_text(replied)
    if output.json:
        receipt = {"seq": replied.receipt.seq, "hash": replied.receipt.hash}
        output.document({"reply": replied.reply, "receipt": receipt})
    elif reply is not None:
        output.json_line(reply)
    else:
        output.note("no reply: the actor gave none")


def reply_text(replied: Replied) -> str | None:
    """The reply's JSON text; None where the actor gave none."""
    if not replied.has_reply:
        return None
    return bytes(replied.reply).decode() if replied.reply is not None else "null"


@contextmanager
def answered(output: Output) -> Iterator[None]:
    """A refusal or a crash is what the actor says, and no error of the command's; it exits 1 all the same."""
    try:
        yield
    except (Refused, Crashed) as failed:
        if output.json:
            output.document({"error": {"code": failed.code, "message": failed.message}})
        if isinstance(failed, Refused):
            output.note(f"refused: {failed.message}")
        else:
            output.note(crash_line(failed), has_lines=True)
        raise typer.Exit(Exit.FAILED) from failed


def crash_line(crashed: Crashed) -> str:
    """How an actor crashed, as a message of a command that asked it something."""
    return f"crashed: {crashed.message.removeprefix(_CRASHED)}"


def _check(key: str | None) -> None:
    if key is not None and not (0 < len(key) <= _KEY_MAX and key.isascii() and key.isprintable()):
        raise typer.BadParameter("--idempotency-key: use 1 to 255 printable characters of ASCII")
