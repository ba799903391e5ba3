"""Refuses the one interpreter on which host functions cannot run on a guest's stack.

CPython 3.14.0 compares the stack pointer with the bounds of the thread's own stack and takes a fiber's stack, which
lies elsewhere, for an overflow: a fatal error. Since 3.14.1 an address outside of the thread's stack is left alone
(https://github.com/python/cpython/pull/141944). Before 3.14 there are counters and no addresses.

Tested: 3.11. The rest is reasoned from CPython's sources; each version has to be run before it is called supported.
"""

from __future__ import annotations

import sys

_BROKEN = (3, 14, 0)


def check_interpreter(version: tuple[int, int, int], implementation: str) -> None:
    """Raise ``ImportError`` where the engine would take the process down."""
    if implementation != "cpython":
        raise ImportError(f"theater needs CPython, and this is {implementation}: the engine reads its objects' memory")
    if version == _BROKEN:
        raise ImportError(
            "theater cannot run on CPython 3.14.0: it mistakes a guest's stack for a stack overflow and aborts. "
            "Use 3.14.1 or newer, or 3.11 to 3.13"
        )


check_interpreter(sys.version_info[:3], sys.implementation.name)
