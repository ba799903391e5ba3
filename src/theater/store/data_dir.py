"""The folder of one node: what lies where in it, and who holds it.

::

    lock            the holder: locked by its process for as long as that lives, with its pid, purpose and time inside
    node.key        the node's Ed25519 private key
    events.db       chains, actors, the node-wide index (and events.db-wal, events.db-shm)
    payloads/       ACTOR/SEQ, payloads over 64 KiB
    components/     SHA256.wasm
    cache/          what can be made again
    token           the text of the default token
    tokens.json     named tokens, as hashes
    server.json     while a server runs: where it listens
    server.lock     locked by the process that serves
    allowances/     rights beyond the ceiling that the owner gave to single starts

The lock is the kernel's (``flock``), so a process that dies lets go of it; what is written inside is for people.
"""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

from theater.errors import DataDirLocked, InternalError, InvalidInput, NotFound
from theater.store.files import PRIVATE_FILE, PRIVATE_FOLDER, make_folder

_HOLDER_MAX_BYTES = 1000


class DataDir:
    """The paths below ``root``, and the right to write there while ``lock`` is held. Makes nothing by itself."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "events.db"
        self.database_log = root / "events.db-wal"
        self.node_key = root / "node.key"
        self.payloads = root / "payloads"
        self.components = root / "components"
        self.cache = root / "cache"
        self.token = root / "token"
        self.tokens = root / "tokens.json"
        self.server_file = root / "server.json"
        self.server_lock = root / "server.lock"
        self.allowances = root / "allowances"
        self._lock_file = root / "lock"
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def hold(self, purpose: str) -> None:
        """Make the folder if it is not there, and lock it. ``purpose`` is what others are told: a command's name.

        Raises:
            DataDirLocked: another process (or another object of this one) holds it.
            InvalidInput: there can be no data directory.
        """
        assert self._descriptor is None
        try:
            self._take(purpose)
        except OSError as error:
            self.release()
            raise InvalidInput(
                f"{self.root} cannot be the data directory: {error.strerror}; name another with --data-dir"
            ) from error

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> str:
        """What the holder wrote of itself; empty where nobody holds the lock."""
        try:
            return self._lock_file.read_bytes()[:_HOLDER_MAX_BYTES].decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def require_held(self) -> None:
        """Fail unless the lock is held: whoever writes asks for it first."""
        if not self.is_held:
            raise InternalError(f"{self.root} is written to without its lock")

    def require_store(self) -> None:
        """Fail unless there is a store to read.

        Raises:
            NotFound: there is none.
        """
        if not self.database.exists():
            raise NotFound(f"there is nothing in {self.root} yet: run an actor first, or name another --data-dir")

    def _take(self, purpose: str) -> None:
        self.root.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            holder = self.holder() or "a process that has not said yet what it is"
            raise DataDirLocked(
                f"{self.root} is in use by {holder}: stop that first, or use another --data-dir", holder=holder
            ) from error
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        os.pwrite(descriptor, f"{purpose} (process {os.getpid()}, since {since})".encode(), 0)
        for folder in (self.payloads, self.components, self.cache):
            make_folder(folder, synced=True)
