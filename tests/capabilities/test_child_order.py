"""Child specifications as a guest spells them, and what they become."""

import json
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.capabilities.child_order import (
    ChildSpecValue,
    ShutdownMode,
    child_value,
    mode_problem,
    note_of,
    order_of,
    spec_problem,
    stop_mode_of,
)
from theater.model.actor_system import ChildFacts
from theater.model.child_spec import PAUSE_MAX_MS
from theater.model.effects import ChildOrder, StopMode
from theater.model.ids import ActorId, Digest

DIGEST = Digest("d" * 64)
BARE: ChildSpecValue = {
    "source": ("manifest", "text"),
    "name": None,
    "params": None,
    "restart": None,
    "restart-from": None,
    "shutdown": None,
    "backoff": None,
}
FULL: ChildSpecValue = {
    "source": ("manifest", "text"),
    "name": "worker",
    "params": '{"n":1}',
    "restart": "transient",
    "restart-from": "init",
    "shutdown": ("timeout-ms", 250),
    "backoff": {"first-ms": 10, "max-ms": 1000},
}


def varied(base: ChildSpecValue, **changes: object) -> ChildSpecValue:
    """``base``, otherwise."""
    return {**base, **changes}  # type: ignore[typeddict-item]  # the fields of a specification


def test_what_a_specification_leaves_open_is_left_to_the_manifest() -> None:
    assert order_of(BARE) == ChildOrder(manifest="text")


def test_every_field_of_a_specification_arrives() -> None:
    assert order_of(FULL) == ChildOrder(
        manifest="text",
        name="worker",
        params='{"n":1}',
        restart="transient",
        restart_from="init",
        shutdown=250,
        backoff_ms=(10, 1000),
    )


@pytest.mark.parametrize("policy", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("start", ["last-state", "init"])
def test_policies_have_the_same_words(policy: str, start: str) -> None:
    order = order_of(varied(BARE, **{"restart": policy, "restart-from": start}))

    assert (order.restart, order.restart_from) == (policy, start)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(None, None), (("timeout-ms", 0), 0), (("infinity", None), "infinity"), (("brutal", None), "brutal")],
)
def test_each_way_to_stop_has_its_own_value(mode: ShutdownMode | None, expected: StopMode | None) -> None:
    assert stop_mode_of(mode) == expected


@pytest.mark.parametrize("component", [DIGEST, None])
def test_what_was_read_in_a_directory_can_be_recorded_and_makes_the_same_order_again(component: Digest | None) -> None:
    spec = varied(FULL, source=("directory", "/srv/child"))
    found = ChildOrder(manifest="name = 'ü'", component=component)

    note = json.loads(json.dumps(note_of(found)))

    order = order_of(spec, note)
    assert (order.manifest, order.component) == (found.manifest, component)
    assert (order.name, order.backoff_ms) == ("worker", (10, 1000))


@pytest.mark.parametrize(
    "note",
    [
        None,
        "text",
        [],
        {},
        {"manifest": "text"},
        {"manifest": 1, "component": None},
        {"manifest": "text", "component": "sha256"},
        {"manifest": "text", "component": 1},
    ],
)
def test_what_cannot_have_been_read_is_refused(note: object) -> None:
    with pytest.raises(ValueError, match="not recorded"):
        order_of(varied(BARE, source=("directory", "/srv/child")), note)


@pytest.mark.parametrize("note", [None, {"manifest": "other", "component": None}])
def test_a_manifest_that_is_handed_over_needs_no_note(note: object) -> None:
    assert order_of(BARE, note).manifest == "text"


# -- what is wrong in a specification ----------------------------------------------------------------------------------


def test_a_specification_within_the_limits_is_right() -> None:
    assert spec_problem(BARE) is None
    assert spec_problem(FULL) is None
    assert (
        spec_problem(
            varied(
                BARE,
                name="a" * 63,
                shutdown=("timeout-ms", PAUSE_MAX_MS),
                backoff={"first-ms": 1, "max-ms": PAUSE_MAX_MS},
            )
        )
        is None
    )


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"name": ""}, "name = ''"),
        ({"name": "a" * 64}, "name = "),
        ({"name": "Worker"}, "name = 'Worker'"),
        ({"shutdown": ("timeout-ms", PAUSE_MAX_MS + 1)}, "shutdown"),
        ({"shutdown": ("timeout-ms", 2**64 - 1)}, "shutdown"),
        ({"backoff": {"first-ms": 0, "max-ms": 1}}, "backoff: first"),
        ({"backoff": {"first-ms": 1, "max-ms": PAUSE_MAX_MS + 1}}, "backoff: max"),
        ({"backoff": {"first-ms": 2, "max-ms": 1}}, "backoff: the first pause, 2 ms"),
    ],
)
def test_what_is_wrong_in_a_specification_is_named(changes: dict[str, object], where: str) -> None:
    problem = spec_problem(varied(FULL, **changes))

    assert problem is not None
    assert problem[0] == "invalid-manifest"
    assert str(problem[1]).startswith(where)


def test_a_day_is_the_longest_to_wait_for_a_step() -> None:
    for mode in (None, ("infinity", None), ("brutal", None), ("timeout-ms", PAUSE_MAX_MS)):
        assert mode_problem(mode) is None
    problem = mode_problem(("timeout-ms", PAUSE_MAX_MS + 1))
    assert problem is not None
    assert problem[0] == "other"


MODES: st.SearchStrategy[ShutdownMode] = st.one_of(
    st.tuples(st.just("timeout-ms"), st.integers(0, 2**64 - 1)),
    st.tuples(st.sampled_from(["infinity", "brutal"]), st.none()),
)
POLICIES = get_args(Literal["permanent", "transient", "temporary"])
SPECS = st.fixed_dictionaries(
    {
        "source": st.tuples(st.just("manifest"), st.text()),
        "name": st.none() | st.text(max_size=3),
        "params": st.none() | st.text(max_size=3),
        "restart": st.none() | st.sampled_from(POLICIES),
        "restart-from": st.none() | st.sampled_from(["last-state", "init"]),
        "shutdown": st.none() | MODES,
        "backoff": st.none()
        | st.fixed_dictionaries({"first-ms": st.integers(0, 2**64 - 1), "max-ms": st.integers(0, 2**64 - 1)}),
    }
).map(lambda fields: varied(BARE, **fields))


@given(SPECS, SPECS)
def test_different_specifications_are_different_orders(left: ChildSpecValue, right: ChildSpecValue) -> None:
    assert (order_of(left) == order_of(right)) == (left == right)


def test_a_child_is_shown_with_every_field() -> None:
    facts = ChildFacts(ActorId("2" * 32), "worker", ActorId("1" * 32), ("running", None), DIGEST, "transient", 3)

    assert child_value(facts) == {
        "id": "2" * 32,
        "name": "worker",
        "parent": "1" * 32,
        "status": ("running", None),
        "component": DIGEST,
        "restart": "transient",
        "restarts": 3,
    }
