"""What a step does to channels: it asks for one, accepts one, sends on them, closes them; and its actor's end does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from theater.errors import TheaterError
from theater.model.effects import Cancel, CloseChannel, Effect, OpenChannel, SendOnChannel
from theater.model.event import EMPTY
from theater.model.ids import ActorId
from theater.runtime.channels import Side, closed_letter, encode_side
from theater.runtime.consequences import Consequences
from theater.runtime.exports import CHANNEL_MESSAGE, CHANNEL_OPENED, handler_form
from theater.runtime.letter import Answer, Deferred, Done, Letter, Reply, nobody
from theater.runtime.posting import post
from theater.runtime.surroundings import Surroundings

if TYPE_CHECKING:
    from theater.runtime.asking import Asking
    from theater.runtime.settlement import Settling, Told

CLOSED = "the actor closed the channel, or has ended"

_NOTHING = Reply(None, EMPTY)


def opening_letter(channel: str, opening: str, *, opener: ActorId | None, source: str, done: Done = nobody) -> Letter:
    """What the other side gets, and answers."""
    return Letter(
        id=channel,
        source=source,
        export=CHANNEL_OPENED,
        arguments=handler_form(CHANNEL_OPENED, ({"id": channel, "peer": opener, "opening": opening},)),
        expects_reply=True,
        done=done,
        sender=opener,
        has_place=True,
    )


def message_letter(channel: str, letter_id: str, body: str, *, sender: ActorId | None, source: str) -> Letter:
    """What the other side gets that something is said to."""
    return Letter(
        id=letter_id,
        source=source,
        export=CHANNEL_MESSAGE,
        arguments=handler_form(CHANNEL_MESSAGE, (channel, body)),
        expects_reply=False,
        done=nobody,
        sender=sender,
        is_durable=True,
        has_place=True,
    )


# -- opening ---------------------------------------------------------------------------------------------------------


def open_channel(asking: Asking, effect: OpenChannel) -> None:
    """A channel is asked for, in the transaction of the intent."""
    asking.neighbours.use_place(effect.to)
    asking.neighbours.use_offer(effect.id)
    side = Side(peer=effect.to, opened_here=True, is_open=False)
    asking.brought.put(asking.actor, "channel", effect.id, encode_side(side))
    letter = opening_letter(effect.id, effect.opening, opener=asking.actor, source=asking.actor)
    letter = msgspec.structs.replace(letter, cause=asking.cause, expires_us=effect.until_us, is_durable=True)
    post(asking.surroundings, asking.brought, effect.to, letter)


def accept(settling: Settling, effects: Sequence[Effect]) -> None:
    """The step accepted the channel that it was asked for, and may have used it already.

    Where nobody waits for it any more, it is closed as soon as it is open.
    """
    letter, surroundings, brought = settling.letter, settling.surroundings, settling.brought
    if letter.export != CHANNEL_OPENED or any(isinstance(each, Cancel) and each.id == letter.id for each in effects):
        return
    is_late = letter.expires_us is not None and letter.expires_us <= surroundings.node.clock.now_us()
    offer = None if is_late else surroundings.channels.accept(letter.id)
    if offer is None:
        post(surroundings, brought, settling.actor, closed_letter(letter.id, letter.sender))
        return
    brought.put(settling.actor, "channel", letter.id, encode_side(Side(letter.sender, opened_here=False)))
    if letter.sender is not None:
        brought.put(letter.sender, "channel", letter.id, encode_side(Side(settling.actor, opened_here=True)))
    brought.after.append(lambda: surroundings.channels.placed(letter.id))


def decline(surroundings: Surroundings, brought: Consequences, asked: Letter | Deferred, answer: Answer) -> None:
    """Whoever asked for a channel gets this answer: unless it was accepted, there is none."""
    is_opening = isinstance(asked, Letter) and asked.export == CHANNEL_OPENED
    if not is_opening or isinstance(answer, Reply) or surroundings.channels.withdraw(asked.id) is None:
        return
    if asked.sender is not None:
        brought.drop(asked.sender, "channel", asked.id, required=False)


def give_up(surroundings: Surroundings, brought: Consequences, told: Told, *, by: ActorId, channel: str) -> None:
    """A step is closed that asked for a channel, or for something else, and has heard nothing of it."""
    brought.drop(by, "channel", channel, required=False)
    if surroundings.channels.give_up(channel):
        _close(surroundings, brought, told, by=by, channel=channel)


# -- using and closing -----------------------------------------------------------------------------------------------


def send_on_channel(settling: Settling, effect: SendOnChannel) -> None:
    """Something is said to the other side, unless that has closed the channel since."""
    surroundings, channel = settling.surroundings, effect.channel
    facts = surroundings.channels.find(settling.actor, channel)
    if facts is None:
        return
    if facts.peer is None:
        end = surroundings.channels.outside(channel)
        if end is not None:
            put = end.put

            def leave_node(answer: Answer) -> None:
                if not isinstance(answer, TheaterError):
                    put(effect.body)

            settling.told.append((leave_node, _NOTHING))
        return
    settling.neighbours.use_place(facts.peer)
    letter_id = surroundings.node.entropy.take(16).hex()
    letter = message_letter(channel, letter_id, effect.body, sender=settling.actor, source=settling.actor)
    post(surroundings, settling.brought, facts.peer, msgspec.structs.replace(letter, cause=settling.cause))


def close_channel(settling: Settling, effect: CloseChannel) -> None:
    """A channel ends, behind what was said on it."""
    _close(settling.surroundings, settling.brought, settling.told, by=settling.actor, channel=effect.channel)


def close_all(surroundings: Surroundings, brought: Consequences, told: Told, actor: ActorId) -> None:
    """The actor ends, and with it its channels, and those that it waits for."""
    for channel in surroundings.channels.asked_by(actor):
        give_up(surroundings, brought, told, by=actor, channel=channel)
    for facts in surroundings.channels.of(actor):
        _close(surroundings, brought, told, by=actor, channel=facts.id)


def _close(surroundings: Surroundings, brought: Consequences, told: Told, *, by: ActorId, channel: str) -> None:
    channels = surroundings.channels
    found = channels.leave(by, channel)
    if found is None:
        return
    facts, is_first = found
    peer = facts.peer
    brought.drop(by, "channel", channel, required=False)
    if peer is None:
        end = channels.lose(channel)
        if end is not None:
            reason_of = end.end
            told.append((lambda _: reason_of(CLOSED), _NOTHING))
        return
    brought.drop(peer, "channel", channel, required=False)
    brought.after.append(lambda: channels.left(peer, channel))
    if is_first:
        post(surroundings, brought, peer, closed_letter(channel, by))
