"""Actors that ended are removed: what they recorded is erased, nobody knows them, and what is left stays sound."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.guests import puppet
from tests.guests.wat import COUNTER
from tests.runtime.inside import dispatcher_of
from tests.runtime.stage import Gate, Stage, Workshop
from tests.runtime.test_taken_in import bundle
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, Damaged, DiskFull, NotFound, NotRunning, NotStopped, StoreError
from theater.model.event import Event
from theater.model.ids import ActorId
from theater.model.payload import Lifecycle, Message
from theater.runtime import erasing
from theater.runtime import runtime as runtime_module
from theater.runtime.dispatcher import WAKERS
from theater.runtime.history import payload_of
from theater.runtime.posting import accepted
from theater.runtime.verification import verify
from theater.store.faults import FaultPoint
from theater.testing.harness import Actor, Pending

T = TypeVar("T")

PATIENCE_S = 20.0


def remove(stage: Stage, text: str, *, tree: bool = False, by: str = "local") -> list[ActorId]:
    """Remove an actor, and wait until what it recorded is erased."""
    removed = stage.run(stage.runtime.remove(text, tree=tree, by=by))
    stage.rest()
    return removed


def started(stage: Stage, coroutine: Coroutine[object, None, T]) -> Pending[T]:
    """Begun, and not waited for."""

    async def start() -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(coroutine)
        await asyncio.sleep(0)
        return task

    return Pending(stage, stage.run(start()))


def chain(stage: Stage, actor: ActorId) -> list[Event]:
    return list(stage.runtime.store.events(actor))


def is_gone(stage: Stage, actor: ActorId) -> bool:
    """Whether nobody knows of it, and its last event says so."""
    store, dispatcher = stage.runtime.store, dispatcher_of(stage)
    directory = dispatcher.surroundings.directory
    *before, last = chain(stage, actor)
    assert (last.header.kind, last.header.name) == ("lifecycle", "erased")
    assert last.payload is not None
    assert all(event.payload is None and event.salt is None for event in before)
    assert dispatcher.find(actor) is None
    assert directory.card(actor) is None
    assert store.entries(actor) == []
    with pytest.raises(NotFound):
        stage.actor(actor)
    return store.record(actor) is None


# -- one -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_an_actor_that_ended_is_removed_and_what_it_recorded_erased(company: Troupe, end: str) -> None:
    anna = company.player("anna")
    anna.request(puppet.count())
    if end == "stop":
        anna.stop()
    else:
        company.crash(anna)

    assert remove(company.stage, "anna", by="somebody") == [anna.id]

    assert is_gone(company.stage, anna.id)
    last = payload_of(chain(company.stage, anna.id)[-1])
    assert isinstance(last, Lifecycle)
    assert (last.by, last.detail) == ("somebody", None)


@pytest.mark.parametrize("status", ["running", "paused"])
def test_one_that_lives_stays_as_it_is(company: Troupe, status: str) -> None:
    anna = company.player("anna")
    if status == "paused":
        anna.pause()

    with pytest.raises(NotStopped, match=f"'anna' is {status}: stop it first"):
        remove(company.stage, "anna")

    assert anna.status == status
    if status == "running":
        assert anna.request(puppet.reply("here")) == "here"


def test_what_it_held_goes_with_it(company: Troupe) -> None:
    anna = company.player("anna")
    anna.request(puppet.schedule(100_000, puppet.count()))
    anna.pause()
    anna.send(puppet.count())
    anna.stop()
    store = company.stage.runtime.store
    assert store.size_entries("timer") == store.size_entries("mailbox") == {anna.id: 1}

    remove(company.stage, anna.id)

    assert store.size_entries("timer") == store.size_entries("mailbox") == {}
    assert dispatcher_of(company.stage).surroundings.timers.of(anna.id) == []
    company.stage.clock.advance(200)
    company.rest()
    assert is_gone(company.stage, anna.id)


@pytest.mark.slow
def test_it_is_gone_after_a_restart_of_the_node_too(company: Troupe) -> None:
    anna = company.player("anna")
    anna.stop()
    remove(company.stage, "anna")

    company.stage.reopen()

    assert is_gone(company.stage, anna.id)
    assert company.player("anna").id != anna.id


def test_one_that_is_not_in_memory_is_removed_without_being_woken(company: Troupe) -> None:
    anna = company.player("anna")
    anna.stop()
    company.stage.reopen()
    record = company.stage.runtime.store.record(anna.id)
    assert record is not None
    company.stage.runtime.blobs.path(record.program).unlink()  # so that it could not be

    assert remove(company.stage, "anna") == [anna.id]

    assert is_gone(company.stage, anna.id)


def test_its_name_and_its_reference_are_nobodys(company: Troupe) -> None:
    anna = company.player("anna")
    anna.stop()
    remove(company.stage, "anna")

    uses: list[Callable[[], object]] = [
        anna.restart,
        anna.stop,
        anna.resume,
        lambda: anna.request(puppet.count()),
        lambda: anna.send("x"),
    ]
    for use in uses:
        with pytest.raises((NotFound, NotRunning)):
            use()
    with pytest.raises(NotFound):
        remove(company.stage, "anna")


def test_a_root_actor_that_is_to_be_started_again_is_not_over_until_somebody_stops_it(company: Troupe) -> None:
    again = '[supervision.self]\nrestart = "permanent"\nbackoff = { first = "10s", max = "10s" }\n'
    anna = company.root(company.manifest("anna") + again, "anna")
    company.crash(anna)
    assert anna.status == "crashed"

    with pytest.raises(NotStopped, match="'anna' is to be started again, as its manifest asks: stop it first"):
        remove(company.stage, "anna")
    anna.stop()

    assert remove(company.stage, "anna") == [anna.id]
    company.stage.clock.advance(20)
    company.rest()
    assert is_gone(company.stage, anna.id)


def test_a_chain_that_was_removed_is_not_taken_in_again(company: Troupe, tmp_path: Path) -> None:
    anna = company.player("anna")
    anna.stop()
    path = bundle(company.stage, anna.id, tmp_path / "anna.theater")
    remove(company.stage, "anna")

    with pytest.raises(StoreError):
        company.stage.run(company.stage.runtime.take_in(path))

    assert is_gone(company.stage, anna.id)


# -- a tree ----------------------------------------------------------------------------------------------------------


def test_without_a_word_nobody_below_is_removed(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "kid")
    boss.stop()
    company.rest()

    with pytest.raises(NotStopped, match="1 actors below"):
        remove(company.stage, "boss")

    assert (boss.status, child.status) == ("stopped", "stopped")
    boss.restart()
    company.rest()
    assert child.status == "running"


def test_a_tree_is_removed_children_before_parents(company: Troupe) -> None:
    boss = company.boss()
    middle = company.middle(boss, "middle")
    leaf = company.child(middle, "leaf")
    kid = company.child(boss, "kid")
    boss.stop()
    company.rest()

    removed = remove(company.stage, "boss", tree=True)

    assert set(removed) == {boss.id, middle.id, leaf.id, kid.id}
    assert removed.index(leaf.id) < removed.index(middle.id)
    assert removed[-1] == boss.id
    assert all(is_gone(company.stage, actor) for actor in removed)


def test_a_child_that_was_taken_off_the_list_is_below_all_the_same(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "kid")
    child.stop()
    company.rest()
    assert company.ask(boss, puppet.remove(child.id)) == "ok"
    boss.stop()

    with pytest.raises(NotStopped):
        remove(company.stage, "boss")

    assert remove(company.stage, "boss", tree=True) == [child.id, boss.id]


@pytest.mark.slow
def test_where_one_of_a_tree_lives_nothing_is_removed(company: Troupe) -> None:
    boss = company.boss()
    first, last = company.child(boss, "first"), company.child(boss, "last")
    boss.stop()
    company.rest()
    first.restart()
    company.rest()

    with pytest.raises(NotStopped, match="'first' is running"):
        remove(company.stage, "boss", tree=True)

    assert [boss.status, first.status, last.status] == ["stopped", "running", "stopped"]
    assert "erased" not in (*boss.kinds(), *last.kinds())
    boss.restart()  # nobody is kept from anything
    company.rest()
    assert last.status == "running"


# -- a child ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_child_leaves_the_list_of_its_parent_whose_chain_says_so(company: Troupe) -> None:
    boss = company.boss()
    child, other = company.child(boss, "kid"), company.child(boss, "other")
    child.stop()

    remove(company.stage, "kid", by="somebody")

    assert is_gone(company.stage, child.id)
    said = boss.payloads("lifecycle")[-1]
    assert isinstance(said, Lifecycle)
    assert boss.kinds().count("child-removed") == 1
    assert (said.by, said.detail) == ("somebody", {"child": child.id})
    assert company.ask(boss, puppet.list_children(None)).count("/") > 0
    assert child.id not in company.ask(boss, puppet.list_children(None))
    company.crash(other)
    assert company.heard(boss) == ["kid shutdown left", "other crashed:trap restarted"]
    company.stage.reopen()
    assert company.find("boss").verify().ok


def test_a_supervisor_that_starts_all_its_children_again_has_forgotten_it(company: Troupe) -> None:
    boss = company.boss('strategy = "one-for-all"\nintensity = 5')
    child, other = company.child(boss, "kid"), company.child(boss, "other")
    child.stop()
    remove(company.stage, "kid")

    company.crash(other)

    assert (other.status, boss.status) == ("running", "running")
    assert is_gone(company.stage, child.id)


def test_the_child_of_a_parent_that_ended_is_removed_too(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "kid")
    boss.stop()
    company.rest()

    remove(company.stage, "kid")
    boss.restart()
    company.rest()

    assert is_gone(company.stage, child.id)
    assert company.ask(boss, puppet.list_children(None)) == ""


def test_a_child_in_its_pause_is_not_over_until_somebody_stops_it(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "kid", backoff_ms=(10_000, 10_000))
    company.crash(child)

    with pytest.raises(NotStopped, match="is about to start it again: stop it first"):
        remove(company.stage, "kid")
    child.stop()
    remove(company.stage, "kid")
    company.stage.clock.advance(20)
    company.rest()

    assert is_gone(company.stage, child.id)
    assert boss.status == "running"


def test_a_step_of_the_parent_that_knows_it_goes_on_without_it(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "kid")
    child.stop()
    company.rest()
    calls = (
        puppet.restart(child.id) + puppet.sleep(1000) + puppet.child_state(child.id) + puppet.log(puppet.FULL_ANSWER)
    )
    going_on = company.begin(boss, calls)
    company.stage.clock.wait_for_timers()

    remove(company.stage, "kid")
    company.stage.clock.advance(1)
    going_on.result()
    company.rest()

    assert is_gone(company.stage, child.id)
    assert puppet.log_of(boss.state or "")[-1] == f"err:not-found:{child.id}"


@pytest.mark.slow
def test_whoever_watched_it_hears_of_its_end_and_watches_it_no_longer(company: Troupe) -> None:
    boss = company.player("boss", handlers=("supervisor", "events"))
    child = company.child(boss, "kid")
    boss.request(puppet.subscribe(child.id, 0, payloads=True))
    company.rest()
    child.stop()
    company.rest()

    remove(company.stage, "kid")

    told = [said.arguments[0] for said in boss.payloads("message") if isinstance(said, Message)]
    batches = [said["events"] for said in told if isinstance(said, dict) and "events" in said]
    names = [event["name"] for batch in batches for event in batch]
    assert names[-1] in ("stopped", "erased")  # when it left the list of children, that may have been all of it
    assert "stopped" in names
    assert company.stage.runtime.store.size_entries("subscription") == {}


@pytest.mark.slow
def test_whoever_is_behind_is_told_without_what_was_erased(company: Troupe) -> None:
    boss = company.player("boss", handlers=("supervisor", "events"))
    child = company.child(boss, "kid")
    boss.request(puppet.subscribe(child.id, 0, payloads=True))
    company.rest()
    boss.pause()
    child.request(puppet.count())
    company.rest()
    child.request(puppet.count())
    child.stop()
    remove(company.stage, "kid")

    boss.resume()
    company.rest()

    told = [said.arguments[0] for said in boss.payloads("message") if isinstance(said, Message)]
    batches = [said["events"] for said in told if isinstance(said, dict) and "events" in said]
    assert [event["payload"] is None for event in batches[-1]] == [*[True] * (len(batches[-1]) - 1), False]
    assert company.stage.runtime.store.size_entries("subscription") == {}


# -- at the same time ------------------------------------------------------------------------------------------------


def test_of_two_that_remove_the_same_one_does(company: Troupe) -> None:
    anna = company.player("anna")
    anna.stop()
    runtime = company.stage.runtime

    async def both() -> list[object]:
        return list(await asyncio.gather(runtime.remove("anna"), runtime.remove("anna"), return_exceptions=True))

    outcomes = company.stage.run(both())
    company.rest()

    assert [anna.id] in outcomes
    assert sum(isinstance(outcome, NotFound) for outcome in outcomes) == 1
    assert chain(company.stage, anna.id)[-1].header.name == "erased"


class Narrow(Gate):
    """One that may also find the disk full once."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full_once = False

    def __call__(self, point: FaultPoint) -> None:
        super().__call__(point)
        if point == "before-commit" and self.is_full_once:
            self.is_full_once = False
            raise OSError(28, "No space left on device")


