"""Components by their digest, each a file: ``components/SHA256.wasm``. Files, so that an engine can map them."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from theater.errors import Damaged, NotFound
from theater.model.ids import Digest, is_digest
from theater.store.connections import translated
from theater.store.files import make_folder, write_whole

_CHUNK_BYTES = 1024 * 1024


class FileBlobStore:
    """Implements ``BlobStore`` below ``folder``. Any thread may use it.

    A file is hashed when its path is first handed out in a process, and trusted from then on: the folder is the
    owner's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._checked: set[Digest] = set()

    def put(self, data: bytes) -> Digest:
        digest = Digest(hashlib.sha256(data).hexdigest())
        path = self._path(digest)
        with self._lock:
            if digest in self._checked or _is_intact(path, digest):
                self._checked.add(digest)
                return digest
            try:
                make_folder(self._folder)
                write_whole(path, data, synced=True)  # once a component, and a chain that names it must find it
            except OSError as error:
                raise translated(error, "written to") from error
            self._checked.add(digest)
        return digest

    def path(self, digest: Digest) -> Path:
        path = self._path(digest)
        with self._lock:
            if digest not in self._checked:
                if not path.is_file():
                    raise NotFound(f"there is no component {digest} here", digest=digest)
                if not _is_intact(path, digest):
                    raise Damaged(
                        f"{path} is not what its name says: remove it and put the component again", digest=digest
                    )
                self._checked.add(digest)
        return path

    def has(self, digest: Digest) -> bool:
        return is_digest(digest) and self._path(digest).is_file()

    def _path(self, digest: Digest) -> Path:
        if not is_digest(digest):
            raise NotFound(f"this is no digest: {digest[:80]!r}", digest=digest)
        return self._folder / f"{digest}.wasm"


def _is_intact(path: Path, digest: Digest) -> bool:
    """Whether the file's bytes are those of ``digest``. A file of another size has another digest, too."""
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                hasher.update(chunk)
    except FileNotFoundError:
        return False
    return hasher.hexdigest() == digest
