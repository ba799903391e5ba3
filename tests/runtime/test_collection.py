"""What nobody needs is collected: components that are named nowhere, compiled code, and nothing that is needed."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guests import puppet
from tests.guests.wat import COUNTER
from tests.runtime.stage import Stage, Workshop
from tests.runtime.test_taken_in import bundle
from tests.runtime.troupe import Troupe, text_of
from theater.engine.cache import Cache
from theater.errors import Damaged, NotFound, StoreError
from theater.model.ids import Digest
from theater.model.wire import Collected
from theater.runtime.collection import GRACE_S, UNUSED_S
from theater.testing.harness import Harness

LONG_AGO = 2 * GRACE_S


@pytest.fixture
def stage(workshop: Workshop, tmp_path: Path) -> Iterator[Stage]:
    """One whose cache nobody else uses, so that something may be missing from it afterwards."""
    own = Workshop(tmp_path)
    own._files, own._engine = {}, workshop._engine
    with Stage(own, tmp_path) as made:
        yield made


@pytest.fixture
def company(stage: Stage) -> Troupe:
    return Troupe(stage)


def collect(stage: Harness) -> Collected:
    return stage.run(stage.runtime.collect())


def component(number: int) -> bytes:
    """One of many that can be told from each other."""
    return b"\0asm\x0d\0\1\0" + b"\0\x05\1x" + number.to_bytes(3, "big")


def put(stage: Stage, data: bytes) -> Digest:
    """Put a component into the content store, long ago."""
    digest = stage.runtime.blobs.put(data)
    age(stage, digest)
    return digest


def age(stage: Stage, digest: str, seconds: float = LONG_AGO) -> None:
    """It was put there that long ago, and loaded by none since."""
    then = time.time() - seconds
    os.utime(stage.runtime.blobs.path(Digest(digest)), (then, then))
    stage.runtime.node.loader._used_s.pop(Digest(digest), None)


def has(stage: Harness, digest: str) -> bool:
    return stage.runtime.blobs.has(Digest(digest))


def test_a_component_that_is_named_nowhere_is_removed(stage: Stage) -> None:
    lost, other = put(stage, component(1)), put(stage, component(2))

    assert collect(stage) == Collected(components=2, payloads=0, cached=0, bytes=2 * len(component(1)))

    assert not has(stage, lost)
    assert not has(stage, other)
    assert collect(stage) == Collected(components=0, payloads=0, cached=0, bytes=0)


def test_one_that_was_put_within_the_hour_stays(stage: Stage) -> None:
    young = stage.runtime.blobs.put(component(1))
    age(stage, young, GRACE_S - 60)

    assert collect(stage).components == 0
    assert has(stage, young)


def test_one_that_is_put_again_stays_for_another_hour(stage: Stage) -> None:
    again = put(stage, component(1))
    stage.runtime.blobs.put(component(1))

    assert collect(stage).components == 0
    assert has(stage, again)


@pytest.mark.slow
def test_those_of_actors_stay_also_of_ended_and_upgraded_ones(company: Troupe) -> None:
    stage, actor = company.stage, company.player("anna")
    actor.upgrade(stage.workshop.file(text_of(version="2")))
    actor.stop()
    digests = [kept.digest for kept in stage.runtime.blobs.kept()]
    assert len(digests) == 2
    for digest in digests:
        age(stage, digest)

    assert collect(stage).components == 0
    actor.restart()
    assert actor.verify().ok


@pytest.mark.slow
def test_those_of_actors_that_were_removed_go(company: Troupe) -> None:
    stage, actor = company.stage, company.player("anna")
    program = actor.ref.record.program
    actor.stop()
    stage.run(stage.runtime.remove("anna"))
    age(stage, program)

    assert collect(stage).components == 1
    assert not has(stage, program)
    assert company.player("anna").request(puppet.reply("again")) == "again"  # when it is put again, it is loaded again


@pytest.mark.parametrize("place", ["state", "params", "log", "longer"])
def test_one_that_is_named_anywhere_in_a_chain_stays(company: Troupe, place: str) -> None:
    stage = company.stage
    named, lost = put(stage, component(1)), put(stage, component(2))
    match place:
        case "state":
            company.player("anna").request(puppet.keep(f'"{named}"'))
        case "params":
            company.player("anna", params=json.dumps({"child": named}))
        case "log":
            company.player("anna").request(puppet.write_log(f"with {named}."))
        case _:  # behind other digits, as in a name that nobody thought of
            company.player("anna").request(puppet.write_log(f"{'ab' * 40}{named}{'cd' * 40}"))

    assert collect(stage).components == 1

    assert has(stage, named)
    assert not has(stage, lost)


def test_one_that_a_waiting_message_names_stays(company: Troupe) -> None:
    named = put(company.stage, component(1))
    anna = company.player("anna")
    anna.pause()
    anna.send(puppet.log(named))

    assert collect(company.stage).components == 0
    assert has(company.stage, named)


def test_one_that_a_timer_names_stays(company: Troupe) -> None:
    named = put(company.stage, component(1))
    company.player("anna").request(puppet.schedule(100_000, puppet.log(named)))

    assert collect(company.stage).components == 0


def test_where_a_chain_cannot_be_read_nothing_is_removed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.play(COUNTER)
    lost = put(stage, component(1))

    def fail(*_: object, **__: object) -> None:
        raise Damaged("its bytes are not what was written")

    monkeypatch.setattr(stage.runtime.store, "events", fail)
    with pytest.raises(Damaged):
        collect(stage)

    assert has(stage, lost)


def test_a_node_that_is_opened_only_for_that_finds_the_same(stage: Stage) -> None:
    lost = put(stage, component(1))
    stage.play(COUNTER).stop()
    stage.reopen()

    assert collect(stage).components == 1
    assert not has(stage, lost)


# -- at the same time ------------------------------------------------------------------------------------------------


class Scan:
    """Holds a collection back when it has read the chains, until a test has done something."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.arrived, self.go_on = threading.Event(), threading.Event()
        records = stage.runtime.store.records

        def held() -> object:
            self.arrived.set()
            assert self.go_on.wait(30)
            return []

        self._store, self._records, self._patch = stage.runtime.store, records, monkeypatch
        monkeypatch.setattr(stage.runtime.store, "records", held)

    def release(self) -> None:
        self._patch.setattr(self._store, "records", self._records)
        self.go_on.set()


