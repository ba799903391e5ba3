"""Closing the runtime is no death: what was going on is left open, and goes on when it is opened again."""

import pytest

from tests.guests import wat
from tests.runtime.stage import Stage
from theater.errors import NotRunning

GRACE = "theater.runtime.runtime.STOP_GRACE_S"


def close_in_mid_step(stage: Stage) -> None:
    """Begin a step that sleeps, and close the runtime while it does; another request waits behind it."""
    actor = stage.play(wat.SLEEPER, capabilities={"timing": {}})
    sleeping = actor.start_request('{"by":1,"ms":50000}')
    stage.clock.wait_for_timers()
    behind = actor.start_request('{"by":1,"ms":0}')
    stage.reopen()
    for pending in (sleeping, behind):
        with pytest.raises(NotRunning, match="closed"):
            pending.result()


def test_a_step_that_runs_when_the_runtime_closes_goes_on_when_it_opens(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GRACE, 0.01)
    close_in_mid_step(stage)

    actor = stage.actor("actor")
    assert actor.status == "running"
    stage.clock.wait_for_timers()
    stage.clock.advance(60)
    assert actor.ref._actor.wait_idle(10.0)
    assert actor.ref._actor.wait_durable(10.0)

    assert actor.kinds()[-1] == "state"
    assert "resumed" in actor.kinds()
    assert actor.verify().ok
    assert actor.state == '{"count":1}'  # what waited behind it was refused


def test_a_close_does_not_count_as_a_death_of_the_step(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GRACE, 0.01)
    close_in_mid_step(stage)
    for _ in range(3):
        actor = stage.actor("actor")
        assert stage.runtime.store.attempt(actor.id) <= 1
        stage.clock.wait_for_timers()
        stage.reopen()

    assert stage.runtime.store.facts().unclean is False
    actor = stage.actor("actor")
    assert actor.status == "running"
    stage.clock.wait_for_timers()
    assert actor.kinds().count("resumed") == 4
    stage.clock.advance(60)
