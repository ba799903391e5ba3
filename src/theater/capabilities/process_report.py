"""Who hears of a program: an actor, piece by piece and then its end; or whoever waits for all of it at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from theater.capabilities.guest_content import Content, content_of
from theater.capabilities.process_life import Status, Stream, Witness
from theater.capabilities.process_loop import Loop
from theater.capabilities.process_output import Output
from theater.capabilities.process_spec import OutputMode, ProcessOrder
from theater.errors import MailboxFull, NotFound, NotRunning, StoreError, TheaterError
from theater.model.actor_system import Problem
from theater.model.ids import ActorId, derived_id
from theater.model.news import Handled, News, Post
from theater.model.ports import Clock

OUTPUT_HANDLER: Final = "theater:actor/process-handlers#output"
EXIT_HANDLER: Final = "theater:actor/process-handlers#exit"
SOURCE: Final = "process"
"""From whom such messages are, in the chain."""

PAUSE_FIRST_US: Final = 50_000
PAUSE_MAX_US: Final = 5_000_000
"""Between two attempts to put a piece into a full mailbox: they grow, since others want its places as well."""


class Collection:
    """Keeps what a program writes until it has ended: for ``run``."""

    def __init__(self, order: ProcessOrder, kill: Callable[[], None]) -> None:
        self.answer: Future[object] = Future()
        """The answer of ``run``."""
        self._order = order
        self._kill = kill
        self._written: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._is_too_large = False

    def started(self, problem: Problem | None) -> None:
        """It runs, or not."""
        if problem is not None:
            self.answer.set_result(("err", problem))

    def wrote(self, stream: Stream, data: bytes) -> None:
        """Keep it, unless it is too much."""
        if self._is_too_large:
            return
        self._written[stream] += data
        if sum(map(len, self._written.values())) > self._order.grant.output_bytes:
            self._is_too_large = True
            self._kill()

    def ended(self, status: Status) -> None:
        """That was all."""
        self.answer.set_result(self._answer(status))

    def _answer(self, status: Status) -> object:
        if self._is_too_large:
            return ("err", ("too-large", self._order.grant.output_bytes))
        stdout, stderr = (content_of(bytes(self._written[name]), self._order.form) for name in ("stdout", "stderr"))
        if stdout is None or stderr is None:
            return ("err", ("not-text", None))
        return ("ok", {"status": status, "stdout": stdout, "stderr": stderr})


class Report:
    """Tells an actor what its program writes, one piece at a time, and then how it ended: for ``start``.

    ``is_over`` hears when there is nothing more to be told, and the program is forgotten.
    """

    def __init__(
        self,
        actor: ActorId,
        id: str,
        order: ProcessOrder,
        mode: OutputMode,
        *,
        loop: Loop,
        clock: Clock,
        post: Post,
        is_over: Callable[[], None],
    ) -> None:
        self.start: Future[Problem | None] = Future()
        """Why it could not be started; None where it was."""
        self._actor = actor
        self._id = id
        self._loop = loop
        self._clock = clock
        self._post = post
        self._is_over = is_over
        self._outputs: dict[Stream, Output] = {"stdout": Output(mode, order.form), "stderr": Output(mode, order.form)}
        self._turns: tuple[Stream, Stream] = ("stdout", "stderr")
        self._under_way: tuple[Stream, News] | None = None
        self._pieces = 0
        self._pause_us = PAUSE_FIRST_US
        self._status: Status | None = None
        self._is_deaf = False
        self._is_silent = False

    def deafen(self) -> None:
        """The actor has ended: it hears of the end, once it runs again, and of nothing else."""
        self._is_deaf = True
        self._under_way = None
        self._go_on()

    def silence(self) -> None:
        """Nobody is to hear anything."""
        self._is_silent = True
        self.deafen()

    def started(self, problem: Problem | None) -> None:
        """It runs, or not."""
        self.start.set_result(problem)

    def wrote(self, stream: Stream, data: bytes) -> None:
        """Tell it in its turn."""
        self._outputs[stream].write(data)
        self._go_on()

    def ended(self, status: Status) -> None:
        """Tell it behind everything else."""
        self._status = status
        for output in self._outputs.values():
            output.end()
        self._go_on()

    def _go_on(self) -> None:
        if self._under_way is not None:
            return
        found = None if self._is_deaf else self._next()
        if found is not None:
            self._under_way = found
            self._bring()
        elif self._status is not None:
            self._end(self._status)

    def _next(self) -> tuple[Stream, News] | None:
        for stream in self._turns:
            piece = self._outputs[stream].take()
            if piece is not None:
                self._turns = (self._turns[1], self._turns[0])  # who writes much does not keep the other one waiting
                return stream, self._news(stream, *piece)
        return None

    def _news(self, stream: Stream, content: Content, has_gap: bool) -> News:  # noqa: FBT001 - as ``Output`` gives it
        self._pieces += 1
        said = {"id": self._id, "source": stream, "content": content, "gap": has_gap}
        return News(derived_id(self._actor, self._id, self._pieces), SOURCE, OUTPUT_HANDLER, (said,))

    def _bring(self) -> None:
        if self._is_deaf or self._under_way is None:
            return
        self._post.bring(
            self._actor,
            self._under_way[1],
            lambda answer: self._loop.call(lambda: self._answered(answer)),
        )

    def _answered(self, answer: Handled | TheaterError) -> None:
        if self._under_way is None:
            return
        match answer:
            case MailboxFull():
                when_us = self._clock.now_us() + self._pause_us
                self._pause_us = min(2 * self._pause_us, PAUSE_MAX_US)
                self._clock.call_at(when_us, lambda: self._loop.call(self._bring))
                return
            case NotRunning() | NotFound():
                self.deafen()
            case StoreError():
                self._outputs[self._under_way[0]].lose()
        self._under_way = None
        self._pause_us = PAUSE_FIRST_US
        self._go_on()

    def _end(self, status: Status) -> None:
        self._status = None
        if self._is_silent:
            self._is_over()
        else:
            tell_exit(self._post, self._loop, self._actor, self._id, status, self._is_over)


def tell_exit(post: Post, loop: Loop, actor: ActorId, id: str, status: Status, is_over: Callable[[], None]) -> None:
    """Tell an actor, once, that a process has ended; what was kept of it is dropped with that."""

    def answered(_answer: Handled | TheaterError) -> None:
        loop.call(is_over)

    was_living = post.is_living(actor)
    news = News(derived_id(actor, id, 0), SOURCE, EXIT_HANDLER, (id, status), has_place=False)
    post.bring(actor, news, answered, is_durable=True, drops=[id])
    if not was_living:  # it waits for the actor's restart, and nobody says when it is heard
        loop.call(is_over)


class Leaving:
    """A witness that also sees to it that the program is counted no longer."""

    def __init__(self, witness: Witness, leave: Callable[[], None]) -> None:
        self._witness = witness
        self._leave = leave
        self.wrote = witness.wrote

    def started(self, problem: Problem | None) -> None:
        """It does not run where there is a problem."""
        if problem is not None:
            self._leave()
        self._witness.started(problem)

    def ended(self, status: Status) -> None:
        """It runs no longer."""
        self._leave()
        self._witness.ended(status)
