import contextlib
import hashlib
from pathlib import Path

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.guests import ACTOR, guest, lift
from tests.engine.rig import Rig, nothing_waits
from theater.engine import component_file
from theater.engine.component_file import COMPONENT_MAX_BYTES, read_component, strip
from theater.errors import CompileFailed, InvalidComponent, InvalidInput
from theater.model.ids import Digest

PLAIN = bytes(wasmtime.wat2wasm(guest('(func (export "f"))', lift("f"))))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\0asm\1\0\0\0", "is a core module, not a component"),
        (b"\0asm\x0d\0", "is cut off"),
        (b"\0asm\x0c\0\1\0", "unknown WebAssembly version (0c000100)"),
        (b"  \n(component)", "rename it to .wat"),
        (b";; a guest\n(component)", "rename it to .wat"),
        (b"\x7fELF and so on", "is not WebAssembly"),
        (b"#!/bin/sh", "is not WebAssembly"),
    ],
)
def test_what_is_no_component_is_refused_with_what_it_is(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "guest.wasm"
    path.write_bytes(data)
    with pytest.raises(InvalidComponent) as caught:
        read_component(path)
    assert message in caught.value.message
    assert type(caught.value) is InvalidComponent


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidComponent, match="No such file"):
        read_component(tmp_path / "nothing.wasm")
    with pytest.raises(InvalidComponent, match="directory"):
        read_component(tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.wasm"
    with path.open("wb") as file:
        file.truncate(COMPONENT_MAX_BYTES + 1)
    with pytest.raises(InvalidComponent, match=f"a component may have {COMPONENT_MAX_BYTES}"):
        read_component(path)


@pytest.mark.parametrize("size", range(9, len(PLAIN) - 1))
def test_a_component_that_is_cut_anywhere_but_between_sections_is_refused(size: int) -> None:
    starts = {len(strip(PLAIN[:8]).binary)}
    position = 8
    while position < len(PLAIN):
        position += 2 + PLAIN[position + 1]  # every section here is shorter than 128 bytes
        starts.add(position)
    if size in starts:
        assert len(strip(PLAIN[:size]).binary) <= size
    else:
        with pytest.raises(InvalidComponent, match="cut off"):
            strip(PLAIN[:size])


def test_custom_sections_go_and_everything_else_stays() -> None:
    def component(name: str) -> bytes:
        return bytes(
            wasmtime.wat2wasm(
                f"""(component (core module (memory 1) (func {name} (export "f")))
                (core instance (instantiate 0)) (func (export "f") (canon lift (core func 0 "f"))))"""
            )
        )

    named = component("$a_name")
    stripped = strip(named)
    assert b"a_name" in named
    assert stripped.binary == component("")
    assert stripped.memories == 1
    (module,) = stripped.modules
    assert stripped.binary[module.start : module.end].startswith(b"\0asm\1\0\0\0")
    assert b"a_name" in named[module.names_offset : module.names_offset + module.names_size]


def test_only_memories_that_are_defined_count() -> None:
    joining = (
        '(core module (memory 1)) (core module (import "a" "m" (memory 1)) (import "b" "m" (memory 1)) (memory 1))'
    )
    assert strip(bytes(wasmtime.wat2wasm(f"(component {joining})"))).memories == 2


def test_stripping_a_stripped_component_changes_nothing() -> None:
    once = strip(bytes(wasmtime.wat2wasm(ACTOR))).binary
    assert strip(once).binary == once


@given(st.binary(max_size=60))
def test_garbage_behind_the_beginning_is_refused_or_kept(data: bytes) -> None:
    with contextlib.suppress(InvalidComponent):
        strip(PLAIN[:8] + data)


def test_nesting_sections_and_globals_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component_file, "NESTING_MAX", 3)
    monkeypatch.setattr(component_file, "GLOBALS_MAX", 5)
    deep = "(component" * 5 + ")" * 5
    with pytest.raises(InvalidComponent, match="nested more than 3 deep"):
        strip(bytes(wasmtime.wat2wasm(deep)))
    with pytest.raises(InvalidComponent, match="has 6 globals"):
        strip(bytes(wasmtime.wat2wasm(f"(component (core module {'(global i32 (i32.const 0))' * 6}))")))
    with pytest.raises(InvalidComponent, match="defines 2 memories; it may define 1"):
        strip(bytes(wasmtime.wat2wasm(f"(component (core module {'(memory 1)' * 2}))")))
    monkeypatch.setattr(component_file, "SECTIONS_MAX", 3)
    with pytest.raises(InvalidComponent, match="more than 3 sections"):
        strip(bytes(wasmtime.wat2wasm(ACTOR)))


