"""A supervisor's decisions, made again: its family is folded over its own chain, and each decision has to follow.

What a supervisor does about the end of a child is a pure function of what its chain says before: which children it
spawned, with which specifications, and which of them had ended or were restarted, and when. So a verifier needs no
other chain for it. The rules by which the family changes are those of ``supervising`` and ``family_settlement``, which
do it live. A root actor that is restarted as its manifest asks is looked at in the same way.

A call counts once its step has closed with ``state``. A decision may stand between the events of an open step, and
sees the family without that step's calls.

What cannot be found here, since other chains would have to tell: that a child did not end, or was started again by
somebody else before it ended again. A chain that was taken in from elsewhere left its family behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from theater.capabilities.child_order import ChildSpecValue, order_of
from theater.errors import InvalidInput, Unsound
from theater.model.child_spec import ChildSpec
from theater.model.event import Event
from theater.model.exit_reason import ExitReason
from theater.model.family import Family
from theater.model.ids import ActorId
from theater.model.manifest import parse_manifest
from theater.model.payload import CrashedPayload, Genesis, HostCall, Lifecycle, Message, Payload, decode_payload
from theater.model.supervision import Supervised, decide, decide_root, recompute
from theater.model.supervisor_spec import Window
from theater.model.wit import Enum, Option, Primitive, Record, Variant
from theater.model.wit_json import decoder
from theater.runtime.anatomy import supervision_of
from theater.runtime.conception import child_spec
from theater.runtime.exports import CHILD_EXITED, HARMLESS, STATELESS, handler_arguments
from theater.runtime.messages import starts_anew
from theater.runtime.report import Fault, Faulty

_INTERFACE = "theater:actor/supervisor"
_SPAWN = f"{_INTERFACE}#spawn"
_RESUME = f"{_INTERFACE}#resume"
_RESTART = f"{_INTERFACE}#restart"
_REMOVE = f"{_INTERFACE}#remove"
_CALLS = frozenset({_SPAWN, _RESUME, _RESTART, _REMOVE})
"""What changes the family. ``stop`` does not: the end that follows is decided about like any other."""

_TEXT = Primitive("string")
_U64 = Primitive("u64")
_CHILD_SPEC = Record(
    (
        ("source", Variant((("manifest", _TEXT), ("directory", _TEXT)))),
        ("name", Option(_TEXT)),
        ("params", Option(_TEXT)),
        ("restart", Option(Enum(("permanent", "transient", "temporary")))),
        ("restart-from", Option(Enum(("last-state", "init")))),
        ("shutdown", Option(Variant((("timeout-ms", _U64), ("infinity", None), ("brutal", None))))),
        ("backoff", Option(Record((("first-ms", _U64), ("max-ms", _U64))))),
    )
)
"""``supervisor.child-spec``."""


class Lineage:
    """Follows the events of one chain, each of which is sound in itself."""

    def __init__(self) -> None:
        self.family = Family()
        """The children, as of the last event."""
        self.unknown_from: int | None = None
        """The first event whose payload is needed and not there: nothing can be said of the decisions behind it."""
        self.unchecked = 0
        """The decisions of which nothing can be said."""
        self._calls: list[tuple[Event, HostCall]] = []
        self._told: dict[int, Supervised] = {}  # by the seq of the event: what the guest may still be told of
        self._root = _Root()
        self._has_state = False
        self._gave_up = False

    @property
    def leaves_nothing(self) -> bool:
        """Whether there is nothing of a family, or of restarts, that whoever takes the chain in has to leave behind."""
        is_known = self.unknown_from is None
        return is_known and not (self.family.children or self.family.restarts or self._root.restarts)

    def feed(self, event: Event) -> None:
        """Take the next event. Raises ``Faulty`` where it says what cannot follow from those before."""
        header = event.header
        wanted = _NEEDED.get(header.kind)
        if wanted is None or not wanted(header.name):
            return
        if self.unknown_from is not None:
            self.unchecked += header.name == "supervised"
            return
        try:
            match header.kind:
                case "refused":
                    self._calls.clear()
                case "state":
                    self._has_state = self._has_state or header.name not in STATELESS
                    self._settle()
                case _ if event.payload is None:
                    self.unknown_from = header.seq
                    self.unchecked += header.name == "supervised"
                case kind:
                    self._take(event, decode_payload(kind, event.payload, seq=header.seq))
        except Unsound as error:
            if header.kind != "genesis":
                raise Faulty(Fault(seq=header.seq, why=str(error))) from error
            self.unknown_from = header.seq  # whoever runs the steps says what is wrong with it
        except (InvalidInput, ValueError) as error:
            why = f"it does not fit what its chain says before: {error}"
            raise Faulty(Fault(seq=header.seq, why=why)) from error

    def feed_unjudged(self, event: Event) -> None:
        """As ``feed``, of a chain that nobody verifies now: behind what cannot be, nothing is known."""
        try:
            self.feed(event)
        except Faulty:
            self.unknown_from = event.header.seq

    def _take(self, event: Event, payload: Payload) -> None:
        header = event.header
        match payload:
            case Genesis():
                supervision = supervision_of(payload)
                self.family = Family(spec=supervision.supervisor)
                self._has_state = payload.state is not None
                if payload.parent is None:
                    self._root = _Root(is_root=True, spec=supervision.self_spec, window=supervision.self_window)
            case HostCall():
                self._calls.append((event, payload))
            case Message() if payload.export == CHILD_EXITED:
                self._check_letter(payload)
            case Lifecycle():
                self._note(event, payload)
            case CrashedPayload():
                self._calls.clear()
                # who terminates a step to end the actor records that it stopped
                if header.name not in HARMLESS and payload.reason != "terminated":
                    self._ended(event, ExitReason(kind="crashed", crash=payload.reason))

    # -- what a step asked for ---------------------------------------------------------------------------------------

    def _settle(self) -> None:
        calls, self._calls = self._calls, []
        for event, call in calls:
            try:
                self._carry_out(event.header.name, call)
            except (InvalidInput, ValueError) as error:
                why = f"{event.header.name} cannot have been carried out: {error}"
                raise Faulty(Fault(seq=event.header.seq, why=why)) from error

    def _carry_out(self, name: str, call: HostCall) -> None:
        match call.answer, call.arguments:
            case {"ok": str(child)}, [spec, *_] if name in (_SPAWN, _RESUME):
                self._spawn(ActorId(child), spec, call.read)
            case {"ok": None}, [str(child), *_]:
                member = self.family.child(ActorId(child))
                if member is not None and name == _RESTART:
                    self.family = self.family.restarted((member.id,))
                elif member is not None and name == _REMOVE and not member.alive:  # or it came back during the step
                    self.family = self.family.removed(member.id)
            case {"err": _}, _:
                pass
            case _:
                raise ValueError("its arguments or its answer are none of that function's")

    def _spawn(self, child: ActorId, plain: object, note: object) -> None:
        spec: ChildSpecValue = decoder(_CHILD_SPEC)(plain)  # type: ignore[assignment]  # of that very type
        order = order_of(spec, note)
        manifest = parse_manifest(order.manifest, params=order.params)
        self.family = self.family.spawned(child, child_spec(order, manifest))

    # -- what became of the actor, and of its children ---------------------------------------------------------------

    def _note(self, event: Event, lifecycle: Lifecycle) -> None:
        match event.header.name:
            case "supervised":
                self._decide(event, lifecycle)
            case "stopped":
                reason = _reason_of(lifecycle)
                if reason.kind == "intensity" and not self._gave_up:
                    raise ValueError("it gives up, and none of its decisions says so")
                self._ended(event, reason)
            case "restarted":
                anew = starts_anew(lifecycle)
                self._root.check(lifecycle)
                self._begin_again(anew=anew)
            case "child-removed":
                self._remove(lifecycle)
            case "taken-in":
                self.family = Family(spec=self.family.spec)
                self._root.restarts, self._root.due = (), None
                self._gave_up = False

    def _decide(self, event: Event, lifecycle: Lifecycle) -> None:
        family = self.family
        recorded = Supervised.parse(lifecycle.detail)
        member = family.child(recorded.child)
        if member is not None and not member.alive:  # somebody else started it again in between
            family = family.restarted((recorded.child,))
        problem = recompute(family, lifecycle.detail, event.header.time_us)
        if problem is not None:
            raise Faulty(Fault(seq=event.header.seq, why=f"the decision does not follow: {problem}"))
        decision = decide(family, recorded.child, recorded.reason, event.header.time_us)
        if decision.kind == "give-up":
            self._gave_up = True
        else:
            self._told[event.header.seq] = recorded
        self.family = decision.family_after

    def _remove(self, lifecycle: Lifecycle) -> None:
        """Somebody above took an ended child off the list."""
        match lifecycle.detail:
            case {"child": str(child)}:
                self.family = self.family.removed(ActorId(child))
            case _:
                raise ValueError("it does not say which child was removed")

    def _ended(self, event: Event, reason: ExitReason) -> None:
        self.family = self.family.closed()
        self._root.ended(event, reason)

    def _begin_again(self, *, anew: bool) -> None:
        """With its children, or from ``init`` without: also where there is no state to go on from."""
        self._gave_up = False
        if anew or not self._has_state:
            self._has_state = False
            self.family = Family(spec=self.family.spec)
        else:
            self.family = self.family.restarted(child.id for child in self.family.children)

    # -- what the guest is told --------------------------------------------------------------------------------------

    def _check_letter(self, message: Message) -> None:
        """The guest hears of each decision once, and of none that was not made."""
        prefix, _, seq = message.id.partition("-")
        found = self._told.pop(int(seq), None) if prefix == "exit" and seq.isdecimal() else None
        if found is None or message.source != "supervisor":
            raise ValueError("it tells the guest of a decision that is not in the chain, or was told before")
        (said,) = handler_arguments(CHILD_EXITED, message.arguments)
        if not isinstance(said, dict) or {**said, "name": None} != _letter_of(found):
            raise ValueError(f"it tells the guest something other than what event {seq} says")


@dataclass(slots=True)
class _Root:
    """A root actor under the runtime, which restarts it where its manifest asks for that. Of a child: nothing."""

    is_root: bool = False
    spec: ChildSpec | None = None
    window: Window = field(default_factory=Window)
    restarts: tuple[int, ...] = ()
    due: tuple[int, str, str] | None = None
    """The restart that follows from its last end: seq and hash of that, and from what it starts."""

    def ended(self, event: Event, reason: ExitReason) -> None:
        """It ends with this event."""
        decision = decide_root(self.spec, self.window, self.restarts, reason, event.header.time_us)
        if decision.start_from is not None:
            self.due = event.header.seq, event.hash, decision.start_from
            self.restarts = decision.restarts

    def check(self, lifecycle: Lifecycle) -> None:
        """It begins again. Where it is said that the runtime decided that: raises ``ValueError`` if it cannot have."""
        due, self.due = self.due, None
        match lifecycle.detail or {}:
            case {"seq": seq, "hash": hash, "start": start} if (seq, hash, start) == due:
                return
            case {"seq": _}:
                is_decided = True
            case _:
                is_decided = lifecycle.by == "runtime"
        if self.is_root and is_decided:
            raise ValueError("it is restarted as its manifest asks, and that does not follow from its last end")


def _reason_of(stopped: Lifecycle) -> ExitReason:
    """Why it stopped, as far as a decision about that can depend on it."""
    match (stopped.detail or {}).get("reason", "shutdown"):
        case "normal":
            return ExitReason(kind="normal")
        case "refused-init":
            return ExitReason(kind="refused-init", text="")
        case "intensity":
            return ExitReason(kind="intensity")
        case _:
            return ExitReason(kind="shutdown", by=stopped.by)


def _letter_of(recorded: Supervised) -> dict[str, object]:
    """What the guest is told of a decision, but for the name of the child, which stands in the child's own chain."""
    is_restart = recorded.decision == "restart"
    return {
        "child": recorded.child,
        "name": None,
        "reason": recorded.reason.to_wit(),
        "seq": recorded.seq,
        "hash": recorded.hash,
        "decision": ("restarted", list(recorded.targets)) if is_restart else ("left", None),
    }


def _always(name: str) -> bool:
    del name
    return True


_NEEDED: Mapping[str, Callable[[str], bool]] = {
    "genesis": _always,
    "message": lambda name: name == CHILD_EXITED,
    "host": lambda name: name in _CALLS,
    "lifecycle": lambda name: name in ("supervised", "stopped", "restarted", "taken-in", "child-removed"),
    "state": _always,
    "refused": _always,
    "crashed": _always,
}
"""By kind, which events have to do with the family, by their names: most of a chain are none of these."""
