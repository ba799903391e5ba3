"""``theater:actor/timing``: the step's clock, sleeping in the middle of a step, and timers that outlive the process.

Recorded: a sleep, as ``intent`` (for how long) and ``host`` (the answer, and the time after it); everything about
timers, as ``host``; what a timer sends arrives as a message like any other. The clocks are not: the time of a step is
that of its ``message`` event, and moves only with a wait.

Limits: one sleep lasts at most 60 s (``sleep``; 24 h is the most that can be granted): the actor is deaf meanwhile. The
sum over a step is bounded by the actor's limit ``wait``, which is 60 s as well unless the manifest says otherwise. A
timer fires within a year (``schedule``, the most as well), and repeats not more often than once a second (``repeat``;
100 ms is the least that can be granted), since each firing is a step and a commit. An actor has at most ``timers``
(1,000) of them; a body has at most the limit ``message`` (1 MiB), and all together 64 MiB.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from theater.capabilities.grant_table import check_keys, manifest_lines, number_of
from theater.capabilities.guest_json import json_problem, size_bytes
from theater.capabilities.moment import LAST_US, US_PER_MS, datetime_of, microseconds_of
from theater.capabilities.registration import buffered, functions
from theater.errors import InvalidManifest
from theater.model.actor_system import Problem
from theater.model.capability import Capability, Denied, HostClass, StepContext, Wait
from theater.model.crash import StepCrash
from theater.model.effects import CancelTimer, Schedule
from theater.model.narrowing import AS_GRANTED, Least, Need, SeenCall, number_within
from theater.model.quantity import parse_milliseconds, show_milliseconds

NAME = "timing"
SLEEP_DEFAULT_MS = 60_000
SLEEP_MAX_MS = 24 * 3_600_000
"""A day: the most that the actor's limit ``wait`` can be."""
SCHEDULE_MAX_MS = 365 * 24 * 3_600_000
"""A year, which is the default as well: a timer costs a row, and who means later sets another one on waking."""
REPEAT_DEFAULT_MS = 1000
"""A step a second, for as long as the actor lives, is what nobody has to think about."""
REPEAT_MIN_MS = 100
"""Ten steps a second are ten commits; a timer is no clock for anything finer."""
TIMERS_MAX_BYTES = 64 * 2**20
"""The bodies of one actor's timers together: they are held in memory, whether the actor is or not."""

_MS_PER_S = 1000
_MS_PER_DAY = 24 * 3_600_000
_NS_PER_US = 1000
_OK = ("ok", None)

Due = tuple[str, int | Mapping[str, int]]
"""``after-ms`` with milliseconds, or ``at`` with a ``datetime``."""


@dataclass(frozen=True, slots=True)
class TimingGrant:
    """In milliseconds: the longest sleep, the furthest first firing and longest repetition, the shortest repetition."""

    sleep_ms: int = SLEEP_DEFAULT_MS
    schedule_ms: int = SCHEDULE_MAX_MS
    repeat_ms: int = REPEAT_DEFAULT_MS

    def __post_init__(self) -> None:
        for key, value_ms, most_ms in (
            ("sleep", self.sleep_ms, SLEEP_MAX_MS),
            ("schedule", self.schedule_ms, SCHEDULE_MAX_MS),
        ):
            if not 0 <= value_ms <= most_ms:
                raise InvalidManifest(f"[capabilities.{NAME}] {key}: {_show(most_ms)} is the most")
        if not REPEAT_MIN_MS <= self.repeat_ms <= SCHEDULE_MAX_MS:
            raise InvalidManifest(
                f"[capabilities.{NAME}] repeat: write {_show(REPEAT_MIN_MS)} to {_show(SCHEDULE_MAX_MS)}"
            )

    def table(self) -> dict[str, object]:
        return {"sleep": _show(self.sleep_ms), "schedule": _show(self.schedule_ms), "repeat": _show(self.repeat_ms)}

    def lines(self, beyond: TimingGrant | None) -> list[str]:
        more = {
            "sleep": beyond is None or self.sleep_ms > beyond.sleep_ms,
            "schedule": beyond is None or self.schedule_ms > beyond.schedule_ms,
            "repeat": beyond is None or self.repeat_ms < beyond.repeat_ms,
        }
        return manifest_lines({key: value for key, value in self.table().items() if more[key]})

    def narrowed(self, ceiling: TimingGrant) -> TimingGrant:
        return TimingGrant(
            sleep_ms=min(self.sleep_ms, ceiling.sleep_ms),
            schedule_ms=min(self.schedule_ms, ceiling.schedule_ms),
            repeat_ms=max(self.repeat_ms, ceiling.repeat_ms),
        )


