"""What holds for every host function: its class is the one on record, and a derived one is a function of its step.

The record is ``host_functions.txt``. A class says what is in the chain, and which calls take an id says what ids come
after, so changing one changes what old chains mean: whoever edits the file says why, and raises the number of the
boundary.
"""

import inspect
from pathlib import Path

import pytest

from tests.capabilities.wasi_web import arguments as http_arguments
from theater.capabilities.filesystem_grant import Directory, FilesystemGrant
from theater.capabilities.registry import built_in
from theater.capabilities.wasi_cli import get_stdin, output
from theater.capabilities.wasi_clocks import subscribe_duration
from theater.capabilities.wasi_file import Entries, OpenFile
from theater.capabilities.wasi_file_stream import StreamError
from theater.capabilities.wasi_world import EMPTY_WORLD
from theater.model.capability import Grant, HostClass, HostFunction
from theater.model.crash import StepExit
from theater.testing.step_context import ACTOR, FakeStepContext

RECORD = Path(__file__).with_name("host_functions.txt")
TABLE = built_in().table

Found = tuple[Grant, HostFunction]
DERIVED = {
    f"{interface}#{name}": (capability.parse({}), function)
    for (interface, name), (capability, function) in TABLE.items()
    if function.host_class is HostClass.DERIVED
}

WHEN = {"seconds": 1, "nanoseconds": 2}

# Arguments by the function's own name; a method has the number of its resource before them.
ARGUMENTS: dict[str, list[object]] = {
    "random-bytes": [9],
    "random-hex": [9],
    "random-range": [-5, 5],
    "get": ["LANG"],
    "get-random-bytes": [9],
    "get-insecure-random-bytes": [9],
    "read": [5],
    "blocking-read": [5],
    "skip": [5],
    "blocking-skip": [5],
    "subscribe-instant": [5],
    "subscribe-duration": [5],
    "display": [WHEN],
    "utc-offset": [WHEN],
    "exit": [("ok", None)],
    "exit-with-code": [0],
    "network-error-code": [1],
    "create-tcp-socket": ["ipv4"],
    "create-udp-socket": ["ipv4"],
    "resolve-addresses": [1, "example.com"],
    "is-same-object": [1],
    "read-via-stream": [5],
    "write-via-stream": [5],
    "link-at": [frozenset(), "a", 1, "b"],
    "symlink-at": ["a", "b"],
    "readlink-at": ["a"],
    "advise": [0, 5, "normal"],
}


def test_every_function_has_the_class_that_is_on_record() -> None:
    lines = [
        f"{interface}#{name} {TABLE[interface, name][1].host_class.value}"
        + (" gives-id" if TABLE[interface, name][1].gives_id else "")
        for interface, name in sorted(TABLE)
    ]

    assert lines == RECORD.read_text(encoding="ascii").splitlines()


def step() -> FakeStepContext:
    """A new step, equal to every other one."""
    return FakeStepContext(
        parent=ACTOR,
        now_us=1_700_000_000_000_005,
        environment=(("LANG", "de_AT"),),
        arguments=("-v",),
        seed=bytes(range(32)),
    )


def with_own_resource(ctx: FakeStepContext, name: str) -> list[object]:
    """The number of a resource of the kind that the method ``name`` takes."""
    match name.partition(".")[0]:
        case "[method]pollable":
            return [subscribe_duration(ctx, EMPTY_WORLD, 5)]
        case "[method]descriptor":
            directory = Directory("out", "/no/such/directory", can_write=True)
            flags = frozenset({"read", "write"})
            return [ctx.resources.add(OpenFile(FilesystemGrant(), directory, ("a",), "regular-file", flags))]
        case "[method]directory-entry-stream":
            return [ctx.resources.add(Entries([("b", "directory"), ("a", "regular-file")]))]
        case "[method]error" | "filesystem-error-code":
            return [ctx.resources.add(StreamError("io"))]
        case "[method]output-stream":
            return [output("stdout")(ctx, EMPTY_WORLD)]
        case _:
            return [get_stdin(ctx, EMPTY_WORLD)] if name.startswith("[") else []


def observed(grant: Grant, function: HostFunction) -> object:
    """Everything that two calls in a new step do, as far as anybody can see."""
    ctx = step()
    answers = []
    for _ in range(2):
        if function.interface.startswith("wasi:http/"):
            arguments, more = http_arguments(ctx, function.name), []
        else:
            arguments = with_own_resource(ctx, function.name)
            more = ARGUMENTS.get(function.name.rpartition(".")[2], [])
        try:
            answers.append(function.run(ctx, grant, *arguments, *more))
        except StepExit as exit_:
            answers.append(("exit", exit_.status))
    assert (ctx.written, ctx.flushed, ctx.effects) == ([], [], []), "a derived function touches nothing"
    return repr(answers), ctx.random("theater", 8), ctx.random("wasi", 8), ctx.random("wasi-insecure", 8)


@pytest.mark.parametrize("name", sorted(DERIVED))
def test_a_derived_function_answers_the_same_in_the_same_step_and_touches_nothing(name: str) -> None:
    grant, function = DERIVED[name]

    assert observed(grant, function) == observed(grant, function)


@pytest.mark.parametrize("interface", sorted({interface for interface, _ in TABLE}))
def test_a_resource_that_is_let_go_of_is_gone(interface: str) -> None:
    for (_, name), (_, function) in TABLE.items():
        if function.interface == interface and name.startswith("[resource-drop]"):
            ctx = step()
            number = get_stdin(ctx, EMPTY_WORLD)

            assert function.run(ctx, EMPTY_WORLD, number) is None
            with pytest.raises(KeyError):
                ctx.resources.get(number)


def test_every_function_takes_a_context_and_a_grant_first() -> None:
    for _, function in TABLE.values():
        for takes in (function.run, function.check or function.run):
            names = [*inspect.signature(takes).parameters][:2]

            assert [name.lstrip("_") for name in names] == ["ctx", "grant"], function


def test_what_acts_takes_a_context_and_the_answer_first_and_then_the_same_as_what_decides() -> None:
    for _, function in TABLE.values():
        if function.act is not None:
            decides, acts = (
                [name.lstrip("_") for name in inspect.signature(takes).parameters]
                for takes in (function.run, function.act)
            )

            assert acts == ["ctx", "answer", *decides[2:]], function
