"""The component that somebody names on the command line, read here, and sent to a server that does not have it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from theater.cli.nodes import assembler
from theater.cli.session import Session
from theater.errors import InvalidInput
from theater.model.ids import Digest, is_digest
from theater.runtime.sources import Source, component_of, put_component, read_source
from theater.store import MemoryBlobStore

if TYPE_CHECKING:
    from theater.client import Client

_DIGEST = "sha256:"


@dataclass(frozen=True, slots=True)
class Component:
    """A component by its digest. ``data`` is None where only that was named: it has to be on the node already."""

    digest: Digest
    data: bytes | None


def read_component(session: Session, source: Source) -> Component:
    """The component that a manifest names.

    Raises:
        NotFound, InvalidComponent, InvalidInput: it cannot be read, or is none.
    """
    named = source.manifest.component
    if named.startswith(_DIGEST):
        return Component(Digest(named.removeprefix(_DIGEST)), None)
    return _read(session, source)


def named_component(session: Session, text: str) -> Component:
    """The component of a ``.wasm`` or ``.wat`` file, of a project or its manifest, or of a digest: ``sha256:…``.

    Raises:
        NotFound, InvalidManifest, InvalidComponent, InvalidInput: it cannot be read, or is none.
    """
    if text.startswith(_DIGEST):
        digest = text.removeprefix(_DIGEST)
        if not is_digest(digest):
            raise InvalidInput(f"{text[:80]!r} is no digest: write sha256: and 64 lower-case hex digits")
        return Component(Digest(digest), None)
    path = Path(text)
    if path.is_dir() or path.suffix == ".toml":
        return read_component(session, read_source(path))
    return _read(session, path)


def upload(client: Client, component: Component) -> None:
    """Have the server know the component, unless it does."""
    if component.data is not None and not client.has_blob(component.digest):
        client.put_blob(component.data)


def _read(session: Session, named: Source | Path) -> Component:
    blobs = MemoryBlobStore()
    try:
        if isinstance(named, Source):
            digest = component_of(named, blobs, assembler(session))
        else:
            digest = put_component(named, blobs, assembler(session))
        return Component(digest, blobs.path(digest).read_bytes())
    finally:
        blobs.close()
