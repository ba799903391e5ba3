"""What a real toolchain puts into a component: every import is answered, in the shapes that its types say."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from wasmtime import Engine
from wasmtime.component import Component

import theater
from tests.capabilities.acting import answered
from tests.capabilities.neighbours import CHILD, GRANDCHILD, LEDGER, Neighbours, child_facts, event, step
from tests.capabilities.test_child_order import BARE, FULL, varied
from theater.capabilities.filesystem_grant import Directory, FilesystemGrant
from theater.capabilities.registry import built_in
from theater.capabilities.wasi_cli import get_stdin, output
from theater.capabilities.wasi_clocks import subscribe_duration
from theater.capabilities.wasi_file import Entries, OpenFile
from theater.capabilities.wasi_io import check_write
from theater.capabilities.wasi_world import EMPTY_WORLD
from theater.engine.introspect import Introspector
from theater.engine.settings import make_config
from theater.model.act import Look
from theater.model.actor_system import ChannelFacts, PendingRequest, TimerFacts
from theater.model.capability import Denied, Grant, HostClass, HostFunction, Noted, Wait
from theater.model.crash import StepExit
from theater.model.execution import ImportedFunction
from theater.model.wit import (
    U8,
    Enum,
    Flags,
    Handle,
    List,
    Option,
    Primitive,
    Record,
    Result,
    Tuple,
    Type,
    Unsupported,
    Variant,
    strip_version,
)
from theater.model.wit_json import decoder, encoder
from theater.testing.step_context import FakeStepContext

WIT = Path(theater.__file__).parent / "wit"
COMPONENTIZE = Path(sys.executable).with_name("componentize-py")

WORLD = """package theater:actor@0.1.0;
world probe {
    import runtime; import timing; import random; import environment; import messaging; import supervisor; export actor;
}
"""
SOURCE = """
class Actor:
    def init(self, params):
        return params

    def handle(self, state, message):
        raise ValueError
