"""Compiles components and assembles WAT in a child process, under limits.

The child is handed nothing of ours: an empty environment, a new session, no descriptors but an empty input and a file
for its messages, a fresh folder that is removed afterwards. It is our user's process all the same, and files are not
hidden from it. One at a time, so that the memory limit is one for all.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from theater.engine import compile_child, rlimits
from theater.errors import CompileFailed, InternalError

MEMORY_MAX_BYTES = 2 << 30
CPU_MAX_S = 60
WALL_MAX_S = 90.0

_BOOT = """
import json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
from theater.engine.compile_child import main
main(sys.argv[1:])
"""

Task = Literal["compile", "assemble"]


class Compiler:
    """Runs child processes in folders under ``scratch``."""

    def __init__(
        self,
        scratch: Path,
        *,
        memory_max_bytes: int = MEMORY_MAX_BYTES,
        cpu_max_s: int = CPU_MAX_S,
        wall_max_s: float = WALL_MAX_S,
    ) -> None:
        self._scratch = scratch
        self._memory_max_bytes = rlimits.allowed(resource.RLIMIT_AS, memory_max_bytes)
        self._cpu_max_s = rlimits.allowed(resource.RLIMIT_CPU, cpu_max_s)
        self._wall_max_s = wall_max_s
        self._lock = threading.Lock()

    def compile(self, binary: bytes) -> bytes:
        """Machine code for a component, to be kept in the cache. Raises ``CompileFailed``."""
        return self._run("compile", binary)

    def assemble(self, text: bytes) -> bytes:
        """The binary of a component in WAT. Raises ``CompileFailed`` with line and column of what is wrong."""
        return self._run("assemble", text)

    def _run(self, task: Task, data: bytes) -> bytes:
        with self._lock, _folder(self._scratch) as folder:
            (folder / "input").write_bytes(data)
            status = self._child(task, folder)
            if status == 0:
                return (folder / "output").read_bytes()
            raise self._explain(task, status, folder)

    def _child(self, task: Task, folder: Path) -> int | None:
        """Its exit status, None where its wall time was up."""
        arguments = [str(self._memory_max_bytes), str(self._cpu_max_s), str(os.getpid())]
        path = json.dumps([str(Path(p).resolve()) for p in sys.path if p])
        with (folder / "messages").open("wb") as messages:
            child = subprocess.Popen(
                [sys.executable, "-I", "-c", _BOOT, path, task, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=messages,
                stderr=messages,
                cwd=folder,
                env={},
                close_fds=True,
                start_new_session=True,
            )
        try:
            return child.wait(self._wall_max_s)
        except subprocess.TimeoutExpired:
            return None
        finally:  # also when we are interrupted: it must not go on alone
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()

    def _explain(self, task: Task, status: int | None, folder: Path) -> Exception:
        what = "compiling the component" if task == "compile" else "reading the WebAssembly text"
        messages = _tail(folder / "messages")
        if status == compile_child.REFUSED:
            text = (folder / "error").read_text("utf-8", "replace").strip()
            return CompileFailed(text.replace("\n\nCaused by:\n    ", ": ") if task == "compile" else text)
        if status is None:
            return CompileFailed(f"{what} took longer than {self._wall_max_s:g} s")
        if status == -signal.SIGXCPU:
            return CompileFailed(f"{what} took more than {self._cpu_max_s} s of CPU time")
        if status == -signal.SIGKILL:
            return CompileFailed(f"{what} was killed: by the system for want of memory, or by somebody")
        if "memory allocation of" in messages or "MemoryError" in messages or "Cannot allocate memory" in messages:
            return CompileFailed(f"{what} took more than {self._memory_max_bytes >> 20} MiB of memory")
        if status == -signal.SIGXFSZ:
            return CompileFailed(f"the compiled code is larger than {compile_child.OUTPUT_MAX_BYTES >> 20} MiB")
        if status < 0:
            return CompileFailed(f"{what} ended with {signal.Signals(-status).name}: {messages}")
        return InternalError(f"the compiler process failed with status {status}: {messages}")


@contextlib.contextmanager
def _folder(scratch: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tmp-", dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tail(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_bytes()[-2000:].decode("utf-8", "replace").strip()
    return ""
