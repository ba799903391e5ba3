"""What looks at once, what hands resources out by a record, and acts that share the intent of the first."""

from __future__ import annotations

from typing import cast

import pytest

from tests.runtime.played import ACTOR, ANSWER, INTERFACE, MESSAGE, TEXT, Chain, World
from theater.model.act import Act, Look
from theater.model.actor_system import ActorSystem
from theater.model.capability import Denied, HostClass, HostFunction, Noted, Resources, StepContext, Wait
from theater.model.crash import StepCrash
from theater.model.execution import SUSPEND
from theater.model.ids import Digest
from theater.model.limits import Limits
from theater.model.payload import HostCall, Intent
from theater.model.wit import Handle, Result, Type
from theater.model.wit_json import decoder, encoder
from theater.runtime.boundary import Binding, Boundary
from theater.runtime.context import ActorFacts
from theater.runtime.tape import Tape
from theater.testing.chains import START_US

LOOKED: list[str] = []
"""Emptied by each test."""
OPENED = Result(Handle(1, owned=True), TEXT)
OK = ("ok", "done")
UNKNOWN = ("err", "unknown")


@pytest.fixture(autouse=True)
def nothing_looked_at() -> None:
    LOOKED.clear()


def find(ctx: StepContext, _grant: object, what: str) -> object:
    """Looks, and gives a resource that holds what was found."""
    if what == "known":
        return "err", "known"
    if what == "forbidden":
        return Denied(("err", "denied"))

    def look() -> object:
        LOOKED.append(what)
        return Noted(("ok", 0), f"found {what}") if what != "missing" else ("err", "missing")

    def give(answer: object, note: object) -> object:
        match answer:
            case ("ok", _):
                if not isinstance(note, str):
                    raise TypeError("nothing was noted")
                return "ok", ctx.resources.add(note)
        return answer

    return Look(look, give)


def put(ctx: StepContext, _grant: object, what: str) -> object:
    """Acts under the first letter of its argument."""
    return Wait(
        ctx.now_us + 30_000_000,
        lambda: UNKNOWN,
        act=Act(lambda _service, _interruption: OK, lambda: UNKNOWN, under=what[0]),
    )


def make(ctx: StepContext, _grant: object, what: str) -> object:
    """Acts, and gives a resource."""
    return Wait(
        ctx.now_us + 30_000_000,
        lambda: UNKNOWN,
        act=Act(
            lambda _service, _interruption: ("ok", 0),
            lambda: UNKNOWN,
            give=lambda answer, _note: answer if answer == UNKNOWN else ("ok", ctx.resources.add(what)),
        ),
    )


def sleep(ctx: StepContext, _grant: object, _what: str) -> object:
    return Wait(ctx.now_us + 1000, lambda: ("ok", ""))


FUNCTIONS: dict[str, tuple[HostFunction, Type]] = {
    "find": (HostFunction(INTERFACE, "find", HostClass.READ, find, looks=True), OPENED),
    "find-or-make": (HostFunction(INTERFACE, "find-or-make", HostClass.EXTERNAL, find), OPENED),
    "put": (HostFunction(INTERFACE, "put", HostClass.EXTERNAL, put), ANSWER),
    "make": (HostFunction(INTERFACE, "make", HostClass.EXTERNAL, make), OPENED),
    "sleep": (HostFunction(INTERFACE, "sleep", HostClass.WAITING, sleep), ANSWER),
}


class Acting(Chain):
    """A step that calls these functions."""

    def _boundary(self, tape: Tape, world: World | None) -> Boundary:
        bindings = {
            (INTERFACE, name): Binding(
                function=function,
                grant=None,
                capability="played",
                event_name=f"{INTERFACE}#{name}",
                encode_arguments=lambda args, _names: list(args),
                encode_answer=encoder(answer),
                decode_answer=decoder(answer, naming=True),
            )
            for name, (function, answer) in FUNCTIONS.items()
        }
        return Boundary(
            ActorFacts(ACTOR, "actor", START_US, (), (), None, Digest("c" * 64), Limits()),
            bindings=bindings,
            tape=tape,
            message_id=MESSAGE,
            now_us=START_US,
            seed=bytes(32),
            resources=Resources(),
            system=cast("ActorSystem | None", world),
        )


