"""Which spaces for blobs an actor may use, and how much of them: the grant of ``store``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from theater.capabilities.grant_table import (
    check_keys,
    few_texts_of,
    items_of,
    manifest_line,
    manifest_lines,
    number_of,
)
from theater.errors import InvalidManifest
from theater.model.actor_system import Problem
from theater.model.manifest import is_name
from theater.model.quantity import parse_size, show_size
from theater.model.spelling import nearest

NAME = "store"
OWN = ("self",)
"""The space that nobody else sees: what an empty table asks for."""
BLOB_DEFAULT_BYTES = 2**20
"""As large as a message: what arrives in one can be kept."""
BLOB_MAX_BYTES = 4 * 2**20
"""What is put is recorded: three of these in base64 fit into a step's ``bytes-per-step`` of 16 MiB."""
QUOTA_DEFAULT_BYTES = 64 * 2**20
"""64 blobs of a megabyte, or thousands of the usual size: nobody has to think about the disk for that."""
BLOBS_MAX = 10_000
"""Their digests and sizes are held in memory, and read in one go while nobody writes: 10 ms."""
LABELS_MAX = 10_000
"""As for the blobs."""
QUOTA_MAX_BYTES = BLOBS_MAX * BLOB_MAX_BYTES
"""As many blobs as there may be, each as large as one may be: about 39 GiB."""


@dataclass(frozen=True, slots=True)
class StoreGrant:
    """``space``: those that may be read and written; ``read``: those that may only be read. Sorted, and disjoint.

    Each is ``self``, ``tree``, or a name that actors of the node share. ``quota_bytes`` is the most that a space may
    hold when this actor writes there, and ``blob_bytes`` the largest blob that it puts, or gets at once.
    """

    space: tuple[str, ...] = OWN
    read: tuple[str, ...] = ()
    quota_bytes: int = QUOTA_DEFAULT_BYTES
    blob_bytes: int = BLOB_DEFAULT_BYTES

    def __post_init__(self) -> None:
        for key, items in (("space", self.space), ("read", self.read)):
            for item in items:
                _check(key, item)
        for key, value, most in (
            ("quota", self.quota_bytes, QUOTA_MAX_BYTES),
            ("blob", self.blob_bytes, BLOB_MAX_BYTES),
        ):
            if value > most:
                raise InvalidManifest(f"[capabilities.{NAME}] {key}: {show_size(most)} is the most")
        object.__setattr__(self, "space", tuple(sorted(set(self.space))))
        object.__setattr__(self, "read", tuple(sorted(set(self.read) - set(self.space))))

    @property
    def readable(self) -> frozenset[str]:
        """All spaces that may be read."""
        return frozenset((*self.space, *self.read))

    def table(self) -> dict[str, object]:
        return {
            "space": list(self.space),
            "read": list(self.read),
            "quota": show_size(self.quota_bytes),
            "blob": show_size(self.blob_bytes),
        }

    def lines(self, beyond: StoreGrant | None) -> list[str]:
        may_write, may_read = (beyond.space, beyond.readable) if beyond is not None else ((), frozenset())
        lines = [manifest_line("space", [item]) for item in self.space if item not in may_write]
        lines += [manifest_line("read", [item]) for item in self.read if item not in may_read]
        if beyond is None and not self.space:
            lines.insert(0, manifest_line("space", []))  # less than the table's head alone, which is its own space
        more = {
            "quota": beyond is None or self.quota_bytes > beyond.quota_bytes,
            "blob": beyond is None or self.blob_bytes > beyond.blob_bytes,
        }
        return lines + manifest_lines({key: value for key, value in self.table().items() if more.get(key)})

    def narrowed(self, ceiling: StoreGrant) -> StoreGrant:
        return StoreGrant(
            space=tuple(item for item in self.space if item in ceiling.space),
            read=tuple(self.readable & ceiling.readable),
            quota_bytes=min(self.quota_bytes, ceiling.quota_bytes),
            blob_bytes=min(self.blob_bytes, ceiling.blob_bytes),
        )

    def refusal(self, space: str, *, writes: bool) -> Problem | None:
        """``denied`` where that space may not be used so. It says the same whether there is anything in it or not."""
        if space in self.space or (not writes and space in self.read):
            return None
        granted = manifest_line("space", list(self.space))
        if self.read:
            granted += f", {manifest_line('read', list(self.read))}"
        return ("denied", f"only {granted} is granted")


def parse(table: Mapping[str, object]) -> StoreGrant:
    """Keys: ``space`` and ``read``, each a name or a list; ``quota`` and ``blob``, sizes.

    ``allow`` is another word for ``space``, that of ``--allow``.
    """
    check_keys(NAME, table, ("space", "allow", "read", "quota", "blob"))
    listed = {key: [value] if isinstance(value, str) else value for key, value in table.items()}
    space = items_of(NAME, listed, "space")
    return StoreGrant(
        space=OWN if space is None else space,
        read=few_texts_of(NAME, listed, "read"),
        quota_bytes=number_of(NAME, table, "quota", parse=parse_size, default=QUOTA_DEFAULT_BYTES),
        blob_bytes=number_of(NAME, table, "blob", parse=parse_size, default=BLOB_DEFAULT_BYTES),
    )


def _check(key: str, item: str) -> None:
    if not is_name(item):
        raise InvalidManifest(
            f"[capabilities.{NAME}] {key}: {item!r} is no space: write self, tree or a name, 1 to 63 of a-z, 0-9 and "
            f"'-', beginning with a letter{nearest(item, ('self', 'tree'))}"
        )
