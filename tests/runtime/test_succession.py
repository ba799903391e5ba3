"""Upgrades and new beginnings in a chain that is run again: which component ran a step, and from which state."""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.forgery import Forger
from tests.guests import wat
from tests.guests.component import actor
from tests.runtime.court import judged, truth
from tests.runtime.stage import Stage
from theater.model.event import Event
from theater.model.ids import Digest
from theater.model.payload import Genesis, decode_payload
from theater.runtime.bundle import components_in
from theater.runtime.exports import CHANNEL_CLOSED, HANDLE, INIT, MIGRATE
from theater.runtime.history import state_at
from theater.testing.harness import Actor

MIGRATE_EXPORT = """
  (type $migrate-type
    (func (param "state" $json) (param "from-digest" string) (result (result $json (error string)))))
  (func $migrate (type $migrate-type)
    (canon lift (core func $main "migrate") (memory $memory) (realloc $realloc) (post-return $post-return)))
  (instance $upgrade (export "migrate" (func $migrate)))
  (export "theater:actor/upgrade@0.1.0" (instance $upgrade))
"""
ECHO = "(call $ok (local.get $state) (local.get $state-len) (local.get $state) (local.get $state-len))"
ANSWERS_STATE = actor(handle=ECHO)
"""Answers with its state."""

MIGRATES = actor(
    handle=ECHO,
    more="""(func (export "migrate") (param $state i32) (param $state-len i32) (param $from i32) (param $from-len i32)
      (result i32)
      (if (call $is (local.get $state) (local.get $state-len) @"\\"no\\"") (then (return (call $refuse @"not this"))))
      (call $started @"{\\"new\\":true}"))""",
    exports=MIGRATE_EXPORT,
)
"""As that; makes ``{"new":true}`` of every state but "no"."""

SEED = "ab" * 32


def digest_of(stage: Stage, text: str) -> Digest:
    """The digest of a component, which is in the content store then."""
    data = stage.workshop.file(text).read_bytes()
    assert stage.runtime.node.blobs.put(data) == hashlib.sha256(data).hexdigest()
    return Digest(hashlib.sha256(data).hexdigest())


class Story(Forger):
    """A true chain, continued by hand: fuel and new states are taken from what running it gives."""

    def __init__(self, stage: Stage, played: Actor) -> None:
        super().__init__(truth(played).true)
        self.stage = stage
        genesis = decode_payload("genesis", self.true[0].payload or b"", seq=0)
        assert isinstance(genesis, Genesis)
        self.params = genesis.params
        self.component: str = genesis.program
        self.state_seq: int | None = self.find("state", -1)

    def note(self, verb: str, **detail: object) -> None:
        """A lifecycle event."""
        self._add("lifecycle", verb, {"by": "local", **({"detail": detail} if detail else {})})

    def upgrade(self, to: str, *, before: str | None = None) -> None:
        self.note("upgraded", **{"from": before or self.component, "to": to})
        self.component = to

    def step(self, export: str, *arguments: object, **more: object) -> None:  # type: ignore[override]  # another one
        """A step, with whatever it comes to."""
        message = {"id": "m", "source": "local", "export": export, "arguments": list(arguments), "seed": SEED}
        self._add("message", export, {**message, "state": self.state_seq, **more})
        self._add("state", export, {"fuel": 0})
        report = judged(self.stage, self.sealed())
        assert report.fault is not None
        if report.fault.got is None:  # it was not run
            return
        kind, _, payload = report.fault.got.partition(" ")
        last = self.events[-1]
        last.kind, last.payload = kind, payload.encode()  # type: ignore[assignment]  # it is one of them
        if '"state":' in payload:
            self.state_seq = len(self.events) - 1

    def ask(self) -> None:
        """A message."""
        self.step(HANDLE, {"id": "m", "sender": None, "expects-reply": True, "body": "1"})

    def migrate(self, to: str, *, before: str | None = None, **more: object) -> None:
        self.step(MIGRATE, before or self.component, component=to, **more)

    @property
    def last(self) -> str:
        """What the last event says."""
        return self.events[-1].payload.decode()

    def assert_holds(self) -> list[Event]:
        events = self.sealed()
        report = judged(self.stage, events)
        assert report.ok, report.fault
        return events

    def assert_false(self, why: str) -> None:
        events = self.sealed()
        assert judged(self.stage, events, execute=False).ok
        report = judged(self.stage, events)
        assert report.fault is not None
        assert re.search(why, report.fault.why), report.fault

    def _add(self, kind: str, name: str, fields: dict[str, object]) -> None:
        self.insert(0, kind, name, {key: value for key, value in fields.items() if value is not None})  # type: ignore[arg-type]  # a kind
        event = self.events.pop(0)
        event.time_us = self.events[-1].time_us
        self.events.append(event)


