"""One guest call: a fiber that workers poll until it waits or ends.

wasmtime runs an async call on a stack of its own. A poll runs the guest until it returns, until a suspending host
function answered ``SUSPEND``, or until the epoch ticked: then it comes back in the middle of the guest, which can be
polled on later, on any thread, or be dropped with its future. Python frames are never on a stack that is left that way,
since host functions have returned by then.

A short call is polled with the GIL held, and one that goes on without it (``HELD_FUEL``); a worker that polls without
it steps aside for another one meanwhile: see ``workers``.

States: ``queued`` (a worker will take it) -> ``running`` (a worker has it) -> ``queued`` again after a slice, or
``waiting`` (until ``resume``), or ``closed``. Only the transitions between these are under the lock; a worker that
moved the call to ``running`` owns everything else about it.
"""

from __future__ import annotations

import ctypes
import struct
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from time import perf_counter
from typing import Any, Protocol

from theater.engine import native, traps
from theater.engine.chamber import Chamber
from theater.engine.linker import write_answer
from theater.engine.lowering import Lower
from theater.engine.marshaller import wrong_arguments
from theater.engine.program import Export, WasmtimeProgram
from theater.errors import InternalError, TheaterError
from theater.model import wit
from theater.model.crash import Crash, CrashReason, StepCrash, StepExit, cut
from theater.model.execution import Closed, Host, Instance, Invocation, Resting, Waiting

HELD_FUEL = 1_000_000
"""A guest begins with the interpreter's lock held, and runs on without it once it has used that much fuel (1 ms).

Most calls are over by then. To give the lock away for a few microseconds costs more than the call wherever another
thread wants it: that one takes it and, unless it waits for something, keeps it for the whole switch interval. Fuel, and
not the ticker, is what bounds the time with the lock held: a tick needs the lock. Instructions that move much at once
use fuel by the byte. (The guest goes on yielding at that rate: to change it while a guest is suspended loses its fuel.)
"""

# One block of C memory per call: what C writes to while Python looks elsewhere.
_RESULT = 0
_ERROR = 32
_FLAG = 40
_Block = ctypes.c_char * 48

_pointer = struct.Struct("<Q").unpack_from


class State(Enum):
    """Who has the call."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    CLOSED = "closed"


class Queue(Protocol):
    """Where calls go to be run."""

    def put(self, call: GuestCall) -> None:
        """Run it when its turn comes."""

    def put_urgent(self, call: GuestCall) -> None:
        """Run it before all others: it was killed."""

    def forget(self, call: GuestCall) -> None:
        """It closed."""

    def step_aside(self) -> None:
        """The calling thread will be busy in C, without the interpreter's lock: let another take what waits."""

    def step_back(self) -> None:
        """It is done with that."""


