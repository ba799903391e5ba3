"""Verification, whether a chain is what it says it is.

First its structure, event by event: headers, links, commitments, sizes. Then, unless that is not wanted, what it
claims: the grants are decided again and every step is run again and compared. The first pass finds every accident and
every change that was not followed by new hashes; only the second finds a history that was rewritten as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from theater.capabilities.registry import Registry
from theater.chain.links import ChainChecker
from theater.errors import BadBundle, Damaged, NotFound, Unsound
from theater.model.event import Event
from theater.model.execution import Engine
from theater.model.payload import EngineFacts, Genesis
from theater.model.ports import BlobStore
from theater.runtime.anatomy import Anatomy, anatomy_of
from theater.runtime.claims import Caps, capped_limits, check_claims
from theater.runtime.loading import Loader
from theater.runtime.replay import Faulty, Replayer, StepDone, component_digest
from theater.runtime.report import Fault, Report

ReadEvents = Callable[[], Iterator[Event]]
"""Starts reading the chain from its first event; called once for each pass."""


@dataclass(frozen=True, slots=True)
class Laboratory:
    """What re-execution needs: an engine, the capabilities of this version, and the components."""

    engine: Engine
    registry: Registry
    blobs: BlobStore
    caps: Caps

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
    checker = ChainChecker()
    count = 0
    try:
        for event in read_events():
            checker.feed(event)
            count += 1
        checker.finish(head=head)
    except (Unsound, BadBundle, Damaged) as error:
        seq = error.data.get("seq", count)
        fault = Fault(seq=seq if isinstance(seq, int) else count, why=str(error))
        return Report(ok=False, events=count, head=checker.head.hash if count else None, fault=fault)
    report = Report(
        ok=True,
        events=count,
        open=checker.open_step,
        head=checker.head.hash,
        notes=[] if head is not None else ["head not vouched for: a cut tail would not show; give --head HASH"],
    )
    return report if laboratory is None else _execute(report, read_events, laboratory, until, on_step)


def _execute(
    report: Report,
    read_events: ReadEvents,
    laboratory: Laboratory,
    until: int | None,
    on_step: Callable[[StepDone], None] | None,
) -> Report:
    verdicts = {"identical": 0, "unreproducible": 0, "not compared": 0}
    replayer = Replayer(laboratory.engine, laboratory.engine_facts(), lambda event, say: _open(laboratory, event, say))
    fault: Fault | None = None
    try:
        for step in replayer.run(_until(read_events(), until)):
            verdicts[step.verdict] += 1
            if on_step is not None:
                on_step(step)
    except Faulty as stop:
        fault = stop.fault
    except (Unsound, BadBundle, Damaged) as error:
        fault = Fault(seq=None, why=str(error))
    return Report(
        ok=fault is None,
        events=report.events,
        steps=sum(verdicts.values()),
        unreproducible=verdicts["unreproducible"],
        not_compared=verdicts["not compared"],
        open=report.open,
        head=report.head,
        executed=True,
        fault=fault,
        notes=report.notes,
    )


def _until(events: Iterator[Event], until: int | None) -> Iterator[Event]:
    for event in events:
        if until is not None and event.header.seq > until:
            return
        yield event


def _open(laboratory: Laboratory, event: Event, genesis: Genesis) -> Anatomy:
    """What the steps run in. Raises ``TheaterError``: a claim does not hold, or a component is not there."""
    check_claims(genesis, laboratory.registry)
    limits = capped_limits(genesis, laboratory.caps)
    loader = Loader(laboratory.engine, laboratory.blobs, laboratory.registry)
    digest = component_digest(genesis)
    try:
        loaded = loader.load(digest)
    except NotFound as error:
        raise NotFound(
            f"the component sha256:{digest} is not at hand: give it with --component FILE, or check the structure alone"
            " with --no-execute"
        ) from error
    anatomy = anatomy_of(laboratory.registry, loader, event.header.actor, genesis, loaded, event.header.time_us)
    return replace(anatomy, facts=replace(anatomy.facts, limits=limits))
