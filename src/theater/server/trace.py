"""What is known of one request while it is handled: for its answer, the log and the metrics."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final, cast

from starlette.types import Scope

_KEY: Final = "theater.trace"
_ID_BYTES: Final = 8


def new_request_id() -> str:
    """16 hex digits. Ours: what a client sends as one could be meant to mislead whoever reads the log."""
    return os.urandom(_ID_BYTES).hex()


@dataclass(slots=True)
class Trace:
    """Belongs to the one request. ``route`` is a template, never what was sent."""

    method: str
    request_id: str = field(default_factory=new_request_id)
    route: str = "-"
    token: str = "-"  # noqa: S105 - the name of one
    status: int = 0
    """Of the answer, once its head is out."""

    @property
    def is_begun(self) -> bool:
        """Whether the head of the answer is out."""
        return self.status != 0

    def fields(self) -> dict[str, object]:
        """What a line of the log says of the request."""
        return {
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "request_id": self.request_id,
            "token": self.token,
        }


def attach(scope: Scope, trace: Trace) -> None:
    """Have everybody who handles this request find ``trace``."""
    scope[_KEY] = trace


def trace_of(scope: Scope) -> Trace:
    """That of the request."""
    return cast("Trace", scope[_KEY])