class GuestCall:
    """Implements the port ``Execution``, and the linker's ``Caller``."""

    __slots__ = (
        "_answer",
        "_at",
        "_block",
        "_chamber",
        "_export",
        "_future",
        "_image",
        "_invocation",
        "_is_called",
        "_is_reporting",
        "_is_short",
        "_keep",
        "_kill",
        "_lock",
        "_pending",
        "_program",
        "_queue",
        "_ran_s",
        "_state",
        "_then",
        "failure",
        "host",
        "hosted_s",
    )

    def __init__(
        self, program: WasmtimeProgram, invocation: Invocation, then: Callable[[Resting], None], queue: Queue
    ) -> None:
        self.host: Host = invocation.host
        self.failure: BaseException | None = None
        self._program = program
        self._export: Export = program.export(invocation.interface, invocation.function)
        self._invocation = invocation
        self._then = then
        self._queue = queue
        self._lock = threading.Lock()
        self._state = State.QUEUED
        self._kill: Crash | None = None
        self._is_reporting = False  # then(Waiting) is on a worker's stack
        self._pending: tuple[int, Lower | None, wit.Type | None] | None = None  # where the answer goes
        self._answer: object = None
        self._ran_s = 0.0
        self.hosted_s = 0.0
        """Time that host functions took meanwhile: compiling a child's component is none of the guest's doing."""
        self._future = 0
        self._is_called = False
        self._is_short = not program.is_large
        self._block = _Block()
        self._at = ctypes.addressof(self._block)
        self._keep: list[Any] = []  # what C reads during the call
        self._image = b""
        self._chamber = _claim(invocation.instance, program)

    # -- the port; any thread -----------------------------------------------------------------------------------------

    def resume(self, answer: object) -> None:
        with self._lock:
            if self._state is State.CLOSED or self._kill is not None:
                return  # killed while the answer was on its way
            if self._state is not State.WAITING:
                raise InternalError(f"resume() of a call that is {self._state.value}, not waiting")
            self._answer = answer
            self._state = State.QUEUED
        self._queue.put(self)

    def kill(self, reason: CrashReason, message: str) -> None:
        with self._lock:
            if self._state is State.CLOSED or self._kill is not None:
                return
            self._kill = Crash(reason=reason, code=reason, message=cut(message))
            if self._state is State.RUNNING or (self._state is State.WAITING and self._is_reporting):
                return  # its worker looks when it is done with it, and nobody hears of the end before the wait
        self._queue.put_urgent(self)

    # -- a worker -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run one slice, and report if the call comes to rest. Raises only what ``then`` raises."""
        with self._lock:
            if self._state is State.RUNNING or self._state is State.CLOSED:
                return  # it is in both queues, and was killed from the other one
            self._state = State.RUNNING
        rest = self._turn()
        with self._lock:
            if rest is None and self._kill is None:
                self._state = State.QUEUED
            elif isinstance(rest, Waiting) and self._kill is None:
                self._state = State.WAITING
                self._is_reporting = True
        if self._state is State.RUNNING and not isinstance(rest, Closed):
            assert self._kill is not None
            rest = self._close(self._kill)
        match rest:
            case None:
                self._queue.put(self)
            case Waiting():
                self._report_waiting(rest)
            case Closed():
                with self._lock:
                    self._state = State.CLOSED
                self._queue.forget(self)
                self._then(rest)

    def _report_waiting(self, rest: Waiting) -> None:
        try:
            self._then(rest)
        finally:
            with self._lock:
                self._is_reporting = False
                was_killed = self._kill is not None and self._state is State.WAITING
            if was_killed:
                self._queue.put_urgent(self)

    # -- the linker, while the guest runs -----------------------------------------------------------------------------

    def suspend(self, results: int, lower: Lower | None, type_: wit.Type | None) -> int:
        self._pending = (results, lower, type_)
        self._block[_FLAG] = b"\0"
        return self._at + _FLAG

    # -- one slice ----------------------------------------------------------------------------------------------------

    def _turn(self) -> Resting | None:
        try:
            return self._slice() if self._kill is None else self._close(self._kill)
        except BaseException as error:  # noqa: BLE001 - the guard round the guest: it ends as this call's crash
            return self._close(self._crash_of(error))

    def _slice(self) -> Resting | None:
        if not self._future:
            self._start()
        elif self._pending is not None:
            self._hand_over(self._pending)
        while self._poll():
            native.future_delete(self._future)
            self._future = 0
            (error,) = _pointer(native.MEMORY, self._at + _ERROR)
            if error:
                return self._failed(native.take_error(error))
            if self._is_called:
                return self._returned()
            self._call()
        if self._pending is not None:
            return Waiting()
        ran_s = self._ran_s - self.hosted_s
        if ran_s > self._invocation.limits.deadline_s:
            message = f"the guest ran for {ran_s:.1f} s; its deadline is {self._invocation.limits.deadline_s:g} s"
            return self._close(Crash(reason="deadline", code="deadline", message=message))
        self.host.tick()
        return None

    def _poll(self) -> bool:
        if self._is_short:
            started = perf_counter()
            done: bool = native.poll_held(self._future)
            self._ran_s += perf_counter() - started
            if not done and self._pending is None:
                self._is_short = False
            return done
        self._queue.step_aside()
        started = perf_counter()
        done = native.poll(self._future)
        self._ran_s += perf_counter() - started
        self._queue.step_back()
        return done

    def _start(self) -> None:
        limits, program = self._invocation.limits, self._program
        chamber = self._chamber
        is_new = chamber is None
        if chamber is None:
            chamber = self._chamber = Chamber(program)
        yield_fuel = HELD_FUEL if self._is_short else 0
        chamber.prepare(fuel=limits.fuel, memory_bytes=limits.memory_bytes, yield_fuel=yield_fuel)
        program.linker.running[chamber.context] = self
        if is_new:
            self._future = native.instantiate_async(
                program.linker.pointer,
                chamber.context,
                program.component_pointer,
                chamber.instance_at,
                self._at + _ERROR,
            )
        else:
            self._call()

    def _call(self) -> None:
        chamber, export = self._chamber, self._export
        assert chamber is not None
        chamber.find(export)
        keep: list[Any] = [chamber.context]
        try:
            image = export.lower(self._invocation.args, keep)
        except native.EngineError:
            raise
        except Exception as error:
            raise wrong_arguments(export.function, self._invocation.args, error) from error
        self._image, self._keep, self._is_called = image, keep, True
        has_result = export.lift is not None
        self._future = native.call_async(
            chamber.function_at,
            chamber.context,
            id(image) + native.BYTES_DATA,
            len(export.function.params),
            self._at + _RESULT if has_result else 0,
            has_result,
            self._at + _ERROR,
        )

    def _hand_over(self, pending: tuple[int, Lower | None, wit.Type | None]) -> None:
        assert self._chamber is not None
        results, lower, type_ = pending
        answer, self._answer, self._pending = self._answer, None, None
        write_answer(self._chamber.context, answer, lower, type_, results)
        self._block[_FLAG] = b"\1"
        native.set_epoch_deadline(self._chamber.context, 1)  # time went by: it would yield at once

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _returned(self) -> Closed:
        chamber, lift = self._chamber, self._export.lift
        assert chamber is not None
        value = None
        if lift is not None:
            try:
                value = lift(self._at + _RESULT, chamber.context)
            finally:
                native.value_delete(self._at + _RESULT)
        if not self._invocation.keep:
            return Closed(value, self._free())
        fuel_used = self._invocation.limits.fuel - chamber.fuel_left()
        self._chamber = None
        chamber.release()
        return Closed(value, fuel_used, instance=chamber)

    def _failed(self, text: str) -> Closed:
        symbols = self._program.symbols
        if self.failure is None:
            return self._close(traps.crash_from(text, symbols))
        if isinstance(self.failure, StepExit):
            return Closed(None, self._free(), exit_status=self.failure.status)
        return self._close(replace(self._crash_of(self.failure), backtrace=traps.backtrace(text, symbols)))

    def _crash_of(self, error: BaseException) -> Crash:
        """What an exception on our side of the wall makes of the call."""
        if isinstance(error, StepCrash):
            return error.crash
        if isinstance(error, native.EngineError):
            return traps.crash_from(str(error), self._program.symbols)
        if isinstance(error, TheaterError):
            return Crash(reason="internal", code=error.code, message=cut(error.message))
        return Crash(reason="internal", code="internal", message=cut("".join(traceback.format_exception(error))))

    def _close(self, crash: Crash) -> Closed:
        return Closed(None, self._free(), crash=crash)

    def _free(self) -> int:
        """Give back everything in C; returns the fuel that was used."""
        if self._future:
            native.future_drop(self._future)
            self._future = 0
        chamber, self._chamber = self._chamber, None
        if chamber is None:
            return 0
        fuel_used = self._invocation.limits.fuel - chamber.fuel_left()
        chamber.discard()
        return fuel_used


def _claim(instance: Instance | None, program: WasmtimeProgram) -> Chamber | None:
    """The kept instance to run in, taken from its keeper. Running two calls in one is undefined behaviour in C."""
    if instance is None:
        return None
    if not isinstance(instance, Chamber) or instance.program is not program:
        raise InternalError("the instance to run in belongs to another program")
    if not instance.claim():
        raise InternalError("the instance to run in is closed or runs another call")
    return instance