def parse(table: Mapping[str, object]) -> TimingGrant:
    """Keys: ``sleep``, ``schedule`` and ``repeat``, durations."""
    check_keys(NAME, table, ("sleep", "schedule", "repeat"))
    return TimingGrant(
        sleep_ms=number_of(NAME, table, "sleep", parse=parse_milliseconds, default=SLEEP_DEFAULT_MS),
        schedule_ms=number_of(NAME, table, "schedule", parse=parse_milliseconds, default=SCHEDULE_MAX_MS),
        repeat_ms=number_of(NAME, table, "repeat", parse=parse_milliseconds, default=REPEAT_DEFAULT_MS),
    )


def _show(value_ms: int) -> str:
    """In the largest of ms, s and d that divides it."""
    days, rest_ms = divmod(value_ms, _MS_PER_DAY)
    if days and not rest_ms:
        return f"{days}d"
    return show_milliseconds(value_ms)


def now(ctx: StepContext, _grant: TimingGrant) -> dict[str, int]:
    """The time of the step."""
    return datetime_of(ctx.now_us)


def monotonic(ctx: StepContext, _grant: TimingGrant) -> int:
    """Nanoseconds since the actor's genesis."""
    return (ctx.now_us - ctx.started_us) * _NS_PER_US


def sleep(ctx: StepContext, grant: TimingGrant, duration_ms: int) -> object:
    """Wait for that long."""
    if duration_ms > grant.sleep_ms:
        return Denied(("err", ("too-long", grant.sleep_ms)))
    return _wait_until(ctx, ctx.now_us + duration_ms * US_PER_MS)


def sleep_until(ctx: StepContext, grant: TimingGrant, at: Mapping[str, int]) -> object:
    """Wait until that time."""
    until_us = microseconds_of(at)
    if until_us is None:
        return ("err", ("invalid-datetime", None))
    if until_us - ctx.now_us > grant.sleep_ms * US_PER_MS:
        return Denied(("err", ("too-long", grant.sleep_ms)))
    return _wait_until(ctx, until_us)


def _wait_until(ctx: StepContext, until_us: int) -> object:
    if until_us <= ctx.now_us:
        return _OK

    def answer() -> object:
        return _OK if ctx.now_us >= until_us else ("err", ("wait-exhausted", None))

    return Wait(until_us=until_us, answer=answer)


def schedule(ctx: StepContext, grant: TimingGrant, body: str, due: Due, repeat_ms: int | None) -> object:
    """Set a timer; gives its id."""
    problem = json_problem(body, most_bytes=ctx.limits.message_bytes)
    if problem is not None:
        return ("err", problem)
    due_us = due_at(ctx, due)
    if due_us is None:
        return ("err", ("invalid-datetime", None))
    beyond = _beyond(grant, after_us=due_us - ctx.now_us, repeat_ms=repeat_ms)
    if beyond is not None:
        return Denied(("err", beyond))
    count = ctx.system.count_timers()
    if count >= ctx.limits.timers or ctx.system.timers_bytes() + size_bytes(body) > TIMERS_MAX_BYTES:
        return ("err", ("too-many", min(count, ctx.limits.timers)))
    return ("ok", ctx.call_id)


def act_schedule(ctx: StepContext, answer: tuple[str, object], body: str, due: Due, repeat_ms: int | None) -> None:
    """It runs from the commit on."""
    due_us = due_at(ctx, due)
    if answer[0] == "ok" and due_us is not None:
        repeat_us = None if repeat_ms is None else repeat_ms * US_PER_MS
        ctx.act(Schedule(ctx.call_id, body, min(due_us, LAST_US), repeat_us))


def cancel(ctx: StepContext, _grant: TimingGrant, id: str) -> object:
    """Take a timer back."""
    return _OK if ctx.system.has_timer(id) else ("err", ("unknown-timer", id))


def act_cancel(ctx: StepContext, answer: tuple[str, object], id: str) -> None:
    """It is gone with the commit."""
    if answer == _OK:
        ctx.act(CancelTimer(id))


