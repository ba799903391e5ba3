"""What a build leaves behind: the component, and a stamp by which the next build sees that there is nothing to do."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from theater.model.ids import Digest

FORMAT = 1
"""Part of every inputs digest: it grows when the same inputs would give another component."""

_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Built:
    """A component that lies where it belongs."""

    path: Path
    digest: Digest
    size_bytes: int
    seconds: float
    """How long it took, the looking included."""
    was_cached: bool
    """Whether the one that was there is still right."""


def digest_inputs(inputs: Mapping[str, bytes]) -> str:
    """One digest over named contents, in no order."""
    total = hashlib.sha256(f"theater/build/{FORMAT}\n".encode())
    for name in sorted(inputs):
        total.update(f"{hashlib.sha256(name.encode()).hexdigest()} ".encode())
        total.update(f"{hashlib.sha256(inputs[name]).hexdigest()}\n".encode())
    return total.hexdigest()


def read_component(path: Path, inputs: str) -> bytes | None:
    """The component at ``path``, if it is the very one that was built there from ``inputs``."""
    try:
        stamp = _stamp(path).read_bytes()
        data = path.read_bytes()
    except OSError:
        return None
    return data if stamp == _stamp_text(data, inputs) else None


def write_component(path: Path, data: bytes, inputs: str) -> None:
    """Put a component and its stamp in their places, each whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, data)
    _write(_stamp(path), _stamp_text(data, inputs))


def _stamp(path: Path) -> Path:
    return path.with_name(f".{path.name}.stamp")


def _stamp_text(data: bytes, inputs: str) -> bytes:
    """What a stamp says, in the one way in which it is written: it is compared, and never parsed."""
    stamp = {"inputs": inputs, "component": hashlib.sha256(data).hexdigest()}
    return json.dumps(stamp, indent=1).encode() + b"\n"


def _write(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).chmod(_MODE)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
