"""Asking an actor on behalf of a client, on the listener's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from theater.capabilities.http_answer import plain
from theater.capabilities.http_front import Answer
from theater.errors import (
    Busy,
    Crashed,
    InternalError,
    MailboxFull,
    NotFound,
    NotRunning,
    Refused,
    StoreError,
    TheaterError,
)
from theater.model.ids import ActorId
from theater.model.news import Handled, News, Post

Outcome = Handled | TheaterError

RETRY_AFTER_S = 1
"""A mailbox of a thousand is worked off in about that time."""


async def ask(
    post: Post,
    actor: ActorId,
    news: News,
    *,
    is_durable: bool = False,
    keeps: Sequence[tuple[str, bytes]] = (),
    late: Callable[[Outcome], None] | None = None,
) -> Outcome:
    """Bring news, and wait for what comes of it. Where that is cancelled, ``late`` hears it once it comes."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Outcome] = loop.create_future()

    def arrived(outcome: Outcome) -> None:
        if not future.done():
            future.set_result(outcome)
        elif late is not None:
            late(outcome)

    def answered(outcome: Outcome) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody is left who could wait
            loop.call_soon_threadsafe(arrived, outcome)

    forgo = post.bring(actor, news, answered, is_durable=is_durable, keeps=keeps)
    try:
        return await future
    except asyncio.CancelledError:
        forgo()
        if future.done() and not future.cancelled() and late is not None:  # both came at once
            late(future.result())
        raise


def answer_to(error: TheaterError, *, refused: int) -> Answer:
    """What a client hears in place of an actor's answer. ``refused``: the status for what the actor refused."""
    match error:
        case Refused():
            return plain(refused)
        case MailboxFull() | Busy():
            return plain(503, {"retry-after": str(RETRY_AFTER_S)})
        case NotRunning() | NotFound() | StoreError():
            return plain(503)
        case Crashed() | InternalError():
            return plain(500)
    return plain(500)
