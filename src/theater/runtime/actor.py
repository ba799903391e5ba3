"""One living actor: a mailbox, a state, a chain, and at most one step at a time.

A step goes: the ``message`` event fixes what the step can know; the guest runs against its boundary; the closing
event, with the new state, is committed in one transaction with everything the step recorded, with the message taken
out of the mailbox, and with all that it does to others. Only then does an asker outside hear of it. The next step may
begin before that, and so may the steps of others that it sent something to: what they record comes behind in the order
of all transactions, and cannot become durable without what it builds on. If an append fails, nothing that came after is
answered as done.

Several kinds of thread meet here: whoever submits a letter, the engine's threads (``_close``), those that bring letters
of other actors, and the store's and the clock's. What they share is guarded by the actor's lock, which is never held
while somebody else's code runs, with one exception: ``Engine.begin``, which only queues. What concerns other actors is
put off until it is let go of (``exclusion``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from theater.errors import InternalError, StoreError
from theater.model.crash import Crash
from theater.model.event import EMPTY, Event, Head
from theater.model.exit_reason import ExitReason
from theater.model.payload import CrashedPayload, Message
from theater.model.ports import LIVING, ActorRecord, Status
from theater.runtime.admission import require_room, take_place
from theater.runtime.anatomy import Anatomy
from theater.runtime.being import Being
from theater.runtime.consequences import Consequences
from theater.runtime.directory import bounds_of
from theater.runtime.duties import strike_off
from theater.runtime.letter import Deferred, Letter
from theater.runtime.life import Control, lifecycle
from theater.runtime.mailbox import Mailbox
from theater.runtime.mishap import report
from theater.runtime.orders import ExitSignal, Heard, Order, Removal, Restart, Stop
from theater.runtime.pausing import change_status
from theater.runtime.performer import Performer, Suspicion
from theater.runtime.removal import require_over
from theater.runtime.restarting import begin_again
from theater.runtime.settlement import Told, let_go, tell_asker
from theater.runtime.stopping import Stopping
from theater.runtime.supervising import Supervising, tell_parent
from theater.runtime.thrift import stop_for_shortage
from theater.runtime.turning_away import give_up_waiting, refuse_waiting
from theater.runtime.upgrading import Upgrade, is_orphaned, pass_over, upgrade


class Actor:
    """See above."""

    __slots__ = (
        "__weakref__",
        "_being",
        "_controls",
        "_early",
        "_is_gone",
        "_is_leaving",
        "_is_shut",
        "_mailbox",
        "_performer",
        "_stopping",
        "_was_used",
        "supervising",
    )

    def __init__(
        self, being: Being, letters: Sequence[Letter] = (), orders: Sequence[Order] = (), *, found: Iterable[str] = ()
    ) -> None:
        self._being = being
        card = being.surroundings.directory.put(being.record)
        card.bounds = bounds_of(being.anatomy.limits)
        card.deferred = len(being.holdings.all_deferred())
        self._mailbox = Mailbox(being.surroundings.directory, card, letters, found)
        self._early: list[Letter] | None = []
        self._performer = Performer(being, self)
        self.supervising = Supervising(being, give_up=self._give_up)
        self.supervising.duties.take(orders)
        self._stopping = Stopping(being, self._performer, self.supervising, self)
        self._controls: list[Control] | None = None
        self._is_shut = False
        self._is_leaving = False
        self._is_gone = False
        self._was_used = True
        being.appender.when_failed(self._chain_failed)
        being.appender.when_durable(being.surroundings.subscriptions.grown)

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def anatomy(self) -> Anatomy:
        """What of it does not change."""
        return self._being.anatomy

    @property
    def record(self) -> ActorRecord:
        """The row by which it is found, as of now."""
        return self._being.record

    @property
    def status(self) -> Status:
        """As of now."""
        return self._being.record.status

    @property
    def failure(self) -> StoreError | None:
        """Why its chain can no longer be written by this actor, if so: it will never do anything again."""
        return self._being.appender.failure

    @property
    def is_born(self) -> bool:
        """Whether its first events are durable."""
        return self._being.appender.durable != EMPTY

    @property
    def head(self) -> Head:
        """The last event of its chain, durable or not."""
        return self._being.appender.head

    @property
    def state(self) -> tuple[int | None, str | None]:
        """The seq of the event that holds the last committed state, and the state."""
        return self._being.committed

    @property
    def deferred(self) -> list[Deferred]:
        """The requests whose answer it has put off."""
        return self._being.holdings.all_deferred()

    @property
    def is_stopping(self) -> bool:
        """Whether it begins no step any more."""
        return self._stopping.under_way is not None

    # -- letters -----------------------------------------------------------------------------------------------------

    def submit(self, letter: Letter) -> bool:
        """Put a letter from outside into the mailbox. False where it has gone to rest: wake it up.

        Raises:
            NotRunning: it is stopped or crashed, or the runtime is closing.
            MailboxFull: as many letters wait, or requests are put off, as its manifest allows.
        """
        with self._being.lock:
            if self._has_left:
                return False
            self._require_open()
            require_room(self._being, letter)
            take_place(self._being)
            self._mailbox.put(letter)
            self.advance()
            return True

    def reserve_place(self, letter: Letter) -> None:
        """Take a place for a letter that goes to the store first. Raises as ``submit``."""
        with self._being.lock:
            self._require_open()
            require_room(self._being, letter)
            take_place(self._being)

    def receive(self, letter: Letter) -> bool:
        """Take a letter that is in the store already, or on the way there. False where it has gone to rest."""
        with self._being.lock:
            if self._has_left:
                return False
            if self._early is not None:  # those that were on the way before it go first
                self._early.append(letter)
                return True
            self._mailbox.put(letter)
            if self.status not in LIVING:
                refuse_waiting(self._being, self._mailbox)
            self.advance()
            return True

    def join(
        self,
        letters: Sequence[Letter] = (),
        signals: Sequence[ExitSignal] = (),
        go_on: Callable[[], None] | None = None,
    ) -> None:
        """It is in memory now: begin with what waits. ``letters`` were on the way while it was read from the store.

        ``go_on`` takes up the step that was left open.
        """
        with self._being.lock:
            early, self._early = self._early, None
            if go_on is not None and not self._is_leaving:
                go_on()
            for letter in (*letters, *(early or ())):
                self._mailbox.put(letter)
            if self.status not in LIVING:
                refuse_waiting(self._being, self._mailbox)
            for signal in signals if not self._is_shut else ():
                self.supervising.child_ended(signal)
            self.supervising.duties.go_on()
            self._performer.clear_answers()
            self._performer.forget_expired()
            self.advance()

    def forgo(self) -> None:
        """Somebody outside waits no longer for an answer of it."""
        with self._being.lock:
            self._mailbox.drop_forgone()
            if not self._is_gone and self._early is None:
                self._performer.forget_expired()

    def join_as_suspect(self, join: Callable[[], None], attempts: int, rested: Callable[[], None]) -> None:
        """Join, and leave a durable mark before the first step; ``rested`` is called when that has come to rest.

        ``attempts``: how often that step was begun under a mark, and not closed.
        """
        with self._being.lock:
            self._performer.suspect(Suspicion(attempts, rested))
            join()
            if self._performer.is_unfounded():
                self._being.surroundings.exclusion.afterwards(rested)

    def child_ended(self, signal: ExitSignal) -> bool:
        """A child of it has ended. False where it has gone to rest."""
        with self._being.lock:
            if self._has_left:
                return False
            if not self._is_shut:
                self.supervising.child_ended(signal, is_stopping=self.is_stopping)
            return True

    def clear_answer(self, wait_id: str) -> None:
        """An answer came for which it does not wait: with its next step at the latest it leaves the store."""
        with self._being.lock:
            self._being.holdings.keep_answer(wait_id)
            if not self._is_gone and self._early is None:  # else a step that was left open may yet ask for it
                self._performer.clear_answers()

    def forget_child(self, removal: Removal) -> bool:
        """It is taken off the list of its children by somebody above it. False where it has gone to rest."""
        return self._asked(lambda: self.supervising.forget(removal), removal.done)

    # -- control -----------------------------------------------------------------------------------------------------

    def control(self, verb: str, status: Status, *, by: str, done: Heard) -> bool:
        """Pause or resume it between two steps; ``done`` hears when that is durable. False where it has gone to rest.

        What it is already is nothing to do; ``done`` hears ``NotRunning`` where it cannot be done as it is, or the
        runtime is closing.
        """
        go = Control(lambda: change_status(self._being, verb, status, by=by, done=done), done)
        return self._asked(lambda: self._between_steps(go), done)

    def stop(self, stop: Stop) -> bool:
        """End it, its children first. The step that is running may go on as long as ``stop.mode`` says.

        False where it has gone to rest.
        """
        return self._asked(lambda: self._stopping.begin(stop, self._between_steps), stop.done)

    def restart(self, restart: Restart) -> bool:
        """Begin it again, once what its end brought about is done. False where it has gone to rest."""

        def begin() -> None:
            if restart.order is not None and self.status in LIVING:
                strike_off(self._being, restart.order, restart.done, restart.placed)
                return
            if restart.order is None and self.status in LIVING and self._stopping.has_children:
                self._stopping.begin_before(restart, self._between_steps)
                return
            own = restart.order is not None and restart.order.actor == self._being.id
            go = Control(lambda: self._restart(restart), restart.done)
            if own:
                self._between_steps(go)
            else:
                self.supervising.duties.when_done(lambda: self._between_steps(go))

        return self._asked(begin, restart.done)

    def upgrade(self, wanted: Upgrade) -> bool:
        """Go on with another component, between two steps. False where it has gone to rest."""
        drop_warm = self._performer.drop_warm
        go = Control(lambda: upgrade(self._being, wanted, drop_warm=drop_warm, migrate=self._begin), wanted.done)
        return self._asked(lambda: self._between_steps(go), wanted.done)

    def found_hidden_state(self, detail: dict[str, object]) -> None:
        """A warm step came out otherwise in a fresh instance: say so in the chain, and go on fresh."""

        def change() -> None:
            self._performer.drop_warm()
            self._being.become(replace(self._being.record, has_hidden_state=True))
            self._being.appender.commit(None, lifecycle("hidden-state", "runtime", detail), record=self._being.record)

        with self._being.lock:
            if not self._being.record.has_hidden_state:
                self._between_steps(Control(change))

    # -- coming and going --------------------------------------------------------------------------------------------

    def fail(self, failure: StoreError) -> None:
        """What it began with was not written: it never was."""
        self._being.appender.fail(failure)

    def resume_step(
        self, message: Event, payload: Message, letter: Letter, recorded: list[Event], anatomy: Anatomy
    ) -> None:
        """Go on with a step that an earlier process left open."""
        self._performer.resume(message, payload, letter, recorded, anatomy)

    def close_open_step(self, crash: Crash, letter: Letter) -> None:
        """Close a step that will not be run again, without running it."""
        with self._being.lock:
            self._performer.close_unrun(letter, CrashedPayload(reason=crash.reason, fuel=0, message=crash.message))

    def disown_open_step(self, letter: Letter) -> None:
        """Close the step that was open when the chain was taken in. That ends nothing: nobody here began it."""
        message = "the step was open when the chain was taken in"
        with self._being.lock:
            payload = CrashedPayload(reason="host-died", fuel=0, message=message)
            self._performer.close_unrun(letter, payload, is_ending=False)

    def shut(self) -> None:
        """The runtime is closing: take no more letters and controls. What it has begun and accepted may go on.

        Controls that wait are answered, and so are the letters that would wait until a paused actor is resumed.
        """
        with self._being.lock:
            self._is_shut = True
            self.supervising.duties.close()
            if self.status != "running":
                give_up_waiting(self._being, self._mailbox)
            asked = [control.refused for control in self._controls or () if control.refused is not None]
            self._controls = [control for control in self._controls or () if control.refused is None] or None
            for refused in asked:
                refused(self._being.not_running("closed", "did not get to this"))

    def leave(self) -> None:
        """The process is about to end: begin nothing more, and leave the step that is running open, to be resumed.

        That was no death, so it does not count as one of the two that a step may cause.
        """
        with self._being.lock:
            self._is_leaving = True
            give_up_waiting(self._being, self._mailbox)
            self._performer.leave()

    def wait_durable(self, timeout_s: float) -> bool:
        """Wait until everything that is in its chain now is durable. False where that took longer, or never will be."""
        return self._being.appender.wait_durable(timeout_s)

    def flush(self) -> None:
        """Let what is in its chain become durable now, and do not wait for it."""
        if not self._being.appender.is_settled:
            self._being.appender.commit()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no step is running, and none begins right after. False where that took longer."""
        return self._performer.wait_idle(timeout_s)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing goes on with it but what waits for somebody else, or for the clock."""
        with self._being.lock:
            step = self._performer.step
            if step is not None:
                return step.is_waiting
            has_work = self._controls or (len(self._mailbox) and self.status == "running")
            return not has_work and self.supervising.duties.is_quiet and self._being.appender.is_settled

    def release(self) -> None:
        """Let go of the warm instance; nothing else is held while it is idle."""
        with self._being.lock:
            self._performer.drop_warm()

    def retire(self) -> bool:
        """Leave memory for good, to be removed. False where its end is not durable yet. Raises ``NotStopped``."""
        with self._being.lock:
            is_busy = self._early is not None or self._performer.step is not None or self._controls
            require_over(self._being, self.supervising.duties, is_busy=bool(is_busy))
            if not self._has_left and not self._being.appender.is_written:
                return False
            self._mailbox.clear()
            self._is_gone = True
            self._performer.drop_warm()
            return True

    def is_fresh(self) -> bool:
        """Whether it did something since this was asked last."""
        was_used, self._was_used = self._was_used, False
        return was_used

    def go(self) -> bool:
        """Leave memory, if nothing is going on: what it is, is in the store. False where something is."""
        with self._being.lock:
            is_busy = self._early is not None or self._performer.step is not None or self._controls or self.is_stopping
            is_idle = not len(self._mailbox) and self.supervising.duties.is_idle and self._being.appender.is_settled
            if is_busy or not is_idle:
                return False
            if any(request.sender is None and not request.key for request in self._being.holdings.all_deferred()):
                return False  # whoever asked from outside waits for it in this process
            self._is_gone = True
            self._performer.drop_warm()
            return True

    # -- the stage of its steps --------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Begin what is next, if nothing is running. The lock is held."""
        performer = self._performer
        if self._is_leaving or self._early is not None:
            return
        while performer.step is None and self._controls:
            control = self._controls.pop(0)
            self._controls = self._controls or None
            control.apply()
        while performer.step is None and not self.is_stopping and self.status == "running":
            if self._being.appender.failure is not None:
                return
            stop = stop_for_shortage(self._being, has_work=len(self._mailbox) > 0)
            if stop is not None:
                self._stopping.begin(stop, self._between_steps)
            elif not len(self._mailbox):
                return
            elif is_orphaned(self._being, letter := self._mailbox.take()):
                pass_over(self._being, letter)
            else:
                self._begin(letter)

    def end(self, closing: Event, reason: ExitReason, brought: Consequences, told: Told) -> None:
        """It ends with this event: whoever waits for it hears so; what was only sent to it stays, for a restart."""
        being = self._being
        let_go(being, self._mailbox, brought, told, what=self.status)
        services = being.surroundings.node.services
        if services is not None:
            brought.after.append(lambda: services.ended(being.id))
        self.supervising.ended(closing, reason, brought)
        stop = self._stopping.under_way
        if being.holdings.awaited is not None:
            tell_asker(being, reason, brought)
        elif stop is None or not stop.is_quiet:
            tell_parent(being, closing, reason, brought)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _restart(self, restart: Restart) -> None:
        self._performer.drop_warm()  # a first step ends the line of steps of one instance
        begin_again(self._being, self._mailbox, self.supervising, restart)

    def _begin(self, letter: Letter, anatomy: Anatomy | None = None) -> None:
        self._was_used = True
        performer, before = self._performer, self._being.appender.head
        try:
            performer.begin(letter, anatomy)
        except Exception as error:  # noqa: BLE001 - a bug of ours is the asker's error and not its silence
            report(error)
            performer.step = None
            performer.drop_warm()
            if self._being.appender.head == before:
                letter.done(InternalError(f"the step could not be begun: {error!r}"))
            else:  # its message is in the chain
                performer.close_as_internal(letter, error)

    def _asked(self, begin: Callable[[], None], done: Heard) -> bool:
        with self._being.lock:
            if self._has_left:
                return False
            if self._is_shut:
                done(self._being.not_running("closed", "goes on when it is woken up"))
            else:
                begin()
            return True

    def _between_steps(self, control: Control) -> None:
        if self._controls is None:
            self._controls = []
        self._controls.append(control)
        self.advance()

    def _give_up(self, stop: Stop) -> None:
        """Its children failed too often."""
        self.stop(replace(stop, reason=ExitReason(kind="intensity")))

    def _chain_failed(self, failure: StoreError) -> None:
        """Nothing can be recorded any more, so nothing that waits will happen: not here."""
        with self._being.lock:
            waiting: list[Letter | Deferred] = [*self._mailbox.take_volatile(), *self._being.holdings.all_deferred()]
            self._being.holdings.deferred = None
            self._is_gone = True
            durable = [*self._mailbox.take_durable(), *(self._early or ())]
        self._being.surroundings.doubt(self._being.id)
        self._being.surroundings.router.left(self, durable, failure)
        for asked in waiting:
            asked.done(failure)

    @property
    def _has_left(self) -> bool:
        """Whether another one goes on in its place: it has gone to rest, or its chain can no longer be written."""
        return self._is_gone or self._being.appender.failure is not None

    def _require_open(self) -> None:
        if self._is_shut:
            raise self._being.not_running("closed")
        if self.status not in LIVING:
            raise self._being.not_running(self.status)
