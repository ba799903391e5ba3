"""No files, and no way to one."""

from theater.capabilities.wasi_filesystem import (
    CAPABILITY,
    get_directories,
    is_same_object,
    no_descriptor,
)
from theater.capabilities.wasi_world import EMPTY_WORLD as GRANT
from theater.testing.step_context import FakeStepContext


def test_no_directory_is_open() -> None:
    assert get_directories(FakeStepContext(), GRANT) == []


def test_no_error_is_one_of_a_file() -> None:
    [function] = [function for function in CAPABILITY.functions if function.name == "filesystem-error-code"]

    assert function.run(FakeStepContext(), GRANT, 1) is None


def test_every_method_that_can_fail_says_that_there_is_no_descriptor() -> None:
    methods = [function for function in CAPABILITY.functions if function.name.startswith("[method]")]
    failing = [function for function in methods if function.name != "[method]descriptor.is-same-object"]

    assert len(failing) == 27
    assert {function.run(FakeStepContext(), GRANT, 1) for function in failing} == {("err", "bad-descriptor")}


def test_an_answer_does_not_depend_on_the_arguments() -> None:
    assert no_descriptor(FakeStepContext(), GRANT, 1, frozenset(), "../../etc/passwd") == ("err", "bad-descriptor")


def test_a_descriptor_is_itself_and_no_other() -> None:
    assert is_same_object(FakeStepContext(), GRANT, 1, 1)
    assert not is_same_object(FakeStepContext(), GRANT, 1, 2)
