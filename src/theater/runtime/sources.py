"""Reading what a person names: a manifest, or a component without one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from theater.engine.component_file import check_preamble
from theater.errors import InvalidInput, InvalidManifest, NotFound
from theater.model.ids import Digest, is_digest
from theater.model.manifest import MANIFEST_MAX_BYTES, Manifest, bare_manifest, is_name, parse_manifest
from theater.model.ports import BlobStore

COMPONENT_MAX_BYTES = 64 * 2**20

Assemble = Callable[[str], bytes]
"""WAT text to component binary."""


@dataclass(frozen=True, slots=True)
class Source:
    """A manifest and the folder that its paths are relative to."""

    manifest: Manifest
    folder: Path


def read_source(path: Path, *, settings: Mapping[str, object] | None = None, params: str | None = None) -> Source:
    """Read a manifest, or make the bare one of a ``.wasm`` or ``.wat`` file.

    Raises:
        NotFound, InvalidManifest, InvalidJson, InvalidInput: saying which file and what to do.
    """
    if path.is_dir():
        path = path / "theater.toml"
    if not path.is_file():
        raise NotFound(f"there is no file {path}")
    if path.suffix in (".wasm", ".wat"):
        if not _is_text(path.name):
            raise InvalidInput(f"the name of {path} is not UTF-8; rename the file")
        text = bare_manifest(_name_of(path), path.name)
    else:
        text = _read_text(path)
    manifest = parse_manifest(text, settings=settings, params=params, folder=_folder_of(path))
    return Source(manifest, path.parent)


def loaded_digest(source: Source, is_loaded: Callable[[Digest], bool]) -> Digest | None:
    """The component that a manifest names by its digest, where that one is in use already: nothing is to be read."""
    prefix, _, digest = source.manifest.component.partition(":")
    return Digest(digest) if prefix == "sha256" and is_loaded(Digest(digest)) else None


def component_of(source: Source, blobs: BlobStore, assemble: Assemble) -> Digest:
    """Put the component that a manifest names into the content store.

    Raises:
        NotFound: no such file, or no such digest in the content store.
        InvalidComponent, InvalidInput: it cannot be one.
    """
    named = source.manifest.component
    if named.startswith("sha256:"):
        digest = named.removeprefix("sha256:")
        if not is_digest(digest):
            raise InvalidManifest(f"component = {named!r}: a digest is sha256: and 64 lower-case hex digits")
        return _known(digest, blobs)
    path = source.folder / named
    if not path.is_file():
        raise NotFound(f"there is no component {path}; build it with: theater build {source.folder}")
    return _put_file(path, blobs, assemble)


def check_stdin(data: bytes, manifest: Manifest) -> None:
    """Check what a program is given to read. Raises ``InvalidInput``."""
    most = manifest.limits.message_bytes
    if len(data) > most:
        raise InvalidInput(f"stdin has {len(data)} bytes, and the limit 'message' of the manifest is {most}")


def put_component(component: Path | bytes | str, blobs: BlobStore, assemble: Assemble) -> Digest:
    """Put a component into the content store: that of a file, of these bytes, or the one there of this digest.

    Raises:
        NotFound: no such file, or no such digest in the content store.
        InvalidComponent, InvalidInput: it cannot be one.
    """
    match component:
        case bytes():
            check_preamble(component, "what was given as a component")
            return blobs.put(component)
        case str():
            digest = component.removeprefix("sha256:")
            if not is_digest(digest):
                raise InvalidInput(f"{component[:80]!r} is no digest: write sha256: and 64 lower-case hex digits")
            return _known(digest, blobs)
        case _:
            if not component.is_file():
                raise NotFound(f"there is no component {component}")
            return _put_file(component, blobs, assemble)


def _known(digest: str, blobs: BlobStore) -> Digest:
    if not blobs.has(Digest(digest)):
        raise NotFound(f"the content store has no component sha256:{digest}")
    return Digest(digest)


def _put_file(path: Path, blobs: BlobStore, assemble: Assemble) -> Digest:
    if path.stat().st_size > COMPONENT_MAX_BYTES:
        raise InvalidInput(f"{path} is larger than the {COMPONENT_MAX_BYTES} bytes that a component may have")
    if path.suffix == ".wat":
        return blobs.put(assemble(_read_text(path, max_bytes=COMPONENT_MAX_BYTES)))
    data = path.read_bytes()
    check_preamble(data, str(path))  # what is no component is not kept, whatever file a manifest points at
    return blobs.put(data)


def _read_text(path: Path, *, max_bytes: int = MANIFEST_MAX_BYTES) -> str:
    try:
        if path.stat().st_size > max_bytes:
            raise InvalidInput(f"{path} is larger than {max_bytes} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read as text: {error}") from error


def _folder_of(path: Path) -> str | None:
    """Where links lead is settled here, once: below it none is followed. None where its name is not text."""
    folder = str(path.parent.resolve())
    return folder if _is_text(folder) else None


def _is_text(name: str) -> bool:
    """Whether the bytes of a file's name were text: Python shows others as lone surrogates, which no chain can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name_of(path: Path) -> str:
    name = re.sub(r"[^a-z0-9-]+", "-", path.stem.lower()).strip("-")[:63]
    return name if is_name(name) else f"a-{name}"[:63].rstrip("-")
