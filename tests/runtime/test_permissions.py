"""What an actor gets: what it asks for, within the ceiling and what a person allowed; and never more."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theater.capabilities.environment import EnvironmentGrant
from theater.capabilities.random import CALL_MAX_BYTES, RandomGrant
from theater.capabilities.registry import built_in
from theater.capabilities.runtime import LOG_MAX_BYTES, LOG_MIN_BYTES, RuntimeGrant
from theater.capabilities.timing import SLEEP_MAX_MS, TimingGrant
from theater.errors import Denied, InvalidInput, InvalidManifest
from theater.model.capability import Grant
from theater.runtime.permissions import Permissions, decide, decide_again, default_ceiling, parse_grants

REGISTRY = built_in()
DEFAULT = default_ceiling(REGISTRY)
VARIABLES: dict[str, dict[str, object]] = {"environment": {"allow": ["LANG", "LC_*", "HOME"]}}


def decided(
    asked: Mapping[str, Mapping[str, object]],
    *,
    ceiling: Mapping[str, Grant] | None = None,
    allowed: Sequence[str] = (),
) -> Permissions:
    return decide(REGISTRY, asked, ceiling=DEFAULT if ceiling is None else ceiling, allowed=allowed)


def denied(
    asked: Mapping[str, Mapping[str, object]],
    *,
    ceiling: Mapping[str, Grant] | None = None,
    allowed: Sequence[str] = (),
) -> list[str]:
    """The lines that were asked for beyond what is allowed."""
    with pytest.raises(Denied) as caught:
        decided(asked, ceiling=ceiling, allowed=allowed)
    lines = caught.value.data["asked"]
    assert isinstance(lines, list)
    assert all(f"\n    {line}\n" in caught.value.message for line in lines)
    return lines


# -- what is asked for, within the ceiling ---------------------------------------------------------------------------


def test_nothing_named_gives_the_runtime_alone() -> None:
    for ceiling in (DEFAULT, {}):
        permissions = decided({}, ceiling=ceiling)

        assert permissions.effective == {"runtime": RuntimeGrant()}
        assert permissions.asked == {"runtime": {"log": "64KiB"}}


def test_the_ceiling_alone_gives_nothing() -> None:
    assert "timing" in DEFAULT
    assert "timing" not in decided({}).effective


def test_what_is_asked_for_within_the_ceiling_is_what_one_gets() -> None:
    permissions = decided({"timing": {"sleep": "5s"}, "random": {}})

    assert permissions.effective == {
        "runtime": RuntimeGrant(),
        "timing": TimingGrant(5000),
        "random": RandomGrant(),
    }
    assert permissions.effective_tables()["timing"] == {"sleep": "5s", "schedule": "365d", "repeat": "1s"}


def test_the_decision_keeps_all_that_it_followed_from() -> None:
    permissions = decided({"timing": {}}, allowed=["environment"])

    assert permissions.asked == {
        "runtime": {"log": "64KiB"},
        "timing": {"sleep": "60s", "schedule": "365d", "repeat": "1s"},
    }
    assert permissions.ceiling.keys() == DEFAULT.keys()
    assert permissions.allowed == ("environment",)


def test_the_default_ceiling_has_no_variables() -> None:
    assert DEFAULT.keys() >= {"runtime", "timing", "random"}
    assert "environment" not in DEFAULT


# -- more than that --------------------------------------------------------------------------------------------------


def test_more_than_the_ceiling_is_denied_with_the_lines() -> None:
    lines = denied({"timing": {"sleep": "2h"}}, ceiling={"timing": TimingGrant()})

    assert lines == ["[capabilities.timing]", 'sleep = "7200s"']


def test_the_lines_of_a_list_are_one_line() -> None:
    assert denied(VARIABLES) == ["[capabilities.environment]", 'allow = ["HOME", "LANG", "LC_*"]']


def test_only_what_goes_beyond_is_named() -> None:
    lines = denied(VARIABLES, ceiling={"environment": EnvironmentGrant(("LANG", "L*"))})

    assert lines == ["[capabilities.environment]", 'allow = ["HOME"]']


def test_each_capability_has_its_head_and_the_denial_can_be_pasted() -> None:
    asked: dict[str, dict[str, object]] = {**VARIABLES, "timing": {"sleep": "2h"}, "random": {}}
    lines = denied(asked)

    assert tomllib.loads("\n".join(lines)) == {
        "capabilities": {"environment": {"allow": ["HOME", "LANG", "LC_*"]}, "timing": {"sleep": "7200s"}}
    }
    assert denied({**asked, "random": {}}, allowed=["timing"])[0] == "[capabilities.environment]"


def test_a_capability_that_the_ceiling_does_not_have_is_denied_by_its_head() -> None:
    assert denied({"environment": {}}) == ["[capabilities.environment]"]


def test_a_denial_says_how_to_allow_it() -> None:
    with pytest.raises(Denied, match="--allow environment --allow timing, or for ever by the same lines under"):
        decided({**VARIABLES, "timing": {"sleep": "2h"}})


# -- what a person allows --------------------------------------------------------------------------------------------


def test_allow_without_a_pattern_gives_all_that_is_asked_for_and_no_more() -> None:
    effective = decided(VARIABLES, allowed=["environment"]).effective

    assert effective["environment"] == EnvironmentGrant(("HOME", "LANG", "LC_*"))
    assert "environment" not in decided({}, allowed=["environment"]).effective


def test_allow_with_a_pattern_gives_what_it_covers() -> None:
    asked: dict[str, dict[str, object]] = {"environment": {"allow": ["LANG"]}}

    assert decided(asked, allowed=["environment=LANG"]).effective["environment"] == EnvironmentGrant(("LANG",))
    assert decided(asked, allowed=["environment=L*"]).effective["environment"] == EnvironmentGrant(("LANG",))


def test_several_may_be_allowed_beside_the_ceiling() -> None:
    effective = decided(
        VARIABLES,
        ceiling={"environment": EnvironmentGrant(("HOME",))},
        allowed=["environment=LANG", "environment=LC_*"],
    ).effective

    assert effective["environment"] == EnvironmentGrant(("HOME", "LANG", "LC_*"))


def test_a_pattern_that_covers_a_part_leaves_the_rest_denied() -> None:
    rest = ["[capabilities.environment]", 'allow = ["HOME", "LC_*"]']

    assert denied(VARIABLES, allowed=["environment=LANG"]) == rest
    assert denied(VARIABLES, allowed=["environment=LANG", "environment=LC_ALL"]) == rest
    assert denied(VARIABLES, allowed=["environment=LANG", "environment=LC_*", "timing"])[1:] == ['allow = ["HOME"]']


def test_a_pattern_is_enough_for_one_that_asks_for_the_capability_alone() -> None:
    assert decided({"environment": {}}, allowed=["environment=X"]).effective["environment"] == EnvironmentGrant()


def test_one_capability_that_is_allowed_says_nothing_of_another() -> None:
    assert denied(VARIABLES, allowed=["timing"])[0] == "[capabilities.environment]"


# -- what cannot be read ---------------------------------------------------------------------------------------------


def test_an_unknown_capability_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidManifest, match="'timeing'; did you mean 'timing'"):
        decided({"timeing": {}})
    with pytest.raises(
        InvalidInput, match="--allow timeing=X: there is no capability 'timeing'; did you mean 'timing'"
    ):
        decided({}, allowed=["timeing=X"])


def test_a_table_that_cannot_be_names_its_key() -> None:
    with pytest.raises(InvalidManifest, match=r"\[capabilities.timing\] has no key 'sleeps'.*did you mean 'sleep'"):
        decided({"timing": {"sleeps": "1s"}})


@pytest.mark.parametrize("allowed", ["environment=", "environment=A=B", "environment=*A", "timing=1h"])
def test_a_pattern_that_cannot_be_is_refused(allowed: str) -> None:
    with pytest.raises(InvalidInput, match=f"--allow {allowed.replace('*', '.')}: "):
        decided({}, allowed=[allowed])


def test_grants_say_where_they_were_read() -> None:
    with pytest.raises(InvalidManifest, match=r"\[ceiling.http-servers\]: there is no"):
        parse_grants(REGISTRY, {"http-servers": {}}, where="ceiling")


# -- deciding again --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorded:
    """What event 0 of an actor says."""

    asked: dict[str, dict[str, object]]
    effective: dict[str, dict[str, object]]


def recorded(permissions: Permissions) -> Recorded:
    return Recorded(permissions.asked, permissions.effective_tables())


def again(claim: Recorded, *, ceiling: Mapping[str, Grant], allowed: Sequence[str] = ()) -> Permissions:
    return decide_again(REGISTRY, claim.asked, claim.effective, ceiling=ceiling, allowed=allowed)


def test_an_actor_goes_on_with_what_it_has_while_the_ceiling_allows_it() -> None:
    first = decided({"timing": {"sleep": "5s"}})

    for ceiling in (DEFAULT, {"timing": TimingGrant(5000)}):
        assert again(recorded(first), ceiling=ceiling).effective == first.effective


def test_what_was_allowed_once_was_allowed_once() -> None:
    claim = recorded(decided(VARIABLES, allowed=["environment"]))

    with pytest.raises(Denied) as caught:
        again(claim, ceiling=DEFAULT)

    assert caught.value.data["asked"] == ["[capabilities.environment]", 'allow = ["HOME", "LANG", "LC_*"]']
    assert again(claim, ceiling=DEFAULT, allowed=["environment"]).effective.keys() == {"runtime", "environment"}


def test_a_chain_that_gives_itself_more_than_it_asked_for_is_denied_whatever_is_allowed() -> None:
    widened = Recorded({"runtime": {}}, {"runtime": {}, "environment": {"allow": ["*"]}})

    for allowed in ([], ["environment"]):
        with pytest.raises(Denied, match="more than it asked for") as caught:
            again(widened, ceiling={"environment": EnvironmentGrant(("*",))}, allowed=allowed)
        assert caught.value.data["asked"] == ["[capabilities.environment]", 'allow = ["*"]']


# -- properties ------------------------------------------------------------------------------------------------------

FEW = settings(max_examples=50)  # each decides several times over
PATTERNS = st.from_regex(r"[AB]{1,3}\*?|\*", fullmatch=True)
GRANTS: dict[str, st.SearchStrategy[Grant]] = {
    "environment": st.lists(PATTERNS, max_size=4).map(lambda allow: EnvironmentGrant(tuple(allow))),
    "random": st.integers(0, CALL_MAX_BYTES).map(RandomGrant),
    "runtime": st.integers(LOG_MIN_BYTES, LOG_MAX_BYTES).map(RuntimeGrant),
    "timing": st.integers(0, SLEEP_MAX_MS).map(TimingGrant),
}
SETS: st.SearchStrategy[dict[str, Grant]] = st.fixed_dictionaries({}, optional=GRANTS)
ALLOWED = st.lists(st.sampled_from(["random", "timing", "runtime"]) | PATTERNS.map(lambda text: f"environment={text}"))


def tables(grants: Mapping[str, Grant]) -> dict[str, dict[str, object]]:
    return {name: dict(grant.table()) for name, grant in grants.items()}


def maybe(
    asked: Mapping[str, Grant], *, ceiling: Mapping[str, Grant], allowed: Sequence[str] = ()
) -> Permissions | None:
    try:
        return decided(tables(asked), ceiling=ceiling, allowed=allowed)
    except Denied:
        return None


@FEW
@given(SETS, SETS, ALLOWED)
def test_the_effective_grants_are_within_what_is_asked_and_within_what_is_allowed(
    asked: dict[str, Grant], ceiling: dict[str, Grant], allowed: list[str]
) -> None:
    permissions = maybe(asked, ceiling=ceiling, allowed=allowed)
    if permissions is None:
        return
    patterns = [EnvironmentGrant((text.partition("=")[2],)) for text in allowed if "=" in text]
    for name, grant in permissions.effective.items():
        assert grant.lines(asked.get(name, RuntimeGrant() if name == "runtime" else None)) == []
        if name in allowed:
            continue
        beyond = grant.lines(ceiling.get(name))
        if name == "environment":
            beyond = [line for line in beyond if all(line in grant.lines(pattern) for pattern in patterns)]
        assert beyond == []


@FEW
@given(SETS, SETS, ALLOWED)
def test_who_asks_for_what_it_got_gets_the_same(
    asked: dict[str, Grant], ceiling: dict[str, Grant], allowed: list[str]
) -> None:
    permissions = maybe(asked, ceiling=ceiling, allowed=allowed)
    if permissions is None:
        return
    for_the_same = maybe(permissions.effective, ceiling=ceiling, allowed=allowed)
    assert for_the_same is not None
    assert for_the_same.effective == permissions.effective
    assert again(recorded(permissions), ceiling=ceiling, allowed=allowed).effective == permissions.effective


@FEW
@given(SETS, SETS, SETS, ALLOWED)
@pytest.mark.slow
def test_a_narrower_ceiling_never_gives_more(
    asked: dict[str, Grant], ceiling: dict[str, Grant], other: dict[str, Grant], allowed: list[str]
) -> None:
    narrower = {name: grant.narrowed(other[name]) for name, grant in ceiling.items() if name in other}
    under_the_narrower = maybe(asked, ceiling=narrower, allowed=allowed)
    if under_the_narrower is None:
        return
    under_the_wider = maybe(asked, ceiling=ceiling, allowed=allowed)
    assert under_the_wider is not None
    for name, grant in under_the_narrower.effective.items():
        assert grant.lines(under_the_wider.effective[name]) == []


@FEW
@given(SETS, SETS)
def test_what_is_denied_can_be_pasted_into_the_ceiling_and_is_allowed_then(
    asked: dict[str, Grant], ceiling: dict[str, Grant]
) -> None:
    try:
        decided(tables(asked), ceiling=ceiling)
    except Denied as error:
        lines = error.data["asked"]
        assert isinstance(lines, list)
        pasted: dict[str, dict[str, object]] = tomllib.loads("\n".join(lines))["capabilities"]
        beside = {name: table for name, table in tables(ceiling).items() if name not in pasted}
        if "environment" in pasted and "environment" in ceiling:
            patterns = [*_patterns(pasted["environment"]), *_patterns(ceiling["environment"].table())]
            pasted["environment"] = {"allow": patterns}
        wider = parse_grants(REGISTRY, {**beside, **pasted}, where="ceiling")
        assert maybe(asked, ceiling=wider) is not None


def _patterns(table: Mapping[str, object]) -> list[str]:
    patterns = table.get("allow", [])
    assert isinstance(patterns, list)
    return patterns
