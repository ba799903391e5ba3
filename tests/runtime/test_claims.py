"""Event 0, decided again: each thing that it may say and that does not follow is found on its own."""

from __future__ import annotations

from dataclasses import fields

import msgspec
import pytest

from theater.capabilities.registry import built_in
from theater.errors import Unsound
from theater.model.limits import Limits
from theater.model.manifest import parse_manifest
from theater.model.payload import BOUNDARY, EngineFacts, Genesis
from theater.runtime.claims import Caps, capped_limits, check_claims
from theater.runtime.permissions import decide, default_ceiling, parse_grants

REGISTRY = built_in()

MANIFEST = """
name = "counter"
component = "counter.wasm"
params = { from = "${FROM:-0}" }
instance = "warm"
[limits]
fuel = 5_000_000
[capabilities.timing]
sleep = "5s"
[capabilities.environment]
allow = ["LANG", "LC_*"]
"""
TIMING = {"sleep": "5s"}
VARIABLES = {"allow": ["LANG", "LC_*"]}


def honest() -> Genesis:
    """What a node writes that grants what it is asked for."""
    manifest = parse_manifest(MANIFEST, settings={"FROM": 4})
    permissions = decide(
        REGISTRY, manifest.capabilities, ceiling=default_ceiling(REGISTRY), allowed=["environment=LANG", "environment"]
    )
    return Genesis(
        program="ab" * 32,
        manifest=MANIFEST,
        asked=permissions.asked,
        ceiling=permissions.ceiling,
        effective=permissions.effective_tables(),
        limits=manifest.limits.to_json(),
        instance=manifest.instance,
        params=manifest.params,
        environment=[("LANG", "tlh"), ("LC_ALL", "C")],
        arguments=[],
        parent=None,
        name="counter",
        node="",
        version="0.1.0",
        engine=EngineFacts(name="", version="", settings="", architecture=""),
        boundary=BOUNDARY,
        settings=manifest.settings,
        allowed=list(permissions.allowed),
    )


def found(**changes: object) -> str:
    """Why an honest event 0 with these changes is unsound."""
    with pytest.raises(Unsound) as caught:
        check_claims(msgspec.structs.replace(honest(), **changes), REGISTRY)
    assert caught.value.data["seq"] == 0
    assert caught.value.message.startswith("event 0: ")
    return caught.value.message


def test_what_an_honest_node_writes_holds() -> None:
    check_claims(honest(), REGISTRY)


def test_what_no_claim_is_about_may_be_anything() -> None:
    check_claims(msgspec.structs.replace(honest(), params="[]", name="other", arguments=["x"], node="00"), REGISTRY)


@pytest.mark.parametrize(
    "manifest",
    ["", "= no toml", 'name = "x"', MANIFEST.replace("${FROM:-0}", "${MISSING}"), MANIFEST + "[capabilities.nope]\n"],
)
def test_a_manifest_that_cannot_be_read(manifest: str) -> None:
    assert "does not hold" in found(manifest=manifest)


def test_a_manifest_that_asks_for_more_than_was_allowed() -> None:
    assert "asks for more" in found(manifest=MANIFEST.replace('"5s"', '"2h"'))


def test_a_ceiling_that_allows_less() -> None:
    ceiling = {**honest().ceiling, "timing": {"sleep": "1s"}}

    assert 'sleep = "5s"' in found(ceiling=ceiling)
    assert "[capabilities.timing]" in found(ceiling={})


@pytest.mark.parametrize("ceiling", [{"nope": {}}, {"timing": {"nope": 1}}, {"timing": {"sleep": [1]}}])
def test_a_ceiling_that_cannot_be(ceiling: dict[str, dict[str, object]]) -> None:
    assert "does not hold" in found(ceiling=ceiling)


def test_what_nobody_allowed() -> None:
    assert "[capabilities.environment]" in found(allowed=[])
    assert 'allow = ["LC_*"]' in found(allowed=["environment=LANG"])


@pytest.mark.parametrize("allowed", [["nope"], ["environment="], ["timing=1h"]])
def test_a_word_that_nobody_can_say(allowed: list[str]) -> None:
    assert "does not hold" in found(allowed=allowed)


def test_a_table_from_before_one_of_its_keys_was_there_has_the_default() -> None:
    old = {"sleep": "5s"}
    assert honest().asked["timing"].keys() > old.keys()

    check_claims(msgspec.structs.replace(honest(), asked={**honest().asked, "timing": old}), REGISTRY)
    everywhere = {
        "asked": {**honest().asked, "timing": old},
        "ceiling": {**honest().ceiling, "timing": {"sleep": "60s"}},
        "effective": {**honest().effective, "timing": old},
    }
    check_claims(msgspec.structs.replace(honest(), **everywhere), REGISTRY)
    for change in ({"sleep": "6s"}, {**old, "schedule": "1s"}, {**old, "repeat": "1s", "schedule": "1d"}):
        assert "asked for are not those" in found(asked={**honest().asked, "timing": change})


