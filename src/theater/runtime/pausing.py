"""Pausing an actor between two steps, and letting it go on."""

from __future__ import annotations

from dataclasses import replace

from theater.errors import NotRunning
from theater.model.ports import Status
from theater.runtime.being import Being
from theater.runtime.life import CHANGES_FROM, lifecycle
from theater.runtime.orders import Heard


def change_status(being: Being, verb: str, status: Status, *, by: str, done: Heard) -> None:
    """Have it be ``status``, as the event ``verb`` says. Nothing of it is running, and its lock is held."""
    before = being.status
    if before == status:  # it may be so since a moment ago, and not durable
        being.appender.commit(lambda failure, _: done(failure))
        return
    if before not in CHANGES_FROM[verb]:
        done(NotRunning(f"actor {being.record.name!r} is {before}, so it cannot be {verb}; restart it first"))
        return
    being.become(replace(being.record, status=status))
    being.appender.commit(lambda failure, _: done(failure), lifecycle(verb, by, None), record=being.record)
