"""Examining evidence: a chain in our own store, or a file that a stranger gave us.

A stranger's file is hostile. It is read, and its components are compiled and run, in a child process with limits on CPU
time, memory and wall time, which has no data directory and answers with a report. If it goes beyond a limit, the parent
makes the report; if it fails in any other way, that is a bug of ours and raised as one.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec

from theater.engine import rlimits
from theater.errors import InternalError, NotFound
from theater.model.ids import ActorId
from theater.runtime.claims import Caps
from theater.runtime.node import Node
from theater.runtime.replay import StepDone
from theater.runtime.report import Fault, Report, decode_report
from theater.runtime.verification import Laboratory, verify

WATCH_EVERY_S = 0.05
"""How often a child's memory is looked at; it can write about 200 MB in that time."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

OnStep = Callable[[StepDone], None]

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


def examine_actor(
    node: Node,
    actor: ActorId,
    *,
    head: str | None = None,
    execute: bool = True,
    caps: Caps | None = None,
    until: int | None = None,
    on_step: OnStep | None = None,
) -> Report:
    """Examine a chain of our own store, in this process. Blocks."""
    laboratory = Laboratory(node.engine, node.registry, node.blobs, caps or Caps()) if execute else None
    return verify(lambda: node.store.events(actor), head=head, laboratory=laboratory, until=until, on_step=on_step)


def examine_file(
    path: Path,
    *,
    head: str | None = None,
    execute: bool = True,
    components: Sequence[Path] = (),
    caps: Caps | None = None,
    until: int | None = None,
    on_step: OnStep | None = None,
    child: ChildOptions | None = None,
) -> Report:
    """Examine a bundle or an exported chain, in a child process. Blocks.

    ``components`` are files that may hold components which the chain names and the file lacks.

    Raises:
        NotFound: there is no such file.
        InternalError: the child ended without a report, and not at a limit.
    """
    for file in (path, *components):
        if not file.is_file():
            raise NotFound(f"there is no file {file}")
    child = child or ChildOptions()
    child = replace(child, cpu_s=rlimits.allowed(resource.RLIMIT_CPU, child.cpu_s))
    with tempfile.TemporaryDirectory(prefix="theater-examine-") as scratch:
        request = {
            "path": _name(path.resolve()),
            "head": head,
            "execute": execute,
            "components": [_name(file.resolve()) for file in components],
            "caps": asdict(caps or Caps()),
            "until": until,
            "steps": on_step is not None,
            "scratch": _name(Path(scratch)),
            "cache": _name(child.cache or _cache_folder(os.environ, Path(scratch))),
            "cpu_s": child.cpu_s,
        }
        return _run_child(json.dumps(request).encode(), Path(scratch), child, on_step)


def _name(path: Path) -> str:
    """The name of a file, whether it is a text or not."""
    return base64.b64encode(os.fsencode(path)).decode()


def _run_child(request: bytes, scratch: Path, limits: ChildOptions, on_step: OnStep | None) -> Report:
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
    report: Report | None = None
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(request)
            child.stdin.close()
        for line in child.stdout:
            report = _heard(line, on_step) or report
        status = child.wait()
    finally:
        watch.close()
        _kill(child)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
    if report is not None and status == 0:
        return report
    said = (scratch / "messages").read_bytes()[-2000:].decode("utf-8", "replace").strip()
    return _lost(watch.why or _why_lost(status, said, limits))


def _heard(line: bytes, on_step: OnStep | None) -> Report | None:
    tag, _, rest = line.partition(b" ")
    if tag == b"step" and on_step is not None:
        on_step(StepDone(**msgspec.json.decode(rest)))
    return decode_report(rest) if tag == b"report" else None


def _lost(why: str) -> Report:
    """A report on a child that did not make one."""
    return Report(ok=False, events=0, fault=Fault(seq=None, why=f"checking it was given up: {why}"))


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


def _cache_folder(environ: Mapping[str, str], scratch: Path) -> Path:
    """Where compiled code is kept between two examinations: the user's cache, or nowhere that lasts."""
    base = environ.get("XDG_CACHE_HOME") or (f"{environ['HOME']}/.cache" if environ.get("HOME") else "")
    if not base:
        return scratch / "compiled"
    folder = Path(base) / "theater"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return scratch / "compiled"
    return folder / "compiled" if os.access(folder, os.W_OK) else scratch / "compiled"
