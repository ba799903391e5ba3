"""Ending, watching and looking at descendants, and from which folders children may come."""

import pytest

from tests.capabilities.neighbours import (
    CHILD,
    GRANDCHILD,
    LEDGER,
    NOBODY,
    Neighbours,
    call,
    child_facts,
    error_of,
    event,
    step,
)
from theater.capabilities.supervisor import KINDS_MAX_BYTES
from theater.capabilities.supervisor_grant import SupervisorGrant, parse
from theater.capabilities.supervisor_reads import EVENTS_MAX_BYTES, SCANNED_MAX
from theater.errors import InvalidManifest
from theater.model.child_spec import PAUSE_MAX_MS
from theater.model.effects import RemoveChild, RestartChild, StopChild, Subscribe, Unsubscribe
from theater.model.event import NO_HASH, SEQ_MAX
from theater.model.limits import Limits
from theater.testing.step_context import ACTOR, COMPONENT

GRANT = SupervisorGrant()
ALL = {"kinds": [], "payloads": True}

# Every function that names a descendant, with what else it takes.
NAMING: dict[str, list[object]] = {
    "stop": [None],
    "restart": [None],
    "remove": [],
    "list-children": [],
    "child-state": [],
    "child-events": [0, 10, ALL],
    "subscribe": [None, ALL],
    "unsubscribe": [],
}


@pytest.mark.parametrize("child", [LEDGER, NOBODY, ACTOR, "", "child", "A" * 32, "2" * 31, "2" * 32 + "\n"])
@pytest.mark.parametrize("name", NAMING)
def test_whoever_is_no_descendant_is_not_found_whether_there_or_not(name: str, child: str) -> None:
    ctx = step(Neighbours(problem=("not-found", child)))

    assert call(f"supervisor#{name}", ctx, GRANT, child, *NAMING[name]) == ("err", ("not-found", child))
    assert ctx.effects == []


@pytest.mark.parametrize("name", ["stop", "restart", "remove"])
def test_what_is_no_id_is_not_even_looked_for(name: str) -> None:
    neighbours = Neighbours()

    call(f"supervisor#{name}", step(neighbours), GRANT, "child", *NAMING[name])

    assert neighbours.asked == []


def test_a_descendant_is_stopped_restarted_and_removed_with_the_commit() -> None:
    neighbours = Neighbours()
    ctx = step(neighbours)

    calls: list[tuple[str, list[object]]] = [
        ("stop", [None]),
        ("stop", [("timeout-ms", PAUSE_MAX_MS)]),
        ("stop", [("brutal", None)]),
        ("restart", ["init"]),
        ("restart", [None]),
        ("remove", []),
    ]
    for name, more in calls:
        assert call(f"supervisor#{name}", ctx, GRANT, GRANDCHILD, *more) == ("ok", None)

    assert ctx.effects == [
        StopChild(GRANDCHILD, None),
        StopChild(GRANDCHILD, PAUSE_MAX_MS),
        StopChild(GRANDCHILD, "brutal"),
        RestartChild(GRANDCHILD, "init"),
        RestartChild(GRANDCHILD, None),
        RemoveChild(GRANDCHILD),
    ]
    assert [question[0] for question in neighbours.asked] == ["may_stop"] * 3 + ["may_restart"] * 2 + ["may_remove"]


@pytest.mark.parametrize("name", ["stop", "restart", "remove"])
def test_what_cannot_be_done_now_leaves_nothing_behind(name: str) -> None:
    ctx = step(Neighbours(problem=("not-running", CHILD)))

    assert call(f"supervisor#{name}", ctx, GRANT, CHILD, *NAMING[name]) == ("err", ("not-running", CHILD))
    assert ctx.effects == []


def test_nobody_waits_for_a_step_longer_than_a_day() -> None:
    ctx = step()

    assert error_of(call("supervisor#stop", ctx, GRANT, CHILD, ("timeout-ms", PAUSE_MAX_MS + 1))) == "other"
    assert ctx.effects == []


# -- subscriptions -----------------------------------------------------------------------------------------------------


def test_a_subscription_begins_and_ends_with_the_commit() -> None:
    ctx = step()

    assert call("supervisor#subscribe", ctx, GRANT, CHILD, None, ALL) == ("ok", None)
    wanted = {"kinds": ["state", "log", "state"], "payloads": False}
    assert call("supervisor#subscribe", ctx, GRANT, GRANDCHILD, 2**64 - 1, wanted) == ("ok", None)
    assert call("supervisor#unsubscribe", ctx, GRANT, CHILD) == ("ok", None)

    assert ctx.effects == [
        Subscribe(CHILD, None, (), payloads=True),
        Subscribe(GRANDCHILD, SEQ_MAX, ("state", "log"), payloads=False),
        Unsubscribe(CHILD),
    ]


