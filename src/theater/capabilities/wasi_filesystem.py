"""``wasi:filesystem``: no directory is open, so there is no file, and no way to one.

Every function is there, so that a component of any toolchain links. A descriptor can only come from another descriptor
or from ``get-directories``, which gives none: the methods below cannot be reached, and say so if they are.

Recorded: nothing. Limits: none.
"""

from __future__ import annotations

from theater.capabilities.registration import drops, functions, methods
from theater.capabilities.wasi_world import WasiGrant, wasi_capability
from theater.model.capability import HostClass, StepContext


def get_directories(_ctx: StepContext, _grant: WasiGrant) -> list[tuple[int, str]]:
    """None."""
    return []


def filesystem_error_code(_ctx: StepContext, _grant: WasiGrant, _error: int) -> None:
    """No stream error is a file's."""


def no_descriptor(_ctx: StepContext, _grant: WasiGrant, *_arguments: object) -> object:
    """A method of a descriptor or of a directory's entries, of which there are none."""
    return ("err", "bad-descriptor")


def is_same_object(_ctx: StepContext, _grant: WasiGrant, descriptor: int, other: int) -> bool:
    """A descriptor is itself and no other."""
    return descriptor == other


_TYPES = "wasi:filesystem/types"
_PREOPENS = "wasi:filesystem/preopens"

_DESCRIPTOR_METHODS = (
    "read-via-stream",
    "write-via-stream",
    "append-via-stream",
    "advise",
    "sync-data",
    "get-flags",
    "get-type",
    "set-size",
    "set-times",
    "read",
    "write",
    "read-directory",
    "sync",
    "create-directory-at",
    "stat",
    "stat-at",
    "set-times-at",
    "link-at",
    "open-at",
    "readlink-at",
    "remove-directory-at",
    "rename-at",
    "symlink-at",
    "unlink-file-at",
    "metadata-hash",
    "metadata-hash-at",
)

CAPABILITY = wasi_capability(
    "wasi-filesystem",
    (
        *functions(_PREOPENS, HostClass.DERIVED, {"get-directories": get_directories}),
        *drops(_PREOPENS, "descriptor"),
        *methods(_TYPES, "descriptor", HostClass.DERIVED, dict.fromkeys(_DESCRIPTOR_METHODS, no_descriptor)),
        *methods(_TYPES, "descriptor", HostClass.DERIVED, {"is-same-object": is_same_object}),
        *methods(_TYPES, "directory-entry-stream", HostClass.DERIVED, {"read-directory-entry": no_descriptor}),
        *functions(_TYPES, HostClass.DERIVED, {"filesystem-error-code": filesystem_error_code}),
        *drops(_TYPES, "descriptor", "directory-entry-stream", "input-stream", "output-stream", "error"),
    ),
)
