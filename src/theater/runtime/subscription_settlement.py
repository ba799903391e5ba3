"""What a step does to its actor's subscriptions when it is committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from theater.errors import TheaterError
from theater.model.effects import Subscribe, Unsubscribe
from theater.model.event import EMPTY
from theater.model.ids import ActorId
from theater.runtime.consequences import Consequences
from theater.runtime.event_batches import Subscription
from theater.runtime.exports import CHILD_EVENTS
from theater.runtime.letter import Answer, Letter, Reply
from theater.runtime.subscriptions import Subscriptions, Watch, encode_subscription

if TYPE_CHECKING:
    from theater.runtime.settlement import Settling

_NOTHING = Reply(None, EMPTY)


def subscribe(settling: Settling, effect: Subscribe) -> None:
    """A subscription is made with the step. One of an actor that has no handler for it comes to nothing."""
    actor, child, surroundings = settling.actor, effect.child, settling.surroundings
    if CHILD_EVENTS not in settling.being.anatomy.loaded.handlers:
        return
    found = surroundings.router.find(child)
    news = (found.head if found is not None else surroundings.node.store.head(child)).seq + 1
    start = news if effect.start is None else effect.start
    made = settling.closing.header.seq
    subscription = Subscription(start, max(start, news), made, kinds=effect.kinds, payloads=effect.payloads)
    settling.brought.put(actor, "subscription", child, encode_subscription(subscription))
    watch = Watch(actor, child, subscription, is_armed=False)
    surroundings.subscriptions.put(watch)

    def arm(answer: Answer) -> None:
        if not isinstance(answer, TheaterError):
            surroundings.subscriptions.arm(watch)

    settling.told.append((arm, _NOTHING))  # when it is durable: then so is a child of this step


def unsubscribe(settling: Settling, effect: Unsubscribe) -> None:
    """A subscription ends with the step. A batch that was delivered before stays in the mailbox."""
    settling.brought.drop(settling.actor, "subscription", effect.child, required=False)
    settling.surroundings.subscriptions.remove(settling.actor, effect.child)


def note_handled(subscriptions: Subscriptions, brought: Consequences, subscriber: ActorId, letter: Letter) -> None:
    """A message is consumed, in this transaction; where it was a batch, the next may come."""
    if letter.export == CHILD_EVENTS:
        brought.after.append(_handled(subscriptions, subscriber, letter.id))


def unsubscribe_from(subscriptions: Subscriptions, brought: Consequences, subscriber: ActorId, letter: Letter) -> None:
    """The subscriber has no handler for a batch any more: that was the last."""
    if letter.export == CHILD_EVENTS:
        child = ActorId(letter.id.split("-")[1])
        brought.drop(subscriber, "subscription", child, required=False)
        subscriptions.remove(subscriber, child)


def _handled(subscriptions: Subscriptions, subscriber: ActorId, letter_id: str) -> Callable[[], None]:
    return lambda: subscriptions.handled(subscriber, letter_id)