def test_a_subscription_keeps_no_more_kinds_than_its_limit() -> None:
    most = {"kinds": ["ü" * (KINDS_MAX_BYTES // 2)], "payloads": True}
    more = {"kinds": [*most["kinds"], "x"], "payloads": True}  # type: ignore[misc]  # a list, just written

    assert call("supervisor#subscribe", step(), GRANT, CHILD, None, most) == ("ok", None)
    assert error_of(call("supervisor#subscribe", step(), GRANT, CHILD, None, more)) == "other"


# -- looking -----------------------------------------------------------------------------------------------------------


def test_the_own_children_are_listed_and_those_of_a_descendant() -> None:
    ended = child_facts(GRANDCHILD, parent=CHILD, status=("exited", ("intensity", None)), restarts=2)
    ctx = step(Neighbours(offspring=[child_facts(), ended]))
    own = {
        "id": CHILD,
        "name": "child",
        "parent": ACTOR,
        "status": ("running", None),
        "component": COMPONENT,
        "restart": "permanent",
        "restarts": 0,
    }

    assert call("supervisor#list-children", ctx, GRANT, None) == ("ok", [own])
    assert call("supervisor#list-children", ctx, GRANT, GRANDCHILD) == ("ok", [])
    assert call("supervisor#list-children", ctx, GRANT, CHILD) == (
        "ok",
        [own | {"id": GRANDCHILD, "parent": CHILD, "status": ("exited", ("intensity", None)), "restarts": 2}],
    )


def test_the_state_of_a_descendant_is_shown_with_its_event() -> None:
    ctx = step(Neighbours(states={CHILD: ('{"n":1}', 7), GRANDCHILD: ("true", 0)}))

    assert call("supervisor#child-state", ctx, GRANT, CHILD) == ("ok", {"state": '{"n":1}', "seq": 7})
    assert call("supervisor#child-state", ctx, GRANT, GRANDCHILD) == ("ok", {"state": "true", "seq": 0})


@pytest.mark.parametrize("problem", [("not-running", CHILD), ("too-large", 5), ("other", "why")])
def test_a_state_that_cannot_be_shown_says_why(problem: tuple[str, object]) -> None:
    assert call("supervisor#child-state", step(Neighbours(states={CHILD: problem})), GRANT, CHILD) == ("err", problem)


# -- events ------------------------------------------------------------------------------------------------------------


def seqs(answer: object) -> list[int]:
    assert isinstance(answer, tuple)
    assert answer[0] == "ok", answer
    return [found["seq"] for found in answer[1]]


def test_an_event_is_shown_with_every_field() -> None:
    ctx = step(Neighbours(events=[event(3, "state", '{"ü":1}'.encode()), event(4, "log", None)]))
    first = {
        "seq": 3,
        "kind": "state",
        "name": "handle",
        "time": {"seconds": 1_700_000_000, "nanoseconds": 3000},
        "hash": f"{3:064x}",
        "prev": NO_HASH,
        "payload": '{"ü":1}',
    }
    second = first | {
        "seq": 4,
        "kind": "log",
        "hash": f"{4:064x}",
        "payload": None,
        "time": {"seconds": 1_700_000_000, "nanoseconds": 4000},
    }

    assert call("supervisor#child-events", ctx, GRANT, CHILD, 0, 9, ALL) == ("ok", [first, second])
    bare = {"kinds": [], "payloads": False}
    assert call("supervisor#child-events", ctx, GRANT, CHILD, 3, 1, bare) == ("ok", [first | {"payload": None}])


@pytest.mark.parametrize(
    ("start", "limit", "expected"),
    [
        (0, 3, range(3)),
        (70, 2**32 - 1, range(70, 100)),
        (0, 0, range(0)),
        (100, 5, range(0)),
        (2**64 - 1, 5, range(0)),
    ],
)
def test_events_come_from_a_number_on_and_no_more_than_asked_for(start: int, limit: int, expected: range) -> None:
    ctx = step(Neighbours(events=[event(seq) for seq in range(100)]))

    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, start, limit, ALL)) == [*expected]


def test_nobody_is_asked_for_an_event_with_a_number_that_no_chain_has() -> None:
    neighbours = Neighbours()

    call("supervisor#child-events", step(neighbours), GRANT, CHILD, 2**64 - 1, 5, ALL)

    assert [question[1] for question in neighbours.asked] == [SEQ_MAX]


def test_no_more_than_1000_events_come_at_once() -> None:
    ctx = step(Neighbours(events=[event(seq) for seq in range(1100)]))

    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, 0, 1000, ALL)) == [*range(1000)]
    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, 0, 1001, ALL)) == [*range(1000)]


def test_only_the_kinds_wanted_come_however_far_apart_they_are() -> None:
    events = [event(seq, "refused" if seq in (200, 299) else "state") for seq in range(300)]
    ctx = step(Neighbours(events=events))

    wanted = {"kinds": ["refused", "unheard-of"], "payloads": True}

    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, 0, 9, wanted)) == [200, 299]
    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, 0, 1, wanted)) == [200]
    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, 300, 9, wanted)) == []


