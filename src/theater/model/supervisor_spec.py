"""How an actor supervises its children: its strategy, and how many restarts are too many. OTP: supervisor flags."""

from __future__ import annotations

from typing import Literal, get_args

from theater.errors import InvalidInput
from theater.model.recorded import Recorded, check_one_of, check_whole

Strategy = Literal["one-for-one", "one-for-all", "rest-for-one"]
"""Who is restarted with a child: nobody, all its siblings, or those that were started after it."""

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

INTENSITY = 1
"""Restarts within ``PERIOD_US``: OTP's default."""

PERIOD_US = 5_000_000
"""5 seconds, in microseconds: OTP's default."""

INTENSITY_MAX = 1_000
"""The times of so many restarts are kept. A child that fails more often than that in a period is not being helped."""

PERIOD_MAX_US = 86_400_000_000
"""A day, in microseconds."""


class Window(Recorded, frozen=True, kw_only=True):
    """At most ``intensity`` restarts within ``period_us`` microseconds.

    Raises:
        InvalidInput: the intensity is not from 0 to 1,000, or the period not from 1 to a day.
    """

    intensity: int = INTENSITY
    period_us: int = PERIOD_US

    def __post_init__(self) -> None:
        check_whole("intensity", self.intensity, least=0, most=INTENSITY_MAX)
        check_whole("period in microseconds", self.period_us, least=1, most=PERIOD_MAX_US)

    def counted(self, restarts: tuple[int, ...], now_us: int) -> tuple[int, ...] | None:
        """The restarts that count when one more is made at ``now_us``, that one last; None where they are too many.

        A restart counts while ``now_us - time <= period_us``: OTP keeps those with ``time >= now - period``
        (``supervisor:add_restart/3``), the one exactly a period ago included.

        Raises:
            InvalidInput: ``now_us`` is before one of ``restarts``; in a chain times never go back.
        """
        if any(time > now_us for time in restarts):
            raise InvalidInput(f"the time {now_us} us is before that of an earlier restart")
        counted = (*(time for time in restarts if now_us - time <= self.period_us), now_us)
        return counted if len(counted) <= self.intensity else None


class SupervisorSpec(Recorded, frozen=True, kw_only=True):
    """A supervisor's own part: ``period_us`` in microseconds. OTP's ``simple_one_for_one`` is not offered.

    Raises:
        InvalidInput: as ``Window``, or an unknown strategy.
    """

    strategy: Strategy = "one-for-one"
    intensity: int = INTENSITY
    period_us: int = PERIOD_US

    def __post_init__(self) -> None:
        check_one_of("strategy", self.strategy, STRATEGIES)
        _ = self.window  # checks itself

    @property
    def window(self) -> Window:
        """How many restarts are too many."""
        return Window(intensity=self.intensity, period_us=self.period_us)
