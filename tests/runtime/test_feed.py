"""Who watches hears that there is more, and nobody else pays for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine

import pytest

from theater.model.event import EMPTY
from theater.model.ids import ActorId
from theater.model.ports import Append, Entry, Written
from theater.runtime.feed import Feed
from theater.testing.chains import ChainMaker, chain_of

ANNA, BERT = chain_of(1, number=1), chain_of(1, number=2)
PATIENCE_S = 10.0


def grown(*chains: ChainMaker) -> Written:
    return Written(tuple(Append(chain.actor, EMPTY, tuple(chain.events)) for chain in chains), 0.001)


def play(scene: Callable[[Feed], Coroutine[object, object, None]]) -> None:
    async def played() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await scene(Feed(asyncio.get_running_loop()))

    asyncio.run(played())


async def hears(awaitable: Coroutine[object, object, bool]) -> bool:
    """Whether it returns without anything more being done."""
    task = asyncio.ensure_future(awaitable)
    for _ in range(5):
        await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    return False


def test_a_watch_hears_of_its_chain_and_of_no_other() -> None:
    async def scene(feed: Feed) -> None:
        with feed.watch(ANNA.actor) as watch:
            feed.written(grown(BERT))
            assert not await hears(watch.grown())
            feed.written(grown(BERT, ANNA))
            assert await hears(watch.grown())
            assert not await hears(watch.grown())

    play(scene)


def test_a_watch_of_all_hears_of_every_chain() -> None:
    async def scene(feed: Feed) -> None:
        with feed.watch() as watch:
            feed.written(grown(BERT))
            assert await hears(watch.grown())

    play(scene)


def test_entries_alone_are_no_growth() -> None:
    async def scene(feed: Feed) -> None:
        put = Append(ANNA.actor, None, (), puts=(Entry(ANNA.actor, "mailbox", "m", b""),))
        with feed.watch() as watch, feed.watch(ANNA.actor) as own:
            feed.written(Written((put,), 0.001))
            assert not await hears(watch.grown())
            assert not await hears(own.grown())

    play(scene)


def test_a_birth_within_a_batch_is_growth() -> None:
    async def scene(feed: Feed) -> None:
        birth = Append(BERT.actor, EMPTY, tuple(BERT.events))
        with feed.watch(BERT.actor) as watch:
            feed.written(Written((Append(ANNA.actor, EMPTY, tuple(ANNA.events), births=(birth,)),), 0.001))
            assert await hears(watch.grown())

    play(scene)


def test_what_was_committed_between_two_calls_is_heard_once() -> None:
    async def scene(feed: Feed) -> None:
        with feed.watch(ANNA.actor) as watch:
            for _ in range(100):
                feed.written(grown(ANNA))
            assert await hears(watch.grown())
            assert not await hears(watch.grown())

    play(scene)


def test_a_burst_from_another_thread_wakes_the_loop_once() -> None:
    async def scene(feed: Feed) -> None:
        loop = asyncio.get_running_loop()
        woken = 0
        wake = loop.call_soon_threadsafe

        def counted(*arguments: object) -> object:
            nonlocal woken
            woken += 1
            return wake(*arguments)  # type: ignore[arg-type]  # passed on

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign, assignment]  # to count
        with feed.watch(ANNA.actor) as watch, feed.watch(BERT.actor) as other:

            def burst() -> None:
                for _ in range(50):
                    feed.written(grown(ANNA, BERT))

            thread = threading.Thread(target=burst)
            thread.start()
            thread.join()  # the loop does nothing meanwhile
            assert woken == 1
            assert await watch.grown()
            assert await other.grown()

    play(scene)


def test_nobody_is_woken_where_nobody_watches() -> None:
    async def scene(feed: Feed) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe = None  # type: ignore[method-assign, assignment]  # would fail
        feed.written(grown(ANNA))
        with feed.watch(BERT.actor):
            feed.written(grown(ANNA))

    play(scene)


def test_a_watch_that_is_left_is_forgotten() -> None:
    async def scene(feed: Feed) -> None:
        with feed.watch(ANNA.actor), feed.watch(ANNA.actor), feed.watch():
            assert len(feed) == 3
        assert len(feed) == 0

    play(scene)


def test_a_watch_may_be_left_while_others_are_told() -> None:
    async def scene(feed: Feed) -> None:
        with feed.watch(ANNA.actor) as watch:
            other = feed.watch(ANNA.actor).__enter__()
            feed.written(grown(ANNA))
            other.__exit__(None, None, None)
            assert await hears(watch.grown())

    play(scene)


def test_closing_ends_all_watches_also_later_ones() -> None:
    async def scene(feed: Feed) -> None:
        with feed.watch(ANNA.actor) as watch, feed.watch() as of_all:
            waiting = asyncio.ensure_future(watch.grown())
            await asyncio.sleep(0)
            feed.close()
            assert not await waiting
            assert not await of_all.grown()
            assert watch.is_closed
            assert not watch.is_removed
        with feed.watch(ANNA.actor) as late:
            assert late.is_over
            assert not await late.grown()
        feed.written(grown(ANNA))

    play(scene)


def test_the_removal_of_an_actor_is_told_to_those_who_watch_it() -> None:
    async def scene(feed: Feed) -> None:
        removal = Append(ANNA.actor, ANNA.head, (), erases=True)
        with feed.watch(ANNA.actor) as watch, feed.watch(BERT.actor) as other:
            feed.written(Written((removal,), 0.001))
            assert not await watch.grown()
            assert watch.is_removed
            assert not watch.is_closed
            assert not other.is_over

    play(scene)


def test_a_feed_whose_loop_is_closed_is_no_trouble() -> None:
    loop = asyncio.new_event_loop()
    feed = Feed(loop)
    feed.enter(feed.watch(ANNA.actor))
    loop.close()
    feed.written(grown(ANNA))
    feed.written(grown(ANNA))


@pytest.mark.slow
def test_a_thousand_idle_watches_cost_a_commit_next_to_nothing() -> None:
    async def scene(feed: Feed) -> None:
        for number in range(1000):
            feed.enter(feed.watch(ActorId(f"{number:032x}")))
        loop = asyncio.get_running_loop()
        written = grown(ANNA, BERT)
        started = loop.time()
        for _ in range(10_000):
            feed.written(written)
        assert loop.time() - started < 1.0  # 100 us each, and it takes some 2

    play(scene)
