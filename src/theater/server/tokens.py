"""The tokens of a data directory: looked up by the server, added and removed by its owner while that runs.

Only hashes are kept and compared. The files are looked at (``stat``) for each request and read when they changed, so a
token that was removed is refused by the next request, and one that was added is known to it.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from theater.errors import NotFound
from theater.model.header import format_time
from theater.model.spelling import nearest
from theater.model.wire import Scope
from theater.runtime.server_files import (
    LOCAL,
    NamedToken,
    check_token_name,
    load_tokens,
    new_token,
    read_token,
    save_tokens,
    token_sha256,
)
from theater.server.token import Token
from theater.store import DataDir
from theater.store.files import PRIVATE_FOLDER

_Stamp = tuple[int, int, int, int] | None


class TokenStore:
    """The tokens in force. Belongs to one thread."""

    def __init__(self, folder: DataDir) -> None:
        self._folder = folder
        self._stamps: tuple[_Stamp, _Stamp] | None = None
        self._known: tuple[tuple[str, Token], ...] = ()

    def find(self, text: str) -> Token | None:
        """Whose token ``text`` is, None where it is nobody's. All are compared, and each in constant time.

        Raises:
            Damaged: a file of tokens is no such file, or others than its owner can read it. Nobody is let in.
        """
        self._refresh()
        presented = token_sha256(text)
        found: Token | None = None
        for sha256, token in self._known:
            if hmac.compare_digest(sha256, presented):
                found = token
        return found

    def _refresh(self) -> None:
        stamps = (_stamp(self._folder.token), _stamp(self._folder.tokens))
        if stamps == self._stamps:
            return
        self._known, self._stamps = (), None
        with suppress(FileNotFoundError):  # removed while the server runs: nobody has it any more
            self._known = ((token_sha256(read_token(self._folder)), Token(LOCAL, "operate")),)
        self._known += tuple((token.sha256, Token(token.name, token.scope)) for token in load_tokens(self._folder))
        # As they were before: what changed while it was read is read again.
        self._stamps = stamps


def add_token(folder: DataDir, name: str, scope: Scope) -> str:
    """Make a further token and return its text, which is kept nowhere.

    Raises:
        InvalidInput: it cannot have that name, or there are too many.
        NameTaken: there is one of that name.
        Damaged: the file of tokens is no such file.
    """
    check_token_name(name)
    text = new_token()
    created = format_time(time.time_ns() // 1000)
    with _changing(folder):
        added = NamedToken(name=name, scope=scope, sha256=token_sha256(text), created=created)
        save_tokens(folder, (*load_tokens(folder), added))
    return text


def remove_token(folder: DataDir, name: str) -> NamedToken:
    """Remove a further token: who presents it from now on is refused.

    Raises:
        NotFound: there is none of that name.
        Damaged: the file of tokens is no such file.
    """
    with _changing(folder):
        tokens = load_tokens(folder)
        found = next((token for token in tokens if token.name == name), None)
        if found is None:
            raise NotFound(f"there is no token {name!r}{nearest(name, [token.name for token in tokens])}")
        save_tokens(folder, [token for token in tokens if token is not found])
    return found


@contextmanager
def _changing(folder: DataDir) -> Iterator[None]:
    """Nobody else reads and writes the file meanwhile, so no change is lost."""
    folder.root.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    descriptor = os.open(folder.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _stamp(path: Path) -> _Stamp:
    """What changes when the file does: it is replaced as a whole, so its inode is another then."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode
