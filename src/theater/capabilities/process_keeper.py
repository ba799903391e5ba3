"""The process that starts programs for a node, and one more for each program, which sees to its end. It is a script.

A node has many threads, and between ``fork`` and ``exec`` in such a process hardly anything is safe. This one has a
single thread and nothing to lose, so it can do in Python what has to be done there: limits, a session of its own, no
new privileges.

From the socket on descriptor 0 it takes orders, each a byte with descriptors: the order's JSON, a socket for control,
the program's three streams, the program, its directory. For each it forks a *keeper*, which starts the program, sends
``{"pid"}`` or ``{"error"}``, and then does what it is told: a byte for whom, a byte for the signal. All that descends
from the program becomes the keeper's when its parent dies (it is their subreaper), so nothing gets away: when the
program has ended, when it is told so, and when the node is gone (its end of the socket is closed), the keeper kills
whatever is left. Then it sends ``{"code"}`` or ``{"signal"}``, removes the directory that was made for the program, and
ends. What a keeper leaves that is killed itself becomes this process's, which kills it.

It is run with the interpreter's ``-I -S`` and imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import select
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NoReturn, TypedDict

HANDED = 7
"""Descriptors that come with an order, in this order: its JSON, control, stdin, stdout, stderr, program, directory."""
TO_PROCESS, TO_GROUP, TO_ALL = b"p", b"g", b"a"
"""Whom a signal is for: the program, its process group, or everything that came of it (and then it is SIGKILL)."""
MESSAGE_MAX_BYTES = 256

_START_MAX_S = 20.0
_KILLING_MAX_S = 5.0
"""Against a program that forks faster than we kill, and one that the kernel does not let die."""
_STAYING_MAX_S = 3600.0
"""So long we go on with it when nobody waits for it any more."""
_LOOK_S = 0.02
_REAPED_MAX = 10_000
"""At once: what forks meanwhile has to be killed."""
_ENDED_BADLY = 127
_OUT_OF_MEMORY_SCORE = b"500"
"""Where the machine has no memory left, a program goes before the node does."""

_UNCHANGEABLE = {signal.SIGKILL, signal.SIGSTOP}
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Who ends the processes of a service one and all has to leave it to the node."""

_SET_DEATH_SIGNAL, _SET_SUBREAPER, _SET_NO_NEW_PRIVILEGES = 1, 36, 38
_LIMITS = {
    "memory": resource.RLIMIT_AS,
    "cpu": resource.RLIMIT_CPU,
    "files": resource.RLIMIT_NOFILE,
    "file": resource.RLIMIT_FSIZE,
    "core": resource.RLIMIT_CORE,
}

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Take orders until the node is gone."""
    for ignored in _IGNORED:
        signal.signal(ignored, signal.SIG_IGN)
    _prctl(_SET_SUBREAPER, 1)
    deaths = Deaths()
    keepers: set[int] = set()
    with socket.socket(fileno=os.dup(0)) as orders:
        while True:
            ready, _, _ = select.select([deaths.descriptor, orders.fileno()], [], [])
            if deaths.descriptor in ready:
                deaths.clear()
                _end_orphans(keepers)
            if orders.fileno() not in ready:
                continue
            said, handed, _, _ = socket.recv_fds(orders, 1, HANDED)
            if not said:
                return
            for descriptor in handed:
                os.set_inheritable(descriptor, False)
            with suppress(OSError):  # no process to be had: whoever gave the order sees that control is closed
                if len(handed) == HANDED:
                    keeper = os.fork()
                    if keeper == 0:
                        orders.close()
                        os.dup2(1, 0)  # which is /dev/null: the node must see it when this process is no more
                        keep(handed)
                    keepers.add(keeper)
            for descriptor in handed:
                os.close(descriptor)


def _end_orphans(keepers: set[int]) -> None:
    """Kill what came of a program whose keeper somebody killed. Each that dies so may leave us others."""
    with suppress(ChildProcessError):
        while ended := os.waitpid(-1, os.WNOHANG)[0]:
            keepers.discard(ended)
    for child in children():
        if child not in keepers:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def keep(handed: list[int]) -> NoReturn:
    """Start a program and see to its end."""
    try:
        with os.fdopen(handed[0], "rb") as file:
            order: Order = json.load(file)
        with socket.socket(fileno=handed[1]) as control:
            Keeper(order, control, handed[2:]).run()
    finally:
        os._exit(0)


class Order(TypedDict):
    """What is to be run."""

    path: str
    arguments: list[str]
    environment: list[tuple[str, str]]
    limits: dict[str, int]
    scratch: str | None


class Deaths:
    """Says when a child has ended."""

    def __init__(self) -> None:
        self.descriptor, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        """Can be read then."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)

    def clear(self) -> None:
        """Before one looks who it was."""
        with suppress(BlockingIOError):
            os.read(self.descriptor, 4096)


