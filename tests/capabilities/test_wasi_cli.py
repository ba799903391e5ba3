"""Variables, arguments, standard streams and the end of a program."""

import pytest

from theater.capabilities.wasi_cli import (
    CAPABILITY,
    exit_with_code,
    exit_with_status,
    get_arguments,
    get_environment,
    get_stdin,
    output,
)
from theater.capabilities.wasi_world import EMPTY_WORLD as GRANT
from theater.model.crash import StepExit
from theater.testing.step_context import FakeStepContext


def test_without_a_grant_there_are_no_variables() -> None:
    assert get_environment(FakeStepContext(), GRANT) == []


def test_granted_variables_have_their_values_as_of_genesis() -> None:
    ctx = FakeStepContext(environment=(("LANG", "de_AT"),))

    assert get_environment(ctx, GRANT) == [("LANG", "de_AT")]


def test_the_name_of_the_actor_is_that_of_the_program() -> None:
    assert get_arguments(FakeStepContext(name="sort", arguments=("-r", "x")), GRANT) == ["sort", "-r", "x"]
    assert get_arguments(FakeStepContext(name="sort"), GRANT) == ["sort"]


@pytest.mark.parametrize("name", ["initial-cwd", "get-terminal-stdin", "get-terminal-stdout", "get-terminal-stderr"])
def test_there_is_no_directory_and_no_terminal(name: str) -> None:
    [function] = [function for function in CAPABILITY.functions if function.name == name]

    assert function.run(FakeStepContext(), GRANT) is None


@pytest.mark.parametrize("status", ["ok", "err"])
def test_exit_ends_the_step_as_it_says(status: str) -> None:
    with pytest.raises(StepExit) as caught:
        exit_with_status(FakeStepContext(), GRANT, (status, None))

    assert caught.value.status == (0 if status == "ok" else 1)


@pytest.mark.parametrize("code", [0, 1, 255])
def test_exit_with_code_ends_the_step_with_that(code: int) -> None:
    with pytest.raises(StepExit) as caught:
        exit_with_code(FakeStepContext(), GRANT, code)

    assert caught.value.status == code


def test_each_stream_is_a_resource_of_its_own() -> None:
    ctx = FakeStepContext()

    assert [get_stdin(ctx, GRANT), output("stdout")(ctx, GRANT), output("stderr")(ctx, GRANT)] == [1, 2, 3]
    assert (ctx.resources.get(2).name, ctx.resources.get(3).name) == ("stdout", "stderr")
