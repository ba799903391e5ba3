"""Replaying histories under other conditions, to see whether they would have been the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from theater.runtime.conditions import Conditions
from theater.runtime.report import Report
from theater.runtime.sightings import Sightings
from theater.runtime.verification import Laboratory, ReadEvents, verify

OnTrial = Callable[[str], None]
"""Hears what is being tried."""


@dataclass(frozen=True, slots=True)
class History:
    """A chain, and what it is called to a person."""

    label: str
    read_events: ReadEvents


@dataclass(frozen=True, slots=True)
class Failure:
    """The first history that came out otherwise, and where."""

    label: str
    report: Report


class Trials:
    """Replays all histories, as often as it is asked to."""

    def __init__(self, histories: Sequence[History], laboratory: Laboratory, on_trial: OnTrial) -> None:
        self.histories = histories
        self.count = 0
        """How many replays of all of them were begun."""
        self._laboratory = laboratory
        self._on_trial = on_trial

    def run(
        self, conditions: Conditions | None, *, doing: str, sightings: Sightings | None = None
    ) -> Failure | list[Report]:
        """Replay them, all under these conditions; the reports, or the first that is not good."""
        self.count += 1
        laboratory = replace(self._laboratory, conditions=conditions, sightings=sightings)
        reports: list[Report] = []
        for history in self.histories:
            self._on_trial(f"{doing}: {history.label}")
            report = verify(history.read_events, laboratory=laboratory)
            if not report.ok:
                return Failure(history.label, report)
            reports.append(report)
        return reports

    def passes(self, conditions: Conditions, *, doing: str) -> bool:
        """Whether all of them would have been the same."""
        return not isinstance(self.run(conditions, doing=doing), Failure)