@pytest.fixture
def gate() -> Narrow:
    return Narrow()


@pytest.fixture
def gated(workshop: Workshop, tmp_path: Path, gate: Narrow) -> Iterator[Troupe]:
    """A troupe whose disk a test can hold back."""
    with Stage(workshop, tmp_path, fault=gate) as stage:
        made = Troupe(stage)
        yield made
        made.rest()
        made.verify()


def test_who_would_start_it_again_meanwhile_hears_that_it_is_gone(gated: Troupe, gate: Narrow) -> None:
    anna = gated.player("anna")
    anna.stop()
    gated.rest()

    with gate.held():
        removing = started(gated.stage, gated.stage.runtime.remove("anna"))
        assert gate.arrived.wait(10)
        restarting = started(gated.stage, anna.ref.restart())
        stopping = started(gated.stage, anna.ref.stop())
        with pytest.raises(NotFound, match="it was removed, or is about to be"):
            anna.request(puppet.count())

    assert removing.result() == [anna.id]
    for waiting in (restarting, stopping):
        with pytest.raises(NotFound, match="it was removed"):
            waiting.result()
    gated.rest()
    assert is_gone(gated.stage, anna.id)


def test_who_was_about_to_start_it_again_does_where_it_cannot_be_removed(gated: Troupe, gate: Narrow) -> None:
    anna = gated.player("anna")
    anna.stop()
    gated.rest()

    with gate.held():
        gate.is_full_once = True
        removing = started(gated.stage, gated.stage.runtime.remove("anna"))
        assert gate.arrived.wait(10)
        restarting = started(gated.stage, anna.ref.restart())
        gate.release()
        with pytest.raises(DiskFull):
            removing.result()

    restarting.result()
    gated.rest()
    assert anna.kinds()[-1] == "restarted"
    assert anna.request(puppet.reply("back")) == "back"


