"""Running somebody else's compiler: in a child process that has little, for a time that ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from theater.errors import BuildFailed

WALL_S = 180.0  # twenty times what a build takes on a small machine
CPU_S = 150
DATA_BYTES = 2 << 30
"""Memory that can be written. (Address space would not do: the compiler reserves gigabytes and uses none of it.)"""
FILE_BYTES = 256 << 20
OUTPUT_MAX_BYTES = 64 << 10

# Set in the child by itself, so that nothing of ours runs between fork and exec.
_LIMITED = f"""
import resource, runpy, sys
for name, value in (("CPU", {CPU_S}), ("DATA", {DATA_BYTES}), ("FSIZE", {FILE_BYTES}), ("CORE", 0)):
    limit = getattr(resource, "RLIMIT_" + name)
    hard = resource.getrlimit(limit)[1]
    resource.setrlimit(limit, (value, value) if hard < 0 or hard > value else (hard, hard))
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a child ended."""

    status: int
    output: str
    """The end of what it wrote, stdout and stderr together."""


def run_python(script: Path, arguments: Sequence[str], *, folder: Path, wall_s: float = WALL_S) -> Ran:
    """Run a Python script in a child process with ``folder`` as its working folder, home and place for temporary files.

    It gets nothing of our environment and no descriptor of ours, and limits on time, memory and the size of files.
    Whatever it started ends with it.

    Raises:
        BuildFailed: it took longer than ``wall_s``, or ran into another limit.
    """
    empty = folder / "empty"  # a PATH with nothing on it: the toolchain would ask other Pythons for their packages
    temporary = folder / "temporary"
    for each in (empty, temporary):
        each.mkdir(exist_ok=True)
    environment = {"PATH": str(empty), "HOME": str(temporary), "TMPDIR": str(temporary), "LANG": "C.UTF-8"}
    log = folder / "output.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _LIMITED, str(script), *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout=wall_s)
        except subprocess.TimeoutExpired as error:
            raise BuildFailed(f"the build took longer than {wall_s:g} s and was ended") from error
        finally:
            _end(process)
    if status < 0:
        raise BuildFailed(f"the compiler was ended by {signal.Signals(-status).name}: {_reason(-status)}")
    return Ran(status=status, output=_tail(log))


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):  # it and all that it started have gone
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reason(number: int) -> str:
    if number in {signal.SIGXCPU, signal.SIGKILL}:
        return f"it needed more than {CPU_S} s of processor time, or the machine had no memory for it"
    return f"it may have needed more than {DATA_BYTES >> 30} GiB of memory"


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - OUTPUT_MAX_BYTES))
        return file.read().decode("utf-8", "replace")
