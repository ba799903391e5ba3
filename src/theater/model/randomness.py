r"""The random bytes of a step: a pure function of its 32-byte seed, so they need no event of their own.

Block i of stream S is ``SHAKE-256("theater/random/v1\n" + S + "\n" + seed + u64be(i))``, 64 bytes, consumed in the
order of calls. Whoever reads the chain can recompute every byte: they are for ids and shuffling, not for keys.
"""

from __future__ import annotations

import hashlib
from typing import Literal

Stream = Literal["theater", "wasi", "wasi-insecure"]

SEED_BYTES = 32
_BLOCK_BYTES = 64


class RandomStream:
    """One stream of one step. Not shared between threads."""

    __slots__ = ("_index", "_prefix", "_rest")

    def __init__(self, stream: Stream, seed: bytes) -> None:
        assert len(seed) == SEED_BYTES
        self._prefix = b"theater/random/v1\n" + stream.encode() + b"\n" + seed
        self._index = 0
        self._rest = b""

    def take(self, size_bytes: int) -> bytes:
        """The next ``size_bytes`` bytes."""
        parts = [self._rest]
        have = len(self._rest)
        while have < size_bytes:
            block = hashlib.shake_256(self._prefix + self._index.to_bytes(8, "big")).digest(_BLOCK_BYTES)
            self._index += 1
            parts.append(block)
            have += _BLOCK_BYTES
        taken = b"".join(parts)
        self._rest = taken[size_bytes:]
        return taken[:size_bytes]
