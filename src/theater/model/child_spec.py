"""What a supervisor knows of a child in advance: when it is restarted, from what, and how it is stopped.

The words are those of OTP's child specifications. What OTP has besides is not offered: ``significant``, since there is
no ``auto_shutdown``, and ``type``, since an actor is a supervisor when it has children.
"""

from __future__ import annotations

from typing import Literal, get_args

from theater.errors import InvalidInput
from theater.model.recorded import Recorded, check_one_of, check_whole

RestartPolicy = Literal["permanent", "transient", "temporary"]
"""Restarted always, after an abnormal end only, or never."""

RestartFrom = Literal["last-state", "init"]
"""From what a restarted actor goes on: its last committed state, or a fresh ``init``.

``last-state`` is a fresh ``init`` too where there is no such state: where no ``init`` has succeeded since the last
time that one was due.
"""

Shutdown = int | Literal["infinity", "brutal"]
"""How an actor is stopped: wait so many milliseconds for its step, wait however long, or terminate it at once."""

RESTART_POLICIES: tuple[RestartPolicy, ...] = get_args(RestartPolicy)
RESTARTS_FROM: tuple[RestartFrom, ...] = get_args(RestartFrom)

SHUTDOWN_MS = 5_000
"""How long a child without children gets to finish its step: OTP's default for a worker, in milliseconds."""

PAUSE_MAX_MS = 86_400_000
"""A day, in milliseconds: nobody waits longer for a step or a restart; who means for ever writes ``infinity``."""


class Backoff(Recorded, frozen=True, kw_only=True):
    """Pauses before restarts, in milliseconds from 1 to a day: the first, and the longest. OTP has none.

    Raises:
        InvalidInput: not so, or the first is longer than the longest.
    """

    first_ms: int
    max_ms: int

    def __post_init__(self) -> None:
        check_whole("backoff: first", self.first_ms, least=1, most=PAUSE_MAX_MS)
        check_whole("backoff: max", self.max_ms, least=1, most=PAUSE_MAX_MS)
        if self.first_ms > self.max_ms:
            raise InvalidInput(f"backoff: the first pause, {self.first_ms} ms, is longer than the longest")

    def pause_ms(self, nth: int) -> int:
        """The pause before restart number ``nth``, counted from 1: ``first_ms``, doubled each time, at most ``max_ms``.

        ``nth`` is at most the largest intensity, 1,000, so the doubled number stays small.
        """
        return min(self.max_ms, self.first_ms << (nth - 1))


class ChildSpec(Recorded, frozen=True, kw_only=True):
    """A child specification. ``shutdown`` None is the default, which depends on whether the child has children.

    Raises:
        InvalidInput: an unknown word, or a time to wait that is not from 0 to a day.
    """

    restart: RestartPolicy = "permanent"
    restart_from: RestartFrom = "last-state"
    shutdown: Shutdown | None = None
    backoff: Backoff | None = None

    def __post_init__(self) -> None:
        check_one_of("restart", self.restart, RESTART_POLICIES)
        check_one_of("restart-from", self.restart_from, RESTARTS_FROM)
        if self.shutdown is not None and self.shutdown not in ("infinity", "brutal"):
            check_whole("shutdown in milliseconds", self.shutdown, least=0, most=PAUSE_MAX_MS)

    def shutdown_of(self, *, has_children: bool) -> Shutdown:
        """How the child is stopped now.

        Without a word about it 5,000 ms, and ``infinity`` for one that has children, since it takes time to stop
        those: OTP's defaults for a worker and a supervisor.
        """
        if self.shutdown is not None:
            return self.shutdown
        return "infinity" if has_children else SHUTDOWN_MS
