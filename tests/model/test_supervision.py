"""Supervision: what is decided about each end, as tables, and what holds of any sequence of them."""

import json
from itertools import product

import pytest

from theater.errors import InvalidInput, Unsound
from theater.model.child_spec import RESTART_POLICIES, Backoff, ChildSpec, RestartFrom, RestartPolicy, Shutdown
from theater.model.crash import CRASH_REASONS
from theater.model.exit_reason import ExitReason
from theater.model.family import Child, Family
from theater.model.ids import ActorId
from theater.model.supervision import decide, decide_root, wants_restart
from theater.model.supervisor_spec import STRATEGIES, Strategy, SupervisorSpec, Window

PERIOD_US = 5_000_000
NOW_US = 1_700_000_000_000_000
A, B, C, D, E = (ActorId(f"{number:032x}") for number in range(1, 6))

NORMAL = ExitReason(kind="normal", value='{"sum": 1.50}')
STOPPED = ExitReason(kind="shutdown", by="runtime")
REFUSED = ExitReason(kind="refused-init", text="no params")
TRAP = ExitReason(kind="crashed", crash="trap")
GAVE_UP = ExitReason(kind="intensity")
REASONS = (NORMAL, STOPPED, REFUSED, TRAP, GAVE_UP)


def family_of(
    strategy: Strategy = "one-for-one", intensity: int = 1, restarts: tuple[int, ...] = (), **specs: ChildSpec
) -> Family:
    """Five living children, A to E, permanent where ``specs`` says nothing of one."""
    spec = SupervisorSpec(strategy=strategy, intensity=intensity, period_us=PERIOD_US)
    children = tuple(
        Child(id=id, spec=specs.get(name, ChildSpec())) for name, id in zip("ABCDE", (A, B, C, D, E), strict=True)
    )
    return Family(spec=spec, children=children, restarts=restarts)


def alive(family: Family) -> list[ActorId]:
    return [child.id for child in family.children if child.alive]


# -- exit reasons ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "plain", "wit", "abnormal"),
    [
        (NORMAL, {"kind": "normal", "value": '{"sum": 1.50}'}, ("normal", '{"sum": 1.50}'), False),
        (ExitReason(kind="normal"), {"kind": "normal"}, ("normal", None), False),
        (STOPPED, {"kind": "shutdown", "by": "runtime"}, ("shutdown", "runtime"), False),
        (REFUSED, {"kind": "refused-init", "text": "no params"}, ("refused-init", "no params"), True),
        (ExitReason(kind="refused-init", text=""), {"kind": "refused-init", "text": ""}, ("refused-init", ""), True),
        (TRAP, {"kind": "crashed", "crash": "trap"}, ("crashed", ("trap", None)), True),
        (GAVE_UP, {"kind": "intensity"}, ("intensity", None), True),
    ],
)
def test_an_exit_reason_is_recorded_read_back_and_shown_to_guests(
    reason: ExitReason, plain: object, wit: object, *, abnormal: bool
) -> None:
    assert reason.to_json() == plain
    assert ExitReason.from_json(json.loads(json.dumps(plain)), seq=3) == reason
    assert reason.to_wit() == wit
    assert reason.is_abnormal is abnormal


@pytest.mark.parametrize("crash", CRASH_REASONS)
def test_every_crash_reason_is_one_of_an_exit_reason(crash: str) -> None:
    assert ExitReason.from_json({"kind": "crashed", "crash": crash}, seq=0).to_wit() == ("crashed", (crash, None))


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [],
        "normal",
        {},
        {"kind": "bored"},
        {"kind": 1},
        {"kind": "crashed"},
        {"kind": "crashed", "crash": "tired"},
        {"kind": "crashed", "crash": "trap", "by": "me"},
        {"kind": "shutdown"},
        {"kind": "shutdown", "by": ""},
        {"kind": "refused-init"},
        {"kind": "refused-init", "text": 1},
        {"kind": "intensity", "value": "1"},
        {"kind": "normal", "value": 1},
        {"kind": "normal", "value": "NaN"},
        {"kind": "normal", "value": ""},
        {"kind": "normal", "text": "bye"},
    ],
)
def test_what_is_no_exit_reason_is_refused_and_the_event_named(plain: object) -> None:
    with pytest.raises(Unsound, match="event 7: ") as caught:
        ExitReason.from_json(plain, seq=7)

    assert caught.value.data == {"seq": 7}