class Keeper:
    """One program's."""

    def __init__(self, order: Order, control: socket.socket, handed: list[int]) -> None:
        self._order = order
        self._control = control
        self._handed = handed
        self._pid = 0
        self._status: dict[str, int] | None = None
        self._deaths = Deaths()

    def run(self) -> None:
        """Start it, and stay until nothing of it is left."""
        _prctl(_SET_SUBREAPER, 1)
        error = errno.EIO
        try:
            error = self._start()
            if error:
                self._say(error=error)
            else:
                self._say(pid=self._pid)
                self._attend()
        finally:
            self._end_all(_KILLING_MAX_S)
        if not error:
            self._say(**(self._status or {"lost": 0}))
        self._end_all(_STAYING_MAX_S)
        if self._order["scratch"] is not None:
            remove_tree(self._order["scratch"])

    def _start(self) -> int:
        """The number of what is wrong; 0 where it runs."""
        told, telling = os.pipe2(os.O_CLOEXEC)
        keeper = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            _become(self._order, self._handed, telling, keeper)
        os.close(telling)
        for descriptor in self._handed:
            os.close(descriptor)
        with os.fdopen(told, "rb") as file:
            ready, _, _ = select.select([told], [], [], _START_MAX_S)
            return int(file.read() or 0) if ready else errno.ETIMEDOUT

    def _attend(self) -> None:
        """Until it has ended, or nobody wants it any more."""
        control = self._control.fileno()
        while not self._has_ended():
            ready, _, _ = select.select([self._deaths.descriptor, control], [], [])
            if self._deaths.descriptor in ready:
                self._reap_strangers()
            if control in ready:
                said = self._hear()
                if not said or said[:1] == TO_ALL:
                    return
                with suppress(ProcessLookupError):
                    (os.killpg if said[:1] == TO_GROUP else os.kill)(self._pid, said[1])

    def _hear(self) -> bytes:
        try:
            return self._control.recv(2)
        except OSError:  # the node died and left something of ours unread
            return b""

    def _has_ended(self) -> bool:
        """It is left a zombie: until it is waited for, its number is nobody else's."""
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _reap_strangers(self) -> None:
        """What came of it, lost its parent, and has ended."""
        self._deaths.clear()
        for child in children():
            if child != self._pid:
                with suppress(ChildProcessError):
                    os.waitpid(child, os.WNOHANG)

    def _end_all(self, wait_s: float) -> None:
        """Kill everything, and wait for its end, so long at most."""
        if self._pid and self._status is None:  # its number is its own until it is waited for
            with suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)  # at one stroke: nobody in it forks any more
        until = time.monotonic() + wait_s
        with suppress(ChildProcessError):  # none is left
            while time.monotonic() < until:
                self._reap()
                for child in children():
                    with suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                select.select([self._deaths.descriptor], [], [], _LOOK_S)
                self._deaths.clear()

    def _reap(self) -> None:
        """Those who have ended: who is alive is found faster without them."""
        for _ in range(_REAPED_MAX):
            ended, how = os.waitpid(-1, os.WNOHANG)
            if not ended:
                return
            if ended == self._pid:
                self._status = {"signal": os.WTERMSIG(how)} if os.WIFSIGNALED(how) else {"code": os.WEXITSTATUS(how)}

    def _say(self, **message: int) -> None:
        with suppress(OSError):  # nobody hears it
            self._control.send(json.dumps(message).encode())


def _become(order: Order, handed: list[int], telling: int, keeper: int) -> NoReturn:
    """Be the program: behind ``fork``, in a process of one thread."""
    try:
        os.setsid()
        _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != keeper:  # it died before we could ask to be told
            os._exit(_ENDED_BADLY)
        _prctl(_SET_NO_NEW_PRIVILEGES, 1)
        stdin, stdout, stderr, program, directory = handed
        for number, descriptor in enumerate((stdin, stdout, stderr)):
            os.dup2(descriptor, number)
        os.fchdir(directory)
        os.umask(0o077)
        for ignored in signal.valid_signals() - _UNCHANGEABLE:  # by us, by Python, or by whoever started the node
            signal.signal(ignored, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:  # noqa: PTH123 - no imports for that
            file.write(_OUT_OF_MEMORY_SCORE)
        words = [order["path"], *order["arguments"]]
        environment = dict(order["environment"])
        for name, value in order["limits"].items():
            _limit(_LIMITS[name], value)
        try:
            os.execve(program, words, environment)  # noqa: S606 - no shell is what we want
        except FileNotFoundError:  # a script is opened once more by its interpreter, as /dev/fd/N
            os.set_inheritable(program, True)
            os.execve(program, words, environment)  # noqa: S606
    except OSError as error:
        os.write(telling, str(error.errno).encode())
    except BaseException:  # noqa: BLE001 - whatever it is, we are no copy of the keeper's
        os.write(telling, str(errno.ENOMEM).encode())
    os._exit(_ENDED_BADLY)


def _limit(number: int, value: int) -> None:
    """Take a limit on, as far as the one in force is not lower. CPU time has a second more before SIGKILL."""
    inherited = resource.getrlimit(number)[1]
    hard = value + 1 if number == resource.RLIMIT_CPU else value
    if inherited != resource.RLIM_INFINITY:
        hard = min(hard, inherited)
    resource.setrlimit(number, (min(value, hard), hard))


def children() -> Iterator[int]:
    """Of this process, those that it adopted included; while they come and go, perhaps not all."""
    own = os.getpid()
    try:  # at once, where the kernel has that: what forks without end is killed by who is faster
        with open(f"/proc/self/task/{own}/children", "rb") as file:  # noqa: PTH123 - no imports for that
            yield from map(int, file.read().split())
    except FileNotFoundError:
        yield from _children_by_look(own)


def _children_by_look(own: int) -> Iterator[int]:
    names: list[str] = []
    with suppress(OSError):
        names = os.listdir("/proc")  # noqa: PTH208 - names alone
    for name in names:
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - no imports for that
                # The name in brackets may have brackets and blanks in it; behind it come the state and the parent.
                if int(file.read().rpartition(b")")[2].split()[1]) == own:
                    yield int(name)


def remove_tree(path: str) -> None:
    """Remove a directory with all that a program left in it, also where it took away its own right to look.

    What is below goes to the top first: it can be deeper than one may call, or name.
    """
    if os.path.islink(path):  # noqa: PTH114 - no imports for that
        return
    name, count = f"{path}/{os.urandom(8).hex()}-", 0
    folders = [path]
    while folders:
        folder = folders.pop()
        with suppress(OSError):
            os.chmod(folder, stat.S_IRWXU)  # noqa: PTH101
            with os.scandir(folder) as found:
                entries = list(found)
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        os.chmod(entry, stat.S_IRWXU)  # noqa: PTH101 - to move it
                        count += 1
                        os.rename(entry, f"{name}{count}")  # noqa: PTH104
                        folders.append(f"{name}{count}")
                    else:
                        os.unlink(entry)  # noqa: PTH108
            if folder != path:
                os.rmdir(folder)  # noqa: PTH106
    with suppress(OSError):
        os.rmdir(path)  # noqa: PTH106


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main()