def test_one_that_is_being_started_again_is_not_removed(gated: Troupe, gate: Narrow) -> None:
    anna = gated.player("anna")
    anna.stop()
    gated.rest()

    with gate.held():
        restarting = started(gated.stage, anna.ref.restart())
        removing = started(gated.stage, gated.stage.runtime.remove("anna"))
        with pytest.raises(NotStopped, match="'anna' is running"):
            removing.result()

    restarting.result()
    assert anna.status == "running"


def test_a_stop_that_is_not_durable_yet_is_waited_for(gated: Troupe, gate: Narrow) -> None:
    anna = gated.player("anna")
    gated.rest()

    with gate.held():
        stopping = anna.start_stop()
        removing = started(gated.stage, gated.stage.runtime.remove(anna.id))

    stopping.result()
    assert removing.result() == [anna.id]
    gated.rest()
    assert is_gone(gated.stage, anna.id)


# -- what is on its way ----------------------------------------------------------------------------------------------


def test_a_letter_on_its_way_is_dropped_and_who_asks_is_answered(company: Troupe) -> None:
    anna, ben = company.player("anna"), company.player("ben")
    anna.stop()
    dispatcher = dispatcher_of(company.stage)
    asking = company.begin(ben, puppet.sleep(1000))
    company.stage.clock.wait_for_timers()
    remove(company.stage, "anna")

    dispatcher.deliver(anna.id, accepted("m1", "1", source="test", sender=None))
    letter = accepted("m2", "1", source=ben.id, sender=ben.id, until_us=2**60)
    dispatcher.deliver(anna.id, letter)
    company.stage.clock.advance(1)
    asking.result()
    company.rest()

    ben.request(puppet.count())  # which clears the answer away that nobody waited for
    company.rest()
    assert company.stage.runtime.store.size_entries("answer") == {}
    assert dispatcher._on_the_way == {}