# -- specifications --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shutdown", "has_children", "expected"),
    [
        (None, False, 5_000),
        (None, True, "infinity"),
        (0, True, 0),
        (250, True, 250),
        ("brutal", True, "brutal"),
        ("infinity", False, "infinity"),
    ],
)
def test_how_a_child_is_stopped(shutdown: Shutdown | None, expected: Shutdown, *, has_children: bool) -> None:
    spec = ChildSpec(shutdown=shutdown)

    assert spec.shutdown_of(has_children=has_children) == expected
    assert ChildSpec.from_json(spec.to_json(), seq=0) == spec


def test_a_child_spec_is_recorded_whole_in_the_words_of_its_interface() -> None:
    spec = ChildSpec(restart="transient", restart_from="init", shutdown=10, backoff=Backoff(first_ms=1, max_ms=2))

    assert spec.to_json() == {
        "restart": "transient",
        "restart-from": "init",
        "shutdown": 10,
        "backoff": {"first-ms": 1, "max-ms": 2},
    }
    assert ChildSpec.from_json(spec.to_json() | {"of-a-later-version": 1}, seq=0) == spec
    assert ChildSpec.from_json({}, seq=0) == ChildSpec()


@pytest.mark.parametrize(
    "plain",
    [
        {"restart": "sometimes"},
        {"restart-from": "memory"},
        {"shutdown": -1},
        {"shutdown": 86_400_001},
        {"shutdown": 1.5},
        {"shutdown": True},
        {"shutdown": "at-leisure"},
        {"backoff": {}},
        {"backoff": {"first-ms": 0, "max-ms": 1}},
        {"backoff": {"first-ms": 2, "max-ms": 1}},
        {"backoff": {"first-ms": 1, "max-ms": 86_400_001}},
        {"backoff": 5},
    ],
)
def test_a_child_spec_that_cannot_be_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(Unsound, match="event 2: "):
        ChildSpec.from_json(plain, seq=2)


@pytest.mark.parametrize(
    "plain",
    [
        {"strategy": "simple-one-for-one"},
        {"intensity": -1},
        {"intensity": 1_001},
        {"intensity": True},
        {"period-us": 0},
        {"period-us": 86_400_000_001},
        {"period-us": 10**400},
    ],
)
def test_a_supervisor_spec_that_cannot_be_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(Unsound, match="event 2: "):
        SupervisorSpec.from_json(plain, seq=2)


def test_values_check_themselves_when_they_are_made_too() -> None:
    with pytest.raises(InvalidInput, match="use one of permanent, transient, temporary"):
        ChildSpec(restart="sometimes")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(InvalidInput, match="use one of one-for-one"):
        SupervisorSpec(strategy="all-for-one")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(InvalidInput, match="whole number from 0 to 1000"):
        Window(intensity=1_001)


def test_the_defaults_are_those_of_otp() -> None:
    assert SupervisorSpec() == SupervisorSpec(strategy="one-for-one", intensity=1, period_us=5_000_000)
    assert ChildSpec().restart == "permanent"


# -- who is restarted ------------------------------------------------------------------------------------------------

RESTARTED = {
    "permanent": (NORMAL, REFUSED, TRAP, GAVE_UP),
    "transient": (REFUSED, TRAP, GAVE_UP),
    "temporary": (),
}


@pytest.mark.parametrize(("policy", "reason"), list(product(RESTART_POLICIES, REASONS)))
def test_every_policy_with_every_exit_reason(policy: RestartPolicy, reason: ExitReason) -> None:
    expected = reason in RESTARTED[policy]
    family = family_of(B=ChildSpec(restart=policy))

    decision = decide(family, B, reason, NOW_US)

    assert wants_restart(policy, reason) is expected
    assert decision.kind == ("restart" if expected else "left")
    assert decision.targets == ((B,) if expected else ())
    assert decision.stop == ()
    assert decision.family_after.restarts == ((NOW_US,) if expected else ())
    assert alive(decision.family_after) == ([A, B, C, D, E] if expected else [A, C, D, E])
    assert (decision.family_after.child(B) is None) is (policy == "temporary")


FIVE = (A, B, C, D, E)


@pytest.mark.parametrize(
    ("strategy", "failing", "targets", "stop"),
    [
        *(("one-for-one", child, (child,), ()) for child in FIVE),
        ("one-for-all", A, FIVE, (E, D, C, B)),
        ("one-for-all", B, FIVE, (E, D, C, A)),
        ("one-for-all", C, FIVE, (E, D, B, A)),
        ("one-for-all", D, FIVE, (E, C, B, A)),
        ("one-for-all", E, FIVE, (D, C, B, A)),
        ("rest-for-one", A, (A, B, C, D, E), (E, D, C, B)),
        ("rest-for-one", B, (B, C, D, E), (E, D, C)),
        ("rest-for-one", C, (C, D, E), (E, D)),
        ("rest-for-one", D, (D, E), (E,)),
        ("rest-for-one", E, (E,), ()),
    ],
)
def test_starts_go_left_to_right_and_stops_right_to_left(
    strategy: Strategy, failing: ActorId, targets: tuple[ActorId, ...], stop: tuple[ActorId, ...]
) -> None:
    decision = decide(family_of(strategy), failing, TRAP, NOW_US)

    assert (decision.kind, decision.targets, decision.stop) == ("restart", targets, stop)
    assert decision.start_from == ("last-state",) * len(targets)
    after = decision.family_after
    assert alive(after) == list(FIVE)
    assert after.restarts == (NOW_US,)
    assert [child.restarts for child in after.children] == [int(child in targets) for child in FIVE]


