"""A consistent copy of a data directory, made while another process writes to it.

First the database, as it is at one moment: SQLite's own backup, within one transaction that reads, so that whoever
writes goes on writing and the copy has nothing of that. Then what it names: large payloads and components are files
that never change once they are written, and that are written before what names them. What the copied chains do not
name is left out; of the components, all are taken, since only the runtime knows which chains name which: those that
were there before that moment, and those that were there after it, since some may be put or collected meanwhile.

An actor may be removed while its payloads are copied. Then the moment was a bad one, and another is taken.

The copy is a data directory like any other: it is restored by starting on it. It says of itself what the original said
at that moment, so one of a node that ran is taken up as after a death, which is what it looks like.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from theater.errors import Damaged, InvalidInput, StoreError, Unsound
from theater.model.ids import ActorId
from theater.store.connections import Readers, connect, translated
from theater.store.content import FileBlobStore
from theater.store.data_dir import DataDir
from theater.store.files import PRIVATE_FILE, PRIVATE_FOLDER, sync_folder
from theater.store.frames import large_in
from theater.store.large_payloads import LargePayloads
from theater.store.migrations import REMOVAL_SINCE, require_known, version_of
from theater.store.segments import Segments

TRIES_MAX = 8
"""Moments that are tried. Each but the last was one at which an actor with large payloads was being removed."""

_STEP_PAGES = 4096  # 16 MiB: how long an interrupt waits
_CHUNK_BYTES = 1024 * 1024

_SEGMENTS = "SELECT actor, first_seq, frames, {kept_from} FROM segments JOIN chains USING (ref) ORDER BY first_index"
_SIZE = "SELECT first_index + count FROM segments ORDER BY first_index DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a copy holds. ``bytes`` are those of all its files."""

    events: int
    bytes: int
    components: int


def back_up(data_dir: DataDir, to: Path) -> BackupReport:
    """Copy ``data_dir`` to ``to``: all of it, on the disk, or nothing. Nothing of the original is changed or locked.

    ``to`` must not exist, or be an empty folder. Raises nothing of what happens to the original meanwhile.

    Raises:
        NotFound: there is no store in ``data_dir``.
        InvalidInput: ``to`` is there already, or cannot be made.
        Damaged: the original cannot be read, or a payload that it names is missing; ``DiskFull``, its child.
        StoreError: actors were removed all the time.
    """
    data_dir.require_store()
    to = to.resolve()
    _require_free(to)
    for _ in range(TRIES_MAX):
        try:
            with _staging(to) as staging:
                report = _Copy(data_dir, DataDir(staging)).make()
                staging.rename(to)
            sync_folder(to.parent)
        except _RemovedMeanwhile:
            continue
        except (sqlite3.Error, OSError) as error:
            raise translated(error, "copied") from error
        return report
    raise StoreError(
        f"actors were removed during each of {TRIES_MAX} attempts to copy {data_dir.root}: try again later"
    )


class _RemovedMeanwhile(Exception):
    """A payload is gone since the database was copied: its actor was removed."""


