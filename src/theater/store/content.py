"""Components by their digest, each a file: ``components/SHA256.wasm``. Files, so that an engine can map them."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from theater.errors import Damaged, NotFound
from theater.model.ids import Digest, is_digest
from theater.model.ports import Kept, Swept
from theater.store.connections import translated
from theater.store.files import TEMPORARY, make_folder, remove_file, write_whole

_CHUNK_BYTES = 1024 * 1024
_SUFFIX = ".wasm"


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
        path = self.file(digest)
        with self._lock:
            try:
                if (digest in self._checked or _is_intact(path, digest)) and _touched(path):
                    self._checked.add(digest)
                    return digest
                make_folder(self._folder)
                write_whole(path, data, synced=True)  # once a component, and a chain that names it must find it
            except OSError as error:
                raise translated(error, "written to") from error
            self._checked.add(digest)
        return digest

    def path(self, digest: Digest) -> Path:
        path = self.file(digest)
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
        return is_digest(digest) and self.file(digest).is_file()

    def kept(self) -> Iterator[Kept]:
        """Everything, in no order. Files that are not components are passed over."""
        try:
            with os.scandir(self._folder) as files:
                for file in files:
                    name, suffix = file.name[: -len(_SUFFIX)], file.name[-len(_SUFFIX) :]
                    if suffix == _SUFFIX and is_digest(name) and file.is_file(follow_symlinks=False):
                        yield from _kept(Digest(name), file)
        except FileNotFoundError:  # nothing was ever put
            return
        except OSError as error:
            raise translated(error, "read from") from error

    def remove(self, digest: Digest, *, put_before_us: int | None = None) -> bool:
        path = self.file(digest)
        with self._lock:
            self._checked.discard(digest)
            try:
                if put_before_us is not None and path.stat().st_mtime_ns // 1000 >= put_before_us:
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
            except OSError as error:
                raise translated(error, "written to") from error
        return True

    def sweep(self) -> Swept:
        """Remove components that a process left half written."""
        swept = Swept()
        with self._lock:  # so nobody is writing one
            try:
                for path in self._folder.glob(f"*{_SUFFIX}{TEMPORARY}"):
                    if is_digest(path.name.removesuffix(_SUFFIX + TEMPORARY)):
                        swept += Swept(1, remove_file(path))
            except OSError as error:
                raise translated(error, "written to") from error
        return swept

    def file(self, digest: Digest) -> Path:
        """Where the component is, if it is here. ``path`` looks, and checks it."""
        if not is_digest(digest):
            raise NotFound(f"this is no digest: {digest[:80]!r}", digest=digest)
        return self._folder / f"{digest}{_SUFFIX}"


def _touched(path: Path) -> bool:
    """Say that the file was put again just now; False where it is gone."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _kept(digest: Digest, file: os.DirEntry[str]) -> Iterator[Kept]:
    try:
        found = file.stat(follow_symlinks=False)
    except FileNotFoundError:  # removed meanwhile
        return
    yield Kept(digest, found.st_size, found.st_mtime_ns // 1000)


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
