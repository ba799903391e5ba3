"""The life of one program: it is started, reads and writes, gets signals, runs out of time, and ends in any case."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Final, Literal, Protocol

from theater.capabilities.process_child import Child, NotRunnableError, Nursery, reason_of
from theater.capabilities.process_keeper import MESSAGE_MAX_BYTES, TO_ALL, TO_GROUP, TO_PROCESS, remove_tree
from theater.capabilities.process_loop import READ, WRITE, Loop
from theater.capabilities.process_spec import ProcessOrder
from theater.model.actor_system import Problem
from theater.model.ports import Clock

GRACE_US: Final = 5_000_000
"""From the request to end until the end, as the interface says."""
DRAIN_US: Final = 2_000_000
"""For what it wrote to arrive when it has ended, and its directory to go: nothing is waited for any longer."""
UNHEARD_US: Final = 10_000_000
"""For its keeper to say that everything has been killed: that waits 5 seconds for the kernel itself."""

Stream = Literal["stdout", "stderr"]
Status = tuple[str, int | None]
"""An ``exit-status`` as in WIT."""

LOST: Final[Status] = ("lost", None)

_READ_BYTES = 65_536
_SIGNALS: Final = {
    "interrupt": (TO_GROUP, signal.SIGINT),  # as Ctrl-C, which goes to all in the foreground
    "terminate": (TO_GROUP, signal.SIGTERM),
    "kill": (TO_ALL, signal.SIGKILL),
    "hangup": (TO_PROCESS, signal.SIGHUP),
    "user1": (TO_PROCESS, signal.SIGUSR1),
    "user2": (TO_PROCESS, signal.SIGUSR2),
}


class Witness(Protocol):
    """Who wants to know what becomes of a program. Called on the loop."""

    def started(self, problem: Problem | None) -> None:
        """It runs, or cannot be started. Heard once, and then nothing more where it cannot."""

    def wrote(self, stream: Stream, data: bytes) -> None:
        """It wrote something."""

    def ended(self, status: Status) -> None:
        """It has ended, and all that it wrote was heard."""


class Life:
    """See above. All of it happens on the loop; ``pid``, ``started_us`` and ``status`` may be read anywhere."""

    def __init__(self, loop: Loop, clock: Clock, order: ProcessOrder, witness: Witness) -> None:
        self.order = order
        self.pid: int | None = None
        self.started_us = clock.now_us()
        self.status: Status | None = None
        """How it ended; what it wrote may still be on its way then."""
        self._loop = loop
        self._clock = clock
        self._witness = witness
        self._child: Child | None = None
        self._problem: Problem | None = None
        self._input = bytearray()
        self._is_input_closing = False
        self._is_late = False
        self._is_left = False
        self._is_over = False
        self._alarms: list[Callable[[], None]] = []

    def begin(self, nursery: Nursery) -> None:
        """Have it started."""
        try:
            self._child = child = nursery.launch(self.order)
        except NotRunnableError as error:
            self._is_over = True
            self._witness.started(error.problem)
            return
        except Exception:  # which the loop reports; whoever waits must not do so for ever
            self._is_over = True
            self._witness.started(("io", "it could not be started: a bug of ours"))
            raise
        self._loop.watch(child.control.fileno(), READ, self._hear)
        self._loop.watch(child.stdout, READ, lambda: self._read("stdout"))
        self._loop.watch(child.stderr, READ, lambda: self._read("stderr"))
        self._after(self.order.timeout_ms * 1000, self._be_late)

    # -- what is asked of it

    def write(self, data: bytes, most_bytes: int) -> Problem | None:
        """Put this into its input, in which no more than ``most_bytes`` may wait."""
        if self.status is not None or self._is_over or self._is_input_closing:
            return ("ended", None)
        if len(self._input) + len(data) > most_bytes:
            return ("input-full", most_bytes)
        is_idle = not self._input
        self._input += data
        if is_idle and self._input and self._child is not None:
            self._loop.watch(self._child.stdin, WRITE, self._feed)
        return None

    def close_input(self) -> Problem | None:
        """Close its input, behind what was written."""
        if self.status is not None or self._is_over:
            return ("ended", None)
        self._is_input_closing = True
        if not self._input:
            self._shut("stdin")
        return None

    def signal(self, name: str) -> Problem | None:
        """Send it a signal, by its name in the interface."""
        if self.status is not None or self._is_over:
            return ("ended", None)
        self._send(*_SIGNALS[name])
        if name == "kill":
            self._after(UNHEARD_US, self._give_up)
        return None

    def terminate(self) -> None:
        """Let it end in order, and see that it ends."""
        self._send(*_SIGNALS["terminate"])
        self._after(GRACE_US, self.kill)

    def kill(self) -> None:
        """End it now."""
        self.signal("kill")

    def abandon(self) -> None:
        """Nothing is waited for any more; its keeper kills whatever is left."""
        self._give_up()

    # -- what becomes of it

    def _hear(self) -> None:
        assert self._child is not None
        try:
            data = self._child.control.recv(MESSAGE_MAX_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        message: dict[str, int] = json.loads(data) if data else {}
        match message:
            case {"pid": pid}:
                self.pid = pid
                self._witness.started(None)
            case {"error": number}:
                self._problem = reason_of(number)
            case {"code": code}:
                self._end(("code", code))
            case {"signal": number}:
                self._end(("signal", number))
            case _:
                self._leave()

    def _end(self, status: Status) -> None:
        self.status = ("timeout", None) if self._is_late else status
        self._after(DRAIN_US, self._finish)

    def _leave(self) -> None:
        """Its keeper is gone: nothing of it is left, unless that was killed."""
        assert self._child is not None
        self._is_left = True
        self._loop.forget(self._child.control.fileno())
        if self.pid is None:
            self._finish()
            return
        if self.status is None:
            self._end(LOST)
        self._shut("stdin")
        self._finish_if_drained()

    def _read(self, stream: Stream) -> None:
        descriptor = self._child.stdout if stream == "stdout" else self._child.stderr  # type: ignore[union-attr]  # watched
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._witness.wrote(stream, data)
            return
        self._shut(stream)
        self._finish_if_drained()

    def _feed(self) -> None:
        assert self._child is not None
        try:
            done = os.write(self._child.stdin, self._input[:_READ_BYTES])
        except BlockingIOError:
            return
        except OSError:  # it does not read any more
            self._input.clear()
            self._is_input_closing = True
            self._shut("stdin")
            return
        del self._input[:done]
        if not self._input:
            self._loop.forget(self._child.stdin)
            if self._is_input_closing:
                self._shut("stdin")

    def _finish_if_drained(self) -> None:
        child = self._child
        if self._is_left and child is not None and child.stdout < 0 and child.stderr < 0:
            self._finish()

    def _be_late(self) -> None:
        if self.status is None:
            self._is_late = True
            self.terminate()

    def _give_up(self) -> None:
        if self.status is None and self.pid is not None:
            self._end(LOST)
        self._finish()

    def _finish(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        for cancel in self._alarms:
            cancel()
        child = self._child
        if child is not None:
            for name in ("stdin", "stdout", "stderr"):
                self._shut(name)
            self._loop.forget(child.control.fileno())
            child.let_go()
        if self.pid is None:
            if child is not None and child.scratch is not None and self._problem is None:
                remove_tree(child.scratch)
            self._witness.started(self._problem or ("io", "no process could be made for it"))
        else:
            assert self.status is not None, "who finishes says how it ended"
            self._witness.ended(self.status)

    # -- helpers

    def _send(self, whom: bytes, number: int) -> None:
        if self._child is not None and not self._is_over:
            self._child.signal(whom, number)

    def _shut(self, name: str) -> None:
        if self._child is not None:
            self._loop.forget(getattr(self._child, name))
            self._child.close(name)

    def _after(self, wait_us: int, action: Callable[[], None]) -> None:
        def due() -> None:
            self._loop.call(lambda: None if self._is_over else action())

        self._alarms.append(self._clock.call_at(self._clock.now_us() + wait_us, due))
