"""Supervision: a recorded decision is recomputed, and what holds of any sequence of ends."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.errors import InvalidInput, Unsound
from theater.model.child_spec import RESTART_POLICIES, RESTARTS_FROM, Backoff, ChildSpec
from theater.model.crash import CRASH_REASONS
from theater.model.event import SEQ_MAX
from theater.model.exit_reason import ExitReason
from theater.model.family import Family
from theater.model.ids import ActorId, Digest
from theater.model.supervision import Decision, Supervised, decide, decision_detail, recompute
from theater.model.supervisor_spec import STRATEGIES, SupervisorSpec

NOW_US = 1_700_000_000_000_000
IDS = tuple(ActorId(f"{number:032x}") for number in range(1, 6))
A, B, C, D, E = IDS
HASH = Digest("ab" * 32)
TRAP = ExitReason(kind="crashed", crash="trap")
NORMAL = ExitReason(kind="normal", value="[1]")

# A comes back from a normal end; C is temporary; D has a pause.
FAMILY = (
    Family(spec=SupervisorSpec(strategy="one-for-all", intensity=3))
    .spawned(A, ChildSpec(restart="transient"))
    .spawned(B, ChildSpec())
    .spawned(C, ChildSpec(restart="temporary"))
    .spawned(D, ChildSpec(backoff=Backoff(first_ms=250, max_ms=1_000)))
    .ended(A, NORMAL)
)


def detail_of(family: Family, child: ActorId, reason: ExitReason, now_us: int = NOW_US) -> dict[str, object]:
    decision = decide(family, child, reason, now_us)
    detail = decision_detail(decision, child=child, reason=reason, seq=7, hash=HASH)
    plain: dict[str, object] = json.loads(json.dumps(detail))
    return plain


# -- the recorded detail ---------------------------------------------------------------------------------------------


def test_the_detail_says_which_end_it_was_and_all_that_was_decided() -> None:
    assert detail_of(FAMILY, D, TRAP) == {
        "child": D,
        "reason": {"kind": "crashed", "crash": "trap"},
        "seq": 7,
        "hash": HASH,
        "decision": "restart",
        "targets": [A, B, D],
        "start-from": ["init", "last-state", "last-state"],
        "stop": [C, B],
        "pause-ms": 250,
    }
    assert detail_of(FAMILY, C, TRAP) == {
        "child": C,
        "reason": {"kind": "crashed", "crash": "trap"},
        "seq": 7,
        "hash": HASH,
        "decision": "left",
    }


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"child": B}, r"stop is recorded as .* but what came before makes it"),
        ({"child": C}, r"decision is recorded as 'restart', but what came before makes it 'left'"),
        ({"child": A}, r"had ended already"),
        ({"child": E}, r"is no child of this actor"),
        ({"child": "D"}, r"'D' is no actor id"),
        ({"child": None}, r"child"),
        ({"reason": {"kind": "normal"}}, r"start-from is recorded as"),
        ({"reason": {"kind": "shutdown", "by": "me"}}, r"decision is recorded as"),
        ({"reason": {"kind": "gone"}}, r"reason"),
        ({"seq": -1}, r"seq = -1"),
        ({"seq": SEQ_MAX + 1}, r"seq = "),
        ({"hash": "00"}, r"'00' is no hash"),
        ({"decision": "left"}, r"decision is recorded as 'left'"),
        ({"decision": "give-up"}, r"decision is recorded as 'give-up'"),
        ({"decision": "shrug"}, r"shrug"),
        ({"targets": [B, D]}, r"targets is recorded as"),
        ({"targets": [A, B, C, D]}, r"targets is recorded as"),
        ({"targets": [D, B, A]}, r"targets is recorded as"),
        ({"start-from": ["last-state"] * 3}, r"start-from is recorded as"),
        ({"start-from": ["init"]}, r"start-from is recorded as"),
        ({"stop": [B, C]}, r"stop is recorded as"),
        ({"stop": []}, r"stop is recorded as"),
        ({"pause-ms": 0}, r"pause-ms is recorded as"),
        ({"pause-ms": 251}, r"pause-ms is recorded as 251, but what came before makes it 250"),
        ({"pause-ms": "250"}, r"pause-ms"),
    ],
)
def test_a_changed_detail_is_found(change: dict[str, object], complaint: str) -> None:
    detail = detail_of(FAMILY, D, TRAP)
    assert recompute(FAMILY, detail, NOW_US) is None

    found = recompute(FAMILY, detail | change, NOW_US)

    assert found is not None
    with pytest.raises(AssertionError, match=complaint):
        raise AssertionError(found)


@pytest.mark.parametrize("key", ["child", "reason", "seq", "hash", "decision", "targets", "start-from", "stop"])
def test_a_missing_part_of_a_detail_is_found(key: str) -> None:
    detail = detail_of(FAMILY, D, TRAP)
    del detail[key]

    assert key in (recompute(FAMILY, detail, NOW_US) or "")


@pytest.mark.parametrize("detail", [None, [], "restart", 5])
def test_what_is_no_detail_is_found(detail: object) -> None:
    assert "cannot have been made" in (recompute(FAMILY, detail, NOW_US) or "")


def test_a_detail_of_a_later_version_may_hold_more() -> None:
    assert recompute(FAMILY, detail_of(FAMILY, D, TRAP) | {"weather": "fair"}, NOW_US) is None


def test_another_time_makes_another_decision() -> None:
    family = decide(FAMILY, D, TRAP, NOW_US).family_after
    detail = detail_of(family, D, TRAP, NOW_US + 5_000_000)

    assert detail["pause-ms"] == 500
    assert recompute(family, detail, NOW_US + 5_000_000) is None
    assert "pause-ms" in (recompute(family, detail, NOW_US + 5_000_001) or "")
    assert "before that of an earlier restart" in (recompute(family, detail, NOW_US - 1) or "")


def test_a_reader_of_the_chain_gets_the_end_back() -> None:
    supervised = Supervised.from_json(detail_of(FAMILY, D, TRAP), seq=12)

    assert (supervised.child, supervised.reason, supervised.seq, supervised.hash) == (D, TRAP, 7, HASH)
    with pytest.raises(Unsound, match="event 12: "):
        Supervised.from_json({}, seq=12)


# -- any sequence of ends --------------------------------------------------------------------------------------------

reasons = st.one_of(
    st.sampled_from([None, "null", '"x"']).map(lambda value: ExitReason(kind="normal", value=value)),
    st.text(min_size=1, max_size=5).map(lambda by: ExitReason(kind="shutdown", by=by)),
    st.text(max_size=5).map(lambda text: ExitReason(kind="refused-init", text=text)),
    st.sampled_from(CRASH_REASONS).map(lambda crash: ExitReason.parse({"kind": "crashed", "crash": crash})),
    st.just(ExitReason(kind="intensity")),
)
backoffs = st.builds(
    lambda first, more: Backoff(first_ms=first, max_ms=first + more), st.integers(1, 1_000), st.integers(0, 10_000)
)
child_specs = st.builds(
    ChildSpec,
    restart=st.sampled_from(RESTART_POLICIES),
    restart_from=st.sampled_from(RESTARTS_FROM),
    shutdown=st.one_of(st.none(), st.integers(0, 10_000), st.sampled_from(["infinity", "brutal"])),
    backoff=st.one_of(st.none(), backoffs),
)
supervisor_specs = st.builds(
    SupervisorSpec,
    strategy=st.sampled_from(STRATEGIES),
    intensity=st.integers(0, 4),
    period_us=st.integers(1, 20),
)
# who ends, why, and how long after the end before
ends = st.lists(st.tuples(st.sampled_from(IDS), reasons, st.integers(0, 10)), max_size=10)
End = tuple[ActorId, ExitReason, int]


def _family(spec: SupervisorSpec, specs: list[ChildSpec]) -> Family:
    family = Family(spec=spec)
    for id, child_spec in zip(IDS, specs, strict=True):
        family = family.spawned(id, child_spec)
    return family


families = st.builds(_family, supervisor_specs, st.lists(child_specs, min_size=5, max_size=5))


class Moment(NamedTuple):
    """One end: the family before it, and what was decided."""

    family: Family
    child: ActorId
    reason: ExitReason
    now_us: int
    decision: Decision


def moments(family: Family, sequence: list[End]) -> Iterator[Moment]:
    """The ends one after another, until the supervisor gives up; an end of who had ended before is refused."""
    now_us = NOW_US
    for child, reason, later_us in sequence:
        now_us += later_us
        member = family.child(child)
        if member is None or not member.alive:
            with pytest.raises(InvalidInput):
                decide(family, child, reason, now_us)
            continue
        decision = decide(family, child, reason, now_us)
        yield Moment(family, child, reason, now_us, decision)
        family = decision.family_after
        if decision.kind == "give-up":
            return


@given(families, ends)
@pytest.mark.slow
def test_there_are_never_more_restarts_than_the_intensity_within_any_period(
    family: Family, sequence: list[End]
) -> None:
    seen = list(moments(family, sequence))
    times = [moment.now_us for moment in seen if moment.decision.kind == "restart"]

    def within_the_period_before(now_us: int) -> int:
        return len([time for time in times if now_us - family.spec.period_us <= time <= now_us])

    assert all(within_the_period_before(time) <= family.spec.intensity for time in times)
    if seen and seen[-1].decision.kind == "give-up":  # one more would have been too many, and no earlier one was
        assert within_the_period_before(seen[-1].now_us) == family.spec.intensity


@given(families, ends)
@pytest.mark.slow
def test_targets_and_stops_are_in_order_and_children_and_nobody_is_lost(family: Family, sequence: list[End]) -> None:
    for before, child, _, _, decision in moments(family, sequence):
        order = [member.id for member in before.children]
        temporary = {member.id for member in before.children if member.spec.restart == "temporary"}
        others, targets, stop = set(before.stop_order) - {child}, set(decision.targets), set(decision.stop)
        after = decision.family_after
        assert list(decision.targets) == [id for id in order if id in targets]
        assert list(decision.stop) == [id for id in reversed(order) if id in stop]
        assert len(decision.start_from) == len(decision.targets)
        assert stop <= others
        assert not targets & temporary
        assert (child in targets) == (decision.kind == "restart") == bool(targets)
        assert set(after.stop_order) == others - stop | targets
        assert decision.kind != "left" or not stop
        assert decision.kind != "give-up" or stop == others
        assert [member.id for member in after.children] == [id for id in order if after.child(id)]
        assert set(order) - {member.id for member in after.children} <= temporary


@given(families, ends)
@pytest.mark.slow
def test_families_round_trip_and_every_decision_follows_from_what_is_recorded(
    family: Family, sequence: list[End]
) -> None:
    for before, child, reason, now_us, decision in moments(family, sequence):
        read = Family.from_json(json.loads(json.dumps(before.to_json())), seq=0)
        assert read == before
        detail = decision_detail(decision, child=child, reason=reason, seq=1, hash=HASH)
        assert recompute(read, json.loads(json.dumps(detail)), now_us) is None
        supervised = Supervised.from_json(detail, seq=0)
        assert decide(read, supervised.child, supervised.reason, now_us) == decision
