"""Each guarantee names the tests that hold it, so each test that is named must be there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"`(test_[a-z0-9_]+)`")


def defined_tests() -> set[str]:
    text = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    suites = "\n".join(path.read_text() for path in (ROOT / "src/theater/testing").rglob("*.py"))
    return set(re.findall(r"def (test_\w+)", text + suites))


def missing(text: str, defined: set[str]) -> set[str]:
    return set(_NAMED.findall(text)) - defined


def test_every_test_that_the_semantics_name_exists() -> None:
    assert missing((ROOT / "SEMANTICS.md").read_text(), defined_tests()) == set()


def test_a_test_that_is_gone_would_be_missed() -> None:
    assert missing("held by `test_no_such_thing`", defined_tests()) == {"test_no_such_thing"}
