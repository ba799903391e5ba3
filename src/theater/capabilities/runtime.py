"""``theater:actor/runtime``: who the actor is, its log, its end. Always there.

Recorded: each entry of the log, as a ``log`` event with its level; a shutdown, as a ``host`` event. Ids and digests are
not, since they stand in ``genesis``.

Limits: an entry of the log has at most 65,536 bytes (``log``), which is one payload that needs no file of its own; a
longer one is cut and says so. A shutdown's value has at most the actor's limit ``reply``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from theater.capabilities.grant_table import check_keys, manifest_lines, number_of
from theater.capabilities.registration import buffered, functions
from theater.errors import InvalidJson, InvalidManifest
from theater.model.capability import Capability, HostClass, StepContext
from theater.model.effects import Shutdown
from theater.model.json_text import check_json
from theater.model.quantity import parse_size, show_size

NAME = "runtime"
LOG_MIN_BYTES = 256
"""Room for a sentence and for the mark of a cut."""
LOG_MAX_BYTES = 64 * 1024

_OK = ("ok", None)


@dataclass(frozen=True, slots=True)
class RuntimeGrant:
    """How long one entry of the log may be."""

    log_bytes: int = LOG_MAX_BYTES

    def __post_init__(self) -> None:
        if not LOG_MIN_BYTES <= self.log_bytes <= LOG_MAX_BYTES:
            raise InvalidManifest(
                f"[capabilities.{NAME}] log: write {show_size(LOG_MIN_BYTES)} to {show_size(LOG_MAX_BYTES)}"
            )

    def table(self) -> dict[str, object]:
        return {"log": show_size(self.log_bytes)}

    def lines(self, beyond: RuntimeGrant | None) -> list[str]:
        allowed = beyond or RuntimeGrant()  # always there: no ceiling has to name it
        return manifest_lines(self.table()) if self.log_bytes > allowed.log_bytes else []

    def narrowed(self, ceiling: RuntimeGrant | None) -> RuntimeGrant:
        return RuntimeGrant(min(self.log_bytes, (ceiling or RuntimeGrant()).log_bytes))


def parse(table: Mapping[str, object]) -> RuntimeGrant:
    """Keys: ``log``, a size."""
    check_keys(NAME, table, ("log",))
    return RuntimeGrant(number_of(NAME, table, "log", parse=parse_size, default=LOG_MAX_BYTES))


def self_id(ctx: StepContext, _grant: RuntimeGrant) -> str:
    """``self``."""
    return ctx.actor


def name(ctx: StepContext, _grant: RuntimeGrant) -> str:
    """The actor's name."""
    return ctx.name


def parent(ctx: StepContext, _grant: RuntimeGrant) -> str | None:
    """The actor that spawned this one."""
    return ctx.parent


def component(ctx: StepContext, _grant: RuntimeGrant) -> str:
    """The digest of the component that runs."""
    return ctx.component


def log(ctx: StepContext, grant: RuntimeGrant, level: str, text: str) -> None:
    """One entry."""
    data = text.encode()
    if len(data) > grant.log_bytes:
        mark = f" … (cut: {len(data)} bytes)".encode()
        data = data[: grant.log_bytes - len(mark)].decode("utf-8", "ignore").encode() + mark
    ctx.write("log", data, level=level)


def shutdown(ctx: StepContext, _grant: RuntimeGrant, value: str | None) -> object:
    """Whether the actor may end with this value."""
    if value is not None:
        most = ctx.limits.reply_bytes
        if len(value.encode()) > most:
            return ("err", ("too-large", most))
        try:
            check_json(value, max_bytes=most)
        except InvalidJson as error:
            return ("err", ("not-json", error.message))
    return _OK


def end(ctx: StepContext, answer: object, value: str | None) -> None:
    """The actor ends once the step is committed."""
    if answer == _OK:
        ctx.act(Shutdown(value))


_INTERFACE = "theater:actor/runtime"

CAPABILITY = Capability(
    name=NAME,
    parse=parse,
    functions=(
        *functions(
            _INTERFACE, HostClass.DERIVED, {"self": self_id, "name": name, "parent": parent, "component": component}
        ),
        *functions(_INTERFACE, HostClass.OUTPUT, {"log": log}),
        *buffered(_INTERFACE, {"shutdown": (shutdown, end)}),
    ),
    interfaces=(_INTERFACE,),
    default_ceiling=RuntimeGrant(),
    ungranted=RuntimeGrant(),
)
