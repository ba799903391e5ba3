"""The class that an actor extends, and what goes in and out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


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
