"""The compiler's process: what it gets, and how it ends."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from theater.build.toolchain import run_python
from theater.errors import BuildFailed

pytestmark = pytest.mark.slow


def script(folder: Path, text: str) -> Path:
    path = folder / "script.py"
    path.write_text(text)
    return path


def test_it_gets_its_arguments_and_an_empty_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    text = "import os, sys; print(sys.argv[1:], sorted(os.environ), os.getcwd(), sys.stdin.read())"

    ran = run_python(script(tmp_path, text), ["-q"], folder=tmp_path)

    assert ran.status == 0
    assert ran.output == f"['-q'] ['HOME', 'LANG', 'PATH', 'TMPDIR'] {tmp_path} \n"


def test_a_status_and_the_end_of_a_long_output_come_back(tmp_path: Path) -> None:
    ran = run_python(script(tmp_path, "print('x' * 10**6); raise SystemExit('last words')"), [], folder=tmp_path)

    assert ran.status == 1
    assert "last words" in ran.output
    assert len(ran.output) == 64 << 10


def test_it_is_ended_with_all_that_it_started_when_its_time_is_up(tmp_path: Path) -> None:
    text = f"""
import subprocess, sys, time
child = subprocess.Popen([{sys.executable!r}, "-c", "import time; time.sleep(60)"])
open("child", "w").write(str(child.pid))
time.sleep(60)
"""
    with pytest.raises(BuildFailed, match="longer than 5 s"):
        run_python(script(tmp_path, text), [], folder=tmp_path, wall_s=5)

    status = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    assert not status.exists() or status.read_text().split()[2] in {"Z", "X"}


def test_memory_and_files_have_limits(tmp_path: Path) -> None:
    memory = run_python(script(tmp_path, "bytearray(3 << 30)"), [], folder=tmp_path)
    assert memory.output.endswith("MemoryError\n")

    text = "import os\nos.truncate(os.open('big', os.O_CREAT | os.O_WRONLY), 257 << 20)"
    file = run_python(script(tmp_path, text), [], folder=tmp_path)
    assert "File too large" in file.output


def test_lower_limits_that_we_are_under_are_kept(tmp_path: Path) -> None:
    text = "import resource; print(resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_FSIZE))"
    build = f"""
import sys
from pathlib import Path
from theater.build.toolchain import run_python
print(run_python(Path({str(script(tmp_path, text))!r}), [], folder=Path({str(tmp_path)!r})).output)
"""
    line = f"ulimit -t 40; ulimit -f 2000; exec {shlex.join([sys.executable, '-c', build])}"

    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == f"(40, 40) ({2000 * 1024}, {2000 * 1024})"