def test_a_call_that_has_found_something_does_not_look_for_more_for_ever() -> None:
    events = [event(seq, "refused" if seq == 5 else "state") for seq in range(SCANNED_MAX + 200)]
    neighbours = Neighbours(events=events)

    answer = call(
        "supervisor#child-events", step(neighbours), GRANT, CHILD, 0, 9, {"kinds": ["refused"], "payloads": False}
    )

    assert seqs(answer) == [5]
    assert max(question[1] for question in neighbours.asked) < SCANNED_MAX + 100  # type: ignore[type-var,operator]  # numbers


def test_payloads_fill_an_answer_to_its_limit_and_no_further() -> None:
    half = b'"' + b"x" * (EVENTS_MAX_BYTES // 2 - 2) + b'"'
    ctx = step(Neighbours(events=[event(0, payload=half), event(1, payload=half), event(2, payload=b"1")]))

    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, 0, 9, ALL)) == [0, 1]
    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, 2, 9, ALL)) == [2]
    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, 0, 9, {"kinds": [], "payloads": False})) == [0, 1, 2]


def test_one_event_comes_even_where_it_is_larger_than_an_answer() -> None:
    large = b'"' + b"x" * EVENTS_MAX_BYTES + b'"'
    ctx = step(Neighbours(events=[event(0, payload=large), event(1)]))

    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, 0, 9, ALL)) == [0]


def test_a_payload_that_the_step_could_hardly_record_is_too_large() -> None:
    ctx = step(
        Neighbours(events=[event(0), event(1, payload=b'"' + b"x" * 99 + b'"')]), limits=Limits(bytes_per_step=404)
    )

    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, 0, 9, ALL)) == [0, 1]
    ctx.limits = Limits(bytes_per_step=400)
    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, 0, 9, ALL)) == [0]
    assert call("supervisor#child-events", ctx, GRANT, CHILD, 1, 9, ALL) == ("err", ("too-large", 100))
    assert seqs(call("supervisor#child-events", ctx, GRANT, CHILD, 1, 9, {"kinds": [], "payloads": False})) == [1]


# -- the grant ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "directories"),
    [
        ({}, ()),
        ({"directories": ["/srv/b", "/srv/a//x/./", "/srv/a", "/srv/b/"]}, ("/srv/a", "/srv/b")),
        ({"directories": ["//"]}, ("/",)),
        ({"allow": ["/srv/children"]}, ("/srv/children",)),
    ],
)
def test_a_table_says_from_where(table: dict[str, object], directories: tuple[str, ...]) -> None:
    assert parse(table).directories == directories


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"directory": []}, r"\[capabilities.supervisor\] has no key 'directory' .*; did you mean 'directories'\?"),
        ({"directories": "/srv"}, r"directories = '/srv': write a list of texts"),
        ({"directories": ["children"]}, r"directories: 'children' is no absolute path without '..'"),
        ({"directories": ["/srv/../etc"]}, r"directories: '/srv/../etc' is no absolute path"),
        ({"directories": [""]}, r"directories: '' is no absolute path"),
        ({"directories": ["/\0"]}, r"is no absolute path"),
        ({"directories": ["/" + "x" * 4096]}, r"of at most 4096 bytes"),
        ({"directories": [], "allow": []}, r"has directories and allow, which is the same"),
        ({"directories": [f"/{n}" for n in range(257)]}, r"directories: 256 items are the most"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(table: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        parse(table)


def test_a_path_may_have_4096_bytes() -> None:
    assert parse({"directories": ["/" + "x" * 4095]}).directories == ("/" + "x" * 4095,)


def test_a_folder_within_an_allowed_one_is_allowed() -> None:
    grant = SupervisorGrant(("/srv/children",))

    assert grant.allows("/srv/children")
    assert grant.allows("/srv/children/a/b")
    assert not grant.allows("/srv/childrens")
    assert not grant.allows("/srv")
    assert SupervisorGrant(("/",)).allows("/etc")
    assert not SupervisorGrant().allows("/")


def test_what_goes_beyond_a_ceiling_is_named_in_manifest_lines() -> None:
    asked = SupervisorGrant(("/srv/a", "/opt"))

    assert asked.lines(SupervisorGrant(("/srv",))) == ['directories = ["/opt"]']
    assert asked.lines(SupervisorGrant()) == ['directories = ["/opt"]', 'directories = ["/srv/a"]']
    assert asked.lines(None) == ['directories = ["/opt"]', 'directories = ["/srv/a"]']
    assert asked.lines(SupervisorGrant(("/",))) == []
    assert GRANT.lines(None) == ["[capabilities.supervisor]"]
    assert GRANT.lines(GRANT) == []


def test_narrowing_keeps_what_both_allow() -> None:
    left, right = SupervisorGrant(("/srv/a", "/opt")), SupervisorGrant(("/srv", "/opt/x", "/etc"))

    assert left.narrowed(right) == SupervisorGrant(("/srv/a", "/opt/x"))
