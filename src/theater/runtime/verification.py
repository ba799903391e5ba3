"""Verification, whether a chain is what it says it is.

Each event is looked at once. First its structure: header, link, commitment, size; and what a supervisor decided about
its children, which follows from its own chain. Then, unless that is not wanted, what it claims: the grants are decided
again, and every step is run again and compared. The structure shows every
accident and every change that was not followed by new hashes; only the rest shows that a history was rewritten as a
whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from theater.capabilities.registry import Registry
from theater.chain.links import ChainChecker
from theater.errors import BadBundle, Damaged, NotFound, TheaterError, Unsound
from theater.model.event import Event
from theater.model.execution import Engine
from theater.model.ids import Digest
from theater.model.payload import EngineFacts, Genesis
from theater.model.ports import BlobStore
from theater.runtime.anatomy import Anatomy, anatomy_of, upgraded_anatomy
from theater.runtime.claims import Caps, capped_limits, check_claims
from theater.runtime.conditions import Conditions, under
from theater.runtime.lineage import Lineage
from theater.runtime.loading import Loaded, Loader
from theater.runtime.replay import Replayer, StepDone, component_digest
from theater.runtime.report import Fault, Faulty, Report
from theater.runtime.sightings import Sightings

VERDICTS = ("identical", "identical but for fuel", "unreproducible", "not compared")

ReadEvents = Callable[[], Iterator[Event]]
"""Starts reading the chain from its first event; called once for each pass."""


@dataclass(frozen=True, slots=True)
class Laboratory:
    """What re-execution needs: an engine, the capabilities of this version, and the components."""

    engine: Engine
    registry: Registry
    blobs: BlobStore
    caps: Caps
    conditions: Conditions | None = None
    """What is given in place of what event 0 says."""
    sightings: Sightings | None = None
    """Who looks at every call."""

    def engine_facts(self) -> EngineFacts:
        """Under what this laboratory measures fuel."""
        identity = self.engine.identity
        return EngineFacts(
            name=identity.name,
            version=identity.version,
            settings=identity.settings,
            architecture=identity.architecture,
        )


def verify(
    read_events: ReadEvents,
    *,
    head: str | None = None,
    laboratory: Laboratory | None = None,
    until: int | None = None,
    on_step: Callable[[StepDone], None] | None = None,
) -> Report:
    """Verify a chain. Without a ``laboratory`` nothing is executed; ``until`` leaves out steps begun after that seq.

    Never raises for what is wrong with the chain: the report's ``fault`` says it.
    """
    examination = _Examination(laboratory, until, on_step or _nobody)
    try:
        for event in read_events():
            examination.feed(event)
        examination.finish(head)
    except (Unsound, BadBundle, Damaged) as error:
        examination.found_unsound(error)
    finally:
        examination.close()
    return examination.report(is_vouched_for=head is not None)


class _Examination:
    """Looks at each event once: at its place in the chain first, and then at what running it again shows.

    The structure goes on being looked at when a step came out otherwise; nothing is run any more then.
    """

    def __init__(self, laboratory: Laboratory | None, until: int | None, on_step: Callable[[StepDone], None]) -> None:
        self._checker = ChainChecker()
        self._until = until
        self._on_step = on_step
        self._count = 0
        self._verdicts = dict.fromkeys(VERDICTS, 0)
        self._fault: Fault | None = None
        self._lacks_component = False  # which is no fault of the chain's, and goes behind any that is
        self._executed = laboratory is not None
        self._lineage = Lineage()
        self._replayer: Replayer | None = None
        if laboratory is not None:
            loader = Loader(laboratory.engine, laboratory.blobs, laboratory.registry)
            self._replayer = Replayer(
                laboratory.engine,
                laboratory.engine_facts(),
                partial(_open, laboratory, loader),
                partial(_succeed, laboratory, loader),
                fuel_max=laboratory.caps.fuel,
                watch=laboratory.sightings.watch if laboratory.sightings is not None else None,
                ignores_fuel=laboratory.conditions is not None and laboratory.conditions.ignores_fuel,
            )

    def feed(self, event: Event) -> None:
        """Look at the next event. Raises ``Unsound`` for what is wrong with the chain itself."""
        self._checker.feed(event)
        self._count += 1
        if self._fault is None or self._lacks_component:
            self._follow(event)
        replayer = self._replayer
        if replayer is not None and (self._until is None or event.header.seq <= self._until):
            self._judge(replayer.feed(event))

    def _follow(self, event: Event) -> None:
        """Make a supervisor's decisions again. A step before may come out otherwise, and is then the first fault."""
        try:
            self._lineage.feed(event)
        except Faulty as stop:
            if self._replayer is not None:
                self._judge(self._replayer.finish())
                self.close()
                self._replayer = None
            if self._fault is None or self._lacks_component:
                self._fault, self._lacks_component = stop.fault, False

    def finish(self, head: str | None) -> None:
        """There are no more events."""
        if self._replayer is not None:
            self._judge(self._replayer.finish())
        if self._fault is None:
            self._checker.finish(head=head)

    def found_unsound(self, error: TheaterError) -> None:
        """The chain itself is wrong here; a step before may have come out otherwise, and is then the first fault."""
        if self._replayer is not None:
            self._judge(self._replayer.finish())
        if self._fault is None or self._lacks_component:
            seq = error.data.get("seq", self._count)
            self._fault = Fault(seq=seq if isinstance(seq, int) else self._count, why=str(error))

    def close(self) -> None:
        """Let go of what the replay keeps."""
        if self._replayer is not None:
            self._replayer.close()

    def report(self, *, is_vouched_for: bool) -> Report:
        """What was found."""
        notes = [] if is_vouched_for else ["head not vouched for: a cut tail would not show; give --head HASH"]
        uncompared = self._verdicts["identical but for fuel"]
        if uncompared:
            notes.append(f"the fuel of {uncompared} steps was not compared: event 0 names another engine than this one")
        if self._lineage.unchecked:
            why = f"the payload of event {self._lineage.unknown_from} is withheld or erased"
            notes.append(f"{self._lineage.unchecked} decisions of the supervisor were not made again: {why}")
        return Report(
            ok=self._fault is None,
            events=self._count,
            steps=sum(self._verdicts.values()),
            unreproducible=self._verdicts["unreproducible"],
            not_compared=self._verdicts["not compared"],
            fuel_not_compared=uncompared,
            open=self._checker.open_step,
            head=self._checker.head.hash if self._count else None,
            executed=self._executed,
            fault=self._fault,
            notes=notes if self._fault is None else [],
        )

    def _judge(self, steps: Iterator[StepDone]) -> None:
        try:
            for step in steps:
                self._verdicts[step.verdict] += 1
                self._on_step(step)
        except Faulty as stop:
            self._fault = stop.fault
            self._lacks_component = isinstance(stop.__cause__, NotFound)
            self.close()
            self._replayer = None