@pytest.mark.parametrize(
    ("strategy", "targets", "stop", "left"),
    [
        ("one-for-one", (C,), (), [A, B, C, D, E]),
        ("rest-for-one", (C, E), (E, D), [A, B, C, E]),
        ("one-for-all", (A, C, E), (E, D, B, A), [A, C, E]),
    ],
)
def test_temporary_siblings_are_stopped_and_leave_the_list(
    strategy: Strategy, targets: tuple[ActorId, ...], stop: tuple[ActorId, ...], left: list[ActorId]
) -> None:
    temporary = ChildSpec(restart="temporary")
    family = family_of(strategy, B=temporary, D=temporary)

    decision = decide(family, C, TRAP, NOW_US)

    assert (decision.targets, decision.stop) == (targets, stop)
    assert [child.id for child in decision.family_after.children] == left == alive(decision.family_after)


@pytest.mark.parametrize(
    ("reason", "start_from"), [(NORMAL, "init"), (STOPPED, "last-state"), (REFUSED, "last-state"), (TRAP, "last-state")]
)
def test_children_that_had_ended_and_were_left_start_again_with_the_others(
    reason: ExitReason, start_from: RestartFrom
) -> None:
    family = family_of("one-for-all", B=ChildSpec(restart="transient")).ended(B, reason)

    decision = decide(family, D, TRAP, NOW_US)

    assert decision.targets == FIVE
    assert decision.start_from == ("last-state", start_from, "last-state", "last-state", "last-state")
    assert decision.stop == (E, C, A)
    assert alive(decision.family_after) == list(FIVE)
    assert not any(child.ended_normally for child in decision.family_after.children)


@pytest.mark.parametrize(
    ("restart_from", "reason", "expected"),
    [
        ("last-state", TRAP, "last-state"),
        ("last-state", REFUSED, "last-state"),
        ("last-state", GAVE_UP, "last-state"),
        ("last-state", NORMAL, "init"),
        ("init", TRAP, "init"),
        ("init", NORMAL, "init"),
    ],
)
def test_from_what_a_child_goes_on(restart_from: RestartFrom, reason: ExitReason, expected: str) -> None:
    spec = ChildSpec(restart_from=restart_from)

    decision = decide(family_of("rest-for-one", D=spec), D, reason, NOW_US)
    root = decide_root(spec, Window(), (), reason, NOW_US)

    assert decision.targets == (D, E)
    assert decision.start_from == (expected, "last-state")  # E was stopped, and goes on as its own spec says
    assert root.start_from == expected


# -- how often -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intensity", "ages_us", "kind"),
    [
        (0, (), "give-up"),
        (1, (), "restart"),
        (1, (0,), "give-up"),
        (1, (PERIOD_US,), "give-up"),
        (1, (PERIOD_US + 1,), "restart"),
        (3, (PERIOD_US, 1), "restart"),
        (3, (PERIOD_US, 1, 0), "give-up"),
        (3, (PERIOD_US + 1, PERIOD_US, 1), "restart"),
        (3, (PERIOD_US + 1, PERIOD_US + 1, PERIOD_US + 1), "restart"),
    ],
)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_restarts_of_the_period_count_the_one_exactly_a_period_ago_included(
    strategy: Strategy, intensity: int, ages_us: tuple[int, ...], kind: str
) -> None:
    restarts = tuple(NOW_US - age for age in ages_us)
    window = Window(intensity=intensity, period_us=PERIOD_US)

    decision = decide(family_of(strategy, intensity, restarts), C, TRAP, NOW_US)
    root = decide_root(ChildSpec(), window, restarts, TRAP, NOW_US)

    assert decision.kind == kind
    assert root.kind == ("restart" if kind == "restart" else "left")
    counted = (*(time for time in restarts if time >= NOW_US - PERIOD_US), NOW_US)
    assert decision.family_after.restarts == (counted if kind == "restart" else ())
    assert root.restarts == (counted if kind == "restart" else restarts)


