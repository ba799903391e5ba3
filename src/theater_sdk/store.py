"""Blobs and labels: the capability ``store``. Every function takes the space: ``self``, ``tree`` or a name.

What is put, removed and labelled comes with the step, and is seen by the step itself at once::

    digest = store.put_at_label("report", "all is well")
    store.get_text(digest)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from theater_sdk.host import call
from theater_sdk.text import bytes_of, content_of

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Label:
    """A label and the blob that it names."""

    name: str
    blob: str


@dataclass(frozen=True, slots=True)
class Blob:
    """One blob by its digest."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """How full a space is."""

    used_bytes: int
    quota_bytes: int
    blobs: int
    labels: int


def put(content: bytes | str, *, space: str = "self") -> str:
    """Keep bytes, or a text in UTF-8, and return their digest. What is there already costs nothing."""
    digest: str = call("store", "put", {"space": space, "content": content_of(content)})
    return digest


def put_at_label(label: str, content: bytes | str, *, space: str = "self") -> str:
    """Keep bytes or a text, have the label name them, and return their digest."""
    digest: str = call("store", "put-at-label", {"space": space, "label": label, "content": content_of(content)})
    return digest


def get(blob: str, *, space: str = "self") -> bytes:
    """The bytes of a blob."""
    return bytes_of(call("store", "get", {"space": space, "blob": blob, "form": "automatic"}))


def get_text(blob: str, *, space: str = "self") -> str:
    """The text of a blob. One that is not UTF-8 fails with ``not-text``."""
    text: str = call("store", "get", {"space": space, "blob": blob, "form": "text"})[1]
    return text


def get_range(blob: str, offset: int, length: int, *, space: str = "self") -> bytes:
    """At most ``length`` bytes of a blob, from ``offset`` on."""
    args = {"space": space, "blob": blob, "offset": offset, "length": length, "form": "automatic"}
    return bytes_of(call("store", "get-range", args))


def exists(blob: str, *, space: str = "self") -> bool:
    """Whether a blob is there."""
    found: bool = call("store", "exists", {"space": space, "blob": blob})
    return found


def size(blob: str, *, space: str = "self") -> int:
    """The size of a blob in bytes."""
    size_bytes: int = call("store", "size", {"space": space, "blob": blob})
    return size_bytes


def remove(blob: str, *, space: str = "self") -> None:
    """Keep a blob no longer. One that a label names fails with ``labelled``."""
    call("store", "remove", {"space": space, "blob": blob})


def set_label(label: str, blob: str, *, space: str = "self") -> None:
    """Have the label name this blob, whatever it named before."""
    call("store", "set-label", {"space": space, "label": label, "blob": blob})


def get_label(label: str, *, space: str = "self") -> str | None:
    """The blob that a label names; None where there is no such label."""
    blob: str | None = call("store", "get-label", {"space": space, "label": label})
    return blob


def remove_label(label: str, *, space: str = "self") -> None:
    """Remove a label. The blob stays."""
    call("store", "remove-label", {"space": space, "label": label})


def labels(prefix: str = "", *, space: str = "self") -> Iterator[Label]:
    """Labels that begin so, by their bytes. They are asked for in pages as they are needed."""
    after: str | None = None
    while True:
        args = {"space": space, "prefix": prefix, "after": after, "limit": _PAGE}
        page = [Label(each["name"], each["blob"]) for each in call("store", "list-labels", args)]
        yield from page
        if not page:
            return
        after = page[-1].name


def blobs(*, space: str = "self") -> Iterator[Blob]:
    """All blobs, by digest. They are asked for in pages as they are needed."""
    after: str | None = None
    while True:
        found = call("store", "list-blobs", {"space": space, "after": after, "limit": _PAGE})
        page = [Blob(each["digest"], each["size-bytes"]) for each in found]
        yield from page
        if not page:
            return
        after = page[-1].digest


def usage(*, space: str = "self") -> Usage:
    """How full a space is."""
    found = call("store", "usage-of", {"space": space})
    return Usage(found["used-bytes"], found["quota-bytes"], found["blobs"], found["labels"])
