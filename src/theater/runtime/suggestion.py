"""Which manifest would have been enough: the least that recorded histories need, proven by replaying them under it.

The histories are replayed as they are first, and every call is looked at. What follows from that is tried in further
replays, and written down as a manifest. Last, the text of that manifest is read as a node would read it, and every
history replayed under what it says: only then it is called proven.

A replay has every answer of the world from the record. So what is proven is that the guests would have done the same
and been allowed it; what a call that is made anew comes to out in the world, no replay can say.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import msgspec

from theater.capabilities.registry import Registry
from theater.model.limits import Limits
from theater.model.manifest import parse_manifest
from theater.runtime.conditions import Conditions
from theater.runtime.consumption import Consumption, consumption_of
from theater.runtime.least_grants import LeastGrants, least_grants, widest
from theater.runtime.least_limits import LeastLimit, least_limits, least_memory, lowered, recorded_limits
from theater.runtime.least_manifest import manifest_text
from theater.runtime.permissions import ALWAYS, parse_grants
from theater.runtime.report import Fault
from theater.runtime.sightings import Sightings
from theater.runtime.trials import Failure, History, OnTrial, Trials
from theater.runtime.verification import Laboratory

_OTHER_FUEL = (
    "the steps may burn another amount of fuel under this, within its limit: the guest is given less to look at; all"
    " else was compared"
)

Tables = dict[str, dict[str, object]]


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, as ``--json`` prints it.

    ``manifest`` is there only where it is ``proven``. ``failed`` is the history in which ``fault`` was found: under its
    own grants and limits where nothing was suggested yet, else under those of ``unproven``.
    """

    proven: bool
    manifest: str | None = None
    unproven: str | None = None
    histories: int = 0
    events: int = 0
    steps: int = 0
    replays: int = 0
    granted: Tables = {}
    grants: Tables = {}
    left_out: list[str] = []
    limits: dict[str, int] = {}
    """Those that are lower than they were: counts, and bytes."""
    notes: list[str] = []
    failed: str | None = None
    fault: Fault | None = None


def encode_suggestion(suggestion: Suggestion) -> bytes:
    """As JSON."""
    return msgspec.json.encode(suggestion)


def decode_suggestion(data: bytes) -> Suggestion:
    """From JSON. Raises ``msgspec.DecodeError``."""
    return msgspec.json.decode(data, type=Suggestion)


def suggest(
    histories: Sequence[History], laboratory: Laboratory, *, margin: float = 1.0, on_trial: OnTrial | None = None
) -> Suggestion:
    """The least manifest for these histories, of which there is at least one. Blocks, for a dozen replays or more.

    Raises:
        InvalidInput: they were granted what no single manifest holds.
        TheaterError: a chain cannot be read.
    """
    trials = Trials(histories, laboratory, on_trial or _nobody)
    sightings = Sightings(laboratory.registry)
    first = trials.run(None, doing="replaying", sightings=sightings)
    if isinstance(first, Failure):
        return Suggestion(
            proven=False,
            histories=len(histories),
            replays=trials.count,
            failed=first.label,
            fault=first.report.fault,
        )
    consumed = [consumption_of(history.read_events()) for history in histories]
    return _Search(laboratory.registry, trials, sightings, consumed, margin).run()


def granted_in(histories: Sequence[History], registry: Registry) -> Suggestion:
    """No more than what these histories were granted, by their first events: nothing is run.

    Raises:
        InvalidInput: they were granted what no single manifest holds.
        Unsound, BadBundle: a chain cannot be read.
    """
    every = []
    for history in histories:
        consumed = consumption_of(islice(history.read_events(), 1))
        every.append(parse_grants(registry, consumed.genesis.effective, where="capabilities"))
    return Suggestion(
        proven=False,
        histories=len(histories),
        granted={name: dict(grant.table()) for name, grant in widest(every).items()},
    )


class _Search:
    """From what was seen to what is proven."""

    def __init__(
        self,
        registry: Registry,
        trials: Trials,
        sightings: Sightings,
        consumed: Sequence[Consumption],
        margin: float,
    ) -> None:
        self._registry = registry
        self._trials = trials
        self._sightings = sightings
        self._consumed = consumed
        self._margin = margin

    def run(self) -> Suggestion:
        granted = widest(
            [parse_grants(self._registry, each.genesis.effective, where="capabilities") for each in self._consumed]
        )
        recorded = recorded_limits(self._consumed)
        variables = {name for each in self._consumed for name, _ in each.genesis.environment}
        grants = least_grants(
            self._registry, granted, self._sightings, limits=recorded, trials=self._trials, variables=variables
        )
        limits = self._limits(grants, recorded)
        text = manifest_text(self._registry, self._consumed, grants, self._sightings, recorded=recorded, limits=limits)
        failure = self._proof(text, ignores_fuel=grants.ignores_fuel)
        return Suggestion(
            proven=failure is None,
            manifest=text if failure is None else None,
            unproven=None if failure is None else text,
            histories=len(self._consumed),
            events=sum(each.events for each in self._consumed),
            steps=sum(each.steps for each in self._consumed),
            replays=self._trials.count,
            granted={name: dict(grant.table()) for name, grant in granted.items()},
            grants={name: dict(grant.table()) for name, grant in grants.grants.items()},
            left_out=grants.left_out,
            limits={each.key: each.value for each in limits},
            notes=[*grants.notes, *([_OTHER_FUEL] if grants.ignores_fuel else []), *self._notes()],
            failed=None if failure is None else failure.label,
            fault=None if failure is None else failure.report.fault,
        )

    def _limits(self, grants: LeastGrants, recorded: Limits) -> list[LeastLimit]:
        found = least_limits(self._consumed, recorded, margin=self._margin)
        conditions = Conditions(grants.grants, lowered(recorded, found), ignores_fuel=grants.ignores_fuel)
        memory = least_memory(self._trials, conditions, self._consumed)
        return found if memory is None else [memory, *found]

    def _proof(self, text: str, *, ignores_fuel: bool) -> Failure | None:
        """Replay everything under what the text says, and nothing else."""
        manifest = parse_manifest(text, settings=self._consumed[0].genesis.settings)
        grants = parse_grants(self._registry, {ALWAYS: {}, **manifest.capabilities}, where="capabilities")
        conditions = Conditions(grants, manifest.limits, ignores_fuel=ignores_fuel)
        reports = self._trials.run(conditions, doing="proving")
        return reports if isinstance(reports, Failure) else None

    def _notes(self) -> list[str]:
        notes = []
        for history, each in zip(self._trials.histories, self._consumed, strict=True):
            if each.is_open:
                notes.append(f"{history.label} ends in the middle of a step: what that did is not counted")
        if len({(each.genesis.name, each.program) for each in self._consumed}) > 1:
            notes.append(
                "the histories are of different actors or components: name and component are those of the first"
            )
        return notes


def _nobody(doing: str) -> None:
    """Hears of each replay where nobody asked to."""
    del doing
