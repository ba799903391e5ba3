"""A thread that waits for many descriptors at once, and does what others hand it."""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

Action = Callable[[], None]

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Loop:
    """One thread. ``call`` and ``ask`` are for all others; ``watch`` and ``forget`` for what runs on it."""

    def __init__(self, name: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._waiting: deque[Action] = deque()
        self._lock = threading.Lock()
        self._is_closed = False
        self._waking, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._waking, READ, self._drain)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, action: Action) -> None:
        """Have ``action`` done, behind what was handed over before. Nothing happens once the loop is closed."""
        self.can_call(action)

    def can_call(self, action: Action) -> bool:
        """As ``call``; whether it will be done."""
        with self._lock:
            if self._is_closed:
                return False
            self._waiting.append(action)
            if len(self._waiting) == 1:
                os.write(self._waker, b"w")
        return True

    def ask(self, question: Callable[[], T], otherwise: T) -> T:
        """What ``question`` comes to there, or ``otherwise`` where it is closed. Not to be called on the loop."""
        answer: Future[T] = Future()

        def put() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:  # noqa: BLE001 - it is whoever asked that has to hear of it
                answer.set_exception(error)

        return answer.result() if self.can_call(put) else otherwise

    def watch(self, descriptor: int, events: int, action: Action) -> None:
        """Call ``action`` whenever ``descriptor`` is ready."""
        self._selector.register(descriptor, events, action)

    def forget(self, descriptor: int) -> None:
        """Watch it no longer. Nothing happens where it is not watched."""
        if descriptor >= 0 and descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def close(self) -> None:
        """Do what was handed over, and join the thread. Everything must be forgotten by then."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            os.write(self._waker, b"w")
        self._thread.join()
        self._selector.close()
        os.close(self._waking)
        os.close(self._waker)

    def _run(self) -> None:
        while not (self._is_closed and not self._waiting):
            for key, _ in self._selector.select():
                if self._selector.get_map().get(key.fd) is key:  # one before it may have ended its watch
                    self._do(key.data)
            while self._waiting:
                self._do(self._take())

    def _take(self) -> Action:
        with self._lock:
            return self._waiting.popleft()

    def _do(self, action: Action) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - a bug at one program must not end the others
            threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, self._thread)))

    def _drain(self) -> None:
        os.read(self._waking, 4096)
