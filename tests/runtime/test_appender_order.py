"""What is done in memory after a commit is done in the order of the batches, whoever's threads come in between."""

from __future__ import annotations

import threading
from collections.abc import Callable

from theater.errors import StoreError
from theater.model.event import EMPTY, Event, Head
from theater.model.ids import ActorId
from theater.model.ports import Append, AppendDone, Appended
from theater.runtime.appender import Appender
from theater.runtime.consequences import Consequences
from theater.runtime.exclusion import Exclusion
from theater.runtime.system import SystemClock, SystemEntropy
from theater.store import MemoryEventStore

ACTOR = ActorId("0" * 32)


class CallingBackStore(MemoryEventStore):
    """Answers a batch on another thread, before ``append`` has returned: nothing is slower than the caller."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0
        self.failure: StoreError | None = None

    def append(self, batch: Append, done: AppendDone, *, hurry: bool = True) -> None:
        del hurry
        self.batches += 1
        last = batch.events[-1]
        answer = self.failure or Appended(Head(last.header.seq, last.hash), 0)
        other = threading.Thread(target=lambda: done(answer))
        other.start()
        other.join()


class OvertakingStore(CallingBackStore):
    """Has another thread do something while it is given the first batch, and answers that before it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] = lambda: None
        self.seen: Callable[[], None] = lambda: None

    def append(self, batch: Append, done: AppendDone, *, hurry: bool = True) -> None:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        super().append(batch, done, hurry=hurry)
        self.seen()


def appender_on(store: MemoryEventStore, exclusion: Exclusion) -> Appender:
    return Appender(
        store, ACTOR, head=EMPTY, time_us=0, clock=SystemClock(), entropy=SystemEntropy(), exclusion=exclusion
    )


def bringing(action: Callable[[], None]) -> Callable[[list[Event], Consequences], None]:
    return lambda _, brought: brought.after.append(action)


def commit(appender: Appender, action: Callable[[], None]) -> None:
    appender.commit(None, ("lifecycle", "a", b"{}"), bring=bringing(action))


def test_under_a_lock_it_waits_until_that_is_let_go_of_and_keeps_its_order() -> None:
    exclusion, store = Exclusion(), CallingBackStore()
    appender = appender_on(store, exclusion)
    done: list[int] = []
    with exclusion.lock():
        for number in range(3):
            commit(appender, lambda n=number: done.append(n))  # type: ignore[misc]  # a default binds n
        assert (done, store.batches) == ([], 3)
    store.close()

    assert done == [0, 1, 2]


def test_a_batch_that_the_stores_thread_hands_over_does_not_overtake_the_one_before() -> None:
    exclusion, store = Exclusion(), OvertakingStore()
    appender = appender_on(store, exclusion)
    done: list[int] = []
    at_return: list[list[int]] = []
    store.meanwhile = lambda: commit(appender, lambda: done.append(2))  # goes with the next batch
    store.seen = lambda: at_return.append(list(done))

    commit(appender, lambda: done.append(1))
    store.close()

    assert store.batches == 2
    assert at_return == [[], []]  # the second was handed over, and due, while the first was not
    assert done == [1, 2]


def test_what_is_done_may_commit_and_comes_behind() -> None:
    exclusion, store = Exclusion(), CallingBackStore()
    appender = appender_on(store, exclusion)
    done: list[str] = []

    def first() -> None:
        commit(appender, lambda: done.append("behind"))
        done.append("first")

    commit(appender, first)
    store.close()

    assert done == ["first", "behind"]


def test_only_one_thread_at_a_time_does_it_and_the_second_leaves_it_to_the_first() -> None:
    exclusion, store = Exclusion(), CallingBackStore()
    appender = appender_on(store, exclusion)
    done: list[tuple[str, str]] = []

    def tell(what: str) -> None:
        done.append((what, threading.current_thread().name))

    def first() -> None:
        other = threading.Thread(target=lambda: commit(appender, lambda: tell("second")), name="other")
        other.start()
        other.join()
        tell("first")

    commit(appender, first)
    store.close()

    here = threading.current_thread().name
    assert done == [("first", here), ("second", here)]


def test_what_was_entrusted_to_a_chain_that_failed_is_not_brought() -> None:
    exclusion, store = Exclusion(), CallingBackStore()
    appender = appender_on(store, exclusion)
    store.failure = StoreError("no")
    commit(appender, lambda: None)
    done: list[int] = []

    commit(appender, lambda: done.append(1))
    store.close()

    assert (done, store.batches) == ([], 1)
