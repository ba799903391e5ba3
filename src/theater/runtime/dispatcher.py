"""The dispatcher: brings letters to actors, wherever these are, and has them woken up when there is something to do.

An actor is in memory while something goes on, and for a while after; else it is a card in the directory and rows in
the store. There is one of each at most. A letter for an actor that is not in memory is in the store, or on the way
there; so it is kept here until the actor has been read, and then whatever the actor has not found by itself is handed
to it: what was on the way when it was read is neither lost nor handed over twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from theater.errors import HeadConflict, InternalError, NotFound, NotRunning, NotStopped, StoreError, TheaterError
from theater.model.ids import ActorId
from theater.model.limits import limits_from_json
from theater.model.ports import Append, Appended, Space
from theater.runtime.actor import Actor
from theater.runtime.birth import Newborn, Woken, give_birth, wake_up
from theater.runtime.channels import Channels
from theater.runtime.conception import Request
from theater.runtime.denials import Denials
from theater.runtime.directory import Bounds, Card, Directory, bounds_of
from theater.runtime.erasing import Erasing
from theater.runtime.exclusion import Exclusion
from theater.runtime.history import read_genesis
from theater.runtime.holdings import Awaited
from theater.runtime.joiners import Joiners
from theater.runtime.letter import Letter
from theater.runtime.mishap import report
from theater.runtime.node import Node
from theater.runtime.office import begin_services, open_office
from theater.runtime.orders import Heard
from theater.runtime.performer import Sampler
from theater.runtime.permissions import Permissions
from theater.runtime.recovery import Recovery
from theater.runtime.serving import serve, serve_when_durable
from theater.runtime.spaces import Spaces
from theater.runtime.subscriptions import Subscriptions
from theater.runtime.surroundings import Birth, Surroundings
from theater.runtime.thrift import Thrift
from theater.runtime.timers import Timers
from theater.runtime.turning_away import turn_away
from theater.runtime.waits import Waits

WAKERS = 4
"""Threads that read actors from the store. Waking one may mean compiling its component, which takes a while."""

WORK: tuple[Space, ...] = ("mailbox", "signal", "duty")
"""Where it stands in the store that an actor has something to do."""

RETRY_US = 5_000_000
"""After a commit that the disk did not take: it may have room again by then, or fail again at little cost."""

IN_MEMORY_MAX = 4096
"""Actors that stay in memory though nothing goes on with them, about 10 kB each."""

SEIZES_MAX = 10
"""How often an actor that is to be removed is looked at again: it may be on the way into memory, or out of it."""

SEIZE_PATIENCE_S = 30.0
"""How long the disk may take for the end of an actor that is to be removed."""

ARRIVALS = 100
"""How many may come before all are asked again, once nobody could leave."""


class Dispatcher:
    """Implements ``Router``. One for a runtime; any thread may use it that holds no actor's lock."""

    def __init__(self, node: Node, sampler: Sampler) -> None:
        directory = Directory(node.store.records())
        listed = {
            parent: {entry.key for entry in node.store.entries(parent, "child")}
            for parent in node.store.holders("child")
        }
        directory.keep_listed(listed)
        self.surroundings = Surroundings(
            node=node,
            sampler=sampler,
            exclusion=Exclusion(),
            directory=directory,
            waits=Waits(),
            router=self,
            timers=Timers(node, directory, self),
            channels=Channels(node, self),
            subscriptions=Subscriptions(node, directory, self),
            joiners=Joiners(),
            thrift=Thrift(node),
            spaces=Spaces(node.store, directory),
            denials=Denials(),
        )
        open_office(self.surroundings)
        self._lock = threading.Lock()
        self._in_memory: dict[ActorId, Actor] = {}
        self._on_the_way: dict[ActorId, list[Letter]] = {}
        self._waking: dict[ActorId, Future[Actor]] = {}
        self._seized: set[ActorId] = set()  # to be removed, so that nobody wakes them up
        self.erasing = Erasing(node, self)
        self._errands: dict[ActorId, list[tuple[Callable[[Actor], bool], Heard]]] = {}
        self._wakers = ThreadPoolExecutor(max_workers=WAKERS, thread_name_prefix="theater-waker")
        self._is_closing = False
        self._spared_arrivals = 0  # for which nobody is asked to leave
        self._recovery: Recovery | None = None
        self._were_read: set[ActorId] = set()

    def __len__(self) -> int:
        """How many are in memory."""
        return len(self._in_memory)

    # -- Router

    def find(self, actor: ActorId) -> Actor | None:
        """The one that is in memory."""
        return self._in_memory.get(actor)

    def enter(self, actor: Actor) -> None:
        """A new one."""
        with self._lock:
            self._in_memory[actor.record.id] = actor
            letters = self._on_the_way.pop(actor.record.id, ())
            is_closing = self._is_closing
        if is_closing:  # it is written, and begins when the node is opened again
            actor.shut()
            actor.leave()
        for letter in letters:
            self.deliver(actor.record.id, letter)

    def deliver(self, to: ActorId, letter: Letter) -> None:
        """To the actor, or to the place where it finds it when it comes."""
        while True:
            with self._lock:
                actor = self._in_memory.get(to)
                if actor is None and self.surroundings.directory.card(to) is None:
                    break
                if actor is None:
                    self._on_the_way.setdefault(to, []).append(letter)
                    card = self.surroundings.directory.card(to)
                    if card is not None and (card.is_living or letter.expects_reply):  # or else to say that it ended
                        self._wake(to)
                    return
            if actor.receive(letter):
                return
            self.left(actor)
        turn_away(self.surroundings, to, [letter])

    def awake(self, actor: ActorId, action: Callable[[Actor], bool], failed: Heard) -> None:
        """Do it with the actor."""
        while True:
            with self._lock:
                found = self._in_memory.get(actor)
                is_closing = self._is_closing
                if found is None and not is_closing:
                    self._errands.setdefault(actor, []).append((action, failed))
                    self._wake(actor)
                    return
            if found is None:
                failed(_closed())
                return
            if action(found):
                return
            self.left(found)

    def conceive(
        self,
        request: Request,
        permissions: Permissions,
        actor: ActorId,
        *,
        parent: ActorId,
        state: str | None,
        awaited: Awaited | None = None,
    ) -> Birth:
        """A child."""
        newborn = give_birth(
            self.surroundings, request, permissions, actor=actor, parent=parent, state=state, awaited=awaited
        )
        self.enter(newborn.actor)  # before it is in the store, so that nobody reads a second one from there
        return _ChildBirth(self, newborn)

    def left(self, actor: Actor, letters: Sequence[Letter] = (), failure: StoreError | None = None) -> None:
        """It has gone: to rest, or since its chain could not be written. What it has to do waits for another try."""
        own = actor.record.id
        with self._lock:
            if self._in_memory.get(own) is actor:
                del self._in_memory[own]
            is_replaced = own in self._in_memory
            if letters and not is_replaced:
                self._on_the_way[own] = [*letters, *self._on_the_way.get(own, ())]
        if is_replaced:
            for letter in letters:
                self.deliver(own, letter)
        elif isinstance(failure, HeadConflict):  # it had run ahead of what was written: the store knows better
            self.background(lambda: self._take_up(own))
        elif failure is not None and self._has_work(own):
            clock = self.surroundings.node.clock
            clock.call_at(clock.now_us() + RETRY_US, lambda: self._later(own))

    def _later(self, actor: ActorId) -> None:
        self.background(lambda: self._take_up(actor))

    def _take_up(self, actor: ActorId) -> None:
        """Wake an actor if it has something to do."""
        if self._has_work(actor):
            with self._lock:
                if actor not in self._in_memory:
                    self._wake(actor)

    def _has_work(self, actor: ActorId) -> bool:
        return any(self.surroundings.node.store.entries(actor, space) for space in WORK)

    def background(self, work: Callable[[], None]) -> bool:
        """On a thread of those who wake actors."""

        def guarded() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - a bug of ours; nobody looks at the future
                report(error)

        with self._lock:
            if not self._is_closing:
                self._wakers.submit(guarded)
            return not self._is_closing

    def bounds(self, card: Card) -> Bounds:
        """From event 0, once."""
        if card.bounds is None:
            _, genesis = read_genesis(self.surroundings.node.store, card.record.id)
            card.bounds = bounds_of(limits_from_json(genesis.limits))
        return card.bounds

    # -- for the runtime

    def woken(self, actor: ActorId) -> Actor:
        """The actor, in memory. Blocks while it is read.

        Raises:
            NotFound: there is no such actor.
            NotRunning: the runtime is closing.
            TheaterError: why it cannot be woken up, see ``wake_up``.
        """
        with self._lock:
            found = self._in_memory.get(actor)
            future = None if found is not None else self._wake(actor)
        if found is not None:
            return found
        if future is None:
            raise _closed() if self._is_closing else _removed(actor)
        return future.result()

    def begin(self, newborn: Newborn, heard: Callable[[StoreError | None], None] = lambda _: None) -> None:
        """Have a new root actor written, and begin it; ``heard`` is told. Should that fail, its chain has failed."""
        actor = newborn.actor

        def written(result: Appended | StoreError) -> None:
            if isinstance(result, StoreError):
                actor.fail(result)
                self.surroundings.directory.forget(actor.record.id)
            else:
                serve(self.surroundings.node, actor.record.id, newborn.serving)
            heard(result if isinstance(result, StoreError) else None)

        self.enter(actor)
        self.surroundings.node.store.append(newborn.append, written, hurry=False)
        actor.join()
        self.make_room()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing goes on but what waits for somebody outside, or for the clock."""
        with self._lock:
            if (
                self._waking
                or self._errands
                or self._seized
                or not self.erasing.is_quiet
                or (self._recovery is not None and not self._recovery.is_over)
            ):
                return False
            actors = list(self._in_memory.values())
        return self.surroundings.is_quiet and all(actor.is_quiet for actor in actors)

    def everybody(self) -> list[Actor]:
        """Whoever is in memory."""
        with self._lock:
            return list(self._in_memory.values())

    def start(self) -> None:
        """Wake whoever has something to do, as after the process has ended."""
        store, directory = self.surroundings.node.store, self.surroundings.directory
        self.surroundings.channels.load()
        self.surroundings.subscriptions.load()
        restless = set(store.holders("signal", "duty"))
        busy = [actor for actor in store.holders(*WORK) if directory.is_living(actor) or actor in restless]
        if store.facts().unclean:
            self._recovery = Recovery(busy)
        with self._lock:
            for actor in busy:
                self._wake(actor)
        self.surroundings.channels.end_outside()
        self.surroundings.subscriptions.begin()
        self.surroundings.timers.load()
        begin_services(self.surroundings)
        self.erasing.begin()

    def shut(self) -> None:
        """Wake nobody any more, and wait for those who are being woken."""
        with self._lock:
            self._is_closing = True
        self.erasing.hasten()
        self.surroundings.timers.close()
        self.surroundings.channels.close_outside("the runtime was closed")
        self._wakers.shutdown(wait=True, cancel_futures=True)
        self.erasing.finish()
        with self._lock:
            errands = [errand for waiting in self._errands.values() for errand in waiting]
            self._errands.clear()
        for _, failed in errands:
            failed(_closed())

    def _wake(self, actor: ActorId) -> Future[Actor] | None:
        """Have it read from the store. The lock is held."""
        future = self._waking.get(actor)
        if future is None and not self._is_closing and actor not in self._seized:
            future = self._waking[actor] = self._wakers.submit(self._read, actor)
        return future

    def _attempts(self, actor: ActorId) -> int:
        """How often processes that died had begun its step under a mark: one that this process set says nothing."""
        with self._lock:
            was_read = actor in self._were_read
            self._were_read.add(actor)
        return 0 if was_read else self.surroundings.node.store.attempt(actor)

    def _read(self, actor: ActorId) -> Actor:
        try:
            record = self.surroundings.node.store.record(actor)
            if record is None:
                raise NotFound(f"there is no actor {actor}")
            born = self.find(actor)  # meanwhile; it is found before it is in the store
            attempts = self._attempts(actor)
            woken = wake_up(self.surroundings, record, attempts=attempts) if born is None else Woken(born, [], None)
            found = woken.actor
        except Exception as error:
            failure = (
                error if isinstance(error, TheaterError) else InternalError(f"it could not be woken up: {error!r}")
            )
            with self._lock:
                self._waking.pop(actor, None)
                errands = self._errands.pop(actor, [])
            if not isinstance(error, TheaterError):
                report(error)
            for _, failed in errands:
                failed(failure)
            raise
        recovery = self._recovery if self._recovery is not None and self._recovery.is_suspect(actor) else None
        with self._lock:
            self._in_memory[actor] = found
            self._waking.pop(actor, None)
            letters = self._on_the_way.pop(actor, [])
            errands = self._errands.pop(actor, [])

        def join() -> None:
            found.join(letters, woken.signals, woken.go_on)

        if born is not None:
            for letter in letters:
                self.deliver(actor, letter)
        elif recovery is None:
            join()
        else:
            recovery.admit(lambda rested: found.join_as_suspect(join, attempts, rested))
        self.make_room()
        for action, failed in errands:
            self._run_errand(found, action, failed)
        return found

    def _run_errand(self, actor: Actor, action: Callable[[Actor], bool], failed: Heard) -> None:
        if not action(actor):
            self.left(actor)
            self.awake(actor.record.id, action, failed)

    # -- removing

    def seize(self, actor: ActorId) -> None:
        """Take an actor that has ended out of memory, and let nobody wake it up before ``release`` or ``bury``.

        What is asked of it meanwhile waits. Blocks while it is being woken up.

        Raises:
            NotFound: there is none, or somebody else has seized it.
            NotStopped: it lives, or is about to, or something goes on with it.
            NotRunning: the runtime is closing.
        """
        with self._lock:
            if self._is_closing:
                raise _closed()
            if actor in self._seized or self.surroundings.directory.card(actor) is None:
                raise _removed(actor)
            self._seized.add(actor)
        try:
            for _ in range(SEIZES_MAX):
                with self._lock:
                    if self._is_closing:
                        raise _closed()
                    waking, found = self._waking.get(actor), self._in_memory.get(actor)
                if waking is not None:
                    with suppress(Exception):  # whoever wanted it hears of that; cancelled where the runtime closes
                        waking.result()
                elif found is None:
                    break
                elif found.retire():
                    self.left(found)
                else:
                    found.wait_durable(SEIZE_PATIENCE_S)
            card = self.surroundings.directory.card(actor)
            if card is None or card.is_living or self.find(actor) is not None:
                name = card.record.name if card is not None else actor
                raise NotStopped(f"actor {name!r} has not ended: stop it first", actor=actor)
        except BaseException:
            self.release(actor)
            raise

    def release(self, actor: ActorId) -> None:
        """It stays after all: what was asked of it meanwhile is done now."""
        with self._lock:
            self._seized.discard(actor)
            if actor in self._errands or any(letter.expects_reply for letter in self._on_the_way.get(actor, ())):
                self._wake(actor)

    def bury(self, actor: ActorId) -> None:
        """It was removed: who asked something of it meanwhile hears so."""
        self.surroundings.forget(actor)
        with self._lock:
            self._seized.discard(actor)
            self._were_read.discard(actor)
            letters = self._on_the_way.pop(actor, [])
            errands = self._errands.pop(actor, [])
        for _, failed in errands:
            failed(_removed(actor))
        turn_away(self.surroundings, actor, letters)

    def make_room(self) -> None:
        """Where there are too many, let some go with whom nothing goes on, those first that have been here longest."""
        with self._lock:
            if len(self._in_memory) <= IN_MEMORY_MAX:
                return
            if self._spared_arrivals > 0:
                self._spared_arrivals -= 1
                return
            candidates = list(self._in_memory.values())
        wanted = surplus = len(candidates) - IN_MEMORY_MAX * 7 // 8
        for actor in candidates:
            if surplus <= 0:
                break
            if actor.is_fresh():
                continue
            if actor.go():
                self.left(actor)
                surplus -= 1
        if surplus == wanted:  # nobody could: it is not worth asking all of them again for each that comes
            self._spared_arrivals = ARRIVALS


class _ChildBirth:
    """A child that is written with the step of its parent."""

    __slots__ = ("_dispatcher", "_newborn")

    def __init__(self, dispatcher: Dispatcher, newborn: Newborn) -> None:
        self._dispatcher = dispatcher
        self._newborn = newborn

    @property
    def append(self) -> Append:
        """Its part of the transaction."""
        return self._newborn.append

    def begin(self) -> None:
        """It begins."""
        self._newborn.actor.join()
        newborn = self._newborn
        serve_when_durable(self._dispatcher.surroundings.node, newborn.actor.record.id, newborn.serving)
        self._dispatcher.make_room()

    def fail(self, failure: StoreError) -> None:
        """It never was."""
        self._newborn.actor.fail(failure)


def _removed(actor: ActorId) -> NotFound:
    return NotFound(f"there is no actor {actor}: it was removed, or is about to be")


def _closed() -> NotRunning:
    return NotRunning("the runtime is closed: it wakes no actors")
