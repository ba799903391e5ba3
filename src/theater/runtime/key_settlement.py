"""What the answer to a request that came with a key leaves in the key's entry, in the same transaction."""

from __future__ import annotations

from theater.errors import TheaterError
from theater.model.event import Head
from theater.model.ids import ActorId
from theater.runtime.consequences import Consequences
from theater.runtime.key import KeyRow, encode_row
from theater.runtime.letter import Answer, Deferred, Letter, Reply


def note_answer(brought: Consequences, by: ActorId, asked: Letter | Deferred, answer: Answer) -> None:
    """Say in the entry of its key where the answer is, so that whoever asks again is answered the same.

    One that was never begun is forgotten with its key: who asks again asks for the first time.
    """
    key = asked.key
    if key is None:
        return
    seq = _answered_at(answer)
    if seq is None and isinstance(asked, Letter):
        brought.drop(by, "key", key.place, required=False)
        return
    ended = answer.message if seq is None and isinstance(answer, TheaterError) else None
    row = KeyRow(asked.id, key.body, key.since_us, seq=seq, ended=ended)
    brought.put(by, "key", key.place, encode_row(row))


def _answered_at(answer: Answer) -> int | None:
    receipt = answer.receipt if isinstance(answer, Reply) else answer.data.get("receipt")
    return receipt.seq if isinstance(receipt, Head) else None
