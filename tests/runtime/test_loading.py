"""Every reason for which a component is not run, in the words in which its user hears of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guests import wat
from tests.guests.component import ACTOR, Import, actor, command
from tests.guests.imports import HEX, LOG, SLEEP, WASI_RANDOM
from tests.runtime.stage import Workshop
from theater.capabilities.random import RandomGrant
from theater.capabilities.registry import Registry, built_in
from theater.capabilities.runtime import RuntimeGrant
from theater.capabilities.timing import TimingGrant
from theater.engine import WasmtimeEngine
from theater.errors import InvalidComponent, NotFound
from theater.model.capability import Capability, Grant, HostClass
from theater.model.ids import Digest
from theater.runtime.loading import Loader
from theater.store import MemoryBlobStore

GRANTS: dict[str, Grant] = {"runtime": RuntimeGrant()}
STRING_TO_STRING = "(param i32 i32) (result i32)"


class Desk:
    """A loader, and a content store into which the components of texts are put."""

    def __init__(self, workshop: Workshop, engine: WasmtimeEngine, blobs: MemoryBlobStore) -> None:
        self.loader = Loader(engine, blobs, built_in())
        self.blobs = blobs
        self._workshop = workshop

    def put(self, text: str) -> Digest:
        return self.blobs.put(self._workshop.file(text).read_bytes())

    def bind(self, text: str, grants: dict[str, Grant] | None = None) -> set[tuple[str, str]]:
        """The functions that the component of ``text`` gets."""
        loaded = self.loader.load(self.put(text))
        return set(self.loader.bind(loaded.program, GRANTS if grants is None else grants))

    def refusal(self, text: str, grants: dict[str, Grant] | None = None) -> str:
        """Why it cannot run."""
        with pytest.raises(InvalidComponent) as caught:
            self.bind(text, grants)
        return caught.value.message


@pytest.fixture(scope="module")
def engine(workshop: Workshop) -> Iterator[WasmtimeEngine]:
    engine = WasmtimeEngine(workshop.cache)
    yield engine
    engine.close()


@pytest.fixture
def desk(workshop: Workshop, engine: WasmtimeEngine) -> Iterator[Desk]:
    blobs = MemoryBlobStore()
    yield Desk(workshop, engine, blobs)
    blobs.close()


def importing(interface: str, name: str = "boom") -> str:
    """An actor that imports one function that takes nothing."""
    return actor(
        imports=[Import(interface, name, "(result u32)", "(result i32)")],
        handle=f"(drop (call ${name})) unreachable",
    )


# -- what runs -------------------------------------------------------------------------------------------------------


def test_an_actor_and_a_command_are_told_apart(desk: Desk) -> None:
    assert desk.loader.load(desk.put(wat.COUNTER)).role == "actor"
    assert desk.loader.load(desk.put(wat.COMMAND)).role == "command"


def test_an_actor_is_one_whatever_else_it_exports(desk: Desk) -> None:
    closing = wat.COUNTER.rindex(")")
    handler = """
      (core module $H (func (export "handle"))) (core instance $h (instantiate $H))
      (func $serve (canon lift (core func $h "handle"))) (instance $service (export "handle" (func $serve)))
      (export "wasi:http/incoming-handler@0.2.0" (instance $service)))"""

    assert desk.loader.load(desk.put(wat.COUNTER[:closing] + handler)).role == "actor"


def test_a_component_is_loaded_once(desk: Desk) -> None:
    digest = desk.put(wat.COUNTER)

    assert desk.loader.load(digest) is desk.loader.load(digest)


def test_each_import_is_bound_to_its_grant(desk: Desk) -> None:
    text = actor(imports=[LOG, SLEEP, WASI_RANDOM], handle="unreachable")
    loaded = desk.loader.load(desk.put(text))

    bindings = desk.loader.bind(loaded.program, {**GRANTS, "timing": TimingGrant(5)})

    assert bindings["theater:actor/timing", "sleep"].grant == TimingGrant(5)
    assert bindings["theater:actor/timing", "sleep"].event_name == "theater:actor/timing#sleep"
    assert bindings.keys() == {
        ("theater:actor/runtime", "log"),
        ("theater:actor/timing", "sleep"),
        ("wasi:random/random", "get-random-u64"),
    }


def test_the_runtime_and_wasi_need_no_grant(desk: Desk) -> None:
    text = actor(imports=[LOG, WASI_RANDOM], handle="unreachable")

    assert desk.bind(text, {}) == {("theater:actor/runtime", "log"), ("wasi:random/random", "get-random-u64")}


# -- imports ---------------------------------------------------------------------------------------------------------


def test_what_was_not_granted_says_which_line_to_add(desk: Desk) -> None:
    text = actor(imports=[SLEEP], handle="unreachable")

    assert desk.refusal(text) == (
        "this component cannot run here:\n"
        "    theater:actor/timing was not granted: add [capabilities.timing] to the manifest"
    )
    assert desk.bind(text, {**GRANTS, "timing": TimingGrant()}) == {("theater:actor/timing", "sleep")}


def test_everything_that_is_missing_is_named_once(desk: Desk) -> None:
    text = actor(imports=[SLEEP, HEX, LOG], handle="unreachable")

    assert desk.refusal(text).splitlines()[1:] == [
        "    theater:actor/timing was not granted: add [capabilities.timing] to the manifest",
        "    theater:actor/random was not granted: add [capabilities.random] to the manifest",
    ]
    assert "timing" not in desk.refusal(text, {"timing": TimingGrant()})
    assert "random" not in desk.refusal(text, {"random": RandomGrant()})


@pytest.mark.parametrize(
    ("interface", "function", "why"),
    [
        ("wasi:clocks/wall-clock@0.3.0", "now", "it targets WASI 0.3.0; build it for WASI 0.2"),
        ("wasi:clocks/wall-clock@0.1.0", "now", "it targets WASI 0.1.0; build it for WASI 0.2"),
        ("wasi:clocks/wall-clock", "now", "it targets a WASI without version; build it for WASI 0.2"),
        ("wasi:http/types@0.2.0", "boom", "imports 'boom' of wasi:http/types, which this version does not have"),
        ("wasi:http/types@0.3.0", "boom", "it targets WASI 0.3.0"),
        ("wasi:clocks/wall-clock@0.2.0", "boom", "imports 'boom' of wasi:clocks/wall-clock, which this version does"),
        ("wasi:nn/graph@0.2.0", "boom", "imports wasi:nn/graph, which nothing answers"),
        ("theater:actor/timing@0.2.0", "now", "this version answers theater:actor@0.1.0"),
        ("theater:actor/timing@0.1.0", "boom", "imports 'boom' of theater:actor/timing, which this version does not"),
        ("theater:actor/http-server@0.1.0", "boom", "imports 'boom' of theater:actor/http-server, which this version"),
        ("theater:actor/timming@0.1.0", "now", "nothing answers; did you mean 'theater:actor/timing'"),
        ("vendor:thing/api@1.0.0", "boom", "imports vendor:thing/api, which nothing answers"),
    ],
)
def test_an_import_that_nobody_answers(desk: Desk, interface: str, function: str, why: str) -> None:
    (line,) = desk.refusal(importing(interface, function), {**GRANTS, "timing": TimingGrant()}).splitlines()[1:]

    assert why in line


def test_a_function_that_is_imported_outside_of_any_interface(desk: Desk) -> None:
    text = '(component (import "boom" (func $boom))' + wat.COMMAND.strip().removeprefix("(component")

    assert "the function 'boom' outside of any interface" in desk.refusal(text)


def test_an_interface_that_is_imported_for_its_types_alone_is_looked_at_too(desk: Desk) -> None:
    text = '(component (import "wasi:http/types@0.3.0" (instance))' + wat.COMMAND.strip().removeprefix("(component")

    assert "it targets WASI 0.3.0" in desk.refusal(text)


def act_nothing(*_args: object) -> None:
    """What a buffered function does that does nothing."""


def loader_where_stdout_is(host_class: HostClass, engine: WasmtimeEngine, desk: Desk) -> Loader:
    """A loader for which ``get-stdout``, which answers with a resource, is of this class."""
    capabilities: list[Capability[Grant]] = [
        dataclasses.replace(
            each,
            functions=tuple(
                dataclasses.replace(
                    function, host_class=host_class, act=act_nothing if host_class is HostClass.BUFFERED else None
                )
                if function.name == "get-stdout"
                else function
                for function in each.functions
            ),
        )
        for each in built_in().capabilities.values()
    ]
    return Loader(engine, desk.blobs, Registry(capabilities))


@pytest.mark.parametrize("host_class", [HostClass.READ, HostClass.BUFFERED])
def test_what_is_answered_from_the_record_answers_no_resource(
    engine: WasmtimeEngine, desk: Desk, host_class: HostClass
) -> None:
    loader = loader_where_stdout_is(host_class, engine, desk)
    program = loader.load(desk.put(wat.HANDLE_BOMB)).program

    with pytest.raises(InvalidComponent, match="get-stdout cannot be recorded: a resource cannot be read back"):
        loader.bind(program, GRANTS)


@pytest.mark.parametrize("host_class", [HostClass.DERIVED, HostClass.OUTPUT, HostClass.WAITING])
def test_what_is_not_answered_from_the_record_may_answer_a_resource(
    engine: WasmtimeEngine, desk: Desk, host_class: HostClass
) -> None:
    loader = loader_where_stdout_is(host_class, engine, desk)
    program = loader.load(desk.put(wat.HANDLE_BOMB)).program

    assert ("wasi:cli/stdout", "get-stdout") in loader.bind(program, GRANTS)


# -- what is no component --------------------------------------------------------------------------------------------


def test_a_core_module_is_no_component(desk: Desk) -> None:
    with pytest.raises(InvalidComponent, match="is a core module, not a component: wrap it"):
        desk.loader.load(desk.blobs.put(b"\0asm\1\0\0\0"))


@pytest.mark.parametrize("data", [b"", b"\0asm", b"text", b"\0asm\x0d\0\1\0\xff\xff"])
def test_what_is_no_webassembly(desk: Desk, data: bytes) -> None:
    with pytest.raises(InvalidComponent):
        desk.loader.load(desk.blobs.put(data))


def test_a_component_that_is_not_here(desk: Desk) -> None:
    with pytest.raises(NotFound):
        desk.loader.load(Digest("ab" * 32))


# -- exports ---------------------------------------------------------------------------------------------------------


def exporting(interface: str, functions: dict[str, tuple[str, str, str]]) -> str:
    """A component that exports functions, each by its type in the component and in the core module, and its options."""
    cores = "".join(f'(func (export "{name}") {core} unreachable)' for name, (_, core, _) in functions.items())
    lifted = "".join(
        f'(func ${name} {type_} (canon lift (core func $main "{name}") {options}))'
        for name, (type_, _, options) in functions.items()
    )
    items = " ".join(f'(export "{name}" (func ${name}))' for name in functions)
    return f"""(component
      (core module $code (memory (export "memory") 1) {cores}
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
      (core instance $main (instantiate $code))
      (alias core export $main "memory" (core memory $memory))
      (alias core export $main "realloc" (core func $realloc))
      {lifted}
      (instance $exported {items})
      (export "{interface}" (instance $exported)))"""


TEXTS = "(memory $memory) (realloc $realloc)"
INIT = ('(param "params" string) (result (result string (error string)))', STRING_TO_STRING, TEXTS)
PLAIN = ("", "", "")


def test_nothing_is_remembered_of_components_that_are_not_here(desk: Desk) -> None:
    for number in range(100):  # a guest may name as many as it likes
        with pytest.raises(NotFound):
            desk.loader.load(Digest(f"{number:064x}"))

    assert not desk.loader._used_s
    assert not desk.loader._turns


def test_a_component_that_exports_nothing(desk: Desk) -> None:
    assert desk.refusal(wat.EMPTY) == (
        "this component is no actor: it exports nothing, "
        "but neither theater:actor/actor@0.1.0 nor wasi:cli/run@0.2 nor wasi:http/incoming-handler@0.2"
    )


def test_a_component_that_is_neither_actor_nor_command(desk: Desk) -> None:
    text = exporting("vendor:thing/api@1.0.0", {"boom": PLAIN})

    assert "it exports vendor:thing/api, but neither" in desk.refusal(text)


def test_a_component_that_serves_http_in_another_way(desk: Desk) -> None:
    text = exporting("wasi:http/incoming-handler@0.2.0", {"handle": PLAIN})

    assert "wasi:http/incoming-handler#handle does not have the parameters and result of 0.2" in desk.refusal(text)


@pytest.mark.parametrize("version", ["0.3.0", "0.2.0-rc-2023-12-05"])
def test_a_component_that_serves_http_for_another_wasi(desk: Desk, version: str) -> None:
    text = exporting(f"wasi:http/incoming-handler@{version}", {"handle": PLAIN})

    assert f"it targets WASI {version}; build it for WASI 0.2" in desk.refusal(text)


@pytest.mark.parametrize(
    "handle",
    [
        PLAIN,
        INIT,
        (
            '(param "state" string) (param "message" string) (result string)',
            "(param i32 i32 i32 i32) (result i32)",
            TEXTS,
        ),
    ],
)
def test_a_handle_with_a_wrong_signature(desk: Desk, handle: tuple[str, str, str]) -> None:
    text = exporting(ACTOR, {"init": INIT, "handle": handle})

    assert desk.refusal(text) == (
        "this component's theater:actor/actor#handle does not have the parameters and result of 0.1.0"
    )


def test_an_init_with_a_wrong_signature(desk: Desk) -> None:
    text = wat.COUNTER.replace(
        '(type $init-type (func (param "params" $json) (result (result $json (error string)))))',
        '(type $init-type (func (param "params" string) (result (result $json (error $json)))))',
    )
    assert desk.loader.load(desk.put(text)).role == "actor"  # an alias is no other type
    wrong = exporting(ACTOR, {"init": PLAIN, "handle": PLAIN})

    assert "theater:actor/actor#init does not have" in desk.refusal(wrong)


def test_an_actor_without_init(desk: Desk) -> None:
    assert "exports theater:actor/actor without its function init" in desk.refusal(exporting(ACTOR, {"handle": PLAIN}))


def test_an_actor_of_another_version(desk: Desk) -> None:
    text = wat.COUNTER.replace(f'(export "{ACTOR}"', '(export "theater:actor/actor@0.2.0"')

    assert desk.refusal(text) == (
        "this component exports theater:actor/actor@0.2.0; this version runs theater:actor/actor@0.1.0"
    )


@pytest.mark.parametrize("version", ["0.3.0", "0.1.0"])
def test_a_command_of_another_version(desk: Desk, version: str) -> None:
    text = command("(i32.const 0)", version=version)

    assert desk.refusal(text) == (
        f"this component exports wasi:cli/run@{version}: it targets WASI {version}; build it for WASI 0.2"
    )


def test_a_command_of_any_0_2(desk: Desk) -> None:
    for version in ("0.2.0", "0.2.6"):
        assert desk.loader.load(desk.put(command("(i32.const 0)", version=version))).role == "command"


@pytest.mark.parametrize("run", [PLAIN, ("(result u32)", "(result i32)", ""), ('(param "x" u32)', "(param i32)", "")])
def test_a_run_with_a_wrong_signature(desk: Desk, run: tuple[str, str, str]) -> None:
    text = exporting("wasi:cli/run@0.2.0", {"run": run})

    assert desk.refusal(text) == "this component's wasi:cli/run#run does not have the parameters and result of 0.2"


def test_a_component_file_need_not_stay_where_it_was(desk: Desk, tmp_path: Path) -> None:
    digest = desk.put(wat.ECHO)
    (tmp_path / "moved.wasm").write_bytes(desk.blobs.path(digest).read_bytes())

    assert desk.loader.load(digest).program.digest == digest
