"""A capability made up for tests of the boundary, and steps that call it: live, from their record, and resumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from theater.model.act import Act
from theater.model.actor_system import ActorSystem
from theater.model.capability import Denied, HostClass, HostFunction, Noted, Resources, StepContext, Wait
from theater.model.effects import Reply, Request, Send
from theater.model.event import Event, Kind
from theater.model.ids import ActorId, Digest, derived_id
from theater.model.limits import Limits
from theater.model.payload import HostCall, Payload, decode_payload, encode_payload
from theater.model.wit import Primitive, Record, Result, Type
from theater.model.wit_json import decoder, encoder
from theater.runtime.boundary import Binding, Boundary
from theater.runtime.context import ActorFacts
from theater.runtime.tape import Playing, Recording, Resuming, Tape
from theater.testing.chains import START_US, ChainMaker

ACTOR = ActorId("a" * 32)
OTHER = ActorId("b" * 32)
MESSAGE = "init-0"
TEXT = Primitive("string")
ANSWER = Result(TEXT, TEXT)
INTERFACE = "vendor:thing/api"
SECOND_US = 1_000_000


class World:
    """The other actors, and what they were asked."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.asked: list[str] = []

    def ask(self, what: str) -> bool:
        self.asked.append(what)
        return not self.refuses


def world_of(ctx: StepContext) -> World:
    return cast("World", ctx.system)


def send(ctx: StepContext, _grant: object, body: str) -> object:
    if not world_of(ctx).ask(f"send {body}"):
        return Denied(("err", "nobody there"))
    return "ok", ctx.call_id


def act_send(ctx: StepContext, answer: object, body: str) -> None:
    match answer:
        case ("ok", str(id)):
            ctx.act(Send(id, OTHER, body))


def spawn(ctx: StepContext, _grant: object, where: str) -> object:
    if not world_of(ctx).ask(f"spawn {where}"):
        return "err", "nothing there"
    return Noted(("ok", ctx.call_id), {"manifest": f"of {where}"})


def act_spawn(ctx: StepContext, answer: object, where: str) -> None:
    match answer, ctx.note:
        case ("ok", str(id)), {"manifest": str(text)}:
            ctx.act(Reply(id, f"{where}: {text}"))
        case ("ok", _), _:
            raise ValueError("it does not say what was read")


def peek(ctx: StepContext, _grant: object, what: str) -> object:
    return ("ok", what) if world_of(ctx).ask(f"peek {what}") else ("err", "no")


def may_request(ctx: StepContext, _grant: object, body: str) -> Denied | None:
    return None if world_of(ctx).ask(f"request {body}") else Denied(("err", "not running"))


def request(ctx: StepContext, _grant: object, body: str) -> object:
    until_us = ctx.now_us + 30 * SECOND_US
    return Wait(
        until_us,
        lambda: ("err", "timeout" if ctx.now_us >= until_us else "wait-exhausted"),
        Request(ctx.call_id, OTHER, body, until_us),
    )


def sleep(ctx: StepContext, _grant: object, seconds: str) -> object:
    until_us = ctx.now_us + int(seconds) * SECOND_US
    return Wait(until_us, lambda: ("ok", "") if ctx.now_us >= until_us else ("err", "wait-exhausted"))


def outside(ctx: StepContext, what: str, *, is_safe: bool) -> object:
    if what == "forbidden":
        return Denied(("err", "denied"))
    if what == "nothing":
        return "ok", "nothing to do"
    until_us = ctx.now_us + (1000 if what == "brief" else 30 * SECOND_US)
    return Wait(
        until_us,
        lambda: ("err", "timeout" if ctx.now_us >= until_us else "wait-exhausted"),
        act=Act(lambda _service, _interruption: ("ok", "done"), lambda: ("err", "unknown"), is_safe=is_safe),
    )


def fetch(ctx: StepContext, _grant: object, what: str) -> object:
    return outside(ctx, what, is_safe=True)


def post(ctx: StepContext, _grant: object, what: str) -> object:
    return outside(ctx, what, is_safe=False)


