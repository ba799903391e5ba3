"""The child process in which strangers' files are examined, from outside: its limits, and what it says.

It is watched, and killed when it has had its time or has more in RAM than it may. If it fails in any other way, that is
a bug of ours and raised as one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from theater.errors import InternalError

WATCH_EVERY_S = 0.05
"""How often a child's memory is looked at; it can write about 200 MB in that time."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

Hear = Callable[[bytes, bytes], None]
"""Takes a line of the child's: what it is, and the rest of it."""

_BOOT = """
import json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
from theater.runtime.examination_child import main
main()
"""


@dataclass(frozen=True, slots=True)
class ChildOptions:
    """What the whole examination of one file may use; and ``cache``, a private folder for compiled code.

    Without a ``cache`` the user's own is used, if there can be one.
    """

    cpu_s: int = 1800
    memory_bytes: int = 6 * 2**30
    """What it has in RAM. Reservations of addresses, of which an engine makes terabytes, do not count, which is why no
    resource limit of the kernel's serves and the child is watched."""
    wall_s: float = 3600.0
    cache: Path | None = None


def run_child(request: bytes, scratch: Path, limits: ChildOptions, hear: Hear) -> str | None:
    """Have it do what ``request`` says, in ``scratch``; returns why that was given up, None where it was not.

    Raises:
        InternalError: it failed, and not at a limit.
    """
    path = json.dumps([str(Path(entry).resolve()) for entry in sys.path if entry])
    with (scratch / "messages").open("wb") as messages:
        child = subprocess.Popen(
            [sys.executable, "-I", "-c", _BOOT, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            cwd=scratch,
            env={"TMPDIR": str(scratch)},
            close_fds=True,
            start_new_session=True,
        )
    watch = _Watch(child, limits)
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(request)
            child.stdin.close()
        for line in child.stdout:
            tag, _, rest = line.partition(b" ")
            hear(tag, rest)
        status = child.wait()
    finally:
        watch.close()
        _kill(child)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
    if status == 0:
        return None
    said = (scratch / "messages").read_bytes()[-2000:].decode("utf-8", "replace").strip()
    return watch.why or _why_lost(status, said, limits)


def _why_lost(status: int, said: str, limits: ChildOptions) -> str:
    if status == -signal.SIGXCPU:
        return f"it needs more than {limits.cpu_s} s of CPU time"
    if "MemoryError" in said or "Cannot allocate memory" in said or "memory allocation of" in said:
        return "it needs more memory than there is"
    raise InternalError(f"the process that examined the file failed (status {status}): {said}")


class _Watch:
    """Kills the child when it has had its time, or has more in RAM than it may."""

    def __init__(self, child: subprocess.Popen[bytes], limits: ChildOptions) -> None:
        self._child = child
        self._limits = limits
        self._is_over = threading.Event()
        self.why: str | None = None
        self._thread = threading.Thread(target=self._run, name="theater-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        rounds = int(self._limits.wall_s / WATCH_EVERY_S)
        for _ in range(rounds):
            if self._is_over.wait(WATCH_EVERY_S):
                return
            if _resident_bytes(self._child.pid) > self._limits.memory_bytes:
                self.why = f"it needs more than {self._limits.memory_bytes} bytes of memory"
                _kill(self._child)
                return
        self.why = f"it takes longer than {self._limits.wall_s:g} s"
        _kill(self._child)


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _kill(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
