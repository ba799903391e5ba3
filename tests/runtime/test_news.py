"""What the world brings to actors, and what they tell it: with the commit, once, and never in a replay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import theater.runtime.opening
from tests.guests import puppet
from tests.runtime.bells import DEAF, RINGER, Belfry, Heard, registry, request, tell
from tests.runtime.inside import settle
from tests.runtime.served import wait_until
from tests.runtime.stage import Gate, Stage, Workshop
from theater.errors import (
    Crashed,
    InvalidComponent,
    MailboxFull,
    NotFound,
    NotRunning,
    Refused,
    StoreError,
    TheaterError,
)
from theater.model.ids import ActorId
from theater.model.news import Handled
from theater.testing.harness import Actor

RINGING: dict[str, dict[str, object]] = {"http-server": {}, "messaging": {}}


@pytest.fixture
def belfry(monkeypatch: pytest.MonkeyPatch) -> Belfry:
    made = Belfry()
    known = registry(made)
    monkeypatch.setattr(theater.runtime.opening, "installed", lambda: known)
    return made


@pytest.fixture
def stage(belfry: Belfry, workshop: Workshop, tmp_path: Path) -> Iterator[Stage]:  # noqa: ARG001 - before the node opens
    with Stage(workshop, tmp_path) as made:
        yield made


def play(stage: Stage, text: str = RINGER, **options: object) -> Actor:
    """An actor that has told its service something already, so that there is one."""
    actor = stage.play(text, capabilities=RINGING, **options)  # type: ignore[arg-type]  # passed on
    actor.request(tell("hello"))
    return actor


def log_of(actor: Actor) -> list[str]:
    settle(actor)
    return puppet.log_of(actor.state or "0")


# -- telling ---------------------------------------------------------------------------------------------------------


def test_a_service_is_told_at_the_commit_and_confirmed_once_that_is_durable(belfry: Belfry, stage: Stage) -> None:
    actor = play(stage)

    actor.request(tell("one") + tell("two"))

    assert belfry.said == [
        *(("told", "hello"), ("confirmed", "hello")),
        *(("told", "one"), ("told", "two"), ("confirmed", "one"), ("confirmed", "two")),
    ]


@pytest.mark.parametrize("end", [puppet.refuse("no"), puppet.trap()])
def test_what_a_failed_step_would_have_told_is_released_and_never_said(belfry: Belfry, stage: Stage, end: str) -> None:
    actor = play(stage)
    belfry.said.clear()

    with pytest.raises((Refused, Crashed)):
        actor.request(tell("keep-it") + end)

    assert ("released", "keep-it") in belfry.said
    assert belfry.all("told") == belfry.all("confirmed") == []
    assert belfry.kept() == {}


def test_what_is_not_written_is_released_and_its_actor_in_doubt(
    belfry: Belfry, workshop: Workshop, tmp_path: Path
) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate) as stage:
        actor = play(stage)
        belfry.said.clear()

        gate.is_full = True
        with pytest.raises(StoreError):
            actor.request(tell("keep-it"))
        gate.is_full = False

        wait_until(lambda: belfry.all("doubted") == [actor.id])
        assert belfry.said[:1] == [("told", "keep-it")]
        assert belfry.all("released") == ["keep-it"]
        assert belfry.all("confirmed") == []
        assert belfry.kept() == {}


def test_what_is_kept_is_there_after_a_restart_and_opens_the_service_with_the_node(
    belfry: Belfry, stage: Stage
) -> None:
    actor = play(stage)
    actor.request(tell("keep-a") + tell("keep-b"))
    assert belfry.kept() == {"keep-a": b"kept", "keep-b": b"kept"}
    actor.request(tell("drop-a"))

    stage.reopen()

    assert len(belfry.places) == 2
    assert belfry.closed == 1
    assert belfry.kept() == {"keep-b": b"kept"}


def test_where_nothing_is_kept_no_service_is_opened_with_the_node(belfry: Belfry, stage: Stage) -> None:
    play(stage)

    stage.reopen()

    assert len(belfry.places) == 1


def test_a_service_hears_that_an_actor_ends_and_that_it_is_gone(belfry: Belfry, stage: Stage) -> None:
    actor = play(stage)
    actor.request(tell("keep-it"))

    actor.stop()
    wait_until(lambda: belfry.all("ended") == [actor.id])
    stage.run(stage.runtime.remove(actor.id, by="local"))

    assert belfry.all("removed") == [actor.id]
    assert belfry.kept() == {}


def test_a_replay_tells_nobody_anything(belfry: Belfry, stage: Stage) -> None:
    actor = play(stage)
    belfry.ring(actor.id, "1" * 32, tell("keep-it") + puppet.reply("pong")).wait()
    said = list(belfry.said)

    assert actor.verify().ok

    assert belfry.said == said


def test_who_looks_at_an_actor_sees_what_services_have_for_it(belfry: Belfry, stage: Stage) -> None:
    actor = play(stage)

    assert stage.runtime.live.services(actor.id) == [f"rings for {actor.id}"]
    assert belfry.closed == 0


# -- bringing --------------------------------------------------------------------------------------------------------


def test_news_are_a_step_whose_answer_comes_back(belfry: Belfry, stage: Stage) -> None:
    actor = play(stage)

    outcome = belfry.ring(actor.id, "1" * 32, puppet.reply("pong")).wait()

    assert outcome == Handled('{"status":200,"headers":[],"body":{"text":"\\"pong\\""}}')
    assert actor.verify().ok


def test_an_answer_may_be_put_off(belfry: Belfry, stage: Stage) -> None:
    actor = play(stage)
    heard = belfry.ring(actor.id, "1" * 32, puppet.remember())
    wait_until(lambda: log_of(actor) == ["1" * 32])

    assert not heard.has_come
    actor.stop()

    assert isinstance(heard.wait(), NotRunning)


@pytest.mark.parametrize(
    ("program", "error"), [(puppet.refuse("no"), Refused), (puppet.trap(), Crashed)], ids=["refused", "crashed"]
)
def test_a_step_that_fails_is_heard_of(belfry: Belfry, stage: Stage, program: str, error: type[TheaterError]) -> None:
    actor = play(stage)

    assert isinstance(belfry.ring(actor.id, "1" * 32, program).wait(), error)


def test_whoever_cannot_be_told_is_not(belfry: Belfry, stage: Stage) -> None:
    deaf, ended = play(stage, DEAF, name="deaf"), play(stage, name="ended")
    ended.stop()

    assert isinstance(belfry.ring(deaf.id, "1" * 32, "").wait(), InvalidComponent)
    assert isinstance(belfry.ring(ended.id, "1" * 32, "").wait(), NotRunning)
    assert isinstance(belfry.ring(ActorId("f" * 32), "1" * 32, "").wait(), NotFound)
    assert belfry.place.post.is_living(deaf.id)
    assert not belfry.place.post.is_living(ended.id)
    assert not belfry.place.post.has_handler(deaf.id, "theater:actor/http-handlers#request")


def test_a_full_mailbox_takes_no_news_but_those_that_need_no_place(belfry: Belfry, stage: Stage) -> None:
    actor = play(stage, limits={"mailbox": 1})
    actor.pause()
    first = belfry.ring(actor.id, "1" * 32, puppet.reply("pong"))
    wait_until(lambda: stage.runtime.live.waiting(actor.id) == 1)

    assert isinstance(belfry.ring(actor.id, "2" * 32, "").wait(), MailboxFull)
    end = belfry.toll(actor.id, "3" * 32)
    actor.resume()

    assert isinstance(first.wait(), Handled)
    assert end.wait() == Handled(None)
    assert log_of(actor) == ["closed/1000"]


def test_durable_news_survive_a_restart_with_what_is_kept_with_them(belfry: Belfry, stage: Stage) -> None:
    actor = play(stage)
    actor.request(tell("keep-it"))
    actor.pause()
    heard = belfry.toll(actor.id, "3" * 32, keeps=[("new", b"row")], drops=["keep-it"])
    wait_until(lambda: belfry.kept() == {"new": b"row"})

    stage.reopen()
    again = stage.actor("actor")
    again.resume()

    wait_until(lambda: log_of(again) == ["closed/1000"])
    assert isinstance(heard.wait(), NotRunning)
    assert heard.times == 1
    assert again.verify().ok


def test_durable_news_wait_for_an_actor_that_has_ended(belfry: Belfry, stage: Stage) -> None:
    actor = play(stage)
    actor.stop()
    heard = belfry.toll(actor.id, "3" * 32)
    stage.rest()
    assert not heard.has_come

    actor.restart()

    wait_until(lambda: log_of(actor) == ["closed/1000"])


def test_what_nobody_waits_for_any_more_is_forgotten(belfry: Belfry, stage: Stage) -> None:
    actor = play(stage)
    heard = Heard()
    forgo = belfry.place.post.bring(actor.id, request("1" * 32, puppet.remember()), heard)
    wait_until(lambda: stage.runtime.live.deferred(actor.id) == 1)

    forgo()

    wait_until(lambda: stage.runtime.live.deferred(actor.id) == 0)
    assert not heard.has_come


def test_a_service_keeps_something_by_itself(belfry: Belfry, stage: Stage) -> None:
    actor = play(stage)
    done: list[object] = []
    belfry.place.post.keep(actor.id, done.append, keeps=[("a", b"1"), ("b", b"2")])
    wait_until(lambda: done == [None])

    belfry.place.post.keep(actor.id, done.append, keeps=[("a", b"3")], drops=["b", "never-was"])

    wait_until(lambda: done == [None, None])
    assert belfry.kept() == {"a": b"3"}