def test_giving_up_stops_all_that_live_and_forgets_the_window() -> None:
    family = family_of("one-for-one", 1, (NOW_US,), B=ChildSpec(restart="temporary")).ended(D, STOPPED)

    decision = decide(family, C, TRAP, NOW_US)

    assert (decision.kind, decision.targets, decision.stop) == ("give-up", (), (E, B, A))
    assert [child.id for child in decision.family_after.children] == [A, C, D, E]
    assert alive(decision.family_after) == []
    assert decision.family_after.restarts == ()


@pytest.mark.parametrize("reason", [NORMAL, STOPPED])
def test_an_end_that_is_left_never_gives_up(reason: ExitReason) -> None:
    family = family_of("one-for-all", 0, C=ChildSpec(restart="transient"))

    assert decide(family, C, reason, NOW_US).kind == "left"


def test_a_time_before_the_last_restart_is_refused() -> None:
    with pytest.raises(InvalidInput, match="before that of an earlier restart"):
        decide(family_of(restarts=(NOW_US + 1,)), C, TRAP, NOW_US)


@pytest.mark.parametrize(
    ("before", "pause_ms"), [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1_000), (5, 1_000), (999, 1_000)]
)
def test_pauses_double_within_the_window_up_to_the_longest(before: int, pause_ms: int) -> None:
    spec = ChildSpec(backoff=Backoff(first_ms=100, max_ms=1_000))
    restarts = (NOW_US - PERIOD_US - 1, *(NOW_US - PERIOD_US,) * before)

    decision = decide(family_of("one-for-all", 1_000, restarts[-1000:], C=spec), C, TRAP, NOW_US)
    root = decide_root(spec, Window(intensity=1_000, period_us=PERIOD_US), restarts, TRAP, NOW_US)

    assert decision.pause_ms == root.pause_ms == pause_ms


def test_the_pause_is_that_of_the_child_that_failed() -> None:
    family = family_of("one-for-all", B=ChildSpec(backoff=Backoff(first_ms=100, max_ms=1_000)))

    assert decide(family, B, TRAP, NOW_US).pause_ms == 100
    assert decide(family, C, TRAP, NOW_US).pause_ms == 0


# -- root actors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", REASONS)
def test_a_root_actor_that_does_not_ask_for_it_is_never_restarted(reason: ExitReason) -> None:
    assert decide_root(None, Window(), (), reason, NOW_US).kind == "left"


@pytest.mark.parametrize(("policy", "reason"), list(product(RESTART_POLICIES, REASONS)))
def test_a_root_actor_that_asks_is_restarted_by_the_same_rules(policy: RestartPolicy, reason: ExitReason) -> None:
    decision = decide_root(ChildSpec(restart=policy), Window(), (), reason, NOW_US)

    expected = reason in RESTARTED[policy]
    assert decision.kind == ("restart" if expected else "left")
    assert decision.restarts == ((NOW_US,) if expected else ())
    assert (decision.start_from is None) is not expected


# -- the family ------------------------------------------------------------------------------------------------------


def test_a_family_changes_only_in_ways_that_can_be() -> None:
    family = Family().spawned(A, ChildSpec()).spawned(B, ChildSpec(restart="temporary"))

    for change in (
        lambda: family.spawned(A, ChildSpec()),
        lambda: family.removed(A),
        lambda: family.removed(C),
        lambda: family.ended(C, TRAP),
        lambda: family.ended(A, TRAP).ended(A, TRAP),
        lambda: family.ended(B, NORMAL).restarted([B]),
        lambda: decide(family, C, TRAP, NOW_US),
    ):
        with pytest.raises(InvalidInput):
            change()

    assert [child.id for child in family.ended(A, TRAP).removed(A).children] == [B]
    assert family.restarted([A, B]).stop_order == (B, A)
    assert family.ended(A, TRAP).restarted([A]).restarts == ()
    restarted = family.ended(A, NORMAL).restarted([A]).child(A)
    assert restarted == Child(id=A, spec=ChildSpec(), restarts=1)


@pytest.mark.parametrize(
    "change",
    [
        {"children": [{"id": A, "spec": {}}, {"id": A, "spec": {}}]},
        {"children": [{"id": "x", "spec": {}}]},
        {"children": [{"id": A, "spec": {}, "ended-normally": True}]},
        {"children": [{"id": A, "spec": {}, "restarts": -1}]},
        {"children": [{"id": A}]},
        {"restarts": [2, 1], "spec": {"intensity": 2}},
        {"restarts": [-1]},
        {"restarts": [1, 2]},
        {"spec": None},
    ],
)
def test_a_family_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Unsound, match="event 4: "):
        Family.from_json(Family().to_json() | change, seq=4)
