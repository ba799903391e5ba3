"""Messages as they are made, and how they get into a mailbox: in a transaction, and right after it in memory."""

from __future__ import annotations

from theater.model.ids import ActorId
from theater.runtime.consequences import Consequences
from theater.runtime.letter import Letter, encode_letter
from theater.runtime.surroundings import Surroundings


def message(message_id: str, body: str, *, sender: ActorId | None, expects_reply: bool) -> dict[str, object]:
    """The record that ``actor.handle`` is given."""
    return {"id": message_id, "sender": sender, "expects-reply": expects_reply, "body": body}


def post(surroundings: Surroundings, brought: Consequences, to: ActorId, letter: Letter) -> None:
    """Put a letter into a mailbox, in this transaction."""
    brought.put(to, "mailbox", letter.id, encode_letter(letter), once=True)
    brought.after.append(lambda: surroundings.router.deliver(to, letter))
