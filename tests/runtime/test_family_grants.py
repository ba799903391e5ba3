"""No child reaches further than its parent, whatever both ask for, and neither does a child of that child."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.guests import wat
from tests.runtime.stage import Stage, Workshop
from theater.capabilities.environment import EnvironmentGrant
from theater.capabilities.grant_table import manifest_lines
from theater.capabilities.messaging_grant import RELATIVES, MessagingGrant
from theater.capabilities.random import RandomGrant
from theater.capabilities.runtime import RuntimeGrant
from theater.capabilities.supervisor_grant import SupervisorGrant
from theater.capabilities.timing import TimingGrant
from theater.errors import Denied
from theater.model.actor_system import Acquaintance, Relation
from theater.model.capability import Grant
from theater.model.effects import ChildOrder
from theater.model.ids import ActorId
from theater.runtime.conception import ChildPlan, plan_child
from theater.runtime.permissions import Grants, decide, default_ceiling

Tables = dict[str, dict[str, object]]

RELATIONS: tuple[Relation, ...] = ("parent", "children", "siblings", "descendants")
SOMEBODY = ActorId("0" * 32)
NAMES = ("anna", "bert")
VARIABLES = ("LANG", "LC_ALL", "HOME")
PATHS = ("/srv", "/srv/a", "/srv/a/b", "/srvx", "/etc")
TO = (*RELATIVES, "any", *(f"name:{name}" for name in NAMES))


def table(**keys: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """A table with some of these keys."""
    return st.fixed_dictionaries({}, optional=keys)


TABLES: st.SearchStrategy[Tables] = st.fixed_dictionaries(
    {},
    optional={
        "messaging": table(to=st.lists(st.sampled_from(TO), max_size=4)),
        "supervisor": table(directories=st.lists(st.sampled_from(PATHS), max_size=3)),
        "timing": table(
            sleep=st.sampled_from(["0s", "1s", "5s", "60s"]),
            schedule=st.sampled_from(["0s", "1h", "365d"]),
            repeat=st.sampled_from(["100ms", "1s", "1h"]),
        ),
        "random": st.just({}),
        "environment": table(allow=st.lists(st.sampled_from(["LANG", "L*", "LC_*", "*"]), max_size=3)),
    },
)


def reach(grants: Grants) -> Iterator[object]:
    """Everything, of a small world, that these grants allow. How they say themselves that they compare is not asked."""
    for name, grant in grants.items():
        yield name
        yield from _reach(grant)


def _reach(grant: Grant) -> Iterator[object]:
    match grant:
        case MessagingGrant():
            for name in (*NAMES, "other"):
                if grant.knows(name):
                    yield ("whereis", name)
                for relations in subsets(RELATIONS):
                    if grant.reaches(Acquaintance(SOMEBODY, name, frozenset[Relation](relations))):
                        yield ("message", name, frozenset(relations))
        case SupervisorGrant():
            yield from (("directory", path) for path in PATHS if grant.allows(path))
        case TimingGrant():
            for ms in (0, 50, 100, 1000, 5000, 60_000, 3_600_000):
                yield from (("sleep", ms),) * (ms <= grant.sleep_ms)
                yield from (("schedule", ms),) * (ms <= grant.schedule_ms)
                yield from (("repeat", ms),) * (ms >= grant.repeat_ms)
        case EnvironmentGrant():
            yield from (("variable", name) for name in VARIABLES if grant.allows(name))
        case RandomGrant() | RuntimeGrant():
            yield grant
        case _:
            raise AssertionError(grant)


def subsets(relations: tuple[Relation, ...]) -> Iterator[tuple[Relation, ...]]:
    return chain.from_iterable(combinations(relations, size) for size in range(len(relations) + 1))


@pytest.fixture(scope="module")
def node(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(workshop, tmp_path_factory.mktemp("grants")) as stage:
        yield stage


def planned(stage: Stage, digest: str, grants: Grants, asked: Tables) -> Grants | None:
    """What a child that asks for this would get of a parent with these; None where it is refused."""
    lines = [f'name = "child"\ncomponent = "sha256:{digest}"']
    for name, keys in asked.items():
        lines += [f"[capabilities.{name}]", *manifest_lines(keys)]
    surroundings = stage.runtime._dispatcher.surroundings
    plan = plan_child(surroundings, ChildOrder("\n".join(lines)), grants)
    if isinstance(plan, ChildPlan):
        surroundings.directory.release_name("child")
        return plan.permissions.effective
    assert plan[0] == "grants-exceeded", plan
    return None


@given(data=st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_a_child_reaches_nothing_that_its_parent_does_not(node: Stage, data: st.DataObject) -> None:
    path: Path = node.workshop.file(wat.COUNTER)
    digest = node.runtime.blobs.put(path.read_bytes())
    registry = node.runtime.node.registry
    try:
        grants = decide(
            registry,
            data.draw(TABLES, label="root"),
            ceiling=default_ceiling(registry),
            allowed=("messaging", "supervisor", "timing", "environment"),
        ).effective
    except Denied:  # not within what a person allows by these words
        return
    for generation in ("child", "grandchild"):
        asked = data.draw(TABLES, label=generation)
        effective = planned(node, digest, grants, asked)
        if effective is None:
            continue
        assert set(reach(effective)) <= set(reach(grants))
        assert set(effective) <= {"runtime", *asked}
        grants = effective
