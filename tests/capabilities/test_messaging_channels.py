"""Channels: opened within the grant, used without one."""

import pytest

from tests.capabilities.neighbours import CHILD, LEDGER, Neighbours, ask, call, error_of, step
from theater.capabilities.messaging_grant import MessagingGrant
from theater.model.actor_system import ChannelFacts
from theater.model.capability import Wait
from theater.model.effects import CloseChannel, OpenChannel, SendOnChannel
from theater.model.ids import derived_id
from theater.model.limits import Limits
from theater.testing.step_context import ACTOR

GRANT = MessagingGrant()
NOTHING = MessagingGrant(())
OPEN = [ChannelFacts("a" * 32, LEDGER, opened_here=False), ChannelFacts("b" * 32, None, opened_here=True)]


def test_a_channel_is_waited_for_and_has_a_derived_id() -> None:
    neighbours = Neighbours()
    ctx = step(neighbours)

    wait = ask("messaging#open-channel", ctx, GRANT, CHILD, '"hi"', 250)

    assert isinstance(wait, Wait)
    assert wait.effect == OpenChannel(derived_id(ACTOR, ctx.message_id, 0), CHILD, '"hi"', ctx.now_us + 250_000)
    assert neighbours.asked == [("may_open_channel", CHILD, 4)]
    ctx.now_us = wait.until_us
    assert wait.answer() == ("err", ("timeout", None))
    ctx.now_us -= 1
    assert wait.answer() == ("err", ("wait-exhausted", None))


@pytest.mark.parametrize("problem", [("no-channels", CHILD), ("too-many", 100), ("cycle", [ACTOR, CHILD])])
def test_a_channel_that_cannot_be_opened_is_answered_at_once(problem: tuple[str, object]) -> None:
    ctx = step(Neighbours(problem=problem))

    assert ask("messaging#open-channel", ctx, GRANT, CHILD, "1", None) == ("err", problem)


def test_the_open_channels_are_listed() -> None:
    assert call("messaging#list-channels", step(Neighbours(open_channels=OPEN)), NOTHING) == [
        {"id": "a" * 32, "peer": LEDGER, "opened-here": False},
        {"id": "b" * 32, "peer": None, "opened-here": True},
    ]


def test_what_goes_over_an_open_channel_needs_no_grant() -> None:
    neighbours = Neighbours(open_channels=OPEN)
    ctx = step(neighbours)

    assert call("messaging#send-on-channel", ctx, NOTHING, "a" * 32, '"ü"') == ("ok", None)
    assert call("messaging#close-channel", ctx, NOTHING, "a" * 32) == ("ok", None)
    assert neighbours.asked == [("may_send_on_channel", "a" * 32, 4)]
    assert ctx.effects == [SendOnChannel("a" * 32, '"ü"'), CloseChannel("a" * 32)]


@pytest.mark.parametrize("problem", [("unknown-channel", "c" * 32), ("mailbox-full", 3), ("too-large", 3)])
def test_a_message_that_has_no_place_at_the_other_side_leaves_nothing_behind(problem: tuple[str, object]) -> None:
    ctx = step(Neighbours(problem=problem))

    assert call("messaging#send-on-channel", ctx, GRANT, "c" * 32, "1") == ("err", problem)
    assert ctx.effects == []


@pytest.mark.parametrize("id", ["c" * 32, "", "A" * 32])
def test_a_channel_that_is_not_open_cannot_be_closed(id: str) -> None:
    ctx = step(Neighbours(open_channels=OPEN))

    assert call("messaging#close-channel", ctx, GRANT, id) == ("err", ("unknown-channel", id))


def test_a_message_on_a_channel_may_be_as_large_as_the_limit_and_no_larger() -> None:
    neighbours = Neighbours(open_channels=OPEN)
    ctx = step(neighbours, limits=Limits(message_bytes=4))

    assert call("messaging#send-on-channel", ctx, GRANT, "a" * 32, '"ü"') == ("ok", None)
    assert call("messaging#send-on-channel", ctx, GRANT, "a" * 32, '"üx"') == ("err", ("too-large", 4))
    assert error_of(call("messaging#send-on-channel", ctx, GRANT, "a" * 32, "{")) == "not-json"
    assert len(neighbours.asked) == 1
