"""Killed again and again at whatever it is doing, a node keeps every promise that it made."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.crash.driver import Client
from tests.runtime.stage import Workshop
from tests.runtime.troupe import text_of

KILLS = 15
SEED = int(os.environ.get("THEATER_CRASH_SEED", "1"))
PATIENCE_S = 60.0


@pytest.mark.slow
def test_killed_blindly_under_load_a_node_loses_nothing_and_does_nothing_twice(
    workshop: Workshop, tmp_path: Path
) -> None:
    component = workshop.file(text_of(handlers=("supervisor",)))
    client = Client(tmp_path, component=component, cache=workshop.cache, seed=SEED)
    began = time.monotonic()

    verdict = client.run(KILLS)

    print(f"seed {SEED}: {verdict}\n{client.ledger.heard}")  # noqa: T201 - pytest shows it where the test fails
    assert verdict.is_good, (SEED, verdict)
    assert client.kills == KILLS
    assert verdict.acknowledged > KILLS
    assert client.keys.repeated > KILLS
    assert client.removed
    assert time.monotonic() - began < PATIENCE_S