def _nobody(step: StepDone) -> None:
    """Hears of each step where nobody asked to."""
    del step


def _open(laboratory: Laboratory, loader: Loader, event: Event, genesis: Genesis) -> Anatomy:
    """What the steps run in. Raises ``TheaterError``: a claim does not hold, or a component is not there."""
    check_claims(genesis, laboratory.registry)
    limits = capped_limits(genesis, laboratory.caps)
    loaded = _load(loader, component_digest(genesis))
    anatomy = anatomy_of(loader, event.header.actor, genesis, loaded, event.header.time_us)
    anatomy = replace(anatomy, facts=replace(anatomy.facts, limits=limits))
    if laboratory.sightings is not None:
        laboratory.sightings.meet(loaded.program)
    if laboratory.conditions is not None:
        return under(laboratory.conditions, anatomy, loader, laboratory.caps)
    return anatomy


def _succeed(laboratory: Laboratory, loader: Loader, anatomy: Anatomy, digest: Digest) -> Anatomy:
    """What they run in behind an upgrade. Raises ``TheaterError``: it cannot be one, or is not there."""
    loaded = _load(loader, digest)
    if laboratory.sightings is not None:
        laboratory.sightings.meet(loaded.program)
    return upgraded_anatomy(anatomy, loader, loaded)


def _load(loader: Loader, digest: Digest) -> Loaded:
    try:
        return loader.load(digest)
    except NotFound as error:
        raise NotFound(
            f"the component sha256:{digest} is not at hand: give it with --component FILE, or check the structure alone"
            " with --no-execute"
        ) from error