"""

ID = "a" * 32
WANTED = {"kinds": ["state"], "payloads": True}

# Calls that succeed, or that are waited for.
GOOD: list[tuple[str, list[object]]] = [
    ("messaging#send", [CHILD, "1"]),
    ("messaging#request", [CHILD, "1", 5]),
    ("messaging#reply", [ID, "1"]),
    ("messaging#cancel", [ID, "why"]),
    ("messaging#outstanding", []),
    ("messaging#open-channel", [CHILD, "1", None]),
    ("messaging#send-on-channel", [ID, "1"]),
    ("messaging#close-channel", [ID]),
    ("messaging#list-channels", []),
    ("timing#schedule", ["1", ("after-ms", 5), 1000]),
    ("timing#schedule", ["1", ("at", {"seconds": 1, "nanoseconds": 0}), None]),
    ("timing#cancel", [ID]),
    ("timing#list-timers", []),
    ("supervisor#spawn", [FULL]),
    ("supervisor#spawn", [BARE]),
    ("supervisor#resume", [varied(FULL, shutdown=("brutal", None)), "1"]),
    ("supervisor#spawn-and-wait", [varied(FULL, shutdown=("infinity", None)), None]),
    ("supervisor#stop", [CHILD, ("timeout-ms", 5)]),
    ("supervisor#restart", [CHILD, "init"]),
    ("supervisor#remove", [CHILD]),
    ("supervisor#list-children", [None]),
    ("supervisor#child-state", [CHILD]),
    ("supervisor#child-events", [CHILD, 0, 9, WANTED]),
    ("supervisor#subscribe", [CHILD, None, WANTED]),
    ("supervisor#unsubscribe", [CHILD]),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not COMPONENTIZE.exists(), reason="needs the toolchain: pip install theater[python]"),
]


@pytest.fixture(scope="module")
def imports(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImportedFunction, ...]:
    """Each function that a Python component imports."""
    folder = tmp_path_factory.mktemp("probe")
    shutil.copytree(WIT, folder / "wit", ignore=shutil.ignore_patterns("FROZEN"))
    (folder / "wit" / "probe.wit").write_text(WORLD)
    (folder / "app.py").write_text(SOURCE)
    command = [str(COMPONENTIZE), "-d", "wit", "-w", "probe", "componentize", "app", "-o", "app.wasm"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    engine = Engine(make_config())
    return Introspector(engine).shape(Component.from_file(engine, str(folder / "app.wasm"))).imports


def test_a_python_component_imports_all_of_wasi_whatever_it_does(imports: tuple[ImportedFunction, ...]) -> None:
    assert len({wanted.interface for wanted in imports if wanted.interface.startswith("wasi:")}) >= 20
    assert len(imports) > 100


def test_every_import_of_a_python_component_is_answered(imports: tuple[ImportedFunction, ...]) -> None:
    registry = built_in()
    granted = {"timing", "random", "environment", "messaging", "supervisor"}

    assert [wanted for wanted in imports if registry.refusal(wanted.interface, wanted.name, granted=granted)] == []


def test_every_answer_has_the_shape_that_its_type_says(
    imports: tuple[ImportedFunction, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    registry = built_in()
    looked_at = 0

    for wanted in imports:
        if not registry.missing(wanted.interface, wanted.name):
            capability, function = registry.table[strip_version(wanted.interface), wanted.name]
            ctx = step(neighbours(), environment=(("LANG", "de_AT"),), arguments=("-v",))
            (tmp_path / "1").write_text("a file, whose name every path is")
            number = resource_for(ctx, wanted.name)
            arguments = [sample(of, number) for _, of in wanted.type.params]
            answer = final(ctx, function, capability.parse({}), arguments)
            looked_at += 1
            if wanted.name == "exit":
                assert answer == "exit"
            elif wanted.type.result is None:
                assert answer is None, wanted
            else:
                of = wanted.type.result
                written = encoder(of)(answer, {})
                if has_resource(of):
                    assert function.looks or function.host_class not in (HostClass.READ, HostClass.BUFFERED), wanted
                    decoder(of, naming=True)(written)
                else:
                    assert decoder(of)(written) == answer, wanted

    assert looked_at > 100


@pytest.mark.parametrize(("where", "arguments"), GOOD, ids=[where for where, _ in GOOD])
def test_what_other_actors_bring_about_has_the_shape_that_its_type_says(
    imports: tuple[ImportedFunction, ...], where: str, arguments: list[object]
) -> None:
    capability, function = built_in().table["theater:actor/" + where.partition("#")[0], where.partition("#")[2]]
    [wanted] = [
        wanted
        for wanted in imports
        if (strip_version(wanted.interface), wanted.name) == (function.interface, function.name)
    ]
    assert wanted.type.result is not None
    for (_, of), argument in zip(wanted.type.params, arguments, strict=True):
        assert decoder(of)(encoder(of)(argument, {})) == argument

    answer = final(step(neighbours()), function, capability.parse({}), arguments)

    assert not isinstance(answer, tuple) or answer[0] == "ok" or function.check is not None
    assert decoder(wanted.type.result)(encoder(wanted.type.result)(answer, {})) == answer


def final(ctx: FakeStepContext, function: HostFunction, grant: Grant, arguments: list[object]) -> object:
    """What the guest gets in the end; of a call that waits for others, that nobody answered."""
    if function.gives_id:
        ctx.begin_id()
    denied = function.check(ctx, grant, *arguments) if function.check is not None else None
    try:
        answer = denied or function.run(ctx, grant, *arguments)
    except StepExit:
        return "exit"
    if isinstance(answer, Look) or (isinstance(answer, Wait) and answer.act is not None):
        return answered(answer)
    if isinstance(answer, Wait):
        ctx.now_us = answer.until_us
        return answer.answer()
    return answer.answer if isinstance(answer, Denied | Noted) else answer


def neighbours() -> Neighbours:
    """Other actors of which there is something of every kind to see."""
    ends: list[object] = [
        ("normal", None),
        ("normal", "1"),
        ("shutdown", "runtime"),
        ("refused-init", "why"),
        ("crashed", ("fuel", None)),
        ("intensity", None),
    ]
    moment = {"seconds": 1, "nanoseconds": 2000}
    statuses = [("not-started", None), ("paused", None), ("restarting", moment), *(("exited", end) for end in ends)]
    return Neighbours(
        pending=[PendingRequest(ID, CHILD, 5), PendingRequest(LEDGER, None, 6)],
        open_channels=[ChannelFacts(ID, CHILD, opened_here=True), ChannelFacts(LEDGER, None, opened_here=False)],
        waiting_timers=[TimerFacts(ID, 5, None, "1"), TimerFacts(LEDGER, 6, 1_000_000, "2")],
        offspring=[child_facts(), *(child_facts(GRANDCHILD, status=status) for status in statuses)],
        states={CHILD: ("{}", 3)},
        events=[event(0), event(1, payload=None)],
    )


def resource_for(ctx: FakeStepContext, name: str) -> int:
    """The number of a resource of the kind that the function takes."""
    if "pollable" in name or name == "poll":
        return subscribe_duration(ctx, EMPTY_WORLD, 5)
    if name.startswith("[method]output-stream"):
        stream = output("stdout")(ctx, EMPTY_WORLD)
        check_write(ctx, EMPTY_WORLD, stream)
        return stream
    if name.startswith("[method]descriptor"):
        directory = Directory("out", str(Path.cwd()), can_write=True)
        return ctx.resources.add(OpenFile(FilesystemGrant(), directory, (), "directory", frozenset({"read"})))
    if name.startswith("[method]directory-entry-stream"):
        return ctx.resources.add(Entries([("1", "regular-file")]))
    return get_stdin(ctx, EMPTY_WORLD)


def has_resource(of: Type) -> bool:
    """Whether an answer of this type cannot be read back."""
    try:
        decoder(of)
    except ValueError:
        return True
    return False


def sample(of: Type, number: int) -> object:
    """A value of a type; ``number`` where it is a resource."""
    match of:
        case Primitive(name="bool"):
            return False
        case Primitive(name="string" | "char"):
            return "1"
        case Primitive(name="f32" | "f64"):
            return 1.0
        case Primitive():
            return 1
        case List():
            return b"1" if of.element == U8 else [sample(of.element, number)]
        case Tuple():
            return tuple(sample(element, number) for element in of.elements)
        case Record():
            return {name: sample(field, number) for name, field in of.fields}
        case Option():
            return None
        case Result():
            return ("ok", None if of.ok is None else sample(of.ok, number))
        case Variant():
            case, payload = of.cases[0]
            return (case, None if payload is None else sample(payload, number))
        case Enum():
            return of.names[0]
        case Flags():
            return frozenset()
        case Handle():
            return number
        case Unsupported():
            raise AssertionError(of)
