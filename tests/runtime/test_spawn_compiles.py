"""A child whose component is not compiled yet: nobody else waits for that, and what was refused is remembered."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

import pytest
import wasmtime

from tests.guests import puppet
from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import CAPABILITIES, Troupe, text_of
from theater.engine.engine import WasmtimeEngine
from theater.engine.program import WasmtimeProgram
from theater.engine.workers import BLOCKED_MAX
from theater.errors import InvalidComponent
from theater.model.ids import Digest
from theater.testing.harness import Actor, Pending

PATIENCE_S = 20.0


class SlowEngine:
    """What the engine of a stage has to compile for these digests takes until it may end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slow: set[Digest] = set()
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.loads: list[Digest] = []
        self.refuses = False
        real = WasmtimeEngine.load

        def load(
            engine: WasmtimeEngine, component: PurePath, digest: Digest, *, is_suspending: Callable[[str, str], bool]
        ) -> WasmtimeProgram:
            self.loads.append(digest)
            if digest in self.slow:
                self.begun.release()
                assert self.may_end.wait(PATIENCE_S)
            if digest in self.slow and self.refuses:
                raise InvalidComponent("nothing that can be compiled")
            return real(engine, component, digest, is_suspending=is_suspending)

        monkeypatch.setattr(WasmtimeEngine, "load", load)

    def wait_begun(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=PATIENCE_S), "nothing is compiled"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowEngine]:
    made = SlowEngine(monkeypatch)
    yield made
    made.may_end.set()


@pytest.fixture
def troupe(slow: SlowEngine, workshop: Workshop, tmp_path: Path) -> Iterator[Troupe]:
    with Stage(workshop, tmp_path, workers=2) as stage:
        yield Troupe(stage)
        slow.may_end.set()


def spawning(troupe: Troupe, slow: SlowEngine, number: int) -> str:
    """A call that spawns a child of a component of its own, which takes long to compile."""
    binary = bytes(wasmtime.wat2wasm(text_of().replace("(component", f'(component (@custom "n" "{number}")', 1)))
    digest = hashlib.sha256(binary).hexdigest()
    troupe.stage.runtime.blobs.put(binary)
    slow.slow.add(Digest(digest))
    manifest = puppet.puppet_manifest(digest, f"kid-{number}", capabilities=CAPABILITIES)
    return puppet.spawn(puppet.child(manifest, name=f"kid-{number}"))


def begin_all(troupe: Troupe, slow: SlowEngine, count: int) -> list[tuple[Actor, Pending[object]]]:
    spawners = [troupe.player(f"spawner-{number}") for number in range(count)]
    begun: list[tuple[Actor, Pending[object]]] = []
    for number, spawner in enumerate(spawners):
        program = spawning(troupe, slow, number) + puppet.reply(puppet.FULL_ANSWER)
        begun.append((spawner, troupe.begin(spawner, program)))  # type: ignore[arg-type]  # of whatever it answers
    slow.wait_begun(count)
    return begun


def answer_of(pending: Pending[object]) -> str:
    return str(getattr(pending.result(), "text", ""))


@pytest.mark.parametrize("spawners", [1, 2, BLOCKED_MAX])
@pytest.mark.slow
def test_others_run_while_the_components_of_children_are_compiled(
    troupe: Troupe, slow: SlowEngine, spawners: int
) -> None:
    other = troupe.player("other")
    begun = begin_all(troupe, slow, spawners)

    for _ in range(3):
        other.request(puppet.count())
    assert not any(pending.is_done for _, pending in begun)

    slow.may_end.set()
    for _, pending in begun:
        assert "err:" not in answer_of(pending)
    troupe.rest()
    assert all(troupe.find(f"kid-{number}").status == "running" for number in range(spawners))


@pytest.mark.slow
def test_one_more_than_may_be_compiled_at_the_same_time_is_refused(troupe: Troupe, slow: SlowEngine) -> None:
    late = troupe.player("late")
    begun = begin_all(troupe, slow, BLOCKED_MAX)

    answer = troupe.ask(late, spawning(troupe, slow, 99))
    assert answer.startswith("err:other:busy: "), answer

    slow.may_end.set()
    for _, pending in begun:
        pending.result()
    assert not troupe.ask(late, spawning(troupe, slow, 99)).startswith("err:")
    troupe.rest()
    troupe.verify()


def test_what_cannot_be_compiled_is_tried_once(troupe: Troupe, slow: SlowEngine) -> None:
    slow.refuses = True
    slow.may_end.set()
    spawner = troupe.player("spawner")
    slow.loads.clear()

    answers = [troupe.ask(spawner, spawning(troupe, slow, 1)) for _ in range(3)]

    assert len(slow.loads) == 1
    assert set(answers) == {"err:component-refused:nothing that can be compiled"}