def call(boundary: Boundary, name: str, argument: str) -> object:
    return boundary.call(INTERFACE, name, (argument,))


def act(boundary: Boundary, name: str, argument: str, answer: object = OK) -> object:
    """Call it, and let the world answer so."""
    assert call(boundary, name, argument) is SUSPEND
    return boundary.wake(START_US + 5, answer)


def cut(chain: Chain, seq: int) -> Acting:
    """The same, interrupted behind an event."""
    return Acting([(event.header.kind, event.header.name, event.payload or b"") for event in chain.events[:seq]])


def forged(chain: Chain, **changes: object) -> Acting:
    """The same with a first event that says something else."""
    return Acting([(e.header.kind, e.header.name, e.payload or b"") for e in chain.forged(1, **changes).events])


# -- looking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["find", "find-or-make"])
def test_what_looks_is_one_event_with_what_it_found_and_gives_a_resource(name: str) -> None:
    chain = Acting()
    boundary = chain.live()
    boundary.context.resources.add("another one")

    assert call(boundary, name, "a") == ("ok", 2)

    assert boundary.context.resources.get(2) == "found a"
    assert chain.said == [("host", HostCall(answer={"ok": 1}, arguments=["a"], read="found a"))]


@pytest.mark.parametrize("name", ["find", "find-or-make"])
def test_a_replay_gives_the_same_resource_and_looks_at_nothing(name: str) -> None:
    chain = Acting()
    boundary = chain.live()
    for what in ("a", "missing", "known", "forbidden", "b"):
        call(boundary, name, what)
    LOOKED.clear()

    again, tape = chain.played()
    answers = [call(again, name, what) for what in ("a", "missing", "known", "forbidden", "b")]

    assert answers == [("ok", 1), ("err", "missing"), ("err", "known"), ("err", "denied"), ("ok", 2)]
    assert again.context.resources.get(2) == "found b"
    assert tape.finish() is None
    assert LOOKED == []


def test_what_needs_no_look_is_recorded_as_nothing() -> None:
    chain = Acting()

    assert call(chain.live(), "find", "known") == ("err", "known")

    assert chain.said == []


@pytest.mark.parametrize("changes", [{"answer": {"ok": 2}}, {"answer": {"err": "no"}}, {"read": None}, {"read": 5}])
def test_a_forged_look_is_a_divergence(changes: dict[str, object]) -> None:
    chain = Acting()
    call(chain.live(), "find", "a")
    again, tape = forged(chain, **changes).played()

    if changes == {"answer": {"err": "no"}}:  # an answer that might have been: the guest has to be seen to differ
        assert call(again, "find", "a") == ("err", "no")
    else:
        with pytest.raises(StepCrash) as caught:
            call(again, "find", "a")
        assert caught.value.crash.reason == "diverged"
    del tape


def test_a_look_that_is_not_recorded_any_more_is_a_divergence_in_a_replay_and_live_where_it_goes_on() -> None:
    chain = Acting()
    again, _ = chain.played()
    with pytest.raises(StepCrash):
        call(again, "find", "a")
    assert LOOKED == []

    assert call(chain.resumed(), "find", "a") == ("ok", 1)
    assert LOOKED == ["a"]


def test_an_act_that_gives_a_resource_gives_it_again() -> None:
    chain = Acting()
    boundary = chain.live()
    assert act(boundary, "make", "a", ("ok", 0)) == ("ok", 1)

    again, tape = chain.played()

    assert call(again, "make", "a") == ("ok", 1)
    assert again.context.resources.get(1) == "a"
    assert tape.finish() is None


# -- acts that share an intent -----------------------------------------------------------------------------------------


def together() -> Acting:
    """Three acts under ``a``, and one under ``b``."""
    chain = Acting()
    boundary = chain.live()
    for what in ("a1", "a2"):
        assert act(boundary, "put", what) == OK
    call(boundary, "find", "x")
    for what in ("a3", "b1"):
        assert act(boundary, "put", what) == OK
    return chain


