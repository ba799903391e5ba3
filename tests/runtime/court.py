"""Where chains are judged: verification on lists of events, with the engine and the components of a stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.forgery import Forger
from tests.runtime.stage import Stage
from theater.model.event import Event
from theater.runtime.claims import Caps
from theater.runtime.report import Report
from theater.runtime.verification import Laboratory, verify
from theater.testing.harness import Actor


def judged(stage: Stage, events: Sequence[Event], *, execute: bool = True, caps: Caps | None = None) -> Report:
    """The verdict on a chain whose head is vouched for: whoever forges may say what the head is."""
    node = stage.runtime.node
    laboratory = Laboratory(node.engine, node.registry, node.blobs, caps or Caps())

    def read() -> Iterator[Event]:
        return iter(events)

    return verify(read, head=events[-1].hash, laboratory=laboratory if execute else None)


def assert_found(stage: Stage, forger: Forger, *, at: int | None = None, why: str = "") -> Report:
    """A forged chain passes as a structure, and running it finds where it was changed (in its own numbering)."""
    events = forger.sealed()
    structure = judged(stage, events, execute=False)
    assert (structure.ok, structure.fault) == (True, None)
    report = judged(stage, events)
    assert not report.ok
    assert report.fault is not None
    assert why in report.fault.why, report.fault
    if at is not None:
        assert report.fault.seq == at, report.fault
    return report


def truth(actor: Actor) -> Forger:
    """A forger with an actor's true chain, which verifies and still does when nothing but the salts is changed."""
    assert actor.verify().ok
    return Forger(actor.events())