class _Copy:
    """One attempt."""

    def __init__(self, origin: DataDir, copy: DataDir) -> None:
        self._origin = origin
        self._copy = copy
        self._bytes = 0
        self._folders = [copy.root]

    def make(self) -> BackupReport:
        """Copy all, and put it on the disk."""
        self._make_folder(self._copy.components)
        components = self._copy_components()  # before, too: one that is named at that moment may be collected behind it
        events = self._copy_database()
        self._copy_payloads()
        components += self._copy_components()
        for name in (self._origin.node_key, self._origin.token, self._origin.tokens):
            self._copy_file(name, self._copy.root / name.name)
        for folder in reversed(self._folders):
            sync_folder(folder)
        return BackupReport(events, self._bytes, components)

    def _copy_database(self) -> int:
        path = self._copy.database
        path.touch(mode=PRIVATE_FILE)
        with closing(connect(self._origin.database, "ro")) as origin, closing(connect(path, "rw")) as copy:
            require_known(version_of(origin))
            origin.execute("BEGIN")  # else each step would see another moment, and begin from the start
            origin.execute("SELECT count(*) FROM node").fetchone()
            copy.execute("PRAGMA synchronous = OFF")  # once, at the end, is enough
            origin.backup(copy, pages=_STEP_PAGES, sleep=0)
            origin.execute("ROLLBACK")
            last = copy.execute(_SIZE).fetchone()
        _sync_file(path)
        self._bytes += path.stat().st_size
        return 0 if last is None else int(last[0])

    def _copy_payloads(self) -> None:
        self._make_folder(self._copy.payloads)
        made: set[ActorId] = set()
        for actor, seq, size_bytes in self._named_payloads():
            folder = self._copy.payloads / actor
            if actor not in made:
                made.add(actor)
                self._make_folder(folder)
            if self._copy_file(self._origin.payloads / actor / str(seq), folder / str(seq)) != size_bytes:
                self._require_removed(actor, seq)

    def _named_payloads(self) -> Iterator[tuple[ActorId, int, int]]:
        """Those of the copied chains, but not those of removed actors: what is wiped there is wiped here."""
        with closing(connect(self._copy.database, "rw")) as copy:  # "ro" leaves a log behind
            kept_from = "kept_from" if version_of(copy) >= REMOVAL_SINCE else "0"
            for actor, first_seq, frames, kept in copy.execute(_SEGMENTS.format(kept_from=kept_from)):
                if first_seq < kept:
                    continue
                try:
                    for seq, size_bytes in large_in(frames, first_seq):
                        yield ActorId(actor), seq, size_bytes
                except Unsound as error:
                    raise Damaged(f"event {first_seq} of actor {actor} is damaged on the disk: {error}") from error

    def _require_removed(self, actor: ActorId, seq: int) -> None:
        readers = Readers(self._origin.database)
        try:
            is_removed = Segments(readers, LargePayloads(self._origin.payloads)).is_removed(actor)
        finally:
            readers.close()
        if is_removed:
            raise _RemovedMeanwhile
        raise Damaged(
            f"the payload of event {seq} of actor {actor} is missing, or has another size than written",
            actor=actor,
            seq=seq,
        )

    def _copy_components(self) -> int:
        """Copy those that are not there yet; how many."""
        components = 0
        origin, copy = FileBlobStore(self._origin.components), FileBlobStore(self._copy.components)
        for kept in origin.kept():
            if not copy.has(kept.digest):
                components += self._copy_file(origin.file(kept.digest), copy.file(kept.digest)) is not None
        return components

    def _copy_file(self, path: Path, to: Path) -> int | None:
        """Copy one file, for the owner alone, whole and on the disk; its size, or None where there is none."""
        try:
            source = path.open("rb")
        except FileNotFoundError:
            return None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with source, os.fdopen(os.open(to, flags, PRIVATE_FILE), "wb") as file:
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
            file.flush()
            os.fsync(file.fileno())
            size_bytes = file.tell()
        self._bytes += size_bytes
        return size_bytes

    def _make_folder(self, path: Path) -> None:
        path.mkdir(mode=PRIVATE_FOLDER)
        self._folders.append(path)


def _require_free(to: Path) -> None:
    try:
        is_taken = to.is_symlink() or (to.exists() and (not to.is_dir() or next(to.iterdir(), None) is not None))
        has_parent = to.parent.is_dir()
    except OSError as error:
        raise InvalidInput(f"{to} cannot be looked at: {error.strerror}") from error
    if is_taken:
        raise InvalidInput(f"{to} is there already: name a folder that is not, or an empty one")
    if not has_parent:
        raise InvalidInput(f"there is no folder {to.parent}: make it first")


@contextmanager
def _staging(to: Path) -> Iterator[Path]:
    """A folder beside ``to``, which is gone in the end unless it was renamed.

    A process that is killed leaves it: its name begins with a dot, and nobody takes it for a copy.
    """
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
    except OSError as error:
        raise InvalidInput(f"nothing can be written in {to.parent}: {error.strerror}") from error
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
