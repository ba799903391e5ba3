"""The node's certificates: named in the config, for servers of actors whose grant names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from theater.capabilities.http_server_grant import is_tls_name
from theater.errors import InvalidInput

CERTIFICATES_MAX = 256

_KEYS = ("certificate", "key")


def check_certificates(table: object) -> Mapping[str, tuple[str, str]]:
    """What stands under ``[tls]``: the files, in PEM, of each certificate and its key. Raises ``InvalidInput``."""
    if not isinstance(table, dict) or len(table) > CERTIFICATES_MAX:
        raise InvalidInput(f"tls must be tables, written [tls.NAME], at most {CERTIFICATES_MAX}")
    found: dict[str, tuple[str, str]] = {}
    for name, files in table.items():
        if not is_tls_name(name):
            raise InvalidInput(f"[tls.{name}]: a name has 1 to 64 of a-z, A-Z, 0-9, '_' and '-'")
        if not isinstance(files, dict) or set(files) != set(_KEYS):
            raise InvalidInput(f"[tls.{name}] has two keys: certificate and key, the paths of files in PEM")
        certificate, key = (_path(name, which, files[which]) for which in _KEYS)
        found[name] = (certificate, key)
    return found


def _path(name: str, which: str, value: object) -> str:
    if not isinstance(value, str) or not Path(value).is_absolute() or "\0" in value:
        raise InvalidInput(f"[tls.{name}] {which} = {value!r}: write the absolute path of a file")
    return value
