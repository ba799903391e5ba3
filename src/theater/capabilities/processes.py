"""The processes of all actors of a node: who runs what, and who has to be told of an end.

What was started is kept for its actor before it runs, and dropped with the message that tells of its end. So an end is
told exactly once, also where the node dies first: then it is ``lost``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from theater.capabilities.process_child import Nursery
from theater.capabilities.process_keeper import remove_tree
from theater.capabilities.process_life import LOST, Life
from theater.capabilities.process_loop import Loop
from theater.capabilities.process_register import CLOSED, Register, Started
from theater.capabilities.process_report import EXIT_HANDLER, Collection, Leaving, Report, tell_exit
from theater.capabilities.process_spec import OutputMode, ProcessOrder
from theater.errors import TheaterError
from theater.model.act import Interruption
from theater.model.actor_system import Problem
from theater.model.ids import ActorId
from theater.model.news import Kept
from theater.model.service import Place

CLOSING_S: Final = 2.0
"""For programs to end in order when the node does."""
KILLING_S: Final = 8.0
"""Behind that: their keepers wait 5 seconds for the kernel."""

_US_PER_S = 1_000_000
_EXHAUSTED: Final = ("err", ("wait-exhausted", None))


class Processes:
    """Implements ``Resident``. Any thread may use it, but for ``run`` and ``start``, which wait."""

    def __init__(self, place: Place) -> None:
        self._clock = place.clock
        self._post = place.post
        self._register = Register()
        self._folder = place.folder
        self._nursery = Nursery(self._folder)
        self._loop = Loop("theater-processes")
        self._loop.call(self._recover)

    # -- what acts do

    def run(self, actor: ActorId, order: ProcessOrder, data: bytes, interruption: Interruption) -> object:
        """Run a program to its end: the answer of ``run``."""
        collection = Collection(order, lambda: life.kill())  # noqa: PLW0108 - there is none yet
        life = Life(self._loop, self._clock, order, Leaving(collection, lambda: self._register.leave(life)))

        def begin() -> None:
            life.begin(self._nursery)
            life.write(data, len(data))
            life.close_input()

        problem = self._register.enter(actor, life)
        if problem is None and not self._loop.can_call(begin):
            self._register.leave(life)
            problem = CLOSED
        if problem is not None:
            return ("err", problem)
        interruption.when_wanted(lambda: self._loop.call(life.kill))
        answer = collection.answer.result()
        return _EXHAUSTED if interruption.is_wanted else answer

    def start(
        self, actor: ActorId, id: str, order: ProcessOrder, mode: OutputMode, interruption: Interruption
    ) -> object:
        """Start a program: the answer of ``start``. It is kept before it runs, and no longer where it does not."""
        if not self._post.has_handler(actor, EXIT_HANDLER):
            text = "no-handlers: this actor does not export process-handlers: nobody would hear of the process"
            return ("err", ("other", text))
        report = Report(
            actor, id, order, mode, loop=self._loop, clock=self._clock, post=self._post,
            is_over=lambda: self._register.forget(actor, id),
        )  # fmt: skip
        life = Life(self._loop, self._clock, order, Leaving(report, lambda: self._register.leave(life)))
        found = Started(id, order.program, life.started_us, life, report)
        problem = self._register.enter(actor, life, found) or self._keep(actor, found)
        if problem is None and not self._loop.can_call(lambda: life.begin(self._nursery)):
            problem = CLOSED
        elif problem is None:
            problem = report.start.result()
        if problem is not None:
            self._register.leave(life)
            self._register.forget(actor, id)
            self._drop(actor, id)
            return ("err", problem)
        if interruption.is_wanted or not self._post.is_living(actor):  # nobody learns of its id
            self._loop.call(lambda: _discard(found))
            self._drop(actor, id)
            return _EXHAUSTED
        return ("ok", id)

    def write(self, actor: ActorId, id: str, data: bytes, most_bytes: int) -> object:
        """The answer of ``write-stdin``."""
        return self._with(actor, id, lambda life: life.write(data, most_bytes))

    def close_input(self, actor: ActorId, id: str) -> object:
        """The answer of ``close-stdin``."""
        return self._with(actor, id, Life.close_input)

    def signal(self, actor: ActorId, id: str, name: str) -> object:
        """The answer of ``send-signal``."""
        return self._with(actor, id, lambda life: life.signal(name))

    # -- what reads see

    def status(self, actor: ActorId, id: str) -> object:
        """The answer of ``status``."""
        found = self._register.find(actor, id)
        return ("err", ("unknown-process", id)) if found is None else ("ok", found.info)

    def listing(self, actor: ActorId) -> list[object]:
        """The answer of ``list-processes``."""
        found = self._register.all_of(actor)
        return [each.info for each in found]

    # -- as a resident

    def told(self, actor: ActorId, order: object) -> None:
        """No step tells anything: what starts a program acts at once."""

    def confirmed(self, actor: ActorId, order: object) -> None:
        """See ``told``."""

    def doubted(self, actor: ActorId) -> None:
        """See ``told``."""

    def ended(self, actor: ActorId) -> None:
        """Its programs end; it hears of that when it runs again."""
        own = self._register.all_of(actor)  # now: what it starts when it runs again is none of them

        def end() -> None:
            for found in own:
                if found.life is None or found.life.status is not None:
                    self._register.forget(actor, found.id)
                if found.report is not None:
                    found.report.deafen()
                if found.life is not None:
                    found.life.terminate()

        self._loop.call(end)

    def removed(self, actor: ActorId) -> None:
        """Its programs are killed, and nobody hears of that."""

        def end() -> None:
            for found in self._register.all_of(actor):
                self._register.forget(actor, found.id)
                _discard(found)

        self._loop.call(end)

    def shown(self, actor: ActorId) -> list[str]:
        """What runs."""
        now_us = self._clock.now_us()
        return [
            f"runs {found.life.order.path} (pid {found.life.pid}, {(now_us - found.started_us) // _US_PER_S} s)"
            for found in self._register.all_of(actor)
            if found.life is not None and found.life.status is None and found.life.pid is not None
        ]

    def close(self) -> None:
        """End every program, and tell nobody: who is kept will hear at the next start that it is lost."""
        self._register.close()
        self._loop.call(self._silence)
        for end, wait_s in ((Life.terminate, CLOSING_S), (Life.kill, KILLING_S), (Life.abandon, 0)):
            self._to_all(end)
            if self._register.wait_empty(wait_s):
                break
        self._loop.call(self._nursery.close)
        self._loop.close()

    # -- within

    def _recover(self) -> None:
        """Tell of the ends that an earlier node did not see, and remove what its programs left."""
        for kept in self._post.kept():
            if self._register.find(kept.actor, kept.key) is None:
                self._tell_lost(kept)
        for left in self._folder.glob("run-*"):
            remove_tree(str(left))

    def _tell_lost(self, kept: Kept) -> None:
        was = json.loads(kept.value)
        found = Started(kept.key, was["program"], was["started_us"])
        self._register.add(kept.actor, found)
        tell_exit(
            self._post, self._loop, kept.actor, kept.key, LOST, lambda: self._register.forget(kept.actor, kept.key)
        )

    def _keep(self, actor: ActorId, found: Started) -> Problem | None:
        written: Future[TheaterError | None] = Future()
        value = json.dumps({"program": found.program, "started_us": found.started_us}).encode()
        self._post.keep(actor, written.set_result, keeps=[(found.id, value)])
        error = written.result()
        return None if error is None else ("io", str(error))

    def _drop(self, actor: ActorId, id: str) -> None:
        """It is not answered before that is durable: who was told that nothing runs must not hear of its end."""
        written: Future[TheaterError | None] = Future()
        self._post.keep(actor, written.set_result, drops=[id])
        written.result()

    def _with(self, actor: ActorId, id: str, do: Callable[[Life], Problem | None]) -> object:
        found = self._register.find(actor, id)
        if found is None:
            return ("err", ("unknown-process", id))
        life = found.life
        problem: Problem | None = ("ended", None)
        if life is not None:
            closed: Problem | None = CLOSED
            problem = self._loop.ask(lambda: do(life), closed)
        return ("ok", None) if problem is None else ("err", problem)

    def _to_all(self, do: Callable[[Life], None]) -> None:
        def call() -> None:
            for life in self._register.lives():
                do(life)

        self._loop.call(call)

    def _silence(self) -> None:
        for found in self._register.everything():
            if found.report is not None:
                found.report.silence()


def _discard(found: Started) -> None:
    """It ends now, and nobody hears of that."""
    if found.report is not None:
        found.report.silence()
    if found.life is not None:
        found.life.kill()
