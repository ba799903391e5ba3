"""Components from component text, through an assembler that the caller has."""

from __future__ import annotations

from collections.abc import Callable

from theater.errors import BuildFailed, InvalidComponent

Assemble = Callable[[str], bytes]
"""Makes the binary of a component out of its text; raises ``InvalidComponent`` where it cannot."""


def build_wat(name: str, text: bytes, assemble: Assemble) -> bytes:
    """The component of a text; ``name`` is the file's, for messages.

    Raises:
        BuildFailed: it is not text, or not a component's.
    """
    try:
        return assemble(text.decode())
    except UnicodeDecodeError as error:
        raise BuildFailed(f"{name}: not UTF-8 at byte {error.start}") from error
    except InvalidComponent as error:
        raise BuildFailed(f"{name}: {error.message}") from error
