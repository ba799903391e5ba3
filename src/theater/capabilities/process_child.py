"""One program that runs: its streams, and a line to the keeper that sees to its end. And how it gets there.

What is checked is what is run: the program is opened once, no symbolic link being followed on the way, and it is that
descriptor that is executed, whatever has its path by then.
"""

from __future__ import annotations

import errno
import json
import os
import posixpath
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from theater.capabilities import process_keeper
from theater.capabilities.file_root import open_below
from theater.capabilities.process_spec import ProcessOrder
from theater.model.actor_system import Problem

_LEAVING_MAX_S = 10.0

_REASONS = {
    errno.ENOENT: "it is not there, or what is to interpret it is not",
    errno.ENOTDIR: "it is not there",
    errno.EACCES: "the system does not let us run it",
    errno.EPERM: "the system does not let us run it",
    errno.ENOEXEC: "it is no program for this machine, and names nothing that interprets it",
    errno.E2BIG: "its arguments and environment are too long for it",
    errno.ENOMEM: "the memory granted is not enough to start it",
    errno.ETXTBSY: "it is being written",
    errno.ETIMEDOUT: "it did not start in time",
}


class NotRunnableError(Exception):
    """It cannot be started: ``problem`` says so in the interface's words."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(slots=True)
class Child:
    """A program that is about to run. Its descriptors do not block; -1 for one that is closed."""

    control: socket.socket
    stdin: int
    stdout: int
    stderr: int
    scratch: str | None
    """The directory that was made for it, which its keeper removes."""

    def signal(self, whom: bytes, number: int) -> None:
        """Have a signal sent: see ``process_keeper``. Nothing happens where it has ended."""
        with suppress(OSError):
            self.control.send(whom + bytes([number]))

    def close(self, name: str) -> None:
        """Close one of the streams."""
        descriptor: int = getattr(self, name)
        if descriptor >= 0:
            setattr(self, name, -1)
            os.close(descriptor)

    def let_go(self) -> None:
        """Close everything: whatever is left of it is killed."""
        for name in ("stdin", "stdout", "stderr"):
            self.close(name)
        self.control.close()


class Nursery:
    """Starts programs, by a process of its own, which is there from the first one on. Used by one thread."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def launch(self, order: ProcessOrder) -> Child:
        """Have a program started. Whether it was, ``Child.control`` will say.

        Raises:
            NotRunnableError: it cannot be.
        """
        limits = {
            "memory": order.grant.memory_bytes,
            "cpu": order.grant.cpu_s,
            "files": order.grant.files,
            "file": order.grant.file_bytes,
            "core": 0,
        }
        with _opened_program(order.path) as program, self._directory(order) as (directory, scratch):
            said: process_keeper.Order = {
                "path": order.path,
                "arguments": list(order.arguments),
                "environment": list(order.environment),
                "limits": limits,
                "scratch": scratch,
            }
            try:
                return self._hand_over(json.dumps(said).encode(), program, directory, scratch)
            except OSError as error:
                if scratch is not None:
                    process_keeper.remove_tree(scratch)
                raise NotRunnableError(("io", f"it could not be started: {error.strerror}")) from error

    def close(self) -> None:
        """Let go of the process. Programs that run are not its concern: each has its keeper."""
        if self._orders is not None:
            self._orders.close()
        if self._process is not None:
            try:
                self._process.wait(_LEAVING_MAX_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._orders = self._process = None

    def _hand_over(self, order: bytes, program: int, directory: int, scratch: str | None) -> Child:
        handed: list[int] = []
        own: list[int] = []
        try:
            written = os.memfd_create("order", os.MFD_CLOEXEC)
            handed.append(written)
            if os.write(written, order) < len(order):
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
            os.lseek(written, 0, os.SEEK_SET)
            control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            own.append(control.detach())
            handed.append(theirs.detach())
            for is_input in (True, False, False):
                reading, writing = os.pipe2(os.O_CLOEXEC)
                own.append(writing if is_input else reading)
                handed.append(reading if is_input else writing)
            for descriptor in own:
                os.set_blocking(descriptor, False)
            self._send([*handed, program, directory])
        except BaseException:
            for descriptor in own:
                os.close(descriptor)
            raise
        finally:
            for descriptor in handed:
                os.close(descriptor)
        line, stdin, stdout, stderr = own
        return Child(socket.socket(fileno=line), stdin, stdout, stderr, scratch)

    def _send(self, handed: list[int]) -> None:
        if self._orders is not None:
            try:
                socket.send_fds(self._orders, [b"o"], handed)
            except (BrokenPipeError, ConnectionResetError):  # somebody killed it: another one takes its place
                self.close()
            else:
                return
        self._orders = self._begin()
        socket.send_fds(self._orders, [b"o"], handed)

    def _begin(self) -> socket.socket:
        own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", process_keeper.__file__],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env={},
                    close_fds=True,
                    start_new_session=True,
                )
            except BaseException:
                own.close()
                raise
        return own

    @contextmanager
    def _directory(self, order: ProcessOrder) -> Iterator[tuple[int, str | None]]:
        """Where it runs, and where that was made for it."""
        scratch = None
        try:
            if order.directory is None:
                scratch = tempfile.mkdtemp(prefix="run-", dir=self._scratch)
                directory = os.open(scratch, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            else:
                directory = _open(order.directory, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise NotRunnableError(("io", f"its directory: {error.strerror}")) from error
        try:
            yield directory, scratch
        finally:
            os.close(directory)


def reason_of(number: int) -> Problem:
    """Why a program could not be executed."""
    return ("not-runnable", _REASONS.get(number) or os.strerror(number))


@contextmanager
def _opened_program(path: str) -> Iterator[int]:
    try:
        program = _open([part for part in path.split("/") if part], os.O_PATH)
    except OSError as error:
        if error.errno == errno.ELOOP:
            real = posixpath.realpath(path)
            raise NotRunnableError(("not-runnable", f"a symbolic link is not followed: grant {real!r}")) from error
        raise NotRunnableError(reason_of(error.errno or 0)) from error
    try:
        _check_program(os.fstat(program).st_mode)
        yield program
    finally:
        os.close(program)


def _check_program(mode: int) -> None:
    if not stat.S_ISREG(mode):
        reason = "it is no file"
    elif mode & (stat.S_ISUID | stat.S_ISGID):
        reason = "it would run with the rights of its owner (setuid, setgid)"
    elif not mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
        reason = "it is not executable"
    else:
        return
    raise NotRunnableError(("not-runnable", reason))


def _open(parts: list[str] | tuple[str, ...], flags: int) -> int:
    top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return open_below(top, parts, flags)
    finally:
        os.close(top)
