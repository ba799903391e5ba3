"""Compiled code on disk. It is native code that gets mapped and run, so who can write here can do anything.

One folder an entry, ``KEY/`` with ``code`` and ``facts.json``; made under another name and renamed, so that an entry is
there whole or not at all, and of two processes that race one wins and both are right. Before the first mapping in a
process size and SHA-256 are compared with the facts; what is not exactly as written is compiled again.

This keeps out damage and other users. Against our own user there is no defence, and none is pretended.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path

import msgspec

from theater.engine.component_file import CoreModule
from theater.engine.settings import fingerprint
from theater.errors import InvalidInput
from theater.model.execution import Pruned
from theater.model.ids import Digest, is_digest

CACHE_MAX_BYTES = 4 << 30
"""Above it the entries unused for longest go. CPython's takes 40 MB."""
STALE_S = 3600.0
"""A temporary folder this old was left by a process that died: no compilation takes as long."""

_CODE = "code"
_FACTS = "facts.json"
_TEMPORARY = "tmp-"


class Facts(msgspec.Struct, frozen=True):
    """What is known of one entry."""

    size: int
    sha256: str
    memories: int
    modules: tuple[tuple[int, int, int, int], ...]

    def core_modules(self) -> tuple[CoreModule, ...]:
        """Where the core modules lie."""
        return tuple(CoreModule(*m) for m in self.modules)


class Cache:
    """A private folder of compiled code."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, or check that it is ours alone. Raises ``InvalidInput`` saying how to mend it."""
        self.folder = folder
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700, parents=True)
        _check_private(folder)
        self._remove_stale()

    @contextlib.contextmanager
    def open(self, digest: Digest) -> Iterator[tuple[Facts, Path] | None]:
        """The entry for a component, checked; None where there is no good one.

        The path names an open descriptor: what was checked is what gets mapped, whatever happens to the folder.
        """
        entry = self.folder / self._key(digest)
        try:
            facts = msgspec.json.decode((entry / _FACTS).read_bytes(), type=Facts)
            file = (entry / _CODE).open("rb")
        except (OSError, msgspec.MsgspecError):
            yield None
            return
        with file:
            if _has_facts(file, facts):
                with contextlib.suppress(OSError):
                    os.utime(entry)  # used: the last to go
                yield facts, Path(f"/proc/self/fd/{file.fileno()}")
            else:
                yield None

    def put(self, digest: Digest, code: bytes, *, memories: int, modules: tuple[CoreModule, ...]) -> None:
        """Keep compiled code, in place of whatever is there."""
        facts = Facts(
            len(code),
            hashlib.sha256(code).hexdigest(),
            memories,
            tuple((m.start, m.end, m.names_offset, m.names_size) for m in modules),
        )
        fresh = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self.folder))
        try:
            _write_private(fresh / _CODE, code)
            _write_private(fresh / _FACTS, msgspec.json.encode(facts))
            self._move_in(fresh, self.folder / self._key(digest))
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        self._shrink()

    def prune(self, is_wanted: Callable[[Digest], bool], *, spared_s: float, unused_s: float) -> Pruned:
        """Remove entries that were not used for ``unused_s``, or that are not wanted; see ``Engine.prune``."""
        now = time.time()
        number = size_bytes = 0
        for path in self.folder.iterdir():
            digest = path.name.partition("-")[0]
            if not is_digest(digest):
                continue
            with contextlib.suppress(OSError):
                idle_s = now - path.stat().st_mtime
                if idle_s > unused_s or (idle_s > spared_s and not is_wanted(Digest(digest))):
                    size_bytes += (path / _CODE).stat().st_size
                    shutil.rmtree(path, ignore_errors=True)
                    number += 1
        self._remove_stale()
        return Pruned(number, size_bytes)

    def _move_in(self, fresh: Path, entry: Path) -> None:
        # rename(2) of a folder fails where there is a filled one: that is put out of the way, whole, since others may
        # be reading it. Each writer ends with a rename, never with a removal, so of any number one entry stays.
        for _ in range(3):
            with contextlib.suppress(OSError):
                fresh.rename(entry)
                return
            old = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self.folder))
            with contextlib.suppress(OSError):
                entry.rename(old)
            shutil.rmtree(old, ignore_errors=True)
        with contextlib.suppress(OSError):  # another writer was quicker each time: its entry is as good
            fresh.rename(entry)

    def _key(self, digest: Digest) -> str:
        return f"{digest}-{fingerprint()}"

    def _remove_stale(self) -> None:
        limit = time.time() - STALE_S
        for path in self.folder.glob(_TEMPORARY + "*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < limit:
                    shutil.rmtree(path, ignore_errors=True)

    def _shrink(self) -> None:
        entries: list[tuple[float, int, Path]] = []
        for path in self.folder.iterdir():
            with contextlib.suppress(OSError):
                if not path.name.startswith(_TEMPORARY):
                    entries.append((path.stat().st_mtime, (path / _CODE).stat().st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= CACHE_MAX_BYTES:
                return
            shutil.rmtree(path, ignore_errors=True)
            total -= size


def _has_facts(file: BufferedReader, facts: Facts) -> bool:
    try:
        is_whole = os.fstat(file.fileno()).st_size == facts.size
        return is_whole and hashlib.file_digest(file, "sha256").hexdigest() == facts.sha256
    except OSError:
        return False


def _write_private(path: Path, data: bytes) -> None:
    """A new file that is its owner's alone, whatever the umask."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)


def _check_private(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise InvalidInput(f"the compile cache {folder} is a link or a file: name a folder of its own")
    if found.st_uid != os.geteuid():
        raise InvalidInput(f"the compile cache {folder} belongs to another user: name one of your own")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InvalidInput(f"others can write to the compile cache {folder}: run chmod 700 on it")
