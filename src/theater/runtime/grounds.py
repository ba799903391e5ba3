"""What an open step rests on: its message, and the answers that it was given in the middle of it.

These came from others, in transactions that may not be written yet, and that may fail. So whatever is written of the
step before it is closed is written only where they are in the store. Once is enough: they leave it with the step's end,
and nobody but the actor itself takes them away.
"""

from __future__ import annotations

import msgspec

from theater.model.ids import ActorId
from theater.runtime.consequences import Consequences
from theater.runtime.letter import Letter, encode_letter


class Grounds:
    """See above. Everything but ``was_given`` is called under the appender's lock."""

    __slots__ = ("_actor", "_answers", "_is_required", "letter")

    def __init__(self, actor: ActorId, letter: Letter) -> None:
        self._actor = actor
        self._answers: list[str] = []
        self._is_required = False
        self.letter = letter

    def was_given(self, answer_id: str) -> None:
        """The step is about to go on with that answer, which was put before."""
        self._answers.append(answer_id)

    def keep(self, brought: Consequences) -> None:
        """The step goes into the chain before it is closed, so its message has to be in the mailbox, to be resumed."""
        letter = self.letter
        if not letter.is_durable:
            self.letter = msgspec.structs.replace(letter, is_durable=True)
            brought.put(self._actor, "mailbox", letter.id, encode_letter(letter), once=True)

    def require(self, brought: Consequences | None) -> Consequences | None:
        """Events of the step go into the chain with what ``brought`` holds: demand what was not demanded before."""
        is_new = self.letter.is_durable and not self._is_required
        if not is_new and not self._answers:
            return brought
        found = brought if brought is not None else Consequences()
        if is_new:
            self._is_required = True
            found.require(self._actor, "mailbox", self.letter.id)
        while self._answers:
            found.require(self._actor, "answer", self._answers.pop())
        return found
