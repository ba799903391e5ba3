"""The processes of a rehearsal: none runs; the test says what each one writes, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from theater_sdk.failure import CallFailed
from theater_sdk.text import content_of

_STARTED = {"seconds": 1_767_225_600, "nanoseconds": 0}  # 2026
_TWO = 2


class RehearsedProcesses:
    """Those that the actor started, until their end was told."""

    def __init__(self) -> None:
        self._running: dict[str, str] = {}

    def call(self, function: str, args: Mapping[str, Any], next_id: Callable[[], str]) -> Any:  # noqa: ANN401 - of any WIT type
        """A function of the capability, but for ``run``."""
        if function == "start":
            id = next_id()
            self._running[id] = args["process"]["program"]
            return id
        if function == "list-processes":
            return [self._info(id) for id in self._running]
        id = args["id"]
        if id not in self._running:
            raise CallFailed("unknown-process", id)
        return self._info(id) if function == "status" else None

    def end(self, id: str) -> None:
        """Its end is told."""
        self._running.pop(id, None)

    def _info(self, id: str) -> dict[str, Any]:
        return {"id": id, "program": self._running[id], "started": _STARTED, "status": None}


def finished(answer: Any) -> dict[str, Any]:  # noqa: ANN401 - as the test gave it
    """What ``run`` answers: of a text it is what the program wrote; of a pair, the code before that."""
    code, stdout = answer if isinstance(answer, tuple) and len(answer) == _TWO else (0, answer)
    return {"status": ("code", code), "stdout": content_of(stdout), "stderr": ("text", "")}
