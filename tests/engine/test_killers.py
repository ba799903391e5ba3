"""What would take the process down, each tried in a process of its own."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PREAMBLE = """
import faulthandler, functools, gc, os, signal, sys, tempfile, threading, time
from pathlib import Path
from tests.engine.guests import *
from tests.engine.rig import *
from theater.model.execution import SUSPEND
def rig():
    return Rig(Path(tempfile.mkdtemp(dir={folder!r})))
"""


def run(folder: Path, script: str, *, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a script; it must not die of a signal."""
    result = subprocess.run(
        [sys.executable, "-c", PREAMBLE.format(folder=str(folder)) + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=ROOT,
        check=False,
    )
    assert result.returncode >= 0, f"died of signal {-result.returncode}: {result.stderr[-2000:]}"
    return result


def survives(folder: Path, script: str) -> None:
    """Run a script that must come to its end."""
    result = run(folder, textwrap.dedent(script) + '\nprint("alive")\n')
    assert (result.returncode, result.stdout) == (0, "alive\n"), result.stderr[-2000:]


@pytest.mark.slow
def test_threads_with_small_stacks_do_not_matter_to_a_deep_guest(tmp_path: Path) -> None:
    survives(
        tmp_path,
        """
        threading.stack_size(256 << 10)
        r = rig()
        assert r.run(r.load(MISBEHAVIOURS), "deep").crash.reason == "stack"
        assert r.run(r.load(MISBEHAVIOURS), "fine").result == 42
        r.close()
        """,
    )


@pytest.mark.slow
def test_a_host_function_that_recurses_through_c_fits_on_a_deep_guests_stack(tmp_path: Path) -> None:
    survives(
        tmp_path,
        """
        def deep(n):  # each level a C frame: the interpreter called from map() called from the interpreter
            return list(map(deep, [n - 1])) if n else []
        class Host(RecordingHost):
            def call(self, interface, function, args):
                deep(100_000)  # until RecursionError
        r = rig()
        program = r.load(IMPORTING)
        outcomes = [r.run(program, "dig-and-log", depth, host=Host()).crash for depth in (0, 40_000, 60_000, 10**6)]
        assert [c.reason for c in outcomes][0] == "internal" and "RecursionError" in outcomes[0].message
        assert all(c.reason in ("internal", "stack") for c in outcomes), outcomes
        r.close()
        """,
    )


@pytest.mark.slow
def test_an_interrupt_on_the_main_thread_hits_no_guest(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        """
        r = rig()
        called = threading.Event()
        running = r.begin(r.load(IMPORTING), "log-for-ever", host=RecordingHost(lambda *_: called.set()))
        assert called.wait(10)
        for _ in range(25):
            try:
                threading.Timer(0.002, os.kill, (os.getpid(), signal.SIGINT)).start()
                while True:
                    time.perf_counter()
            except KeyboardInterrupt:
                pass
        running.execution.kill("terminated", "interrupted")
        print(running.closed().crash.message)
        r.close()
        """,
    )
    assert result.stdout == "interrupted\n", result.stderr[-2000:]


@pytest.mark.slow
def test_faulthandler_may_be_enabled_after_the_engine(tmp_path: Path) -> None:
    survives(
        tmp_path,
        """
        assert not faulthandler.is_enabled()
        r = rig()
        faulthandler.enable()
        for _ in range(3):
            assert r.run(r.load(MISBEHAVIOURS), "bounds").crash.code == "out-of-bounds-memory-access"
        r.close()
        """,
    )


@pytest.mark.slow
def test_a_host_function_that_closes_its_own_instance_does_not(tmp_path: Path) -> None:
    survives(
        tmp_path,
        """
        r = rig()
        program = r.load(IMPORTING)
        instance = r.run(program, "dig-and-log", 0, keep=True).instance
        host = RecordingHost(lambda *_: instance.close())
        closed = r.run(program, "log", 1024, 5, host=host, instance=instance)
        assert closed.crash is None, closed
        r.close()
        """,
    )


@pytest.mark.slow
@pytest.mark.parametrize("guest", ["log-for-ever", "ask-then-loop", "ask"])
def test_a_process_may_exit_without_closing_its_engine(tmp_path: Path, guest: str) -> None:
    result = run(
        tmp_path,
        f"""
        r = rig()
        called = threading.Event()
        host = RecordingHost(lambda *_: called.set() or (SUSPEND if {guest!r} == "ask" else None))
        args = () if {guest!r} != "ask" else (1,)
        if {guest!r} == "ask-then-loop":
            host.answer = lambda *_: called.set() or "x"
        running = r.begin(r.load(IMPORTING, is_ask), {guest!r}, *args, host=host)
        assert called.wait(10)
        print("leaving")
        """,
        timeout_s=20,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "leaving\n", "")


@pytest.mark.slow
def test_an_engine_that_nobody_holds_ends_its_threads(tmp_path: Path) -> None:
    survives(
        tmp_path,
        """
        r = rig()
        assert r.run(r.load(MISBEHAVIOURS), "fine").result == 42
        threads = r.engine._workers._threads
        del r
        gc.collect()
        assert not any(t.is_alive() for t in threads)
        """,
    )


@pytest.mark.slow
def test_engines_come_and_go(tmp_path: Path) -> None:
    survives(
        tmp_path,
        """
        for _ in range(30):
            r = rig()
            program = r.load(MISBEHAVIOURS)
            kept = r.run(program, "fine", keep=True).instance
            loop = r.begin(program, "loop")
            r.close()
            assert loop.closed().crash.reason == "terminated"
            kept.close()
        """,
    )


@pytest.mark.slow
def test_damaged_code_is_never_mapped(tmp_path: Path) -> None:
    survives(
        tmp_path,
        """
        import random
        r = rig()
        path, digest = r.file(ACTOR)
        (entry,) = (r.folder / "cache").iterdir()
        good, random = (entry / "code").read_bytes(), random.Random(1)
        for _ in range(200):
            bad = bytearray(good)
            for _ in range(3):
                bad[random.randrange(len(bad))] ^= 1 << random.randrange(8)
            (entry / "code").write_bytes(bad)
            assert bad == good or r.engine._map(digest) is None
        (entry / "code").write_bytes(good)
        assert r.run(r.load(ACTOR), "count").result == 1
        r.close()
        """,
    )


@pytest.mark.slow
def test_instances_may_be_freed_while_another_guest_runs(tmp_path: Path) -> None:
    survives(
        tmp_path,
        """
        r = rig()
        program = r.load(IMPORTING)
        kept = [r.run(r.load(ACTOR), "count", keep=True).instance for _ in range(20)]
        def collect(*_):  # within a host function, on the guest's stack
            kept.clear()
            gc.collect()
        crash = r.run(program, "log", 1024, 5, host=RecordingHost(collect)).crash
        assert crash is None, crash
        r.close()
        """,
    )


def test_the_bindings_own_wasi_is_not_used() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "src/theater/engine").glob("*.py"))
    assert "add_wasi" not in sources
    assert "preexec_fn" not in sources
    assert "os.fork" not in sources
