"""The variables that a grant names, and no others."""

import pytest

from theater.capabilities.environment import (
    NAME_MAX_BYTES,
    PATTERNS_MAX,
    TOTAL_MAX_BYTES,
    VALUE_MAX_BYTES,
    VARIABLES_MAX,
    EnvironmentGrant,
    arguments,
    captured,
    get,
    get_all,
    parse,
)
from theater.errors import InvalidInput, InvalidManifest
from theater.model.capability import Denied
from theater.testing.step_context import FakeStepContext

GRANT = EnvironmentGrant(("LANG", "LC_*"))
ENVIRON = {"LANG": "de_AT", "LC_TIME": "C", "HOME": "/root", "LANGUAGE": "de", "LC_": "x"}


def test_only_what_the_grant_names_is_captured_by_name() -> None:
    assert captured(GRANT, ENVIRON) == (("LANG", "de_AT"), ("LC_", "x"), ("LC_TIME", "C"))
    assert captured(EnvironmentGrant(), ENVIRON) == ()
    assert dict(captured(EnvironmentGrant(("*",)), ENVIRON)) == ENVIRON


def test_a_granted_variable_has_its_value_or_none() -> None:
    ctx = FakeStepContext(environment=captured(GRANT, ENVIRON))

    assert get(ctx, GRANT, "LANG") == ("ok", "de_AT")
    assert get(ctx, GRANT, "LC_ALL") == ("ok", None)
    assert get_all(ctx, GRANT) == [("LANG", "de_AT"), ("LC_", "x"), ("LC_TIME", "C")]


def test_another_variable_is_denied_whether_it_exists_or_not() -> None:
    ctx = FakeStepContext(environment=captured(GRANT, ENVIRON))

    assert get(ctx, GRANT, "HOME") == Denied(("err", ("denied", 'allow = ["HOME"]')))
    assert get(ctx, GRANT, "NOTHING") == Denied(("err", ("denied", 'allow = ["NOTHING"]')))
    assert get(ctx, EnvironmentGrant(), "LANG") == Denied(("err", ("denied", 'allow = ["LANG"]')))


@pytest.mark.parametrize("name", ["", "A=B", "A\0", "x" * (NAME_MAX_BYTES + 1), "ü" * 128])
def test_what_is_no_name_is_refused(name: str) -> None:
    assert get(FakeStepContext(), EnvironmentGrant(("*",)), name) == ("err", ("invalid-name", None))


def test_a_name_may_have_255_bytes() -> None:
    assert get(FakeStepContext(), EnvironmentGrant(("*",)), "x" * NAME_MAX_BYTES) == ("ok", None)


def test_arguments_are_those_of_the_actor() -> None:
    assert arguments(FakeStepContext(arguments=("-v", "file")), GRANT) == ["-v", "file"]


# -- what is too much ------------------------------------------------------------------------------------------------

EVERYTHING = EnvironmentGrant(("*",))


def test_a_value_may_be_64_kib_and_no_more() -> None:
    assert captured(EVERYTHING, {"A": "x" * VALUE_MAX_BYTES})
    with pytest.raises(InvalidInput, match="the variable 'A' is too much"):
        captured(EVERYTHING, {"A": "x" * (VALUE_MAX_BYTES + 1)})


def test_all_values_together_may_be_256_kib_and_no_more() -> None:
    quarter = dict.fromkeys("ABCD", "x" * (TOTAL_MAX_BYTES // 4 - 1))

    assert captured(EVERYTHING, quarter)
    with pytest.raises(InvalidInput, match="the variable 'E' is too much"):
        captured(EVERYTHING, quarter | {"E": ""})


def test_1000_variables_may_be_captured_and_no_more() -> None:
    many = {f"V{number}": "" for number in range(VARIABLES_MAX)}

    assert len(captured(EVERYTHING, many)) == VARIABLES_MAX
    with pytest.raises(InvalidInput, match="names 1001 variables"):
        captured(EVERYTHING, many | {"ONE_MORE": ""})


@pytest.mark.parametrize("environ", [{"A": "\udcff"}, {"A\udcff": ""}])
def test_a_variable_that_is_not_utf_8_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=r"the variable 'A.*' is not UTF-8"):
        captured(EVERYTHING, environ)


# -- the grant -------------------------------------------------------------------------------------------------------


def test_a_grant_keeps_none_that_another_one_covers() -> None:
    assert EnvironmentGrant(("LC_TIME", "LC_*", "LANG", "LANG", "LC_A*", "LC_")).allow == ("LANG", "LC_*")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (
            {"allows": ["A"]},
            r"\[capabilities.environment\] has no key 'allows' \(it has allow\); did you mean 'allow'\?",
        ),
        ({"allow": "LANG"}, r"\[capabilities.environment\] allow = 'LANG': write a list of texts"),
        ({"allow": [1]}, r"\[capabilities.environment\] allow = \[1\]: write a list of texts"),
        ({"allow": [""]}, r"\[capabilities.environment\] allow: '' is neither"),
        ({"allow": ["A=B"]}, r"\[capabilities.environment\] allow: 'A=B' is neither"),
        ({"allow": ["A*B"]}, r"\[capabilities.environment\] allow: 'A\*B' is neither"),
        ({"allow": ["A**"]}, r"\[capabilities.environment\] allow: 'A\*\*' is neither"),
        ({"allow": [f"V{n}" for n in range(PATTERNS_MAX + 1)]}, r"\[capabilities.environment\] allow: 256 names are"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(table: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        parse(table)


def test_what_goes_beyond_a_ceiling_is_named_in_manifest_lines() -> None:
    asked = EnvironmentGrant(("LANG", "LC_*", "HOME"))

    assert asked.lines(GRANT) == ['allow = ["HOME"]']
    assert asked.lines(EnvironmentGrant(("LC_TIME", "HOME"))) == ['allow = ["LANG"]', 'allow = ["LC_*"]']
    assert asked.lines(None) == ['allow = ["HOME"]', 'allow = ["LANG"]', 'allow = ["LC_*"]']
    assert EnvironmentGrant().lines(None) == ["[capabilities.environment]"]
    assert asked.lines(EVERYTHING) == []


def test_narrowing_keeps_what_both_allow() -> None:
    assert EnvironmentGrant(("LC_*", "LANG")).narrowed(EnvironmentGrant(("LC_TIME", "LA*"))).allow == (
        "LANG",
        "LC_TIME",
    )
    assert EnvironmentGrant(("HOME",)).narrowed(GRANT).allow == ()
