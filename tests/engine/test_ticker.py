import threading

import pytest
import wasmtime

from tests.engine.guests import MISBEHAVIOURS
from tests.engine.rig import Rig
from theater.engine import native, workers
from theater.engine.settings import make_config
from theater.engine.ticker import Ticker


def test_a_ticker_starts_rests_and_closes_more_than_once() -> None:
    engine = wasmtime.Engine(make_config())
    ticker = Ticker(native.address(engine.ptr()))
    states = [ticker.is_running]
    for change in (
        *(ticker.start, ticker.start, ticker.rest, ticker.rest) * 2,
        ticker.start,
        ticker.close,
        ticker.close,
    ):
        change()
        states.append(ticker.is_running)
    ticker.start()
    assert states == [False, *[True, True, False, False] * 2, True, False, False]
    assert not ticker.is_running


@pytest.mark.slow
def test_the_ticker_rests_when_nothing_runs_and_starts_again(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "IDLE_S", 0.02)
    rig = Rig(tmp_path_factory.mktemp("resting"))
    try:
        ticker = rig.engine._workers._ticker
        rested = threading.Event()
        rest = ticker.rest

        def rest_and_tell() -> None:
            rest()
            rested.set()

        monkeypatch.setattr(ticker, "rest", rest_and_tell)
        program = rig.load(MISBEHAVIOURS)
        for _ in range(3):
            assert rig.run(program, "fine").result == 42
            rested.clear()
            assert rested.wait(10)
            assert not ticker.is_running
            loop = rig.begin(program, "loop")  # would hold its worker for ever if nothing ticked
            assert rig.run(program, "fine").result == 42
            loop.execution.kill("terminated", "enough")
            assert loop.closed().crash is not None
    finally:
        rig.close()
