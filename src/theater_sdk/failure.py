"""What is raised when a host function says no."""

from __future__ import annotations

from typing import Any


class CallFailed(Exception):
    """A call of the host failed, and nothing came of it, unless the case in the interface's WIT says otherwise.

    Catch it to go on; uncaught it is a crash of the step, like any other exception. In a test, one may stand for an
    answer: ``CallFailed("mailbox-full", 1000)``.
    """

    def __init__(self, reason: str, detail: Any = None, *, function: str = "") -> None:  # noqa: ANN401 - as the case has it
        super().__init__(reason, detail)
        self.reason = reason
        """The case of the interface's ``error``: "denied", "mailbox-full", "timeout" …"""
        self.detail = detail
        """What the case carries: a text, a number, a list, another case with what it carries, or None."""
        self.function = function

    @property
    def text(self) -> str:
        """The detail in words: the text of a refusal, the reason of a crash."""
        return in_words(self.detail)

    def __str__(self) -> str:
        return "".join(
            (f"{self.function}: " if self.function else "", self.reason, f" ({self.text})" if self.text else "")
        )


class RequestFailed(CallFailed):
    """A request, or the opening of a channel, was not answered.

    ``reason`` is "refused" (``text`` is what the other actor said), "crashed", "timeout", "not-running" …
    """


class ChildFailed(CallFailed):
    """A child that was waited for did not end normally: ``reason`` is "exited", and ``text`` says how."""


def in_words(detail: Any) -> str:  # noqa: ANN401 - as the case has it
    """A case's payload for people: ``("crashed", ("fuel", None))`` is ``crashed: fuel``."""
    match detail:
        case None:
            return ""
        case list():
            return ", ".join(in_words(each) for each in detail)
        case (str() as case, payload):
            words = in_words(payload)
            return f"{case}: {words}" if words else case
    return str(detail)
