"""Running an actor's class in a test, in this process and without a sandbox.

What crosses the sandbox's wall is JSON there as here, so that a tuple comes back as a list and a key that is a number
as a string. Fuel, memory and the recording are not imitated: that is what ``theater run`` is for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from theater_sdk import host
from theater_sdk.actor import NO_REPLY, Actor
from theater_sdk.host import Level
from theater_sdk.step import first_state, step
from theater_sdk.text import decoded, encoded

ID = "0" * 32
"""What ``self_id`` answers in a rehearsal."""

T = TypeVar("T")


class Rehearsal:
    """One actor that plays its part for a test.

    For instance::

        counter = Rehearsal(Counter, {"start": 40})
        assert counter.request({"by": 2}) == {"count": 42}
        assert counter.state == {"count": 42}

    What ``init`` and ``handle`` raise, ``Refuse`` too, is raised here; the state then stays as it was.
    """

    def __init__(self, actor_class: type[Actor], params: Any = None, *, name: str = "rehearsal") -> None:  # noqa: ANN401
        self._class = actor_class
        self._host = _RehearsedHost(name)
        self._messages = 0
        text = encoded({} if params is None else params, "params")
        self._state = self._run(lambda: first_state(actor_class, text))

    @property
    def state(self) -> Any:  # noqa: ANN401 - any JSON
        """The actor's state, a copy."""
        return decoded(self._state)

    @property
    def logged(self) -> list[tuple[Level, str]]:
        """What the actor logged so far, in steps that failed too: pairs of level and text."""
        return self._host.logged

    @property
    def is_stopped(self) -> bool:
        """Whether a step that succeeded called ``shutdown``."""
        return self._host.is_stopped

    def request(self, body: Any, *, sender: str | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Handle a request and return the reply, or ``NO_REPLY`` where the actor left it open."""
        reply = self._handle(body, sender=sender, expects_reply=True)
        return NO_REPLY if reply is None else decoded(reply)

    def send(self, body: Any, *, sender: str | None = None) -> None:  # noqa: ANN401 - any JSON
        """Handle a message for whose reply nobody waits."""
        self._handle(body, sender=sender, expects_reply=False)

    def _handle(self, body: Any, *, sender: str | None, expects_reply: bool) -> str | None:  # noqa: ANN401 - any JSON
        if self.is_stopped:
            raise RuntimeError("the actor called shutdown() in an earlier step: it gets no more messages")
        self._messages += 1
        id = f"{self._messages:032x}"
        text = encoded(body, "the body of a message")
        self._state, reply = self._run(
            lambda: step(self._class, self._state, id=id, sender=sender, expects_reply=expects_reply, body=text)
        )
        return reply

    def _run(self, action: Callable[[], T]) -> T:
        host.enter(self._host)
        try:
            outcome = action()
        except BaseException:
            self._host.ends_with_step = False
            raise
        finally:
            host.leave()
        self._host.is_stopped = self._host.ends_with_step
        return outcome


class _RehearsedHost:
    """Answers as the runtime would, and keeps what it was told."""

    def __init__(self, name: str) -> None:
        self.logged: list[tuple[Level, str]] = []
        self.ends_with_step = False
        self.is_stopped = False
        self._name = name

    def log(self, level: Level, text: str) -> None:
        self.logged.append((level, text))

    def self_id(self) -> str:
        return ID

    def self_name(self) -> str:
        return self._name

    def parent_id(self) -> str | None:
        return None

    def shutdown(self, value: str | None) -> None:
        self.ends_with_step = True