def test_an_answer_to_a_question_of_one_that_was_removed_is_let_go(company: Troupe) -> None:
    anna, ben = company.player("anna"), company.player("ben")
    asking = company.begin(anna, puppet.request(ben.id, puppet.remember(), 60_000))
    company.rest()
    anna.terminate()
    with pytest.raises(Crashed):
        asking.result()
    remove(company.stage, "anna")

    ben.request(puppet.answer_first(puppet.Json("1")))
    company.rest()

    assert ben.status == "running"
    assert company.stage.runtime.store.size_entries("answer") == {}


def test_a_message_that_was_reserved_a_place_for_is_let_go(company: Troupe) -> None:
    anna, ben = company.player("anna"), company.player("ben")
    sending = company.begin(ben, puppet.send(anna.id, puppet.count()) + puppet.sleep(1000))
    company.stage.clock.wait_for_timers()
    anna.stop()
    remove(company.stage, "anna")

    company.stage.clock.advance(1)
    sending.result()
    company.rest()

    assert ben.request(puppet.reply("fine")) == "fine"
    assert is_gone(company.stage, anna.id)


# -- what is left of it ----------------------------------------------------------------------------------------------


def test_what_is_left_of_its_chain_is_sound(company: Troupe) -> None:
    anna = company.player("anna")
    anna.request(puppet.count())
    anna.stop()
    remove(company.stage, "anna")
    left = chain(company.stage, anna.id)

    report = verify(lambda: iter(left), head=left[-1].hash)

    assert (report.ok, report.events, report.fault) == (True, len(left), None)
    indexed = company.stage.runtime.store.events_by_index(start=0, limit=1000)
    assert [event for _, event in indexed if event.header.actor == anna.id] == left


