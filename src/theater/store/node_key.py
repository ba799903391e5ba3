"""The node's own key: Ed25519, made on first start, in a file that its owner alone can read."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from theater.errors import Damaged
from theater.store.files import write_whole

_OTHERS = 0o077


def load_or_make_node_key(path: Path) -> Ed25519PrivateKey:
    """The key in ``path`` (PEM, PKCS 8), made there if there is none.

    Raises:
        Damaged: the file is no such key, or others can read it.
    """
    try:
        with path.open("rb") as file:
            data, mode = file.read(), os.fstat(file.fileno()).st_mode
    except FileNotFoundError:
        key = Ed25519PrivateKey.generate()
        write_whole(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), synced=True)
        return key
    if mode & _OTHERS:
        raise Damaged(f"others can read {path}: chmod 600 it, or replace it if anybody may have")
    try:
        loaded = load_pem_private_key(data, password=None)
    except ValueError as error:
        raise Damaged(f"{path} is not a private key") from error
    if not isinstance(loaded, Ed25519PrivateKey):
        raise Damaged(f"{path} is not an Ed25519 key")
    return loaded


def public_hex(key: Ed25519PrivateKey) -> str:
    """The public half, 64 hex digits."""
    return key.public_key().public_bytes_raw().hex()
