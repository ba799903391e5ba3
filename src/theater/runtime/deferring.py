"""Requests whose answer an actor puts off end when nobody waits for it any more."""

from __future__ import annotations

from theater.runtime.being import Being
from theater.runtime.consequences import Consequences


def forget_expired(being: Being) -> None:
    """Let go of the requests for whose answer nobody waits any more. Not while a step runs, whose end does so."""
    now_us = being.surroundings.node.clock.now_us()
    if being.appender.failure is None and any(each.is_expired(now_us) for each in being.holdings.all_deferred()):
        being.appender.commit(bring=lambda _, brought: look_through(being, brought))


def look_through(being: Being, brought: Consequences) -> None:
    """Forget those, and let others see how many are left."""
    for request_id in being.holdings.take_expired(being.surroundings.node.clock.now_us()):
        brought.drop(being.id, "deferred", request_id, required=False)
    card = being.surroundings.directory.card(being.id)
    if card is not None:
        card.deferred = len(being.holdings.all_deferred())
