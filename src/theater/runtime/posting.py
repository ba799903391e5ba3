"""Messages as they are made, and how they get into a mailbox: in a transaction, and right after it in memory."""

from __future__ import annotations

from theater.errors import StoreError
from theater.model.ids import ActorId
from theater.model.payload import Cause
from theater.runtime.consequences import Consequences
from theater.runtime.exports import HANDLE
from theater.runtime.letter import Letter, encode_letter, nobody
from theater.runtime.surroundings import Surroundings


def message(message_id: str, body: str, *, sender: ActorId | None, expects_reply: bool) -> dict[str, object]:
    """The record that ``actor.handle`` is given."""
    return {"id": message_id, "sender": sender, "expects-reply": expects_reply, "body": body}


def accepted(
    message_id: str,
    body: str,
    *,
    source: str,
    sender: ActorId | None,
    cause: Cause | None = None,
    until_us: int | None = None,
) -> Letter:
    """A message on its way into a mailbox for good; a request where somebody waits for its answer ``until_us``."""
    expects_reply = until_us is not None
    return Letter(
        id=message_id,
        source=source,
        export=HANDLE,
        arguments=(message(message_id, body, sender=sender, expects_reply=expects_reply),),
        expects_reply=expects_reply,
        done=nobody,
        sender=sender,
        cause=cause,
        expires_us=until_us,
        is_durable=True,
        has_place=True,
    )


def post(surroundings: Surroundings, brought: Consequences, to: ActorId, letter: Letter) -> None:
    """Put a letter into a mailbox, in this transaction."""
    brought.put(to, "mailbox", letter.id, encode_letter(letter), once=True)
    posted = _Posted(surroundings, to, letter)
    brought.after.append(posted.deliver)
    if letter.has_place:
        brought.undone.append(posted.undo)


class _Posted:
    """A letter that is delivered, or gives its place back, whichever comes first; on any thread."""

    __slots__ = ("_letters", "_surroundings", "_to")

    def __init__(self, surroundings: Surroundings, to: ActorId, letter: Letter) -> None:
        self._surroundings = surroundings
        self._to = to
        self._letters = [letter]

    def deliver(self) -> None:
        """Its transaction has its place. Whoever gets it frees its place."""
        letter = self._take()
        if letter is not None:
            self._surroundings.router.deliver(self._to, letter)

    def undo(self, failure: StoreError) -> None:
        """Its transaction was not written, and it was delivered to nobody yet."""
        del failure
        card = self._surroundings.directory.card(self._to)
        if self._take() is not None and card is not None:
            self._surroundings.directory.free_place(card)

    def _take(self) -> Letter | None:
        try:
            return self._letters.pop()
        except IndexError:
            return None
