"""The child process. Every test here starts one, so all are slow."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import wasmtime
from wasmtime import component as wc

from tests.engine.bombs import many_functions, one_function_of_calls
from tests.engine.guests import ACTOR
from tests.engine.rig import RecordingHost, Rig, nothing_waits
from theater.engine import compile_child
from theater.engine.compiler import Compiler
from theater.engine.settings import make_config
from theater.errors import CompileFailed, InternalError, InvalidComponent

pytestmark = pytest.mark.slow


def test_code_from_the_child_loads_here(tmp_path: Path) -> None:
    code = Compiler(tmp_path).compile(bytes(wasmtime.wat2wasm(ACTOR)))
    wc.Component.deserialize(wasmtime.Engine(make_config()), code)
    assert not list(tmp_path.iterdir())


def test_the_engine_compiles_what_its_cache_does_not_have(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    try:
        path, digest = rig.file(ACTOR)
        for entry in (tmp_path / "cache").iterdir():
            (entry / "code").write_bytes((entry / "code").read_bytes()[:-1])  # cut: compiled again
        program = rig.engine.load(path, digest, is_suspending=nothing_waits)
        assert rig.run(program, "count", host=RecordingHost()).result == 1
    finally:
        rig.close()


def test_wat_becomes_a_component(rig: Rig) -> None:
    assert rig.engine.assemble(ACTOR) == bytes(wasmtime.wat2wasm(ACTOR))


def test_wrong_wat_is_refused_with_line_and_column(rig: Rig) -> None:
    with pytest.raises(CompileFailed) as caught:
        rig.engine.assemble("(component\n  (core modul))")
    assert "<anon>:2:4" in caught.value.message


def test_wat_of_a_core_module_is_refused(rig: Rig) -> None:
    with pytest.raises(InvalidComponent, match="is a core module"):
        rig.engine.assemble("(module)")


def test_wat_that_nests_for_ever_ends_in_the_child(rig: Rig) -> None:
    with pytest.raises(CompileFailed):
        rig.engine.assemble("(component (core module (func " + "(block " * 2_000_000)


def test_a_component_that_takes_too_much_memory_is_refused(tmp_path: Path) -> None:
    compiler = Compiler(tmp_path, memory_max_bytes=600 << 20)
    with pytest.raises(CompileFailed, match="took more than 600 MiB of memory"):
        compiler.compile(one_function_of_calls(4_000_000))
    assert not list(tmp_path.iterdir())


def test_a_component_that_takes_too_much_cpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileFailed, match="took more than 1 s of CPU time"):
        Compiler(tmp_path, cpu_max_s=1).compile(many_functions(6_000_000))


def test_a_component_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileFailed, match=r"took longer than 0\.3 s"):
        Compiler(tmp_path, wall_max_s=0.3).compile(many_functions(6_000_000))
    assert not list(tmp_path.iterdir())


def test_the_child_inherits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "in the parent")
    secret = (tmp_path / "secret").open("w")
    os.set_inheritable(secret.fileno(), True)
    spy = tmp_path / "spy.py"
    spy.write_text(
        "import json, os, sys\n"
        "facts = {'environment': dict(os.environ), 'cwd': os.getcwd(), 'session': os.getsid(0) == os.getpid(),\n"
        "         'descriptors': sorted(os.readlink(f'/proc/self/fd/{d}') for d in os.listdir('/proc/self/fd')\n"
        "                               if os.path.exists(f'/proc/self/fd/{d}'))}\n"
        "open('output', 'w').write(json.dumps(facts))\n"
    )
    monkeypatch.setattr("theater.engine.compiler._BOOT", f"exec(open({str(spy)!r}).read())")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    facts = json.loads(Compiler(scratch).compile(b""))
    secret.close()
    assert set(facts["environment"]) <= {"LC_CTYPE"}  # CPython sets that one itself
    assert Path(facts["cwd"]).parent == scratch
    assert facts["session"]
    assert all(d == "/dev/null" or d.startswith(("/proc", facts["cwd"])) for d in facts["descriptors"]), facts


def test_a_child_that_fails_for_our_reasons_is_our_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("theater.engine.compiler._BOOT", "raise ValueError('odd')")
    with pytest.raises(InternalError, match="ValueError: odd"):
        Compiler(tmp_path).compile(b"")


def test_an_interrupted_parent_takes_the_child_along(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom theater.engine.compiler import Compiler\n"
        "from tests.engine.bombs import many_functions\nprint('ready', flush=True)\n"
        "Compiler(Path(sys.argv[1])).compile(many_functions(20_000_000))\n"
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, script, scratch],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{root}"},
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 10
        while not (children := _children(parent.pid)) and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        assert children
        parent.send_signal(signal.SIGINT)
        assert parent.wait(10) != 0
    deadline = time.monotonic() + 10  # the kernel ends it if its parent was interrupted before it could
    while any(_is_alive(child) for child in children) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert not [child for child in children if _is_alive(child)]
    assert not list(scratch.iterdir())


def test_the_limits_of_the_child_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: seen.update({which: limits}))
    compile_child._limit(2 << 30, 60)
    assert seen == {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_AS: (2 << 30, 2 << 30),
        resource.RLIMIT_CPU: (60, 61),
        resource.RLIMIT_FSIZE: (1 << 30, 1 << 30),
    }


def _is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
