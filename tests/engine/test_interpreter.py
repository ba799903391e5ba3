import pytest

from theater.engine.interpreter import check_interpreter


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 13, 9), (3, 14, 1), (3, 15, 0)])
def test_most_interpreters_pass(version: tuple[int, int, int]) -> None:
    check_interpreter(version, "cpython")


def test_the_one_that_aborts_on_foreign_stacks_is_refused() -> None:
    with pytest.raises(ImportError, match=r"cannot run on CPython 3\.14\.0"):
        check_interpreter((3, 14, 0), "cpython")


def test_other_implementations_are_refused() -> None:
    with pytest.raises(ImportError, match="this is pypy"):
        check_interpreter((3, 11, 9), "pypy")
