"""Acting in the world: what an external call does, and what one that looks at the world does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class Interruption(Protocol):
    """Whether somebody still waits for what an act comes to. Any thread may use it."""

    @property
    def is_wanted(self) -> bool:
        """Whether the act should stop: the guest waits no longer, or the node closes."""

    def when_wanted(self, action: Callable[[], None]) -> None:
        """Call ``action`` once, on the thread that wants it, or at once where that has happened."""

    def when_over(self, action: Callable[[], None]) -> None:
        """Likewise when the step is over: for an act that ``lasts``."""


Give = Callable[[object, object], object]
"""``(answer, note)``: see ``Act``."""


@dataclass(frozen=True, slots=True)
class Act:
    """What an external call does in the world: at once, and it stands if the step fails.

    ``perform(service, interruption)`` is called live alone, on a thread of its own that holds nothing, once the intent
    is durable; it returns the answer, in the shape of the function's result, and never None (which would say that the
    time is over): one of a function without a result is ``Noted``. It never raises, and ends soon when it is
    interrupted; where that is before its turn has come, it is not called at all. ``service`` is what the capability's
    ``open_service`` made for the node.

    ``unknown`` makes the answer where the process died between intent and answer: nobody knows what came of it. An act
    that ``is_safe`` has no intent and is performed again then: it changes nothing out there.

    Acts that follow one another in a step ``under`` the same text share the intent of the first, as long as each is
    answered ``ok``: it says that the actor is about to do such things there, again and again. Where the record ends
    behind any of them, nobody knows whether another one was under way, and the next one is answered with ``unknown``.

    ``give(answer, note)`` makes what the guest gets of an answer, which may be a recorded one: it makes the resources
    that it names (their numbers in ``answer`` mean nothing), and moves those on that were used. ``note`` is what
    ``perform`` noted with its answer (``Noted``), None where nothing. It is called live and in a replay.

    ``service`` names another capability whose service it takes than that of the function.

    ``about`` is a JSON value that is recorded with the arguments: what is about to be done, where they do not say that.

    One that ``lasts`` may leave something going when it has returned or is interrupted, for another act of the step to
    wait for: it ends that when the step is over (``Interruption.when_over``).

    ``begins`` is called live alone when this process is about to have it performed: before that, and also where its
    time is over too soon for that.
    """

    perform: Callable[[Any, Interruption], object]  # each capability knows the type of its own service
    unknown: Callable[[], object]
    is_safe: bool = False
    under: str | None = None
    give: Give | None = None
    service: str | None = None
    about: object = None
    lasts: bool = False
    begins: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a function that ``looks`` returns to look at the world, at once: recorded as a call of the class read is.

    ``look()`` is called live alone; it returns the answer, in the shape of the function's result, or a ``Noted``.
    ``give`` is as that of an ``Act``.
    """

    look: Callable[[], object]
    give: Give | None = None
