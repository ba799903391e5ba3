import subprocess
import sys

import pytest

from theater.engine import pool
from theater.engine.pool import SIZES, choose_size
from theater.engine.settings import STACK_SIZE


def test_the_largest_pool_that_fits_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_can_reserve", lambda size: size < 5_000 * (pool._MEMORY_SLOT + STACK_SIZE))
    monkeypatch.setattr(pool, "_MAPS_PER_GUEST", 0)
    assert choose_size() == SIZES[1] == 4_096
    monkeypatch.setattr(pool, "_can_reserve", lambda _size: False)
    assert choose_size() == 0


def test_a_pool_leaves_mappings_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_can_reserve", lambda _size: True)
    monkeypatch.setattr(pool, "_MAPS_SPARE", 60_000)
    assert choose_size() < SIZES[0]


@pytest.mark.slow
def test_a_limited_address_space_gets_an_engine_without_a_pool() -> None:
    script = """
import tempfile
from pathlib import Path
from theater.engine import WasmtimeEngine
from theater.engine.pool import choose_size
print(choose_size())
WasmtimeEngine(Path(tempfile.mkdtemp())).close()
"""
    limit = 20 << 30
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))\n{script}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "0\n"), result.stderr[-1000:]
