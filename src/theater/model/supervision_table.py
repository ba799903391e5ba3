"""A manifest's ``[supervision]``: how the actor supervises its children, and how it wants to be supervised itself.

``[supervision.self]`` is what a parent goes by where its spawn call says nothing, and for a root actor what the runtime
goes by; ``intensity`` and ``period`` in it mean something for a root actor alone, each of which has a window of its
own, while a child counts in its parent's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from theater.errors import InvalidInput, InvalidManifest
from theater.model.child_spec import Backoff, ChildSpec, RestartFrom, RestartPolicy, Shutdown
from theater.model.quantity import parse_duration
from theater.model.spelling import nearest
from theater.model.supervisor_spec import INTENSITY, PERIOD_US, Strategy, SupervisorSpec, Window

_KEYS = ("strategy", "intensity", "period", "self")
_SELF_KEYS = ("restart", "restart-from", "shutdown", "backoff", "intensity", "period")
_BACKOFF_KEYS = ("first", "max")
_SUPERVISOR = SupervisorSpec()
_WINDOW = Window()
_DAY_S = 86_400.0  # the longest period, pause and wait
_ROUNDING_MS = 1e-4  # a tenth of the smallest unit that can be written, and far more than what arithmetic rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """What a manifest says about supervision.

    ``self_spec`` is None without ``[supervision.self]``: a child has the defaults then, and a root actor is never
    restarted. ``self_window`` bounds the restarts of a root actor.
    """

    supervisor: SupervisorSpec = _SUPERVISOR
    self_spec: ChildSpec | None = None
    self_window: Window = _WINDOW


def parse_supervision(table: Mapping[str, object]) -> Supervision:
    """Read a manifest's ``[supervision]``; what is not named has its default.

    Raises:
        InvalidManifest: an unknown key (the nearest known one is named), a wrong value, one beyond what can be.
    """
    where = "[supervision]"
    _refuse_unknown(table, _KEYS, where)
    window = _window(table, where)
    try:
        supervisor = SupervisorSpec(
            strategy=cast("Strategy", table.get("strategy", "one-for-one")),  # checks itself
            intensity=window.intensity,
            period_us=window.period_us,
        )
    except InvalidInput as error:
        raise InvalidManifest(f"{where} {error}") from error
    if "self" not in table:
        return Supervision(supervisor=supervisor)
    where = "[supervision.self]"
    own = table["self"]
    if not isinstance(own, dict):
        raise InvalidManifest(f"self must be a table, written {where}")
    _refuse_unknown(own, _SELF_KEYS, where)
    return Supervision(supervisor=supervisor, self_spec=_child_spec(own, where), self_window=_window(own, where))


def _child_spec(table: Mapping[str, object], where: str) -> ChildSpec:
    try:
        return ChildSpec(
            restart=cast("RestartPolicy", table.get("restart", "permanent")),  # these two are checked by ChildSpec
            restart_from=cast("RestartFrom", table.get("restart-from", "last-state")),
            shutdown=_shutdown(table["shutdown"]) if "shutdown" in table else None,
            backoff=_backoff(table["backoff"], where) if "backoff" in table else None,
        )
    except InvalidManifest:
        raise
    except InvalidInput as error:
        raise InvalidManifest(f"{where} {error}") from error


def _shutdown(raw: object) -> Shutdown:
    match raw:
        case "infinity" | "brutal":
            return raw
        case _:
            return _milliseconds("shutdown", raw, otherwise=', or "infinity", or "brutal"')


def _backoff(raw: object, where: str) -> Backoff:
    if not isinstance(raw, dict):
        raise InvalidInput(f'backoff = {raw!r}: write for example {{ first = "1s", max = "30s" }}')
    _refuse_unknown(raw, _BACKOFF_KEYS, f"{where} backoff")
    for key in _BACKOFF_KEYS:
        if key not in raw:
            raise InvalidInput(f'backoff has no {key!r}; write for example {{ first = "1s", max = "30s" }}')
    return Backoff(
        first_ms=_milliseconds("backoff: first", raw["first"]), max_ms=_milliseconds("backoff: max", raw["max"])
    )


def _window(table: Mapping[str, object], where: str) -> Window:
    try:
        return Window(
            intensity=cast("int", table.get("intensity", INTENSITY)),  # checks itself
            period_us=_period_us(table["period"]) if "period" in table else PERIOD_US,
        )
    except InvalidInput as error:
        raise InvalidManifest(f"{where} {error}") from error


def _period_us(raw: object) -> int:
    seconds = _seconds("period", raw)
    if seconds == 0:
        raise InvalidInput(f"period = {raw!r}: it must be more than 0")
    return max(1, round(seconds * 1e6))


def _milliseconds(key: str, raw: object, *, otherwise: str = "") -> int:
    seconds = _seconds(key, raw, otherwise=otherwise)
    milliseconds = round(seconds * 1e3)
    if abs(milliseconds - seconds * 1e3) > _ROUNDING_MS:
        raise InvalidInput(f"{key} = {raw!r}: it must be whole milliseconds")
    return milliseconds


def _seconds(key: str, raw: object, *, otherwise: str = "") -> float:
    try:
        seconds = parse_duration(raw)
    except InvalidInput as error:
        raise InvalidInput(f"{key}: {error}{otherwise}") from error
    except OverflowError:  # a number in TOML may have any number of digits
        seconds = math.inf  # which is a number in TOML too
    if seconds > _DAY_S:
        raise InvalidInput(f"{key}: it must be at most a day{otherwise}")
    return seconds


def _refuse_unknown(table: Mapping[str, object], known: Iterable[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise InvalidManifest(f"{where} has no key {key!r}{nearest(key, known)}")