@pytest.mark.parametrize("how", ["spawn", "load", "put", "upgrade", "take in"])
@pytest.mark.slow
def test_one_that_is_used_while_the_chains_are_read_stays(
    company: Troupe, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage = company.stage
    anna = company.player("anna", version="2")
    manifest, digest = company.manifest("ben"), Digest(company.digest())
    path = bundle(stage, company.root(manifest, "ben").id, tmp_path / "ben.theater")
    company.find("ben").stop()
    stage.run(stage.runtime.remove("ben"))
    stage.rest()
    age(stage, digest)
    scan = Scan(stage, monkeypatch)
    collecting = anna._start(_collecting(stage))
    assert scan.arrived.wait(30)

    match how:
        case "spawn":
            company.root(manifest, "ben")
        case "load":
            stage.runtime.node.loader.load(digest)
        case "put":
            stage.runtime.blobs.put(stage.workshop.file(text_of()).read_bytes())
        case "upgrade":
            anna.upgrade(f"sha256:{digest}")
        case _:
            with pytest.raises(StoreError, match="removed"):  # but its component was put again
                stage.run(stage.runtime.take_in(path))
    age_only_the_file(stage, digest, is_wanted=how in ("spawn", "load", "upgrade"))
    scan.release()
    collecting.result()

    assert has(stage, digest)


async def _collecting(stage: Stage) -> Collected:
    return await stage.runtime.collect()


def age_only_the_file(stage: Stage, digest: Digest, *, is_wanted: bool) -> None:
    """So that nothing but its use keeps it."""
    if is_wanted:
        then = time.time() - LONG_AGO
        os.utime(stage.runtime.blobs.path(digest), (then, then))


@pytest.mark.slow
def test_a_program_whose_component_went_is_not_taken_from_memory(company: Troupe) -> None:
    stage = company.stage
    digest = Digest(company.digest())
    manifest = company.manifest("anna")
    stage.runtime.node.loader.load(digest)
    age(stage, digest)

    assert collect(stage).components == 1

    with pytest.raises(NotFound, match="no component"):
        company.root(manifest, "anna")


# -- compiled code ---------------------------------------------------------------------------------------------------


def entry(stage: Stage, digest: str, seconds: float) -> Path:
    """The compiled code of a component, used that long ago."""
    cache = Cache(stage.workshop.cache)
    cache.put(Digest(digest), b"code", memories=1, modules=())
    (path,) = stage.workshop.cache.glob(f"{digest}-*")
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_compiled_code_goes_with_its_component_or_when_it_is_not_used(stage: Stage) -> None:
    kept = put(stage, component(1))
    stage.runtime.blobs.put(component(1))
    young, old = entry(stage, kept, LONG_AGO), entry(stage, "0" * 64, LONG_AGO)
    fresh = entry(stage, "1" * 64, 60)
    stale_digest = stage.runtime.blobs.put(component(2))
    stale = entry(stage, stale_digest, UNUSED_S + 60)
    foreign = stage.workshop.cache / "something"
    foreign.mkdir()

    assert collect(stage) == Collected(components=0, payloads=0, cached=2, bytes=8)

    assert [path.exists() for path in (young, old, fresh, stale, foreign)] == [True, False, True, False, True]


@pytest.mark.slow
def test_compiled_code_that_went_is_made_again(company: Troupe) -> None:
    stage, anna = company.stage, company.player("anna")
    program = anna.ref.record.program
    (path,) = stage.workshop.cache.glob(f"{program}-*")
    then = time.time() - UNUSED_S - 60
    os.utime(path, (then, then))

    assert collect(stage).cached == 1
    assert anna.request(puppet.reply("goes on")) == "goes on"
    stage.reopen()
    assert company.find("anna").request(puppet.reply("again")) == "again"


# -- files -----------------------------------------------------------------------------------------------------------


def test_files_that_a_death_left_behind_are_counted(stage: Stage) -> None:
    actor = stage.play(COUNTER)
    folder = stage.folder / "data" / "payloads" / actor.id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "99").write_bytes(b"12345")

    assert collect(stage) == Collected(components=0, payloads=1, cached=0, bytes=5)