def test_what_was_not_erased_before_the_node_closed_is_when_it_is_opened(
    company: Troupe, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = company.player("anna")
    anna.stop()
    company.rest()
    monkeypatch.setattr(company.stage.runtime.store, "wipe", lambda _: 0)
    remove(company.stage, "anna")
    assert chain(company.stage, anna.id)[0].payload is not None

    company.stage.reopen()
    company.rest()

    assert is_gone(company.stage, anna.id)


def test_what_did_not_get_a_thread_before_the_node_closes_is_erased_by_then(
    company: Troupe, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = company.player("anna")
    anna.stop()
    company.rest()  # what is erased when a node is opened has been
    dispatcher, store = dispatcher_of(company.stage), company.stage.runtime.store
    wiped: list[int] = []
    wipe = store.wipe
    monkeypatch.setattr(dispatcher, "background", lambda _: True)  # and it is cancelled when it closes
    monkeypatch.setattr(store, "wipe", lambda may_go_on: wiped.append(wipe(may_go_on)))

    company.stage.run(company.stage.runtime.remove("anna"))
    assert wiped == []
    company.stage.reopen()

    assert len(wiped) == 1
    assert wiped[0] > 0


def test_a_node_that_closes_erases_for_a_while_and_leaves_the_rest_for_when_it_is_opened(
    company: Troupe, monkeypatch: pytest.MonkeyPatch
) -> None:
    players = [company.player(f"anna-{number}") for number in range(3)]
    for player in players:
        player.stop()
    company.rest()
    runtime = company.stage.runtime
    with monkeypatch.context() as patch:
        patch.setattr(dispatcher_of(company.stage), "background", lambda _: True)
        patch.setattr(erasing, "CLOSING_S", 0.0)
        for player in players:
            company.stage.run(runtime.remove(player.id))
        company.stage.run(runtime.__aexit__(None, None, None))
    company.stage._open()
    left = [player.id for player in players if chain(company.stage, player.id)[0].payload is not None]
    company.rest()

    assert left
    assert all(is_gone(company.stage, player.id) for player in players)


def test_a_collection_erases_too(company: Troupe, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = company.player("anna")
    anna.stop()
    company.rest()
    with monkeypatch.context() as patch:
        patch.setattr(company.stage.runtime.store, "wipe", lambda _: 0)
        remove(company.stage, "anna")

    assert company.stage.run(company.stage.runtime.collect()).bytes > 0

    assert is_gone(company.stage, anna.id)


def test_what_cannot_be_erased_is_reported_and_tried_again(company: Troupe, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, ben = company.player("anna"), company.player("ben")
    anna.stop()
    ben.stop()
    company.rest()  # what is erased when a node is opened has been
    reported: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda said: reported.append(said.exc_value))

    def fail(may_go_on: Callable[[], bool]) -> int:
        del may_go_on
        raise Damaged("a file cannot be removed")

    with monkeypatch.context() as patch:
        patch.setattr(company.stage.runtime.store, "wipe", fail)
        assert remove(company.stage, "anna") == [anna.id]
    assert [str(error) for error in reported] == ["a file cannot be removed"]
    remove(company.stage, "ben")

    assert is_gone(company.stage, anna.id)
    assert is_gone(company.stage, ben.id)


# -- and the disk ----------------------------------------------------------------------------------------------------


def test_where_the_disk_is_full_it_stays_and_can_be_removed_later(gated: Troupe, gate: Narrow) -> None:
    anna = gated.player("anna")
    anna.stop()
    gated.rest()

    gate.is_full = True
    with pytest.raises(DiskFull):
        gated.stage.run(gated.stage.runtime.remove("anna"))
    gate.is_full = False

    assert anna.kinds()[-1] == "stopped"
    assert remove(gated.stage, "anna") == [anna.id]


def test_of_a_tree_that_was_removed_in_part_the_rest_can_be_removed_later(gated: Troupe, gate: Narrow) -> None:
    boss = gated.boss()
    kids = [gated.child(boss, f"kid{number}") for number in range(3)]
    boss.stop()
    gated.rest()
    dispatcher, removed = dispatcher_of(gated.stage), []
    bury = dispatcher.bury

    def full_after(actor: ActorId) -> None:
        bury(actor)
        removed.append(actor)
        gate.is_full = len(removed) == 2

    dispatcher.bury = full_after  # type: ignore[method-assign]
    with pytest.raises(DiskFull):
        remove(gated.stage, "boss", tree=True)
    gate.is_full = False

    assert [kid.id for kid in reversed(kids)][:2] == removed
    assert gated.stage.runtime.store.record(kids[0].id) is not None
    assert remove(gated.stage, "boss", tree=True) == [kids[0].id, boss.id]


def test_a_node_that_closes_removes_nobody_any_more(stage: Stage) -> None:
    actor: Actor = stage.play(COUNTER)
    actor.stop()
    runtime = stage.runtime
    stage.reopen()

    with pytest.raises(NotRunning):
        stage.run(runtime.remove(actor.id))

    assert remove(stage, actor.id) == [actor.id]


@pytest.mark.slow
def test_a_removal_does_not_wait_for_one_that_is_not_woken_any_more_since_the_node_closes(
    company: Troupe, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = company.player("anna")
    anna.stop()
    stage, has_begun, may_end = company.stage, threading.Semaphore(0), threading.Event()
    stage.reopen()
    company.rest()
    runtime, dispatcher = stage.runtime, dispatcher_of(stage)

    def occupy() -> None:
        has_begun.release()
        assert may_end.wait(PATIENCE_S)

    for _ in range(WAKERS):
        dispatcher.background(occupy)
        assert has_begun.acquire(timeout=PATIENCE_S)
    monkeypatch.setattr(runtime_module, "STOP_GRACE_S", 0.05)  # for which a removal under way is waited for
    with dispatcher._lock:
        waking = dispatcher._wake(anna.id)
    assert waking is not None
    waking.add_done_callback(lambda _: may_end.set())  # it is cancelled before the others are waited for
    removing = started(stage, runtime.remove(anna.id))
    while anna.id not in dispatcher._seized:
        stage.run(asyncio.sleep(0))

    stage.reopen()

    with pytest.raises(NotRunning):
        removing.result()
    assert remove(stage, anna.id) == [anna.id]


def test_a_tree_that_is_removed_counts_no_longer_above_it(company: Troupe) -> None:
    boss = company.boss()
    middle = company.middle(boss, "middle")
    for number in range(2):
        company.child(middle, f"kid{number}")
    left = company.child(boss, "left")
    directory = dispatcher_of(company.stage).surroundings.directory
    assert directory.descendants(boss.id) == 4
    middle.stop()
    company.rest()

    remove(company.stage, "middle", tree=True)

    assert directory.children(boss.id) == (left.id,)
    assert directory.descendants(boss.id) == 1