def child(**changes: object) -> Genesis:
    """What a node writes of a child whose parent has what ``honest`` has."""
    parent = honest()
    manifest = parse_manifest(MANIFEST, settings={"FROM": 4})
    grants = parse_grants(REGISTRY, parent.effective, where="capabilities")
    permissions = decide(REGISTRY, manifest.capabilities, ceiling=grants)
    made = msgspec.structs.replace(
        parent,
        parent="cd" * 16,
        asked=permissions.asked,
        ceiling=permissions.ceiling,
        effective=permissions.effective_tables(),
        allowed=[],
    )
    return msgspec.structs.replace(made, **changes)


def test_what_a_node_writes_of_a_child_holds() -> None:
    check_claims(child(), REGISTRY)
    assert child().ceiling == honest().effective


def test_a_child_that_has_more_than_its_ceiling() -> None:
    less = {name: table for name, table in child().ceiling.items() if name != "timing"}
    with pytest.raises(Unsound, match=r"\[capabilities.timing\]"):
        check_claims(child(ceiling=less), REGISTRY)


def test_nobody_allows_a_child_anything() -> None:
    with pytest.raises(Unsound, match="a person allowed it something, and it is the child of another actor"):
        check_claims(child(allowed=["timing"]), REGISTRY)


@pytest.mark.parametrize("asked", [{}, {"runtime": {"log": "64KiB"}}, {**honest().asked, "random": {"bytes": "64KiB"}}])
def test_asked_for_is_what_the_manifest_asks_for(asked: dict[str, dict[str, object]]) -> None:
    assert "the grants asked for are not those of its manifest" in found(asked=asked)


@pytest.mark.parametrize(
    "change",
    [
        {"timing": {"sleep": "60s"}},
        {"timing": {"sleep": "1s"}},
        {"random": {"bytes": "64KiB"}},
        {"environment": {"allow": ["*"]}},
        {"environment": {"allow": ["LANG"]}},
    ],
)
def test_the_effective_grants_follow(change: dict[str, dict[str, object]]) -> None:
    assert "the effective grants do not follow" in found(effective={**honest().effective, **change})


def test_a_grant_that_was_left_out() -> None:
    for name in honest().effective:
        left = {other: table for other, table in honest().effective.items() if other != name}

        assert "the effective grants do not follow" in found(effective=left)


@pytest.mark.parametrize("effective", [{"nope": {}}, {"timing": {"nope": 1}}])
def test_effective_grants_that_cannot_be(effective: dict[str, dict[str, object]]) -> None:
    assert "does not hold" in found(effective=effective)


@pytest.mark.parametrize("change", [{"fuel": 5_000_001}, {"fuel": 4_999_999}, {"memory": 2**26 + 1}, {"more": 1}])
def test_the_limits_are_those_of_the_manifest(change: dict[str, int | float]) -> None:
    assert "the limits are not those of its manifest" in found(limits={**honest().limits, **change})


def test_a_limit_that_was_left_out() -> None:
    limits = {key: value for key, value in honest().limits.items() if key != "wait"}

    assert "the limits are not those of its manifest" in found(limits=limits)


def test_the_kind_of_instance_is_that_of_the_manifest() -> None:
    assert "the kind of instance" in found(instance="fresh")


@pytest.mark.parametrize("name", ["HOME", "lang", "LC", ""])
def test_a_variable_that_no_grant_names(name: str) -> None:
    assert f"the variable {name!r}, which no grant names" in found(environment=[("LANG", "tlh"), (name, "x")])


def test_a_variable_where_there_is_no_grant_at_all() -> None:
    manifest = MANIFEST.partition("[capabilities.environment]")[0]
    without = {
        "manifest": manifest,
        "allowed": [],
        "asked": {name: table for name, table in honest().asked.items() if name != "environment"},
        "effective": {name: table for name, table in honest().effective.items() if name != "environment"},
    }

    check_claims(msgspec.structs.replace(honest(), **without, environment=[]), REGISTRY)
    assert "the variable 'LANG', which no grant names" in found(**without)


# -- the verifier's own caps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", sorted({field.name for field in fields(Caps)} - {"fuel", "deadline_s"}))
def test_a_limit_beyond_the_verifiers_is_refused_with_the_option(field: str) -> None:
    needed = getattr(Limits(), field)
    assert capped_limits(honest(), Caps(**{field: needed})).to_json() == {
        **honest().limits,
        "deadline": Caps().deadline_s,
    }

    with pytest.raises(Unsound, match=rf"event 0: needs {needed}, allowed {needed - 1}; raise it with --max-"):
        capped_limits(honest(), Caps(**{field: needed - 1}))


def test_fuel_and_deadline_are_the_verifiers_where_those_are_less() -> None:
    limits = capped_limits(honest(), Caps(fuel=1000, deadline_s=1.0))

    assert (limits.fuel, limits.deadline_s) == (1000, 1.0)
    assert capped_limits(honest(), Caps()).fuel == 5_000_000


def test_limits_that_no_version_writes_are_unsound() -> None:
    with pytest.raises(Unsound, match="the recorded limits cannot be"):
        capped_limits(msgspec.structs.replace(honest(), limits={"memory": -1}), Caps())
