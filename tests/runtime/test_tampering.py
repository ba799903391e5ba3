"""Changes that nobody followed up with new hashes: found without running anything, and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.forgery import Forger, read_chain, write_chain
from tests.guests import wat
from tests.runtime.court import judged
from tests.runtime.guests import CHATTY, NAPS
from tests.runtime.inside import inner, kill_step
from tests.runtime.stage import Stage, Workshop
from theater.chain.lines import encode_line, read_lines
from theater.errors import Crashed, Unsound
from theater.model.event import Event
from theater.runtime.claims import Caps
from theater.runtime.examination import ChildOptions, examine_file
from theater.runtime.report import Report
from theater.runtime.verification import verify

TIMING: dict[str, dict[str, object]] = {"timing": {}}


@pytest.fixture(scope="module")
def chain(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """genesis, started, init, then three steps with two log lines each."""
    with Stage(workshop, tmp_path_factory.mktemp("chain")) as stage:
        actor = stage.play(CHATTY)
        for body in ("1", "2", "3"):
            actor.request_json(body)
        return actor.events()


def structure(events: list[Event], *, head: str | None = None) -> Report:
    """The structural pass alone."""
    return verify(lambda: iter(events), head=head)


def test_a_true_chain_is_sound(chain: list[Event]) -> None:
    report = structure(chain, head=chain[-1].hash)

    assert (report.ok, report.fault, report.events, report.notes) == (True, None, 16, [])
    assert not report.executed


def test_a_head_that_nobody_vouches_for_is_said_to_be_that(chain: list[Event]) -> None:
    assert "head not vouched for" in structure(chain).notes[0]


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_cut_tail_is_found_by_its_head(chain: list[Event], cut: int) -> None:
    report = structure(chain[:-cut], head=chain[-1].hash)

    assert report.fault is not None
    assert report.fault.seq == 15 - cut
    assert "tail was cut" in report.fault.why


def test_no_chain_at_all() -> None:
    assert not structure([]).ok


@pytest.mark.parametrize("seq", range(15))
def test_a_dropped_event_is_named(chain: list[Event], seq: int) -> None:
    report = structure(chain[:seq] + chain[seq + 1 :])

    assert report.fault is not None
    assert report.fault.seq == seq


@pytest.mark.parametrize("seq", range(16))
def test_a_repeated_event_is_named(chain: list[Event], seq: int) -> None:
    report = structure(chain[: seq + 1] + chain[seq:])

    assert report.fault is not None
    assert report.fault.seq == seq + 1


@pytest.mark.parametrize("seq", range(15))
def test_swapped_events_are_named(chain: list[Event], seq: int) -> None:
    report = structure([*chain[:seq], chain[seq + 1], chain[seq], *chain[seq + 2 :]])

    assert report.fault is not None
    assert report.fault.seq == seq


@pytest.mark.parametrize("seq", range(16))
@pytest.mark.parametrize(
    "change",
    [
        lambda event: msgspec.structs.replace(event, payload=event.payload + b" "),
        lambda event: msgspec.structs.replace(event, payload=b"{}"),
        lambda event: msgspec.structs.replace(event, salt=bytes(16)),
        lambda event: msgspec.structs.replace(event, hash="0" * 64),
        lambda event: msgspec.structs.replace(event, header_bytes=event.header_bytes.replace(b'"v":1', b'"v":2')),
        lambda event: msgspec.structs.replace(event, header=msgspec.structs.replace(event.header, time_us=1)),
    ],
    ids=["payload", "another-payload", "salt", "hash", "version", "header"],
)
def test_a_changed_event_is_named(chain: list[Event], seq: int, change: Callable[[Event], Event]) -> None:
    events = [*chain]
    events[seq] = change(events[seq])

    report = structure(events)

    assert report.fault is not None
    assert report.fault.seq == seq


def test_an_event_of_another_chain_is_named(chain: list[Event], workshop: Workshop, tmp_path: Path) -> None:
    with Stage(workshop, tmp_path, seed=7) as stage:
        actor = stage.play(CHATTY)
        actor.request_json("1")
        other = actor.events()

    report = structure([*chain[:5], other[5], *chain[6:]])

    assert report.fault is not None
    assert report.fault.seq == 5


def test_a_part_that_was_sealed_anew_breaks_where_the_rest_follows(chain: list[Event]) -> None:
    forger = Forger(chain[:8])
    forger.change(7, reply="99")

    report = structure([*forger.sealed(), *chain[8:]])

    assert report.fault is not None
    assert report.fault.seq == 8


def test_a_history_sealed_anew_has_another_head(chain: list[Event]) -> None:
    forger = Forger(chain)
    forger.change(7, reply="99")

    report = structure(forger.sealed(), head=chain[-1].hash)

    assert report.fault is not None
    assert "head" in report.fault.why


def test_a_withheld_payload_leaves_the_structure_sound_and_the_steps_unrun(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    actor.request_json('{"by":1}')
    events = actor.events()
    events[4] = msgspec.structs.replace(events[4], salt=None, payload=None)

    assert judged(stage, events, execute=False).ok
    report = judged(stage, events)
    assert report.fault is not None
    assert report.fault.seq == 4
    assert "withheld" in report.fault.why


def test_an_open_step_is_said_to_be_open(stage: Stage) -> None:
    actor = stage.play(NAPS, capabilities=TIMING)
    pending = actor.start_request("{}")
    stage.clock.wait_for_timers()

    report = actor.verify()

    assert (report.ok, report.open, report.steps) == (True, 4, 1)
    stage.clock.advance(1)
    pending.result()
    assert actor.verify().open is None


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0), flip=st.integers(1, 255))
@pytest.mark.slow
def test_any_byte_that_is_changed_in_an_exported_chain_is_found(chain: list[Event], at: int, flip: int) -> None:
    lines = b"".join(encode_line(event) for event in chain)
    at %= len(lines)
    changed = bytearray(lines)
    changed[at] ^= flip

    assert not _is_sound(bytes(changed), chain[-1].hash)


@pytest.mark.slow
def test_every_single_byte_of_an_exported_event_is_vouched_for(chain: list[Event]) -> None:
    lines = [encode_line(event) for event in chain]
    for at in range(len(lines[5])):
        changed = bytearray(lines[5])
        changed[at] ^= 1
        assert not _is_sound(b"".join([*lines[:5], bytes(changed), *lines[6:]]), chain[-1].hash), at


def _is_sound(data: bytes, head: str) -> bool:
    rest = data

    def readline(limit: int) -> bytes:
        nonlocal rest
        end = rest.find(b"\n") + 1 or len(rest)
        line, rest = rest[: min(end, limit)], rest[min(end, limit) :]
        return line

    try:
        events = list(read_lines(readline))
    except Unsound:
        return False
    return structure(events, head=head).ok


# -- as files, by another process ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_file_that_takes_more_cpu_time_than_allowed_is_given_up_and_that_is_said(
    stage: Stage, tmp_path: Path
) -> None:
    actor = stage.play(wat.MOODY, limits={"fuel": 10**12})
    endless = actor.start_request('"loop"')
    kill_step(inner(actor))
    with pytest.raises(Crashed):
        endless.result()
    forger = Forger(actor.events())
    closing = forger.at(forger.find("crashed"))
    closing.kind = "state"
    closing.say({"fuel": 1})
    path = tmp_path / "endless.jsonl"
    write_chain(path, forger.sealed())

    report = examine_file(
        path,
        components=[stage.runtime.blobs.path(actor.ref.record.program)],
        caps=Caps(fuel=10**12),
        child=ChildOptions(cpu_s=1, cache=stage.workshop.cache),
    )

    assert report.fault is not None
    assert "more than 1 s of CPU time" in report.fault.why


@pytest.mark.slow
def test_a_forged_file_passes_as_a_structure_and_is_found_by_running_it(workshop: Workshop, tmp_path: Path) -> None:
    with Stage(workshop, tmp_path) as stage:
        actor = stage.play(wat.COUNTER)
        actor.request_json('{"by":2}')
        true = actor.events()
    forger = Forger(true)
    forger.change(5, reply='{"count":99}')
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    write_chain(good, true)
    write_chain(bad, forger.sealed())
    components = [workshop.file(wat.COUNTER)]

    assert read_chain(good) == true
    sound = examine_file(good, head=true[-1].hash, components=components, child=ChildOptions(cache=workshop.cache))
    assert (sound.ok, sound.steps, sound.fault) == (True, 2, None)
    assert examine_file(bad, execute=False, child=ChildOptions(cache=workshop.cache)).ok
    report = examine_file(bad, components=components, child=ChildOptions(cache=workshop.cache))
    assert report.fault is not None
    assert (report.ok, report.fault.seq) == (False, 5)
    assert "99" in str(report.fault.expected)
    flipped = bytearray(good.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    bad.write_bytes(flipped)
    assert not examine_file(bad, execute=False, child=ChildOptions(cache=workshop.cache)).ok
