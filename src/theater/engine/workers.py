"""The threads that run guests: a few workers over one queue, and no more of them awake than there is use for.

A call that has had its slice goes to the end of the queue, so runaway guests share fairly with all others; one that was
killed is taken before anything else. When nothing has run for a second, the ticker rests.

As long as calls are short, one worker takes them all: two would only pass the interpreter's lock to and fro between two
cores, and each other's page tables with it, which halves the rate. A worker that is about to be busy in C, without the
lock, *steps aside* first, and another one is woken if anything waits. A worker that sleeps, or leaves nobody
behind when it steps aside, calls ``when_idle`` first: what the calls have brought is written down then, all at once.

A host function may say that it *blocks* its worker for long. Another worker looks at the queue at once then; where all
others are asleep, aside or blocked themselves, a *stand-in* is started, which goes when there is nothing left for it to
do, or when the blocked one is back.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from theater.engine.execution import GuestCall
from theater.engine.ticker import Ticker
from theater.errors import Busy, InternalError

WORKERS_MIN = 2
"""One runaway guest must not delay the others by more than its slice, even on one core."""
IDLE_S = 1.0
RUN_MAX = 64
"""Calls after which ``when_idle`` is called though more wait: what they brought is not held back by those behind."""
BLOCKED_MAX = 4
"""Workers that may be blocked at the same time: so many stand-ins there are at most."""
JOIN_S = 30.0
"""A worker takes a slice (10 ms) to come back from a guest. Only a host function that blocks takes longer."""

WhenIdle = Callable[[Callable[[], None]], None]
"""What a worker does before it sleeps; calls its argument once the part of it that may take long is over."""


class Workers:
    """Implements ``execution.Queue``."""

    def __init__(self, ticker: Ticker, count: int | None) -> None:
        self._ticker = ticker
        self._ready: deque[GuestCall] = deque()
        self._urgent: deque[GuestCall] = deque()
        self._live: set[GuestCall] = set()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._lock = threading.Lock()  # of what stands below, and of the two queues
        self._attentive = 0  # awake, and not aside
        self._asleep = 0
        self._is_closed = False
        self._is_ending = False  # closed, and what was live is killed, so the workers may go
        self._when_idle: WhenIdle = _do_nothing
        self._blocked: set[threading.Thread] = set()
        self._stand_ins: set[threading.Thread] = set()
        self._mine = threading.local()  # is_aside: whether this worker has stepped aside
        # Daemons, so that an interpreter whose engine was not closed can exit; the engine's finalizer closes us then.
        self._threads = [
            threading.Thread(target=self._work, args=(self._next,), name=f"theater-guest-{i}", daemon=True)
            for i in range(max(WORKERS_MIN, count or os.cpu_count() or 1))
        ]
        self._attentive = len(self._threads)
        ticker.start()
        for thread in self._threads:
            thread.start()

    def when_idle(self, action: WhenIdle) -> None:
        """What a worker does before it sleeps or steps aside."""
        self._when_idle = action

    def start(self, call: GuestCall) -> None:
        """Run a new call."""
        self._live.add(call)
        if self._is_closed:
            self._live.discard(call)
            raise InternalError("the engine is closed")
        self.put(call)

    def put(self, call: GuestCall) -> None:
        with self._lock:
            self._ready.append(call)
            self._rouse()

    def put_urgent(self, call: GuestCall) -> None:
        with self._lock:
            self._urgent.append(call)
            self._rouse()

    def forget(self, call: GuestCall) -> None:
        self._live.discard(call)

    def step_aside(self) -> None:
        self._mine.is_aside = True
        with self._lock:
            self._attentive -= 1
            if self._ready or self._urgent:
                self._rouse()
            is_last = self._attentive == 0
        if is_last:
            self._report_errors(lambda: self._when_idle(_nothing))

    def step_back(self) -> None:
        self._mine.is_aside = False
        with self._lock:
            self._attentive += 1

    @contextmanager
    def blocked(self, *, must: bool = False) -> Iterator[None]:
        """What is done meanwhile may take long, and others are run by others. On any other thread it does nothing.

        Raises:
            Busy: too many are blocked already, unless it ``must`` be done.
        """
        thread = threading.current_thread()
        with self._lock:
            is_ours = (thread in self._threads or thread in self._stand_ins) and thread not in self._blocked
            if is_ours and len(self._blocked) >= BLOCKED_MAX:
                if not must:
                    raise Busy(f"{BLOCKED_MAX} calls of this node wait for a compiler already; try again later")
                is_ours = False
            was_attentive = is_ours and not getattr(self._mine, "is_aside", False)
            if is_ours:
                self._blocked.add(thread)
                self._attentive -= was_attentive
                self._rouse()  # also where nothing waits: what was brought so far has to be written down by somebody
        try:
            yield
        finally:
            if is_ours:
                with self._lock:
                    self._blocked.discard(thread)
                    self._attentive += was_attentive

    def close(self) -> None:
        """Kill what runs, join the threads. Does nothing the second time."""
        if self._is_closed:
            return
        self._is_closed = True
        for call in _snapshot(self._live):
            call.kill("terminated", "the engine was closed")
        with self._lock:
            self._is_ending = True
        for _ in self._threads:
            self._wake.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(JOIN_S)
        with self._lock:  # nobody is blocked any more, so no other one comes
            stand_ins = list(self._stand_ins)
        for thread in stand_ins:
            if thread is not threading.current_thread():
                thread.join(JOIN_S)
        self._ticker.close()
        stuck = [thread.name for thread in (*self._threads, *stand_ins) if thread.is_alive()]
        if stuck and threading.current_thread() not in (*self._threads, *stand_ins):
            raise InternalError(f"a host function blocks {', '.join(stuck)}: it does not come back")

    def _rouse(self) -> None:
        """Wake a worker, unless one is awake already and will look at the queue by itself. The lock is held."""
        if self._attentive > 0:
            return
        if self._asleep > 0:
            self._asleep -= 1
            self._attentive += 1
            self._wake.put(None)
        elif len(self._stand_ins) < len(self._blocked):
            thread = threading.Thread(
                target=self._work, args=(self._next_of_stand_in,), name="theater-guest-stand-in", daemon=True
            )
            self._stand_ins.add(thread)
            self._attentive += 1
            thread.start()

    def _work(self, take: Callable[[], GuestCall | None]) -> None:
        count = 0
        while (call := take()) is not None:
            self._run(call)
            count += 1
            if count % RUN_MAX == 0:
                self._be_idle()

    def _next_of_stand_in(self) -> GuestCall | None:
        """The next call; None, and counted no more, once nobody is blocked for it any longer or nothing is to do."""
        while True:
            with self._lock:
                is_needed = len(self._stand_ins) <= len(self._blocked)
                if is_needed and self._urgent:
                    return self._urgent.popleft()
                if is_needed and self._ready:
                    return self._ready.popleft()
            self._be_idle()
            with self._lock:
                if len(self._stand_ins) <= len(self._blocked) and (self._urgent or self._ready):
                    continue
                self._attentive -= 1
                self._stand_ins.discard(threading.current_thread())
                if self._urgent or self._ready:
                    self._rouse()
                return None

    def _next(self) -> GuestCall | None:
        """The next call, as soon as there is one; None once the engine was closed and nothing is left."""
        while True:
            with self._lock:
                if self._urgent:
                    return self._urgent.popleft()
                if self._ready:
                    return self._ready.popleft()
            self._be_idle()
            with self._lock:
                if self._urgent or self._ready:
                    continue
                if self._is_ending:
                    return None
                self._attentive -= 1
                self._asleep += 1
            self._sleep()

    def _be_idle(self) -> None:
        """Call ``when_idle``. It may take long: until it says otherwise, whoever puts something wakes another worker.

        Not any longer than that: what it calls back brings new calls, and those are best taken by who is awake.
        """
        is_back = False

        def step_back() -> None:
            nonlocal is_back
            if not is_back:
                is_back = True
                self.step_back()

        with self._lock:
            self._attentive -= 1
        self._report_errors(lambda: self._when_idle(step_back))
        step_back()

    def _sleep(self) -> None:
        """Until somebody roused us (who has counted us as awake by then), or the engine is closed."""
        try:
            self._wake.get(timeout=IDLE_S)
        except Empty:
            with self._lock:
                if self._asleep == len(self._threads):
                    self._ticker.rest()
            self._wake.get()
        with self._lock:
            self._ticker.start()

    def _run(self, call: GuestCall) -> None:
        self._report_errors(call.run)

    @staticmethod
    def _report_errors(action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - whoever asked failed to take the answer; the worker lives on
            threading.excepthook(
                threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
            )


def _nothing() -> None:
    """Nobody has to know when the long part is over: the worker is aside anyhow."""


def _do_nothing(step_back: Callable[[], None]) -> None:
    """What a worker does before it sleeps, unless it was told something else."""
    del step_back


def _snapshot(live: Iterable[GuestCall]) -> list[GuestCall]:
    return list(live)  # one C call on a set: no other thread changes it in between