@pytest.fixture
def story(stage: Stage) -> Story:
    """A counter at 2."""
    counter = stage.play(wat.COUNTER)
    counter.request_json('{"by":2}')
    return Story(stage, counter)


def test_steps_behind_an_upgrade_are_run_with_the_new_component(stage: Stage, story: Story) -> None:
    story.upgrade(digest_of(stage, ANSWERS_STATE))
    story.ask()

    assert '"reply":"{\\"count\\":2}"' in story.last
    story.assert_holds()


def test_a_migration_gives_the_state_with_which_the_new_component_takes_over(stage: Stage, story: Story) -> None:
    old, new = story.component, digest_of(stage, MIGRATES)
    story.migrate(new)
    assert '"state":"{\\"new\\":true}"' in story.last
    story.assert_holds()  # a chain may end here
    story.note("paused")
    story.upgrade(new)
    story.note("resumed")
    story.ask()

    assert '"reply":"{\\"new\\":true}"' in story.last
    assert components_in(story.assert_holds()) == {old, new}


def test_a_migration_that_was_refused_leaves_the_old_component_in_place(stage: Stage) -> None:
    story = Story(stage, stage.play(actor(handle=ECHO, init='(call $started @"\\"no\\"")')))
    story.migrate(digest_of(stage, MIGRATES))
    assert story.events[-1].kind == "refused"
    story.ask()

    assert '\\"no\\"' in story.last
    story.assert_holds()
    story.upgrade(digest_of(stage, MIGRATES))
    story.assert_false("it upgrades to a component that migrates states, and none was")


def test_a_crashed_actor_may_be_upgraded_and_restarted(stage: Stage, story: Story) -> None:
    new = digest_of(stage, MIGRATES)
    story.note("stopped")
    story.migrate(new)
    story.upgrade(new)
    story.note("restarted", start="last-state")
    story.ask()

    story.assert_holds()


def test_an_upgrade_from_another_component(stage: Stage, story: Story) -> None:
    story.upgrade(digest_of(stage, ANSWERS_STATE), before="f" * 64)

    story.assert_false("it upgrades from f+, and the actor's component is")


def test_an_upgrade_that_says_nothing_of_components(story: Story) -> None:
    story.note("upgraded")

    story.assert_false("it does not say from which component to which one")


def test_an_upgrade_to_a_component_that_is_not_there(story: Story) -> None:
    story.upgrade("f" * 64)

    story.assert_false("the component sha256:f+ is not at hand")


def test_an_upgrade_to_something_that_cannot_take_over(stage: Stage, story: Story) -> None:
    story.upgrade(digest_of(stage, wat.COMMAND))

    story.assert_false("of the role command, the actor's actor")


def test_an_upgrade_past_a_migration(stage: Stage, story: Story) -> None:
    story.upgrade(digest_of(stage, MIGRATES))

    story.assert_false("it upgrades to a component that migrates states, and none was")


def test_an_upgrade_to_another_component_than_was_migrated_to(stage: Stage, story: Story) -> None:
    story.migrate(digest_of(stage, MIGRATES))
    story.upgrade(digest_of(stage, ANSWERS_STATE))

    story.assert_false("and the step before migrated to")


def test_a_migration_without_an_upgrade_behind_it(stage: Stage, story: Story) -> None:
    story.migrate(digest_of(stage, MIGRATES))
    story.ask()

    story.assert_false("a step begins behind a migration, and the actor has not been upgraded")


