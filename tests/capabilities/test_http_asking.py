"""Asking an actor for a client that may stop waiting at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from theater.capabilities.http_asking import Outcome, ask
from theater.model.ids import ActorId
from theater.model.news import Answered, Handled, News

ACTOR = ActorId("a" * 32)
NEWS = News("b" * 32, "http-server", "theater:actor/http-handlers#websocket-opened", ())


class Post:
    """Keeps what was asked until the test answers it."""

    def __init__(self) -> None:
        self.answered: list[Answered] = []
        self.forgone = 0

    def bring(
        self,
        _actor: ActorId,
        _news: News,
        answered: Answered,
        *,
        is_durable: bool = False,
        keeps: Sequence[tuple[str, bytes]] = (),
        drops: Sequence[str] = (),
    ) -> Callable[[], None]:
        del is_durable, keeps, drops
        self.answered.append(answered)

        def forgo() -> None:
            self.forgone += 1

        return forgo


@pytest.mark.parametrize("is_late", [True, False])
def test_an_answer_that_nobody_waits_for_is_told_also_where_both_come_at_once(*, is_late: bool) -> None:
    post, late = Post(), list[Outcome]()

    async def play() -> None:
        asking = asyncio.create_task(ask(post, ACTOR, NEWS, late=late.append))  # type: ignore[arg-type]  # of it all that is used
        await asyncio.sleep(0)
        if is_late:
            asking.cancel()
            await asyncio.sleep(0)
        post.answered[0](Handled(None))
        if not is_late:
            asyncio.get_running_loop().call_soon(asking.cancel)
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.sleep(0)

    asyncio.run(play())

    assert late == [Handled(None)]
    assert post.forgone == 1
