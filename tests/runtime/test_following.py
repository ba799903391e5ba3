"""Whoever follows a chain gets each event once, in order, at his own pace."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from tests.guests import puppet
from tests.runtime.troupe import Troupe
from theater.model.event import EMPTY, Head
from theater.model.ports import Append, Written
from theater.runtime import following
from theater.runtime.feed import Feed
from theater.runtime.following import Page, pages, read_page
from theater.store.memory import MemoryEventStore
from theater.testing.chains import ChainMaker
from theater.testing.removal_suite import removal
from theater.testing.store_calls import append, append_together

PATIENCE_S = 20.0


class Scene:
    """A store and its feed."""

    def __init__(self) -> None:
        self.store = MemoryEventStore()
        self.feed = Feed(asyncio.get_running_loop())
        self.store.observe(self.feed.written)

    async def grow(self, chain: ChainMaker, steps: int = 1) -> None:
        head = chain.head
        made = len(chain.events)
        if head == EMPTY:
            chain.genesis()
        for step in range(steps):
            chain.step(step)
        await asyncio.to_thread(append, self.store, chain.actor, head, chain.events[made:])


async def take(source: AsyncIterator[Page], count: int) -> list[int]:
    places: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(places) < count:
            places += [place for place, _ in await anext(source)]
    return places


def play(coroutine: object) -> None:
    asyncio.run(coroutine)  # type: ignore[arg-type]  # a scene


def test_what_is_there_comes_first_and_then_what_comes() -> None:
    async def scene() -> None:
        world, chain = Scene(), ChainMaker()
        await world.grow(chain)
        async with aclosing(pages(world.store, world.feed, chain.actor, start=2)) as source:
            assert await take(source, 4) == [2, 3, 4, 5]
            following = asyncio.ensure_future(take(source, 5))
            await asyncio.sleep(0)
            await world.grow(chain)
            assert await following == [6, 7, 8, 9, 10]
        assert len(world.feed) == 0
        world.store.close()

    play(scene())


def test_without_a_start_only_what_comes_from_now_on() -> None:
    async def scene() -> None:
        world, chain, other = Scene(), ChainMaker(), ChainMaker(1)
        await world.grow(chain)
        async with aclosing(pages(world.store, world.feed, None, beat_s=0.001)) as source:
            assert await anext(source) == []  # where it begins is settled
            await world.grow(other)
            assert await take(source, 6) == [6, 7, 8, 9, 10, 11]
        world.store.close()

    play(scene())


def test_all_chains_together_come_by_the_index_of_the_node() -> None:
    async def scene() -> None:
        world, chains = Scene(), [ChainMaker(number) for number in range(3)]
        for chain in chains:
            await world.grow(chain)
        async with aclosing(pages(world.store, world.feed, None, start=0)) as source:
            assert await take(source, 18) == list(range(18))
        world.store.close()

    play(scene())


def test_a_page_has_a_bound_in_events_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        world, chain = Scene(), ChainMaker()
        await world.grow(chain, 200)
        page = read_page(world.store, chain.actor, 0)
        assert len(page) == following.PAGE_EVENTS
        monkeypatch.setattr(following, "PAGE_BYTES", 100)
        page = read_page(world.store, chain.actor, 1)
        sizes = [len(event.payload or b"") for _, event in page]
        assert sum(sizes) >= 100 > sum(sizes[:-1])
        assert len(read_page(world.store, None, 0, most=1)) == 1
        world.store.close()

    play(scene())


def test_a_page_without_events_comes_when_nothing_else_does() -> None:
    async def scene() -> None:
        world, chain = Scene(), ChainMaker()
        await world.grow(chain)
        async with aclosing(pages(world.store, world.feed, chain.actor, start=6, beat_s=0.001)) as source:
            assert await anext(source) == []
            assert await anext(source) == []
            await world.grow(chain)
            assert await take(source, 5) == [6, 7, 8, 9, 10]
        world.store.close()

    play(scene())


def test_closing_the_feed_ends_it_at_once() -> None:
    async def scene() -> None:
        world, chain = Scene(), ChainMaker()
        await world.grow(chain, 200)
        async with aclosing(pages(world.store, world.feed, chain.actor, start=0)) as source:
            await anext(source)
            world.feed.close()
            assert [page async for page in source] == []
        world.store.close()

    play(scene())


def test_the_last_events_of_a_removed_actor_come_before_the_end() -> None:
    async def scene() -> None:
        world, chain = Scene(), ChainMaker()
        await world.grow(chain)
        async with aclosing(pages(world.store, world.feed, chain.actor, start=0)) as source:
            await take(source, 6)
            rest = asyncio.ensure_future(collect(source))
            head = chain.head
            chain.step()
            await asyncio.to_thread(append, world.store, chain.actor, head, chain.events[6:])
            world.feed.written(Written((Append(chain.actor, EMPTY, (), erases=True),), 0.0))
            assert await rest == [6, 7, 8, 9, 10]
        world.store.close()

    play(scene())


@pytest.mark.parametrize("start", [None, 0, 7])
def test_following_one_that_was_removed_before_ends(start: int | None) -> None:
    async def scene() -> None:
        world, chain = Scene(), ChainMaker()
        await world.grow(chain)
        await asyncio.to_thread(append_together, world.store, removal(chain))
        async with aclosing(pages(world.store, world.feed, chain.actor, start=start)) as source:
            assert await collect(source) == (list(range(7)) if start == 0 else [])
        assert len(world.feed) == 0
        world.store.close()

    play(scene())


async def collect(source: AsyncIterator[Page]) -> list[int]:
    async with asyncio.timeout(PATIENCE_S):
        return [place async for page in source for place, _ in page]


def test_a_store_that_is_closed_behind_it_is_its_end() -> None:
    async def scene() -> None:
        world, chain = Scene(), ChainMaker()

        def broken(*_: object, **__: object) -> object:
            world.feed.close()
            raise RuntimeError("closed")

        world.store.events = broken  # type: ignore[method-assign, assignment]  # as a store that was closed
        assert await collect(pages(world.store, world.feed, chain.actor, start=0)) == []
        world.store.close()

    play(scene())


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_missed_and_nothing_comes_twice_while_others_write(seed: int) -> None:
    async def scene() -> None:
        chance = random.Random(seed)
        world, chains = Scene(), [ChainMaker(number) for number in range(4)]
        for chain in chains:
            await world.grow(chain, 0)
        total = 4 + 4 * 5 * 20

        def write(own: ChainMaker, pauses: list[float]) -> None:
            for _ in pauses:
                head = own.head if own.events else EMPTY
                events = own.step()
                append_together(world.store, Append(own.actor, Head(head.seq, head.hash), events), hurry=True)

        async def follow(pause_s: float) -> list[int]:
            seen: list[int] = []
            async with aclosing(pages(world.store, world.feed, None, start=0)) as source:
                while len(seen) < total:
                    seen += [place for place, _ in await anext(source)]
                    await asyncio.sleep(pause_s)
            return seen

        async def follow_one(chain: ChainMaker) -> list[int]:
            async with aclosing(pages(world.store, world.feed, chain.actor, start=0)) as source:
                return await take(source, 101)

        async with asyncio.timeout(PATIENCE_S):
            results = await asyncio.gather(
                *(follow(chance.choice((0, 0.001, 0.005))) for _ in range(4)),
                *(follow_one(chain) for chain in chains),
                *(asyncio.to_thread(write, chain, [0.0] * 20) for chain in chains),
            )
        assert all(seen == list(range(total)) for seen in results[:4])
        assert all(seen == list(range(101)) for seen in results[4:8])
        world.store.close()

    play(scene())


@pytest.mark.slow
def test_a_running_node_tells_of_what_its_actors_do(company: Troupe) -> None:
    runtime = company.stage.runtime
    anna = company.player("anna")
    start = anna.head.seq + 1

    async def scene() -> None:
        async with aclosing(pages(runtime.store, runtime.feed, anna.id, start=start)) as source:
            reply = await anna.ref.request_json('"' + puppet.count() + '"')
            async with asyncio.timeout(PATIENCE_S):
                seen: list[int] = []
                while reply.receipt.seq not in seen:
                    seen += [place for place, _ in await anext(source)]
            assert seen == list(range(start, reply.receipt.seq + 1))

    company.stage.run(scene())
