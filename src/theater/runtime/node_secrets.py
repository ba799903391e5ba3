"""The node's secrets: named in the config, read where they lie, each time that one is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from theater.errors import InvalidInput

SECRETS_MAX = 256
FILE_MAX_BYTES = 16 * 1024
"""What a header can hold; a larger file is another one than was meant."""

_VARIABLE = "env:"
_FILE = "file:"


@dataclass(frozen=True, slots=True)
class NodeSecrets:
    """Where each secret lies: ``env:VARIABLE`` of the process, or ``file:/path``. Values are in no field of this."""

    sources: Mapping[str, str]
    environ: Mapping[str, str]

    def value(self, name: str) -> str | None:
        """The value as of now, without line ends behind it; None where there is none."""
        source = self.sources.get(name)
        if source is None:
            return None
        if source.startswith(_VARIABLE):
            return self.environ.get(source.removeprefix(_VARIABLE))
        try:
            with Path(source.removeprefix(_FILE)).open("rb") as file:
                data = file.read(FILE_MAX_BYTES + 1)
            return data.decode().rstrip("\r\n") if len(data) <= FILE_MAX_BYTES else None
        except (OSError, UnicodeDecodeError):
            return None


def check_sources(table: object) -> dict[str, str]:
    """What stands under ``[secrets]``. Raises ``InvalidInput`` naming the secret and, never, its value."""
    if not isinstance(table, dict) or len(table) > SECRETS_MAX:
        raise InvalidInput(f"secrets must be a table, written [secrets], of at most {SECRETS_MAX} names")
    sources: dict[str, str] = {}
    for name, source in table.items():
        text = source if isinstance(source, str) else ""
        is_variable = text.startswith(_VARIABLE) and len(text) > len(_VARIABLE)
        is_file = text.startswith(_FILE) and Path(text.removeprefix(_FILE)).is_absolute()
        if not (is_variable or is_file):  # what stands there may be the secret itself, so it is not shown
            raise InvalidInput(
                f'secrets.{name}: write "env:VARIABLE" or "file:/path", where the secret lies; not the secret itself'
            )
        sources[name] = text
    return sources
