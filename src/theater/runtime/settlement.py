"""What a step leaves behind for others when it is committed: its buffered calls are carried out, its asker is answered.

All of it goes into the transaction of the closing event (``Consequences``), or is done right after that has its place
in the order of all transactions. Nothing here can fail: what could was decided when the call was made, and what was
reserved then is used now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Never

from theater.errors import Refused, StoreError, TheaterError
from theater.model.blob_space import BlobEffect
from theater.model.effects import (
    Cancel,
    CancelTimer,
    CloseChannel,
    Effect,
    PutBlob,
    RemoveBlob,
    RemoveChild,
    RemoveLabel,
    RestartChild,
    Schedule,
    Send,
    SendOnChannel,
    SetLabel,
    Shutdown,
    Spawn,
    StopChild,
    Subscribe,
    Tell,
    Unsubscribe,
)
from theater.model.effects import Reply as ReplyEffect
from theater.model.event import Event, Head
from theater.model.exit_reason import ExitReason
from theater.model.ids import ActorId
from theater.model.payload import Cause
from theater.runtime.answers import answer_for_guest, encode_answer, err
from theater.runtime.being import Being
from theater.runtime.channel_settlement import accept, close_all, close_channel, decline, send_on_channel
from theater.runtime.consequences import Consequences
from theater.runtime.exports import CHANNEL_OPENED, DEFERRING
from theater.runtime.family_settlement import remove_child, restart_child, spawn, stop_child
from theater.runtime.holdings import AWAITED
from theater.runtime.key_settlement import note_answer
from theater.runtime.letter import Answer, Deferred, Done, Letter, Reply, encode_deferred, nobody
from theater.runtime.mailbox import Mailbox
from theater.runtime.neighbours import Neighbours
from theater.runtime.posting import accepted, post
from theater.runtime.services import kept_key
from theater.runtime.subscription_settlement import subscribe, unsubscribe
from theater.runtime.supervising import Orders, Supervising
from theater.runtime.surroundings import Surroundings
from theater.runtime.timer_settlement import cancel_timer, schedule

Told = list[tuple[Done, Answer]]
"""Who outside waits for an answer, which leaves the node when the step is durable."""


class Settling:
    """One closed step of one actor, on its way to the store. Used under the actor's lock."""

    __slots__ = (
        "_orders",
        "actor",
        "being",
        "brought",
        "closing",
        "holdings",
        "letter",
        "neighbours",
        "supervising",
        "surroundings",
        "told",
    )

    def __init__(
        self,
        being: Being,
        supervising: Supervising,
        letter: Letter,
        neighbours: Neighbours,
        *,
        closing: Event,
        brought: Consequences,
        told: Told,
    ) -> None:
        self.being = being
        self.supervising = supervising
        self.letter = letter
        self.neighbours = neighbours
        self.closing = closing
        self.brought = brought
        self.told = told
        self.actor = being.id
        self.surroundings = being.surroundings
        self.holdings = being.holdings
        self._orders: Orders | None = None

    @property
    def orders(self) -> Orders:
        """Makes the orders that follow from this step."""
        if self._orders is None:
            self._orders = Orders(self.closing)
        return self._orders

    @property
    def cause(self) -> Cause:
        """What a message says that this step sends."""
        return Cause(actor=self.actor, seq=self.closing.header.seq, hash=self.closing.hash)

    @property
    def receipt(self) -> Head:
        """What proves an answer."""
        return Head(self.closing.header.seq, self.closing.hash)

    def answer(self, asked: Letter | Deferred, answer: Answer) -> None:
        """Have whoever asked hear of it."""
        reply(self.surroundings, self.brought, self.told, by=self.actor, asked=asked, answer=answer)


def settle(settling: Settling, effects: Sequence[Effect], answer: Reply) -> None:
    """Carry out what a step that succeeded asked for, in the order of its calls, and answer its asker.

    A message whose asker waits, and that was handled without a reply, is deferred, unless the actor ends with it.
    """
    letter = settling.letter
    is_answered = False
    accept(settling, effects)
    settling.neighbours.settle_spaces(effects, settling.brought)
    settling.neighbours.settle_held(settling.brought)
    for effect in effects:
        is_answered = is_answered or (isinstance(effect, ReplyEffect | Cancel) and effect.id == letter.id)
        _SETTLE[type(effect)](settling, effect)  # type: ignore[arg-type]  # the table pairs each type with its function
    if is_answered:
        return
    if not letter.expects_reply:
        if letter.sender is None:
            settling.answer(letter, answer)  # whoever is outside may want to know that it is done
        return
    if answer.text is not None or answer.has_shutdown or letter.export not in DEFERRING:
        settling.answer(letter, answer)
        return
    request = Deferred(letter.id, letter.sender, letter.expires_us or 0, letter.done, letter.key, letter.export)
    if request.sender is None and request.is_expired(0):
        return  # whoever asked has gone meanwhile
    settling.brought.put(settling.actor, "deferred", request.id, encode_deferred(request))
    settling.holdings.defer(request)


def reply(
    surroundings: Surroundings,
    brought: Consequences,
    told: Told,
    *,
    by: ActorId,
    asked: Letter | Deferred,
    answer: Answer,
) -> None:
    """Answer a request: an actor's in this transaction, one from outside when that is durable."""
    decline(surroundings, brought, asked, answer)
    note_answer(brought, by, asked, answer)
    if asked.sender is None:
        if asked.done is not nobody:
            told.append((asked.done, answer))
        return
    if asked.expires_us is not None and asked.expires_us <= surroundings.node.clock.now_us():
        return  # nobody waits any more, and the asker's own chain says so
    channel = asked.id if isinstance(asked, Letter) and asked.export == CHANNEL_OPENED else None
    value = answer_for_guest(answer, by, channel=channel)
    asker, request_id = asked.sender, asked.id
    brought.put(asker, "answer", request_id, encode_answer(value), once=True)
    brought.after.append(lambda: _bring(surroundings, asker, request_id, value))


