"""How an actor ended, as its chain says."""

from __future__ import annotations

from theater.model.event import Event
from theater.model.exit_reason import ExitReason
from theater.model.ids import ActorId
from theater.model.payload import CrashedPayload, Lifecycle, RefusedPayload
from theater.model.ports import EventStore
from theater.runtime.exports import HARMLESS
from theater.runtime.history import payload_of


def exit_of(store: EventStore, actor: ActorId) -> ExitReason | None:
    """Why an actor that has ended did so; None where its chain does not say, or it has not ended."""
    stopped: Lifecycle | None = None
    for event in store.events_reversed(actor, start=store.head(actor).seq):
        header = event.header
        if header.name in HARMLESS:  # a step that may follow an end, and is none
            continue
        if header.kind == "lifecycle" and header.name == "stopped":
            payload = payload_of(event)
            assert isinstance(payload, Lifecycle)
            reason = _of_stopped(payload)
            if reason is not None:
                return reason
            stopped = payload
        elif header.kind == "lifecycle" and header.name in ("started", "restarted"):
            return None
        elif header.kind in ("crashed", "refused"):
            return _of_closing(event, is_stopped=stopped is not None)
        elif header.kind == "state":
            return None
    return None


def _of_stopped(payload: Lifecycle) -> ExitReason | None:
    """None where the step before it has to say more."""
    detail = payload.detail or {}
    kind = detail.get("reason", "shutdown")
    value = detail.get("value")
    match kind:
        case "normal":
            return ExitReason(kind="normal", value=value if isinstance(value, str) else None)
        case "refused-init":
            return None
        case "intensity":
            return ExitReason(kind="intensity")
        case _:
            return ExitReason(kind="shutdown", by=payload.by)


def _of_closing(event: Event, *, is_stopped: bool) -> ExitReason | None:
    match payload_of(event):
        case CrashedPayload() as crashed if not is_stopped:
            return ExitReason(kind="crashed", crash=crashed.reason)
        case RefusedPayload() as refused if is_stopped:
            return ExitReason(kind="refused-init", text=refused.text)
        case _:
            return None