def kinds(chain: Chain) -> list[str]:
    return [kind for kind, _ in chain.said]


def test_acts_that_follow_one_another_under_one_text_have_one_intent() -> None:
    chain = together()

    assert kinds(chain) == ["intent", "host", "host", "host", "host", "intent", "host"]
    assert chain.said[0] == ("intent", Intent(arguments=["a1"]))
    calls = [payload for _, payload in chain.said if isinstance(payload, HostCall) and payload.intent is not None]
    assert [(made.arguments, made.intent) for made in calls] == [(None, 1), (["a2"], 1), (["a3"], 1), (None, 6)]


def test_only_the_first_is_announced_before_it_is_made() -> None:
    boundary = Acting().live()
    announced = []
    for what in ("a1", "a2", "b1"):
        assert call(boundary, "put", what) is SUSPEND
        assert boundary.pending is not None
        announced.append(boundary.pending.is_announced)
        boundary.wake(0, OK)

    assert announced == [False, True, False]


def test_acts_that_shared_an_intent_are_answered_from_the_record() -> None:
    again, tape = together().played()

    for what in ("a1", "a2"):
        assert call(again, "put", what) == OK
    call(again, "find", "x")
    for what in ("a3", "b1"):
        assert call(again, "put", what) == OK
    assert tape.finish() is None


@pytest.mark.parametrize("answer", [("err", "no"), UNKNOWN])
def test_behind_one_that_failed_the_next_has_an_intent_of_its_own(answer: object) -> None:
    chain = Acting()
    boundary = chain.live()
    act(boundary, "put", "a1")
    act(boundary, "put", "a2", answer)
    act(boundary, "put", "a3")

    assert kinds(chain) == ["intent", "host", "host", "intent", "host"]
    again, tape = chain.played()
    assert [call(again, "put", what) for what in ("a1", "a2", "a3")] == [OK, answer, OK]
    assert tape.finish() is None


def test_behind_another_wait_the_next_has_an_intent_of_its_own() -> None:
    chain = Acting()
    boundary = chain.live()
    act(boundary, "put", "a1")
    assert call(boundary, "sleep", "") is SUSPEND
    boundary.wake(START_US + 2000)
    act(boundary, "put", "a2")

    assert kinds(chain) == ["intent", "host", "intent", "host", "intent", "host"]


@pytest.mark.parametrize(("seq", "made"), [(1, 0), (2, 1), (3, 2)])
def test_where_the_record_ends_behind_a_shared_intent_nobody_knows_of_the_next_act(seq: int, made: int) -> None:
    chain = cut(together(), seq)
    boundary = chain.resumed()
    names = ["a1", "a2", "a3", "a4"]
    for what in names[:made]:
        assert call(boundary, "put", what) == OK

    assert call(boundary, "put", names[made]) is SUSPEND
    assert boundary.pending is not None
    assert boundary.pending.is_resumed, "an earlier process may have made it, or was about to"
    assert boundary.wake(START_US + 9, UNKNOWN) == UNKNOWN
    assert act(boundary, "put", names[made + 1]) == OK

    assert kinds(chain)[-2:] == ["intent", "host"], "what comes then is new, and says so first"
    again, tape = chain.played()
    answers = [call(again, "put", what) for what in names[: made + 2]]
    assert answers == [*[OK] * made, UNKNOWN, OK]
    assert tape.finish() is None


def test_where_the_record_ends_before_any_intent_an_act_is_new() -> None:
    boundary = cut(together(), 0).resumed()

    assert call(boundary, "put", "a1") is SUSPEND
    assert boundary.pending is not None
    assert not boundary.pending.is_resumed


def test_an_act_under_another_text_is_new_where_the_record_ends() -> None:
    boundary = cut(together(), 2).resumed()
    assert call(boundary, "put", "a1") == OK

    assert call(boundary, "put", "b1") is SUSPEND

    assert boundary.pending is not None
    assert not boundary.pending.is_resumed
