"""Who may ask: a name, and what it may do. The secret itself is nowhere but in the data directory and in requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from theater.model.wire import Scope


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was presented and is known. What it does is recorded as done by ``name``."""

    name: str
    scope: Scope

    def may(self, scope: Scope) -> bool:
        """Whether it has that scope. Who may operate may also read."""
        return self.scope in ("operate", scope)


NOBODY: Final = Token("nobody", "read")
"""Who asks where no token is wanted."""
