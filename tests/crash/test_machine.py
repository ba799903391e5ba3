"""Whatever is done to actors, in whatever order, with the process killed in between: they come to what they should."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter, deque
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.crash.model import OUTSIDE, Crash, Figure, Model, Note, Relay
from tests.guests import puppet
from tests.runtime.stage import Gate, Stage, Workshop
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, NotRunning
from theater.runtime.letter import Reply
from theater.testing.harness import Actor, Pending

EXAMPLES = int(os.environ.get("THEATER_CRASH_EXAMPLES", "15"))
STEPS = 25
ROOTS_MAX = 4
CHILDREN_MAX = 3
KEEPER = "keeper"
SUPERVISION = "intensity = 1000"
ALLOWED = ("messaging", "timing")

WHO = st.integers(0, 11)


class Machine(RuleBasedStateMachine):
    """One node and its model. ``folder`` gets a data directory for each kill."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        super().__init__()
        self.workshop = workshop
        self.folder = folder
        self.lives = 0
        self.numbers = 0
        self.model = Model()
        self.ids: dict[str, str] = {}
        self.deferred: deque[Pending[Reply] | None] = deque()  # None: who asked died with an earlier process
        self._enter()

    def _enter(self) -> None:
        self.gate = Gate()
        folder = self.folder / f"{self.lives}"
        folder.mkdir(exist_ok=True)
        self.stage = Stage(self.workshop, folder, seed=self.lives, fault=self.gate)
        self.stage.__enter__()
        self.troupe = Troupe(self.stage)

    # -- who there is ------------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        """The keeper, who defers, and one more, with a child."""
        self._spawn(KEEPER)
        self._spawn("root-0")
        self._spawn_child(self.model.spawn("root-0"))

    @precondition(lambda self: len(self._are("", "root-")) < ROOTS_MAX)
    @rule()
    def spawn(self) -> None:
        name = f"root-{len(self._are('', 'root-'))}"
        self._spawn(name)
        self.model.spawn(name)

    @precondition(lambda self: self._are("running", "root-") and len(self._are("", "child-")) < CHILDREN_MAX)
    @rule(who=WHO)
    def spawn_child(self, who: int) -> None:
        self._spawn_child(self._one(who, "running", "root-"))

    # -- what they are told ------------------------------------------------------------------------------------------

    @rule(who=WHO)
    def send(self, who: int) -> None:
        figure, token = self._any(who), self._token()
        if self._send(figure, puppet.log(token)):
            self.model.send(figure.name, Note(token))

    @rule(who=WHO, other=WHO)
    def relay(self, who: int, other: int) -> None:
        figure, to, token = self._any(who), self._any(other), self._token()
        noted = puppet.only_if("err:not-running") + puppet.log(token)
        if self._send(figure, puppet.send(self.ids[to.name], puppet.log(token)) + noted):
            self.stage.rest()  # what others are told then comes behind it
            self.model.send(figure.name, Relay(to.name, token))

    @precondition(lambda self: self._are("running"))
    @rule(who=WHO)
    def request(self, who: int) -> None:
        figure, token = self._one(who, "running"), self._token()
        assert self._actor(figure.name).request(puppet.log(token) + puppet.reply(token)) == token
        self.model.send(figure.name, Note(token))

    @precondition(lambda self: self._are("stopped") + self._are("crashed"))
    @rule(who=WHO)
    def request_in_vain(self, who: int) -> None:
        ended = self._are("stopped") + self._are("crashed")
        with pytest.raises(NotRunning):
            self._actor(ended[who % len(ended)].name).request(puppet.log("never"))

    @precondition(lambda self: len(self._are("running")) > 1)
    @rule(who=WHO)
    def request_through(self, who: int) -> None:
        figure, to, token = self._one(who, "running"), self._one(who + 1, "running"), self._token()
        asking = puppet.request(self.ids[to.name], puppet.log(token) + puppet.reply(token))
        assert self._actor(figure.name).request(asking + puppet.reply(puppet.ANSWER)) == f'"{token}"'
        self.model.send(to.name, Note(token), figure.name)

    @rule()
    def defer(self) -> None:
        pending = self._actor(KEEPER).start_request(json.dumps(puppet.remember()))
        pending._task.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may ask for it
        self.deferred.append(pending)
        self.stage.rest()

    @precondition(lambda self: self.deferred)
    @rule()
    def answer(self) -> None:
        token = self._token()
        asked = self.deferred.popleft()
        expected = "ok" if asked is not None else "err:unknown-request"
        assert self._actor(KEEPER).request(puppet.answer_first(token) + puppet.reply(puppet.ANSWER)) == expected
        if asked is not None:
            assert asked.result().text == f'"{token}"'

    # -- what is done to them ----------------------------------------------------------------------------------------

    @rule(who=WHO)
    def crash(self, who: int) -> None:
        figure = self._any(who)
        self.stage.rest()
        if self._send(figure, puppet.trap()):
            self.stage.rest()
            self.model.send(figure.name, Crash())

    @precondition(lambda self: self._are("running"))
    @rule(who=WHO)
    def crash_by_request(self, who: int) -> None:
        figure = self._one(who, "running")
        self.stage.rest()
        with pytest.raises(Crashed):
            self._actor(figure.name).request(puppet.trap())
        self.stage.rest()
        self.model.send(figure.name, Crash())

    @precondition(lambda self: self._are("running", "child-"))
    @rule(who=WHO, times=st.integers(2, 4))
    def crash_in_a_row(self, who: int, times: int) -> None:
        """Crashes, and tokens between them, wait for it: it has hardly been started again when it crashes again."""
        figure = self._one(who, "running", "child-")
        self.stage.rest()
        actor = self._actor(figure.name)
        actor.pause()
        self.model.pause(figure.name)
        for _ in range(times):
            token = self._token()
            actor.send(puppet.trap())
            actor.send(puppet.log(token))
            self.model.send(figure.name, Crash())
            self.model.send(figure.name, Note(token))
        actor.resume()
        self.stage.rest()
        self.model.resume(figure.name)

    @rule(who=WHO)
    def stop(self, who: int) -> None:
        root = self._one(who, "", "root-")
        self.stage.rest()
        self._actor(root.name).stop()
        self.stage.rest()
        self.model.stop(root.name)

    @rule(who=WHO)
    def restart(self, who: int) -> None:
        ended = [figure for figure in self._are("", "root-") if not figure.is_living]
        root = ended[who % len(ended)] if ended else self._one(who, "", "root-")
        self.stage.rest()
        self._actor(root.name).restart()
        self.stage.rest()
        self.model.restart(root.name)

    @rule(who=WHO)
    def restart_from_init(self, who: int) -> None:
        root = self._one(who, "", "root-")
        if self.model.children(root.name):
            return
        self.stage.rest()
        self.stage.run(self._actor(root.name).ref.restart(from_init=True))
        self.stage.rest()
        self.model.begin_anew(root.name)

    @precondition(lambda self: self._are("running"))
    @rule(who=WHO)
    def pause(self, who: int) -> None:
        figure = self._one(who, "running")
        self.stage.rest()
        self._actor(figure.name).pause()
        self.model.pause(figure.name)

    @precondition(lambda self: self._are("paused"))
    @rule(who=WHO)
    def resume(self, who: int) -> None:
        figure = self._one(who, "paused")
        self._actor(figure.name).resume()
        self.stage.rest()
        self.model.resume(figure.name)

    # -- what is done to all of them ---------------------------------------------------------------------------------

    @rule()
    def reopen(self) -> None:
        self.stage.reopen()
        self.deferred = deque(None for _ in self.deferred)
        self.stage.rest()

    @rule()
    def kill(self) -> None:
        """Nothing that is under way is written any more, and the node goes on with what was written by then."""
        before = self.stage
        self.lives += 1
        folder = self.folder / f"{self.lives}"
        with self.gate.held():
            self._actor(KEEPER).start_send(json.dumps("")).is_done  # noqa: B018 - so that there is a transaction to hold back
            assert self.gate.arrived.wait(10.0)
            shutil.copytree(before.folder / "data", folder / "data", ignore=shutil.ignore_patterns("lock"))
        before.__exit__(None, None, None)
        self._enter()
        assert self.stage.runtime.store.facts().unclean
        self.deferred = deque(None for _ in self.deferred)
        self.stage.rest()

    # -- what holds --------------------------------------------------------------------------------------------------

    @rule()
    def look(self) -> None:
        """Everybody is as the model says."""
        self._actor(KEEPER)
        self.stage.rest()
        store = self.stage.runtime.store
        for name, figure in self.model.figures.items():
            actor = self._actor(name)
            assert actor.status == figure.status, name
            log = puppet.log_of(actor.state or "0")
            log = [token for token in log if not token.startswith("exited/")]
            senders = {token: sender for sender, token in figure.log}
            assert Counter(log) == Counter(token for _, token in figure.log), name
            for sender in {OUTSIDE, *senders.values()}:
                assert [token for token in log if senders[token] == sender] == figure.heard_from(sender), name
            waiting = [entry.key for entry in store.entries(actor.id, "mailbox")]
            told = [key for key in waiting if key.startswith("exit-")]  # of the ends of its children
            assert len(waiting) - len(told) == len(figure.mailbox), name
            assert not told or figure.status != "running", name
            assert not [entry for entry in store.entries(actor.id) if entry.space in ("signal", "duty", "answer")], name
        asked = [pending for pending in self.deferred if pending is not None]
        assert len(store.entries(self._actor(KEEPER).id, "deferred")) == len(asked)

    @invariant()
    def nobody_is_twice(self) -> None:
        records = self.stage.runtime.store.records()
        assert len({record.name for record in records}) == len(records) == len(self.ids)

    def teardown(self) -> None:
        try:
            if self.ids:
                self.look()
                self.stage.runtime.store.check()  # type: ignore[attr-defined]  # of the store on the disk
                self.troupe.verify()
        finally:
            self.stage.__exit__(None, None, None)

    # -- what they are made of ---------------------------------------------------------------------------------------

    def _spawn(self, name: str) -> None:
        self.ids[name] = self.troupe.player(name, handlers=("supervisor",), supervision=SUPERVISION).id

    def _send(self, figure: Figure, program: str) -> bool:
        """Send it; whether it was accepted, which depends on whether it lives."""
        if figure.is_living:
            self._actor(figure.name).send(program)
            return True
        with pytest.raises(NotRunning):
            self._actor(figure.name).send(program)
        return False

    def _actor(self, name: str) -> Actor:
        return self.stage.actor(self.ids[name], allowed=ALLOWED)

    def _spawn_child(self, parent: Figure) -> None:
        name = f"child-{len(self.model.figures)}"
        text = self.troupe.manifest(name, handlers=("supervisor",), supervision=SUPERVISION)
        program = puppet.spawn(puppet.child(text)) + puppet.reply(puppet.ANSWER)
        self.ids[name] = str(self._actor(parent.name).request(program))
        self.stage.rest()
        self.model.spawn(name, parent.name)

    def _are(self, status: str, prefix: str = "") -> list[Figure]:
        """Those of that status and of names that begin so; of any, where it is empty."""
        figures = self.model.figures.values()
        return [each for each in figures if each.status.startswith(status) and each.name.startswith(prefix)]

    def _one(self, who: int, status: str, prefix: str = "") -> Figure:
        """One of them."""
        figures = self._are(status, prefix)
        return figures[who % len(figures)]

    def _any(self, who: int) -> Figure:
        return self._one(who, "")

    def _token(self) -> str:
        self.numbers += 1
        return f"{self.numbers}"


@pytest.mark.slow
def test_whatever_is_done_actors_come_to_what_they_should(
    workshop: Workshop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run_state_machine_as_test(
        lambda: Machine(workshop, tmp_path_factory.mktemp("node")),  # type: ignore[arg-type]  # a factory will do
        settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS),
    )