FUNCTIONS = (
    HostFunction(INTERFACE, "fetch", HostClass.EXTERNAL, fetch),
    HostFunction(INTERFACE, "post", HostClass.EXTERNAL, post),
    HostFunction(INTERFACE, "send", HostClass.BUFFERED, send, act=act_send, gives_id=True),
    HostFunction(INTERFACE, "spawn", HostClass.BUFFERED, spawn, act=act_spawn, gives_id=True),
    HostFunction(INTERFACE, "peek", HostClass.READ, peek),
    HostFunction(INTERFACE, "request", HostClass.WAITING, request, check=may_request, gives_id=True),
    HostFunction(INTERFACE, "open", HostClass.WAITING, request, check=may_request, gives_id=True),
    HostFunction(INTERFACE, "sleep", HostClass.WAITING, sleep),
)
ANSWERS: dict[str, Type] = {"open": Result(Record((("id", TEXT), ("reply", TEXT))), TEXT)}


def bindings() -> dict[tuple[str, str], Binding]:
    made = {}
    for function in FUNCTIONS:
        answer = ANSWERS.get(function.name, ANSWER)
        made[INTERFACE, function.name] = Binding(
            function=function,
            grant=None,
            capability="played",
            event_name=f"{INTERFACE}#{function.name}",
            encode_arguments=lambda args, _names: list(args),
            encode_answer=encoder(answer),
            decode_answer=decoder(answer),
        )
    return made


class Chain:
    """A step's events as they are recorded, and the boundaries of its runs."""

    def __init__(self, events: Sequence[tuple[Kind, str, bytes]] = (), *, limits: Limits | None = None) -> None:
        self._maker = ChainMaker()
        self._maker.genesis()
        self._maker.add_all(events)
        self._limits = limits or Limits()

    @property
    def events(self) -> list[Event]:
        return self._maker.events[1:]

    @property
    def said(self) -> list[tuple[str, Payload]]:
        """Kind and payload of what is recorded."""
        return [
            (event.header.kind, decode_payload(event.header.kind, event.payload or b"", seq=event.header.seq))
            for event in self.events
        ]

    def live(self, world: World | None = None) -> Boundary:
        return self._boundary(self._recording(), world or World())

    def played(self, *, outgrew: bool = False) -> tuple[Boundary, Playing]:
        tape = Playing(self.events, end_seq=len(self.events) + 1, outgrew=outgrew)
        return self._boundary(tape, None), tape

    def resumed(self, world: World | None = None) -> Boundary:
        tape = Resuming(Playing(self.events, end_seq=len(self.events) + 1), self._recording())
        return self._boundary(tape, world or World())

    def forged(self, seq: int, **changes: object) -> Chain:
        """The same with an event that says something else."""
        entries = [(event.header.kind, event.header.name, event.payload or b"") for event in self.events]
        kind, name, _ = entries[seq - 1]
        changed = {**{key: getattr(self.said[seq - 1][1], key) for key in ("answer", "arguments", "read")}, **changes}
        entries[seq - 1] = kind, name, encode_payload(HostCall(**cast("Any", changed)))
        return Chain(entries, limits=self._limits)

    def until(self, seq: int) -> Chain:
        """The same, interrupted behind an event."""
        entries = [(event.header.kind, event.header.name, event.payload or b"") for event in self.events]
        return Chain(entries[:seq], limits=self._limits)

    def _recording(self) -> Recording:
        return Recording(self._maker.add, lambda: None)

    def _boundary(self, tape: Tape, world: World | None) -> Boundary:
        facts = ActorFacts(ACTOR, "actor", START_US, (), (), None, Digest("c" * 64), self._limits)
        return Boundary(
            facts,
            bindings=bindings(),
            tape=tape,
            message_id=MESSAGE,
            now_us=START_US,
            seed=bytes(32),
            resources=Resources(),
            system=cast("ActorSystem | None", world),
        )


def call(boundary: Boundary, name: str, argument: str) -> object:
    return boundary.call(INTERFACE, name, (argument,))


def own_id(index: int) -> str:
    return derived_id(ACTOR, MESSAGE, index)
