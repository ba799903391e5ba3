"""No child reaches further than its parent, whatever both ask for, and neither does a child of that child."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.guests import wat
from tests.runtime.reach import TABLES, Tables, reach
from tests.runtime.stage import Stage, Workshop
from theater.capabilities.grant_table import manifest_lines
from theater.capabilities.registry import built_in
from theater.capabilities.runtime import RuntimeGrant
from theater.errors import Denied
from theater.model.capability import Grant
from theater.model.effects import ChildOrder
from theater.runtime.conception import ChildPlan, plan_child
from theater.runtime.permissions import Grants, decide, decide_again, default_ceiling, parse_grants

EVERY = built_in().capabilities
GENERATIONS = ("child", "grandchild", "great-grandchild")
SETS: st.SearchStrategy[Tables] = st.fixed_dictionaries({}, optional=dict(TABLES))


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


def first(data: st.DataObject) -> Grants | None:
    """What a root actor has for which a person allowed all that there is; None where even that is not enough."""
    registry = built_in()
    asked = data.draw(SETS, label="root")
    try:
        return decide(registry, asked, ceiling=default_ceiling(registry), allowed=sorted(EVERY)).effective
    except Denied:
        return None


def wanted(data: st.DataObject, grants: Grants, generation: str) -> Tables:
    """What a child asks for: anything, or what its parent could give it, so that many of them come to be."""
    asked = data.draw(SETS, label=generation)
    if data.draw(st.booleans(), label="is modest"):
        fitting = {name: narrowed(name, table, grants[name]) for name, table in asked.items() if name in grants}
        return {name: dict(grant.table()) for name, grant in fitting.items()}
    return asked


def narrowed(name: str, table: Mapping[str, object], ceiling: Grant) -> Grant:
    """What a table comes to below a ceiling."""
    grant: Grant = EVERY[name].parse(table).narrowed(ceiling)
    return grant


def test_every_capability_is_tried() -> None:
    assert TABLES.keys() == EVERY.keys()
    for name, capability in EVERY.items():
        list(reach({name: capability.parse({})}))


def pair(name: str) -> st.SearchStrategy[tuple[str, Grant, Grant]]:
    grant = TABLES[name].map(EVERY[name].parse)
    return st.tuples(st.just(name), grant, grant)


@pytest.mark.parametrize("name", sorted(name for name in TABLES if EVERY[name].ungranted is None))
@pytest.mark.slow
def test_what_asks_for_nothing_beyond_another_grant_reaches_nothing_beyond_it(name: str) -> None:
    """Each of the two, refusing and narrowing, holds without the other."""

    @given(pair(name))
    @settings(deadline=None, max_examples=200)
    def holds(found: tuple[str, Grant, Grant]) -> None:
        _, asked, ceiling = found
        outer = set(reach({name: ceiling}))
        if not asked.lines(ceiling):
            assert set(reach({name: asked})) <= outer
        both = asked.narrowed(ceiling)
        assert set(reach({name: both})) <= outer & set(reach({name: asked}))
        assert both.narrowed(ceiling) == both
        assert EVERY[name].parse(both.table()) == both
        assert EVERY[name].parse(asked.table()).narrowed(EVERY[name].parse(ceiling.table())) == both

    holds()


@given(data=st.data())
@settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_a_child_reaches_nothing_that_its_parent_does_not(node: Stage, data: st.DataObject) -> None:
    path: Path = node.workshop.file(wat.COUNTER)
    digest = node.runtime.blobs.put(path.read_bytes())
    grants = first(data)
    if grants is None:
        return
    ancestors = [grants]
    for generation in GENERATIONS:
        asked = wanted(data, grants, generation)
        effective = planned(node, digest, grants, asked)
        if effective is None:
            continue
        assert set(effective) <= {"runtime", *asked}
        for ancestor in ancestors:
            assert set(reach(effective)) <= set(reach(ancestor))
            assert beyond(effective, ancestor) == []
        grants = effective
        ancestors.append(grants)


def beyond(grants: Grants, ceiling: Grants) -> list[str]:
    """The lines of a manifest that one has and the other does not allow, as the grants themselves say."""
    return [line for name, grant in grants.items() for line in grant.lines(ceiling.get(name))]


@given(data=st.data())
@settings(deadline=None, max_examples=150)
@pytest.mark.slow
def test_a_root_actor_reaches_nothing_beyond_the_ceiling_nor_beyond_what_it_asks_for(data: st.DataObject) -> None:
    registry = built_in()
    ceiling = parse_grants(registry, {"runtime": {}, **data.draw(SETS, label="ceiling")}, where="ceiling")
    asked = wanted(data, ceiling, "root")
    try:
        effective = decide(registry, asked, ceiling=ceiling).effective
    except Denied:
        return
    assert set(reach(effective)) <= set(reach(ceiling))
    assert set(reach(effective)) <= set(reach(parse_grants(registry, {"runtime": {}, **asked}, where="capabilities")))
    assert beyond(effective, ceiling) == []


@given(data=st.data())
@settings(deadline=None, max_examples=150)
@pytest.mark.slow
def test_an_actor_that_goes_on_has_what_it_had_and_no_more(data: st.DataObject) -> None:
    """Its first event says what it got: read again, under the ceiling that its parent is, that is the same."""
    registry = built_in()
    parent = first(data)
    if parent is None:
        return
    asked = wanted(data, parent, "child")
    try:
        permissions = decide(registry, asked, ceiling=parent)
    except Denied:
        return
    again = decide_again(registry, permissions.asked, permissions.effective_tables(), ceiling=parent)
    assert again.effective == permissions.effective
    narrower = {name: narrowed(name, asked.get(name, {}), grant) for name, grant in parent.items()}
    try:
        under_less = decide_again(registry, permissions.asked, permissions.effective_tables(), ceiling=narrower)
    except Denied:
        return
    assert beyond(under_less.effective, narrower | {"runtime": narrower.get("runtime", RuntimeGrant())}) == []