def refuse(
    surroundings: Surroundings,
    brought: Consequences,
    told: Told,
    *,
    by: ActorId,
    waiting: Sequence[Letter | Deferred],
    error: TheaterError,
) -> None:
    """Answer requests that will not be handled, or not be answered, any more."""
    for asked in waiting:
        if isinstance(asked, Deferred):
            brought.drop(by, "deferred", asked.id, required=False)
        elif asked.is_durable:
            brought.drop(by, "mailbox", asked.id)
        reply(surroundings, brought, told, by=by, asked=asked, answer=error)


def let_go(being: Being, mailbox: Mailbox, brought: Consequences, told: Told, *, what: str) -> None:
    """It ends, or begins anew: who waits for an answer of it hears so, and its channels are closed.

    What was only sent to it stays. ``what`` it is now, for people to read.
    """
    error = being.not_running(what, "did not get to this message")
    waiting: list[Letter | Deferred] = [*mailbox.take_requests(), *being.holdings.all_deferred()]
    being.holdings.deferred = None
    card = being.surroundings.directory.card(being.id)
    if card is not None:
        card.deferred = 0
    refuse(being.surroundings, brought, told, by=being.id, waiting=waiting, error=error)
    close_all(being.surroundings, brought, told, being.id)


def tell(told: Told, failure: StoreError | None, letter: Letter | None) -> None:
    """Who waits outside. Where nothing was written, ``letter`` was not answered either."""
    if failure is not None and letter is not None and not told:
        letter.done(failure)
    for done, answer in told:
        done(failure or answer)


def tell_asker(being: Being, reason: ExitReason, brought: Consequences) -> None:
    """Answer the parent that waits, in the middle of a step, for the end of this child."""
    awaited = being.holdings.awaited
    assert awaited is not None
    being.holdings.awaited = None
    surroundings = being.surroundings
    brought.drop(being.id, "child", AWAITED, required=False)
    surroundings.directory.remove_child(being.id)
    if awaited.until_us <= surroundings.node.clock.now_us():
        return
    value = ("ok", reason.value) if reason.kind == "normal" else err("exited", reason.to_wit())
    brought.put(awaited.asker, "answer", awaited.id, encode_answer(value), once=True)
    brought.after.append(lambda: _bring(surroundings, awaited.asker, awaited.id, value))


def _bring(surroundings: Surroundings, asker: ActorId, request_id: str, value: object) -> None:
    """The answer reaches who waits. Where nobody does, it lies in the store, and has to be cleared away."""
    if not surroundings.waits.answer(request_id, value):
        found = surroundings.router.find(asker)
        if found is not None:
            found.clear_answer(request_id)


def _send(settling: Settling, effect: Send) -> None:
    settling.neighbours.use_place(effect.to)
    own = settling.actor
    letter = accepted(effect.id, effect.body, source=own, sender=own, cause=settling.cause)
    post(settling.surroundings, settling.brought, effect.to, letter)


def _reply(settling: Settling, effect: ReplyEffect) -> None:
    asked = _asked(settling, effect.id)
    if asked is not None:
        settling.answer(asked, Reply(effect.body, settling.receipt))


def _cancel(settling: Settling, effect: Cancel) -> None:
    asked = _asked(settling, effect.id)
    if asked is not None:
        settling.answer(asked, Refused(effect.reason, text=effect.reason, receipt=settling.receipt))


def _asked(settling: Settling, request_id: str) -> Letter | Deferred | None:
    """The request of that id, which waits no longer."""
    if request_id == settling.letter.id:
        return settling.letter
    deferred = settling.holdings.answered(request_id)
    if deferred is not None:
        settling.brought.drop(settling.actor, "deferred", request_id)
    return deferred


def _shutdown(settling: Settling, effect: Shutdown) -> None:
    """The actor itself sees to that."""
    del settling, effect


def _change_space(settling: Settling, effect: BlobEffect) -> None:
    """Those of a step are settled together, before all others."""
    del settling, effect


def _tell_service(settling: Settling, effect: Tell) -> None:
    """It knows at once, and acts when that is durable."""
    services, actor = settling.surroundings.node.services, settling.actor
    assert services is not None, "a node that runs steps has services"
    for key in effect.drops:
        settling.brought.drop(actor, "service", kept_key(effect.capability, key), required=False)
    for key, value in effect.keeps:
        settling.brought.put(actor, "service", kept_key(effect.capability, key), value)
    services.told(effect.capability, actor, effect.order)

    def confirm(answer: Answer) -> None:
        if isinstance(answer, Reply):
            services.confirmed(effect.capability, actor, effect.order)

    settling.told.append((confirm, Reply(None, settling.receipt)))


_SETTLE: Mapping[type, Callable[[Settling, Never], None]] = {
    Spawn: spawn,
    StopChild: stop_child,
    RestartChild: restart_child,
    RemoveChild: remove_child,
    Send: _send,
    ReplyEffect: _reply,
    Cancel: _cancel,
    Shutdown: _shutdown,
    Schedule: schedule,
    CancelTimer: cancel_timer,
    Subscribe: subscribe,
    Unsubscribe: unsubscribe,
    SendOnChannel: send_on_channel,
    CloseChannel: close_channel,
    PutBlob: _change_space,
    RemoveBlob: _change_space,
    SetLabel: _change_space,
    RemoveLabel: _change_space,
    Tell: _tell_service,
}