@pytest.mark.parametrize(
    ("wat", "message"),
    [
        ('(component (import "m" (core module)))', "imports 'm', a core module"),
        ('(component (import "c" (component)))', "root-level component imports are not supported"),
        (
            '(component (import "a:b/c" (instance (export "m" (core module)))))',
            "imports a:b/c, which has 'm', a core module",
        ),
    ],
)
def test_imports_that_nobody_can_provide_are_named(rig: Rig, wat: str, message: str) -> None:
    with pytest.raises(InvalidComponent) as caught:
        rig.load(wat)
    assert message in caught.value.message


def test_an_exported_function_with_a_resource_of_the_guest_is_listed_and_not_callable(rig: Rig) -> None:
    program = rig.load(
        """(component (core module $M (func (export "f") (param i32)))
        (core instance $m (instantiate $M)) (type $r' (resource (rep i32))) (export $r "r" (type $r'))
        (func (export "f") (param "r" (borrow $r)) (canon lift (core func $m "f"))))"""
    )
    assert ("", "f") in program.exports
    with pytest.raises(InvalidInput, match="a resource that the component itself defines"):
        rig.begin(program, "f", 1)


def test_types_that_unfold_to_millions_are_refused(rig: Rig) -> None:
    types = "(type $t0 (tuple u8 u8 u8 u8 u8 u8 u8 u8))"
    for i in range(1, 6):
        types += f"(type $t{i} (tuple {f'$t{i - 1} ' * 8}))"
    with pytest.raises(InvalidComponent) as caught:
        rig.load(f'(component {types} (import "f" (func (param "v" $t5))))')
    assert "more than 50000 parts" in str(caught.value)


def test_a_file_that_is_not_its_digest_is_not_compiled(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "guest.wasm"
    path.write_bytes(PLAIN)
    with pytest.raises(InvalidInput, match="is not the component"):
        rig.engine.load(path, Digest("0" * 64), is_suspending=nothing_waits)


@pytest.mark.slow
def test_code_that_does_not_validate_is_refused_with_the_validators_words(rig: Rig, tmp_path: Path) -> None:
    broken = bytearray(
        wasmtime.wat2wasm(guest('(func (export "f") (result i32) (i32.const 7))', lift("f", "(result u32)")))
    )
    broken[broken.index(b"\x41\x07") : broken.index(b"\x41\x07") + 2] = b"\x01\x01"  # two nops: nothing is returned
    path = tmp_path / "broken.wasm"
    path.write_bytes(broken)
    with pytest.raises(CompileFailed, match="type mismatch"):
        rig.engine.load(path, Digest(hashlib.sha256(broken).hexdigest()), is_suspending=nothing_waits)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wat", "message"),
    [
        (
            """(component (core module $M (func (export "f") (result i32) i32.const 0)
            (func (export "cb") (param i32 i32 i32) (result i32) i32.const 0)) (core instance $m (instantiate $M))
            (func (export "f") async (canon lift (core func $m "f") async (callback (core func $m "cb")))))""",
            "async",
        ),
        ('(component (import "f" (func async (param "x" u32))))', "async"),
        ('(component (import "f" (func (param "x" (stream u8)))))', "stream|async"),
    ],
)
def test_asynchronous_components_are_refused(rig: Rig, tmp_path: Path, wat: str, message: str) -> None:
    data = bytes(wasmtime.wat2wasm(wat))
    path = tmp_path / "async.wasm"
    path.write_bytes(data)
    with pytest.raises(InvalidComponent, match=message):
        rig.engine.load(path, Digest(hashlib.sha256(data).hexdigest()), is_suspending=nothing_waits)
