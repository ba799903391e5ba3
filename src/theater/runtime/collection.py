"""Removing what is of no use to anybody: components that nobody names, compiled code, and what a death left behind.

A component is named by its digest, and anything may name one: a chain's first event, an upgrade, the state of an actor
that spawns children, a manifest in a message that waits. So whatever in a chain or in an entry looks like a digest
keeps the component. What is put or loaded meanwhile has an hour to be named.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator
from typing import get_args

from theater.model.ids import Digest
from theater.model.ports import EventStore, Space
from theater.model.wire import Collected
from theater.runtime.node import Node

GRACE_S = 3600.0
"""A component that was put, or loaded, so short a time ago is kept: whoever did that may be about to name it."""

UNUSED_S = 30 * 86_400.0
"""Compiled code that was not used for so long goes: it is made again in a moment."""

DIGEST_CHARS = 64

_SPACES: tuple[Space, ...] = get_args(Space)

_DIGITS = re.compile(rb"[0-9a-f]{64,}")


def collect(node: Node, wipe: Callable[[], int]) -> Collected:
    """Remove what nobody needs, and say how much that was. Blocks: it may have to read every chain.

    ``wipe`` erases what removed actors left, and says how many bytes that were.

    Raises:
        Damaged: a chain cannot be read, so that nobody knows what it names, or a file cannot be removed.
    """
    wiped_bytes = wipe()
    components, component_bytes = _collect_components(node)
    pruned = node.engine.prune(node.blobs.has, spared_s=GRACE_S, unused_s=UNUSED_S)
    left, half = node.store.sweep(), node.blobs.sweep()
    return Collected(
        components=components,
        payloads=left.files,
        cached=pruned.number,
        bytes=wiped_bytes + component_bytes + pruned.size_bytes + left.size_bytes + half.size_bytes,
    )


def _collect_components(node: Node) -> tuple[int, int]:
    """How many, and how many bytes. By the clock of the files, which is the system's."""
    before_us = time.time_ns() // 1000 - round(GRACE_S * 1_000_000)
    unnamed = {kept.digest: kept.size_bytes for kept in node.blobs.kept() if kept.since_us < before_us}
    for text in _texts(node.store) if unnamed else ():
        for named in _named(text, unnamed):
            del unnamed[named]
        if not unnamed:
            break
    number = size_bytes = 0
    for digest, size in unnamed.items():
        if node.loader.forget(digest, lambda each: node.blobs.remove(each, put_before_us=before_us), unused_s=GRACE_S):
            number += 1
            size_bytes += size
    return number, size_bytes


def _texts(store: EventStore) -> Iterator[bytes]:
    """All that may name a component. What waits comes first: it may go into a chain meanwhile."""
    for holder in store.holders(*_SPACES):
        for entry in store.entries(holder):
            yield entry.value
    for record in store.records():
        for event in store.events(record.id):
            if event.payload is not None:
                yield event.payload


def _named(text: bytes, wanted: Collection[Digest]) -> set[Digest]:
    """Those that stand in the text, be it between other digits."""
    found: set[Digest] = set()
    for match in _DIGITS.finditer(text):
        digits = match[0].decode()
        if len(digits) > DIGEST_CHARS:
            found.update(digest for digest in wanted if digest in digits)
        elif digits in wanted:
            found.add(Digest(digits))
    return found