def list_timers(ctx: StepContext, _grant: TimingGrant) -> list[dict[str, object]]:
    """Those that wait, by next firing, then id. What cannot be recorded is not put together either."""
    if ctx.system.timers_bytes() > ctx.limits.bytes_per_step:
        raise StepCrash("bytes", f"the timers' bodies alone are more than {ctx.limits.bytes_per_step} bytes")
    return [
        {
            "id": timer.id,
            "next": datetime_of(timer.next_us),
            "repeat-ms": None if timer.repeat_us is None else timer.repeat_us // US_PER_MS,
            "body": timer.body,
        }
        for timer in ctx.system.timers()
    ]


def due_at(ctx: StepContext, due: Due) -> int | None:
    """When that is, microseconds since 1970; None for a ``datetime`` that cannot be."""
    kind, when = due
    if isinstance(when, int):
        assert kind == "after-ms", kind
        return ctx.now_us + when * US_PER_MS
    return microseconds_of(when)


def _beyond(grant: TimingGrant, *, after_us: int, repeat_ms: int | None) -> Problem | None:
    if after_us > grant.schedule_ms * US_PER_MS or (repeat_ms is not None and repeat_ms > grant.schedule_ms):
        return ("too-long", grant.schedule_ms)
    if repeat_ms is not None and repeat_ms < grant.repeat_ms:
        return ("too-frequent", grant.repeat_ms)
    return None


def needs(call: SeenCall) -> Iterator[Need]:
    """``sleep``, ``schedule`` and ``repeat`` with milliseconds."""
    match call.answer:
        case ("err", ("too-long" | "too-frequent", _)):
            yield "sleep" if call.function.startswith("sleep") else "schedule", AS_GRANTED
            yield "repeat", AS_GRANTED
            return
    match call.function, call.arguments:
        case "sleep", (int(duration_ms),):
            yield "sleep", duration_ms
        case "sleep-until", (dict() as at,):
            yield "sleep", _ahead_ms(call, at)
        case "schedule", (_, (_, int() | dict() as due), repeat_ms):
            yield "schedule", due if isinstance(due, int) else _ahead_ms(call, due)
            if isinstance(repeat_ms, int):
                yield "schedule", repeat_ms
                yield "repeat", repeat_ms


def least_grant(granted: TimingGrant, found: Collection[Need]) -> TimingGrant:
    """The longest of each that was asked for, in whole seconds; the shortest repetition."""
    return TimingGrant(
        sleep_ms=_in_seconds(found, "sleep", granted.sleep_ms),
        schedule_ms=_in_seconds(found, "schedule", granted.schedule_ms),
        repeat_ms=_repeat_ms(granted, found),
    )


def _ahead_ms(call: SeenCall, at: dict[str, int]) -> int:
    until_us = microseconds_of(at)
    return 0 if until_us is None else max(0, -(-(until_us - call.now_us) // US_PER_MS))


def _in_seconds(found: Collection[Need], kind: str, granted_ms: int) -> int:
    needed_ms = number_within(found, kind, granted_ms)
    return min(granted_ms, -(-needed_ms // _MS_PER_S) * _MS_PER_S)


def _repeat_ms(granted: TimingGrant, found: Collection[Need]) -> int:
    """It says how often, so less of it is more. Where nothing was repeated, it is how long a timer may take anyway."""
    wanted = [need[1] for need in found if need[0] == "repeat"]
    known = [value for value in wanted if isinstance(value, int)]
    if len(known) < len(wanted):
        return granted.repeat_ms
    longest_ms = max(granted.repeat_ms, granted.schedule_ms)
    return max(granted.repeat_ms, min([*known, longest_ms]))


_INTERFACE = "theater:actor/timing"

CAPABILITY = Capability(
    name=NAME,
    parse=parse,
    functions=(
        *functions(_INTERFACE, HostClass.DERIVED, {"now": now, "monotonic": monotonic}),
        *functions(_INTERFACE, HostClass.WAITING, {"sleep": sleep, "sleep-until": sleep_until}),
        *buffered(
            _INTERFACE, {"schedule": (schedule, act_schedule), "cancel": (cancel, act_cancel)}, giving_ids=("schedule",)
        ),
        *functions(_INTERFACE, HostClass.READ, {"list-timers": list_timers}),
    ),
    interfaces=(_INTERFACE,),
    default_ceiling=TimingGrant(),
    least=Least(needs, least_grant),
)
