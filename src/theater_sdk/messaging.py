"""Talking to other actors: the capability ``messaging``. Bodies and replies are any JSON; ids are texts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from theater_sdk.failure import RequestFailed
from theater_sdk.host import call
from theater_sdk.text import decoded, encoded
from theater_sdk.timing import milliseconds, python_time


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request that this actor has received and not answered."""

    id: str
    sender: str | None
    """The id of the actor that waits; None if it is somebody outside."""
    expires: datetime
    """When the asker stops waiting, UTC."""


@dataclass(frozen=True, slots=True)
class ChannelOpening:
    """Somebody asks for a channel."""

    id: str
    """The channel's id, for ``send_on_channel`` and ``close_channel``."""
    peer: str | None
    """The id of the actor that asks; None if it is somebody outside."""
    opening: Any
    """What it said."""


@dataclass(frozen=True, slots=True)
class OpenedChannel:
    """A channel that was just opened."""

    id: str
    reply: Any
    """What the other side said when it accepted."""


@dataclass(frozen=True, slots=True)
class Channel:
    """An open channel of this actor."""

    id: str
    peer: str | None
    opened_here: bool


def send(to: str, body: Any) -> str:  # noqa: ANN401 - any JSON
    """Send a message when this step is committed, and return its id.

    Raises:
        CallFailed: there is no such actor, it may not be sent to, or its mailbox is full (now).
    """
    id: str = call("messaging", "send", {"to": to, "body": encoded(body, "the body given to send()")})
    return id


def request(to: str, body: Any, timeout_s: float | None = None) -> Any:  # noqa: ANN401 - any JSON
    """Send a request now, wait for the reply inside this step, and return it. The default timeout is 30 s.

    Raises:
        RequestFailed: it was refused, the other actor crashed, or no answer came in time.
    """
    text = encoded(body, "the body given to request()")
    args = {"to": to, "body": text, "timeout-ms": milliseconds(timeout_s)}
    return decoded(call("messaging", "request", args, RequestFailed))


def reply(message_id: str, body: Any) -> None:  # noqa: ANN401 - any JSON
    """Answer a request that an earlier step left open with ``NO_REPLY``; ``message_id`` is its ``message.id``."""
    call("messaging", "reply", {"id": message_id, "body": encoded(body, "the body given to reply()")})


def cancel(message_id: str, reason: str) -> None:
    """Refuse a request that an earlier step left open: the asker gets the reason."""
    call("messaging", "cancel", {"id": message_id, "reason": reason})


def outstanding() -> list[PendingRequest]:
    """The requests that wait for an answer of this actor, the oldest first."""
    found = call("messaging", "outstanding", {})
    return [PendingRequest(each["id"], each["sender"], python_time(each["expires"])) for each in found]


def whereis(name: str) -> str | None:
    """The id of the living actor with this name; None if there is none."""
    id: str | None = call("messaging", "whereis", {"name": name})
    return id


def open_channel(to: str, opening: Any = None, timeout_s: float | None = None) -> OpenedChannel:  # noqa: ANN401 - any JSON
    """Ask another actor for a channel, now, and wait until it has accepted.

    What it says on it arrives in ``Actor.channel_message``, and its end in ``Actor.channel_closed``.

    Raises:
        RequestFailed: it refused, takes no channels, or did not answer in time.
    """
    text = encoded(opening, "the opening given to open_channel()")
    args = {"to": to, "opening": text, "timeout-ms": milliseconds(timeout_s)}
    opened = call("messaging", "open-channel", args, RequestFailed)
    return OpenedChannel(opened["id"], None if opened["reply"] is None else decoded(opened["reply"]))


def send_on_channel(channel_id: str, body: Any) -> None:  # noqa: ANN401 - any JSON
    """Say something to the other side when this step is committed."""
    call(
        "messaging", "send-on-channel", {"id": channel_id, "body": encoded(body, "the body given to send_on_channel()")}
    )


def close_channel(channel_id: str) -> None:
    """Close a channel when this step is committed, after what was said before."""
    call("messaging", "close-channel", {"id": channel_id})


def channels() -> list[Channel]:
    """The open channels of this actor, by id."""
    found = call("messaging", "list-channels", {})
    return [Channel(each["id"], each["peer"], each["opened-here"]) for each in found]
