"""The machine that a node runs on."""

from __future__ import annotations

import platform


def is_supported_platform() -> bool:
    """Whether we test on this kind of machine: CPython on Linux x86-64."""
    return (
        platform.system() == "Linux"
        and platform.machine() == "x86_64"
        and platform.python_implementation() == "CPython"
    )
