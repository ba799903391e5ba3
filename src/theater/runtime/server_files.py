"""The files by which a server and its clients on one machine find each other, and trust each other.

::

    server.lock     locked for as long as a server serves the data directory
    server.json     where it listens, and a token for whoever may read the file
    token           the default token, made once
    tokens.json     the further ones, by their hash

What a person allows an actor that the server is to start is in ``theater.runtime.allowances``.
Whoever can read these files owns the node, so they are their owner's alone: one that others can read, or that somebody
else put there, is refused and not used.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated

import msgspec

from theater.errors import Damaged, InvalidInput, NameTaken
from theater.model.manifest import is_name
from theater.model.wire import Hex64, Scope
from theater.runtime.private_files import read_private, write_private
from theater.store.data_dir import DataDir
from theater.store.files import PRIVATE_FILE

LOCAL = "local"
"""The name of the default token, and of what is done without a server."""

RESERVED_NAMES = frozenset({LOCAL, "runtime", "timer", "supervisor", "channel", "http"})
"""Names that no further token can have: a chain would seem to say that somebody else did it."""

TOKENS_MAX = 1000  # far more than a node has people and programs; each request looks through all of them

_TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}\Z")


class ServerFile(msgspec.Struct, frozen=True):
    """What a server that serves a data directory says of itself."""

    url: str
    """Its origin, ``http://127.0.0.1:7654``: no path, no slash at the end."""
    token: str
    pid: int
    version: str
    started: str


class NamedToken(msgspec.Struct, frozen=True):
    """A further token. The token itself is known to whoever was given it."""

    name: str
    scope: Scope
    sha256: Hex64
    created: str


class _Tokens(msgspec.Struct, frozen=True):
    tokens: Annotated[list[NamedToken], msgspec.Meta(max_length=TOKENS_MAX)]


# -- the server ------------------------------------------------------------------------------------------------------


@contextmanager
def hold_server_lock(folder: DataDir) -> Iterator[None]:
    """Say for as long as this lasts that a server serves ``folder``, whose own lock this process holds.

    What an earlier server wrote of itself is removed before, and what this one wrote, after: nobody who finds the lock
    taken reads of a server that is no more, at whose port anybody may listen by now. The lock is waited for, and no
    longer than somebody looks at it: see ``is_served``.
    """
    remove_server_file(folder)
    descriptor = os.open(folder.server_lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        remove_server_file(folder)
        os.close(descriptor)


def is_served(folder: DataDir) -> bool:
    """Whether a server serves ``folder`` now.

    Raises:
        InvalidInput: this user may not know.
    """
    try:
        descriptor = os.open(folder.server_lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise InvalidInput(f"{folder.server_lock} cannot be read: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def write_server_file(folder: DataDir, content: ServerFile) -> None:
    """Tell where the server listens: it does already, and holds its lock."""
    write_private(folder.server_file, msgspec.json.encode(content))


def read_server_file(folder: DataDir) -> ServerFile | None:
    """What the server wrote of itself; None where it wrote nothing, or not yet. Ask ``is_served`` first.

    Raises:
        Damaged: the file is no such file, or not its owner's alone.
    """
    try:
        return msgspec.json.decode(read_private(folder.server_file), type=ServerFile)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise Damaged(f"{folder.server_file} says nothing of a server ({error}): start the server again") from error


def remove_server_file(folder: DataDir) -> None:
    """Tell no longer, if anything was told."""
    folder.server_file.unlink(missing_ok=True)


# -- tokens ----------------------------------------------------------------------------------------------------------


def new_token() -> str:
    """43 characters that may stand in a URL and a header, of 256 bits of entropy."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def token_sha256(token: str) -> str:
    """What a token is known by. It needs no salt: nobody guesses 256 bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def make_or_read_token(folder: DataDir) -> str:
    """The default token, made if there is none.

    Raises:
        Damaged: the file holds no token, or is not its owner's alone.
    """
    try:
        return read_token(folder)
    except FileNotFoundError:
        token = new_token()
        with suppress(FileExistsError):  # somebody was faster: that one is the token
            write_private(folder.token, token.encode(), replace=False)
        return read_token(folder)


def read_token(folder: DataDir) -> str:
    """The default token.

    Raises:
        FileNotFoundError: none was made yet.
        Damaged: the file holds no token, or is not its owner's alone.
    """
    text = read_private(folder.token).decode("utf-8", "replace").strip()
    if not _TOKEN.match(text):
        raise Damaged(f"{folder.token} holds no token: remove it, and the server makes a new one when it starts")
    return text


def check_token_name(name: str) -> str:
    """``name``, if a further token can have it.

    Raises:
        InvalidInput: it cannot.
    """
    if not is_name(name):
        raise InvalidInput(f"token name {name!r}: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter")
    if name in RESERVED_NAMES:
        raise InvalidInput(f"token name {name!r} is reserved: use another, not {', '.join(sorted(RESERVED_NAMES))}")
    return name


def load_tokens(folder: DataDir) -> tuple[NamedToken, ...]:
    """The further tokens, as they were added.

    Raises:
        Damaged: the file is no such file, or not its owner's alone.
    """
    try:
        tokens = msgspec.json.decode(read_private(folder.tokens), type=_Tokens).tokens
        _check_tokens(tokens)
    except FileNotFoundError:
        return ()
    except (msgspec.DecodeError, InvalidInput) as error:
        raise Damaged(f"{folder.tokens} is no list of tokens ({error}): mend or remove it") from error
    return tuple(tokens)


def save_tokens(folder: DataDir, tokens: Sequence[NamedToken]) -> None:
    """Make these the further tokens.

    Raises:
        NameTaken: two have one name.
        InvalidInput: there are too many, or one has a name that it cannot have.
    """
    _check_tokens(tokens)
    write_private(folder.tokens, msgspec.json.format(msgspec.json.encode(_Tokens(list(tokens)))) + b"\n")


def _check_tokens(tokens: Sequence[NamedToken]) -> None:
    if len(tokens) > TOKENS_MAX:
        raise InvalidInput(f"there can be at most {TOKENS_MAX} tokens: remove one first")
    seen: set[str] = set()
    for token in tokens:
        if check_token_name(token.name) in seen:
            raise NameTaken(f"there is a token {token.name!r} already: remove it first, or use another name")
        seen.add(token.name)
