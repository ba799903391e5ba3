r"""What a header says of its payload: a commitment, so that a payload can be withheld or erased and the chain stands.

``commit = SHA-256("theater/payload/v1\n" || salt || payload)``. The salt is 16 random bytes of the event's own:
without it a short payload (a yes or a no) could be guessed from its hash.
"""

from __future__ import annotations

import hashlib

from theater.model.event import Event
from theater.model.ids import Digest

SALT_BYTES = 16

LARGE_PAYLOAD_BYTES = 65_536
"""A payload of more bytes lies in a file of its own, in a store and in a bundle, so that erasing one erases it."""

_DOMAIN = b"theater/payload/v1\n"


def payload_commit(salt: bytes, payload: bytes) -> Digest:
    """The commitment to ``payload`` under ``salt``."""
    if len(payload) > LARGE_PAYLOAD_BYTES:  # not copied once more
        hasher = hashlib.sha256(_DOMAIN + salt)
        hasher.update(payload)
        return Digest(hasher.hexdigest())
    return Digest(hashlib.sha256(_DOMAIN + salt + payload).hexdigest())


def why_not_committed(event: Event) -> str | None:
    """What is wrong between an event's header and its payload, or None. A withheld payload cannot be wrong."""
    salt, payload = event.salt, event.payload
    if salt is None and payload is None:
        return None
    if salt is None or payload is None:
        return "only one of salt and payload is there"
    if len(salt) != SALT_BYTES:
        return f"a salt of {len(salt)} bytes instead of {SALT_BYTES}"
    if len(payload) != event.header.size_bytes:
        return f"the payload has {len(payload)} bytes and the header says {event.header.size_bytes}"
    if payload_commit(salt, payload) != event.header.commit:
        return "the payload is not the one that the header commits to"
    return None