def test_a_migration_from_another_component(stage: Stage, story: Story) -> None:
    story.migrate(digest_of(stage, MIGRATES), before="f" * 64)

    story.assert_false("it migrates from f+, and the actor's component is")


def test_a_migration_to_a_component_that_has_none(stage: Stage, story: Story) -> None:
    story.migrate(digest_of(stage, ANSWERS_STATE))

    story.assert_false("it begins a step with theater:actor/upgrade#migrate, which the component has not")


def test_a_step_of_a_handler_that_the_component_has_not(story: Story) -> None:
    story.step(CHANNEL_CLOSED, "c" * 32)

    story.assert_false("which the component has not")


def test_a_handler_with_arguments_of_another(story: Story) -> None:
    story.step(CHANNEL_CLOSED, 7)

    story.assert_false("its arguments are not those of theater:actor/channel-handlers#closed: .*expected a string")


@pytest.mark.parametrize(
    ("export", "component", "why"), [(MIGRATE, None, "names no"), (HANDLE, "f" * 64, "it names a")]
)
def test_a_component_is_named_by_a_migration_and_by_nothing_else(
    story: Story, export: str, component: str | None, why: str
) -> None:
    story.step(export, "f" * 64, component=component)

    story.assert_false(f"{why}.*component")


def test_an_actor_that_begins_anew_has_no_state_until_it_has_begun(story: Story) -> None:
    story.note("restarted", start="init")
    story.state_seq = None
    story.step(INIT, story.params)
    assert '"state":"{\\"count\\":0}"' in story.last
    story.ask()

    story.assert_holds()


def test_an_actor_that_begins_anew_does_not_go_on_from_its_old_state(story: Story) -> None:
    story.note("restarted", start="init")
    story.ask()

    story.assert_false("which is event None")


def test_an_actor_that_begins_anew_from_nowhere(stage: Stage, story: Story) -> None:
    story.note("restarted", start="moon")
    story.ask()

    for execute in (False, True):
        report = judged(stage, story.sealed(), execute=execute)
        assert report.fault is not None
        assert "there is no start from 'moon'" in report.fault.why


def test_an_actor_that_was_born_with_a_state_begins_with_it(stage: Stage) -> None:
    story = Story(stage, stage.play(wat.COUNTER))
    story.drop(story.find("message"), story.find("state"))
    story.change(0, state='{"count":7}')
    story.state_seq = 0
    story.ask()

    assert '"reply":"{\\"count\\":7}"' in story.last
    story.assert_holds()
    story.step(INIT, story.params, state=None)
    story.assert_false("a first step, and the actor has a state already")


def test_an_actor_that_was_born_with_a_state_that_is_none(stage: Stage) -> None:
    story = Story(stage, stage.play(wat.COUNTER))
    story.change(0, state="{")

    story.assert_false("event 0: the state that it begins with is none")


def test_a_first_step_where_there_is_a_state(story: Story) -> None:
    story.note("restarted", start="last-state")
    held, story.state_seq = story.state_seq, None
    story.step(INIT, story.params)

    story.assert_false(f"a first step, and the actor has a state already, in event {held}")


def test_nothing_changes_in_the_middle_of_a_step(stage: Stage, story: Story) -> None:
    story.ask()
    closing = story.events.pop()
    story.upgrade(digest_of(stage, ANSWERS_STATE))
    story.events.append(closing)

    story.assert_false("the actor is upgraded in the middle of a step")


def test_the_state_is_gone_where_an_actor_began_anew(story: Story) -> None:
    story.note("restarted", start="init")
    story.note("paused")
    events = story.sealed()

    class Shown:
        """A store as far as it is looked into here."""

        def head(self, _actor: object) -> object:
            return events[-1].header

        def events_reversed(self, _actor: object, *, start: int) -> list[Event]:
            return events[start::-1]

    found = state_at(Shown(), events[0].header.actor, len(events) - 1)  # type: ignore[arg-type]  # as far as it goes
    assert found is None
