"""Timers and sleeping: the capability ``timing``. For the time itself, ``time`` and ``datetime`` will do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from theater_sdk.host import call
from theater_sdk.text import decoded, encoded

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Timer:
    """One waiting timer of this actor."""

    id: str
    next: datetime
    """When it fires next, UTC."""
    every_s: float | None
    """Seconds between two firings; None: it fires once."""
    body: Any
    """The body of the message that it sends."""


def schedule(
    body: Any,  # noqa: ANN401 - any JSON
    *,
    after_s: float | None = None,
    at: datetime | None = None,
    every_s: float | None = None,
) -> str:
    """Have this message sent to the actor itself later, and return the timer's id.

    Give ``after_s`` or ``at`` (with a time zone), or ``every_s`` alone for a first firing after that long. The timer
    is durable. The message comes through ``handle``, with the actor's own id as its sender.
    """
    if (after_s is not None) and (at is not None):
        raise TypeError("schedule() takes after_s or at, not both")
    if after_s is None and at is None:
        if every_s is None:
            raise TypeError("schedule() needs to know when: after_s, at or every_s")
        after_s = every_s
    due: tuple[str, Any] = ("at", _wit_time(at)) if at is not None else ("after-ms", milliseconds(after_s))
    text = encoded(body, "the body given to schedule()")
    id: str = call("timing", "schedule", {"body": text, "due": due, "repeat-ms": milliseconds(every_s)})
    return id


def cancel_timer(id: str) -> None:
    """Take a timer back. A message that it has sent already is handled all the same."""
    call("timing", "cancel", {"id": id})


def timers() -> list[Timer]:
    """The waiting timers of this actor, by next firing."""
    found = call("timing", "list-timers", {})
    return [
        Timer(
            id=each["id"],
            next=python_time(each["next"]),
            every_s=None if each["repeat-ms"] is None else each["repeat-ms"] / 1000,
            body=decoded(each["body"]),
        )
        for each in found
    ]


def sleep(duration_s: float) -> None:
    """Wait inside the step. The actor handles nothing else meanwhile: for more than moments use ``schedule``."""
    call("timing", "sleep", {"duration-ms": milliseconds(duration_s)})


def milliseconds(duration_s: float | None) -> int | None:
    """Whole milliseconds, never less than was asked for."""
    return None if duration_s is None else math.ceil(round(duration_s * 1000, 6))


def python_time(datetime_: dict[str, int]) -> datetime:
    """A point in time, UTC, from WIT's ``datetime``."""
    return _EPOCH + timedelta(seconds=datetime_["seconds"], microseconds=datetime_["nanoseconds"] // 1000)


def _wit_time(at: datetime) -> dict[str, int]:
    if at.tzinfo is None:
        raise TypeError("schedule(at=...) needs a time with a time zone, such as datetime.now(UTC)")
    seconds, rest = divmod(at - _EPOCH, timedelta(seconds=1))
    return {"seconds": seconds, "nanoseconds": rest // timedelta(microseconds=1) * 1000}
