"""Ids: of actors, and those that a step gives out.

An id that a step gives out depends on the step's inputs alone, never on an event hash, so that a re-run gives out the
same ids and a duplicate can be recognised.
"""

from __future__ import annotations

import hashlib
import re
from typing import NewType

ActorId = NewType("ActorId", str)
"""32 lower-case hex digits: random for a root actor, derived for a child."""

Digest = NewType("Digest", str)
"""A SHA-256, 64 lower-case hex digits."""

ID_LENGTH = 32
ID_PREFIX_MIN = 4  # a shorter prefix is more likely a typing error than a choice

_ID = re.compile(r"[0-9a-f]{32}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


def is_actor_id(text: str) -> bool:
    """Whether ``text`` has the form of an actor id."""
    return _ID.match(text) is not None


def is_digest(text: str) -> bool:
    """Whether ``text`` has the form of a SHA-256 in hex."""
    return _DIGEST.match(text) is not None


def root_actor_id(entropy: bytes) -> ActorId:
    """The id of a root actor, from 16 bytes of entropy."""
    assert len(entropy) == ID_LENGTH // 2
    return ActorId(entropy.hex())


def derived_id(actor: ActorId, message_id: str, index: int) -> str:
    """The id that the ``index``-th id-giving call (from 0) of a step gives out.

    It depends on no event hash, so a step that is run again gives out the same one.
    """
    text = f"theater/id/v1\n{actor}\n{message_id}\n{index}"
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]
