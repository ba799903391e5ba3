"""What a person names to be run: a manifest, its folder, or a component without one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from theater.errors import InvalidComponent, InvalidInput, InvalidManifest, NotFound
from theater.model.ids import Digest
from theater.model.manifest import MANIFEST_MAX_BYTES, is_name
from theater.runtime import sources
from theater.runtime.sources import component_of, read_source
from theater.store import MemoryBlobStore

MANIFEST = 'name = "counter"\ncomponent = "build/counter.wasm"\n'
BINARY = b"\0asm\x0d\0\x01\0 a component"
DIGEST = hashlib.sha256(BINARY).hexdigest()


@pytest.fixture
def blobs() -> Iterator[MemoryBlobStore]:
    blobs = MemoryBlobStore()
    yield blobs
    blobs.close()


def assembled(text: str) -> bytes:
    return b"assembled " + text.encode()


def no_text(_text: str) -> bytes:
    raise AssertionError("nothing is to be assembled here")


def manifest(folder: Path, component: str, *, name: str = "theater.toml") -> Path:
    path = folder / name
    path.write_text(f'name = "x"\ncomponent = "{component}"\n')
    return path


# -- the manifest ----------------------------------------------------------------------------------------------------


def test_a_manifest_and_its_folder_are_the_same_source(tmp_path: Path) -> None:
    (tmp_path / "theater.toml").write_text(MANIFEST)

    source = read_source(tmp_path / "theater.toml")

    assert source == read_source(tmp_path)
    assert (source.manifest.name, source.manifest.component, source.folder) == (
        "counter",
        "build/counter.wasm",
        tmp_path,
    )


def test_a_manifest_may_be_called_anything(tmp_path: Path) -> None:
    (tmp_path / "other.conf").write_text(MANIFEST)

    assert read_source(tmp_path / "other.conf").manifest.name == "counter"


def test_settings_and_params_reach_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "theater.toml").write_text(MANIFEST + 'params = { start = "${FROM}" }\n')

    assert read_source(tmp_path, settings={"FROM": 4}).manifest.params == '{"start":4}'
    assert read_source(tmp_path, settings={"FROM": 4}, params="[1]").manifest.params == "[1]"


@pytest.mark.parametrize("name", ["theater.toml", "x.wasm", "x.wat"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound, match=f"there is no file {tmp_path}/{name}"):
        read_source(tmp_path / name)


def test_a_folder_without_a_manifest_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"there is no file {tmp_path}/theater.toml"):
        read_source(tmp_path)


def test_a_manifest_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "theater.toml").write_text(MANIFEST + "#" * MANIFEST_MAX_BYTES)

    with pytest.raises(InvalidInput, match=f"larger than {MANIFEST_MAX_BYTES} bytes"):
        read_source(tmp_path)


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theater.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(InvalidInput, match="cannot be read as text"):
        read_source(tmp_path)


# -- a component without a manifest ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".wasm", ".wat"])
def test_a_bare_component_asks_for_nothing(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"counter{suffix}").write_bytes(BINARY)

    source = read_source(tmp_path / f"counter{suffix}", params='{"start":1}')

    assert (source.manifest.name, source.manifest.component) == ("counter", f"counter{suffix}")
    assert (source.manifest.capabilities, source.manifest.params) == ({}, '{"start":1}')


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("counter.wasm", "counter"),
        ("My Counter (2).wasm", "my-counter-2"),
        ("9lives.wasm", "a-9lives"),
        ("-.wasm", "a"),
        ("größe.wasm", "gr-e"),
        ("🎭.wasm", "a"),
        ('"quoted\\name".wasm', "quoted-name"),
        ("tab\tand\x7fdel.wasm", "tab-and-del"),
        ("x" * 100 + ".wasm", "x" * 63),
        ("9" * 100 + ".wasm", "a-" + "9" * 61),
        ("a.b.wasm", "a-b"),
        ("İSTANBUL.wasm", "i-stanbul"),
    ],
)
def test_a_strange_file_name_gives_a_name_that_an_actor_can_have(
    tmp_path: Path, blobs: MemoryBlobStore, file: str, name: str
) -> None:
    (tmp_path / file).write_bytes(BINARY)

    source = read_source(tmp_path / file)

    assert source.manifest.name == name
    assert is_name(name)
    assert source.manifest.component == file
    assert component_of(source, blobs, no_text) == DIGEST


def test_a_file_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x\udcff.wasm"
    path.write_bytes(BINARY)

    with pytest.raises(InvalidInput, match="is not UTF-8"):
        read_source(path)


# -- the component ---------------------------------------------------------------------------------------------------


def test_a_component_lies_relative_to_its_manifest(tmp_path: Path, blobs: MemoryBlobStore) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "counter.wasm").write_bytes(BINARY)
    (tmp_path / "theater.toml").write_text(MANIFEST)

    digest = component_of(read_source(tmp_path), blobs, no_text)

    assert digest == DIGEST
    assert blobs.path(digest).read_bytes() == BINARY


def test_what_is_no_component_is_not_kept_and_is_named_as_it_was_given(tmp_path: Path, blobs: MemoryBlobStore) -> None:
    path = tmp_path / "secrets.wasm"
    path.write_bytes(b"root:x:0:0")

    with pytest.raises(InvalidComponent, match=f"{path} is not WebAssembly"):
        component_of(read_source(path), blobs, no_text)

    assert not blobs.has(Digest(hashlib.sha256(path.read_bytes()).hexdigest()))


def test_text_is_assembled(tmp_path: Path, blobs: MemoryBlobStore) -> None:
    (tmp_path / "x.wat").write_text("(component)")

    digest = component_of(read_source(tmp_path / "x.wat"), blobs, assembled)

    assert blobs.path(digest).read_bytes() == b"assembled (component)"


def test_text_that_is_no_text_is_refused(tmp_path: Path, blobs: MemoryBlobStore) -> None:
    (tmp_path / "x.wat").write_bytes(b"\0asm\xff")

    with pytest.raises(InvalidInput, match="cannot be read as text"):
        component_of(read_source(tmp_path / "x.wat"), blobs, no_text)


def test_a_component_that_is_not_built_says_how_to(tmp_path: Path, blobs: MemoryBlobStore) -> None:
    (tmp_path / "theater.toml").write_text(MANIFEST)

    with pytest.raises(NotFound, match=f"no component {tmp_path}/build/counter.wasm; build it with: theater build"):
        component_of(read_source(tmp_path), blobs, no_text)


@pytest.mark.parametrize("suffix", ["wasm", "wat"])
def test_a_component_that_is_too_large_is_not_read(
    tmp_path: Path, blobs: MemoryBlobStore, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(sources, "COMPONENT_MAX_BYTES", 100)
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(BINARY.ljust(100, b"x"))
    component_of(read_source(path), blobs, assembled)
    path.write_bytes(BINARY.ljust(101, b"x"))

    with pytest.raises(InvalidInput, match="larger than the 100 bytes that a component may have"):
        component_of(read_source(path), blobs, assembled)


def test_a_digest_names_a_component_of_the_content_store(tmp_path: Path, blobs: MemoryBlobStore) -> None:
    path = manifest(tmp_path, f"sha256:{DIGEST}")

    with pytest.raises(NotFound, match=f"the content store has no component sha256:{DIGEST}"):
        component_of(read_source(path), blobs, no_text)
    blobs.put(BINARY)
    assert component_of(read_source(path), blobs, no_text) == DIGEST


@pytest.mark.parametrize("digest", ["", "12", DIGEST.upper(), "../../etc/passwd", DIGEST + "0"])
def test_what_is_no_digest_is_refused(tmp_path: Path, blobs: MemoryBlobStore, digest: str) -> None:
    with pytest.raises(InvalidManifest, match="a digest is sha256: and 64 lower-case hex digits"):
        component_of(read_source(manifest(tmp_path, f"sha256:{digest}")), blobs, no_text)
