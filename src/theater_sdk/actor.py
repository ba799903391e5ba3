"""The class that an actor extends, and what goes in and out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from theater_sdk.http_server import Request, WebSocketOpening
from theater_sdk.messaging import ChannelOpening
from theater_sdk.process import ExitStatus, Output
from theater_sdk.supervisor import ChildExit, EventBatch


class Refuse(Exception):
    """Raise it to refuse a message, or in ``init`` to refuse to start.

    The state stays as it was, everything else that the step did is discarded, and whoever asked gets the text. Any
    other exception is a crash.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class _NoReply:
    """The type of ``NO_REPLY``."""

    def __repr__(self) -> str:
        return "NO_REPLY"


NO_REPLY: Final = _NoReply()
"""Return it as the reply to leave a request open, to be answered in a later step. (``None`` is an answer: null.)"""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, as the actor receives it."""

    id: str
    """Unique in the node. An answer that is given later names it."""
    sender: str | None
    """The id of the actor that sent it, put there by the host; None if it came from outside."""
    expects_reply: bool
    """True for a request, False for a send."""
    body: Any
    """What was said."""


class Actor:
    """Extend it, once in an ``actor.py``. Each step gets a new object, so keep in the state what is to be kept."""

    def init(self, params: Any) -> Any:  # noqa: ANN401 - any JSON
        """Make the first state out of the manifest's ``params`` (or those of whoever spawns the actor)."""
        return {}

    def handle(self, state: Any, message: Message) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        """Handle one message: return the new state and the reply.

        The reply to a send is dropped: there, ``None`` will do. ``NO_REPLY`` leaves a request open.
        """
        raise NotImplementedError

    # What follows is for actors that need it: a component exports a handler if its sources have a method of the name.

    def channel_opened(self, state: Any, channel: ChannelOpening) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        """Accept a channel: return the new state and what the opener gets to hear. Raise ``Refuse`` to refuse it.

        The channel can be used in this very step. An actor that has none of these three methods takes no channels.
        """
        raise Refuse("this actor takes no channels")

    def channel_message(self, state: Any, channel_id: str, body: Any) -> Any:  # noqa: ANN401 - any JSON
        """Handle what the other side of a channel said: return the new state. ``Refuse`` leaves the channel open."""
        raise Refuse("this actor does not listen on channels")

    def channel_closed(self, state: Any, channel_id: str) -> Any:  # noqa: ANN401 - any JSON
        """Take note that the other side closed a channel, or is gone: return the new state."""
        return state

    def child_exited(self, state: Any, exit: ChildExit) -> Any:  # noqa: A002, ANN401 - WIT's word for it; any JSON
        """Take note that a child has ended and that the strategy has decided: return the new state."""
        return state

    def child_events(self, state: Any, batch: EventBatch) -> Any:  # noqa: ANN401 - any JSON
        """Take note of events of a descendant (see ``subscribe``): return the new state."""
        return state

    def http_request(self, state: Any, request: Request) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        """Answer a request that came by a route: return the new state, and an ``http_server.Answer``.

        A text, bytes or other JSON will do as well, with the status 200. ``NO_REPLY`` puts it off for
        ``http_server.respond``. ``Refuse`` is 500, and its text is not sent.
        """
        raise Refuse("this actor answers no requests")

    def http_middleware(self, state: Any, request: Request) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        """Look at a request before its route: return the new state, and the request, changed or not, or an answer.

        ``Refuse`` is 403.
        """
        return state, request

    def websocket_opened(self, state: Any, opening: WebSocketOpening) -> Any:  # noqa: ANN401 - any JSON
        """Take a WebSocket, or raise ``Refuse``: return the new state. It can be sent to in this very step."""
        raise Refuse("this actor takes no WebSockets")

    def websocket_message(self, state: Any, connection_id: str, message: bytes | str) -> Any:  # noqa: ANN401 - any JSON
        """Handle what came over a WebSocket, a text or bytes: return the new state."""
        raise Refuse("this actor does not listen on WebSockets")

    def websocket_closed(self, state: Any, connection_id: str, code: int, reason: str) -> Any:  # noqa: ANN401 - any JSON
        """Take note that a WebSocket has ended, other than by this actor: return the new state.

        1005: without a code; 1006: it broke, or the node was restarted.
        """
        return state

    def process_output(self, state: Any, output: Output) -> Any:  # noqa: ANN401 - any JSON
        """Handle what a process wrote that this actor started: return the new state."""
        return state

    def process_exited(self, state: Any, process_id: str, status: ExitStatus) -> Any:  # noqa: ANN401 - any JSON
        """Take note that a process has ended, all of its output having been told: return the new state."""
        return state

    def migrate(self, state: Any, from_digest: str) -> Any:  # noqa: ANN401 - any JSON
        """Make this version's state out of that of an older component: return it.

        What is raised leaves the older component in place. Without this method the state is taken as it is.
        """
        return state
