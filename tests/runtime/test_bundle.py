"""Bundles: written the same each time, read entry by entry, and refused for whatever does not belong in them."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theater.chain.lines import encode_line
from theater.chain.links import ChainChecker
from theater.errors import BadBundle, TheaterError, Unsound
from theater.model.event import Event
from theater.model.ids import Digest
from theater.runtime import archive as archive_module
from theater.runtime.bundle import Bundle, open_bundle, write_bundle
from theater.store import MemoryBlobStore
from theater.testing.chains import ChainMaker, chain_of

COMPONENTS = (b"\0asm first", b"\0asm second")
MANIFEST = 'name = "counter"\n# é\n'


def made() -> ChainMaker:
    maker = chain_of(3)
    maker.add("lifecycle", "x", json.dumps(hashlib.shake_256(b"x").hexdigest(50_000)).encode())
    maker.step(3)
    maker.add("lifecycle", "y", b'"' + b"y" * 2_000_000 + b'"')
    return maker


MAKER = made()
LARGE = (16, 22)


def components_in(folder: Path) -> dict[Digest, Path]:
    paths: dict[Digest, Path] = {}
    for data in COMPONENTS:
        digest = Digest(hashlib.sha256(data).hexdigest())
        paths[digest] = folder / digest
        paths[digest].write_bytes(data)
    return paths


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "counter.theater"
    with path.open("wb") as file:
        write_bundle(file, head=MAKER.head, manifest=MANIFEST, events=MAKER.events, components=components_in(tmp_path))
    return path


def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rezip(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


def read_all(path: Path) -> list[Event]:
    with open_bundle(path) as bundle, MemoryBlobs() as blobs:
        bundle.put_components(blobs)
        return list(bundle.events())


class MemoryBlobs(MemoryBlobStore):
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def refusal(path: Path) -> str:
    with pytest.raises((BadBundle, Unsound)) as caught:
        read_all(path)
    return caught.value.message


# -- what is written is read -----------------------------------------------------------------------------------------


def test_a_bundle_reads_back_as_it_was(path: Path) -> None:
    with open_bundle(path) as bundle, MemoryBlobs() as blobs:
        assert (bundle.actor, bundle.head, bundle.event_count) == (MAKER.actor, MAKER.head.hash, len(MAKER.events))
        assert bundle.manifest == MANIFEST
        assert list(bundle.events()) == MAKER.events
        assert list(bundle.events()) == MAKER.events
        assert len(bundle.components) == len(COMPONENTS)
        bundle.put_components(blobs)
        assert {blobs.path(digest).read_bytes() for digest in bundle.components} == set(COMPONENTS)
        checker = ChainChecker()
        for event in bundle.events():
            checker.feed(event)
        checker.finish(head=bundle.head)


def test_a_bundle_has_exactly_its_entries(path: Path) -> None:
    entries = entries_of(path)

    names = {f"components/{hashlib.sha256(data).hexdigest()}.wasm" for data in COMPONENTS}
    assert set(entries) == {"bundle.json", "chain.jsonl", "manifest.toml", "payloads/16", "payloads/22", *names}
    facts = {"format": 1, "actor": MAKER.actor, "head": MAKER.head.hash, "events": len(MAKER.events)}
    assert json.loads(entries["bundle.json"]) == facts
    assert entries["payloads/16"] == MAKER.events[16].payload
    assert entries["chain.jsonl"].count(b"\n") == len(MAKER.events)


def test_a_bundle_has_the_same_bytes_each_time(path: Path, tmp_path: Path) -> None:
    file = io.BytesIO()
    write_bundle(file, head=MAKER.head, manifest=MANIFEST, events=MAKER.events, components=components_in(tmp_path))

    assert file.getvalue() == path.read_bytes()


class Pipe(io.RawIOBase):
    """Can be written to and nothing else."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        assert isinstance(data, bytes | bytearray | memoryview)
        self.data += data
        return len(data)


def test_a_bundle_is_written_to_a_pipe_and_read(tmp_path: Path) -> None:
    pipe = Pipe()
    write_bundle(
        pipe,  # type: ignore[arg-type] # of a BinaryIO it is what zipfile uses
        head=MAKER.head,
        manifest=MANIFEST,
        events=MAKER.events,
        components=components_in(tmp_path),
    )
    path = tmp_path / "piped.theater"
    path.write_bytes(pipe.data)

    assert read_all(path) == MAKER.events


def test_what_packs_too_well_to_be_believed_is_stored(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        methods = {info.filename: info.compress_type for info in archive.infolist()}

    assert methods["payloads/22"] == zipfile.ZIP_STORED
    assert methods["payloads/16"] == methods["chain.jsonl"] == zipfile.ZIP_DEFLATED


def test_withheld_payloads_travel_as_withheld(tmp_path: Path) -> None:
    events = [Event(event.header, event.header_bytes, event.hash, None, None) for event in MAKER.events]
    path = tmp_path / "withheld.theater"
    with path.open("wb") as file:
        write_bundle(file, head=MAKER.head, manifest="", events=events, components={})

    assert read_all(path) == events


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_bundle_that_other_tools_packed_is_read(path: Path, method: int) -> None:
    entries = entries_of(path)
    del entries["payloads/22"]
    lines = entries["chain.jsonl"].splitlines(keepends=True)[:-1]
    entries["chain.jsonl"] = b"".join(lines)
    entries["bundle.json"] = json.dumps(
        {"events": len(lines), "head": MAKER.events[-2].hash, "actor": MAKER.actor, "format": 1}, indent=1
    ).encode()
    rezip(path, entries, method)

    assert read_all(path) == MAKER.events[:-1]


@pytest.mark.slow
def test_many_entries_are_read(tmp_path: Path) -> None:
    maker = chain_of(0)
    path = tmp_path / "many.theater"
    entries = {"chain.jsonl": encode_line(maker.events[0]), "manifest.toml": b""}
    entries["bundle.json"] = json.dumps(
        {"format": 1, "actor": maker.actor, "head": maker.head.hash, "events": 1}
    ).encode()
    entries |= {f"payloads/{number}": b"" for number in range(99_997)}
    rezip(path, entries)  # more than 65,535 entries: a zip file with 64-bit records
    assert "belongs to no event" in refusal(path)

    entries |= {"payloads/1000000": b""}
    rezip(path, entries)
    assert "100001 entries, allowed 100000" in refusal(path)


# -- what is in it is not what belongs in it -------------------------------------------------------------------------

Edit = Callable[[dict[str, bytes]], None]


def put(name: str, data: bytes = b"") -> Edit:
    return lambda entries: entries.__setitem__(name, data)


def drop(name: str) -> Edit:
    return lambda entries: entries.__delitem__(name)


def swap(name: str, old: bytes, new: bytes) -> Edit:
    def edit(entries: dict[str, bytes]) -> None:
        assert old in entries[name]
        entries[name] = entries[name].replace(old, new, 1)

    return edit


EDITS: list[tuple[Edit, str]] = [
    (put("readme.txt"), "'readme.txt' does not belong"),
    (put("../evil"), "'../evil' does not belong"),
    (put("/etc/passwd"), "'/etc/passwd' does not belong"),
    (put("payloads/../../evil"), "does not belong"),
    (put("payloads/01"), "does not belong"),
    (put("payloads/-1"), "does not belong"),
    (put("payloads/x"), "does not belong"),
    (put("payloads/"), "is no file"),
    (put("components/" + "AB" * 32 + ".wasm"), "does not belong"),
    (put("components/x.wasm"), "does not belong"),
    (put("components/" + "ab" * 32 + ".cwasm"), "does not belong"),
    (put("caf\xe9"), "has the name"),
    (put("chain.jsonl\u200b"), "has the name"),
    (put("a\nb"), "has the name"),
    (put("x" * 1000), "has the name"),
    (put("checkpoint"), "'checkpoint', which this version cannot check"),
    (put("proof"), "'proof', which this version cannot check"),
    (put("payloads/1", b"{}"), "'payloads/1' belongs to no event"),
    (put("components/" + "ab" * 32 + ".wasm", b"x"), "is not what its name says"),
    (drop("bundle.json"), "'bundle.json' is missing"),
    (drop("chain.jsonl"), "'chain.jsonl' is missing"),
    (drop("manifest.toml"), "'manifest.toml' is missing"),
    (drop("payloads/16"), "'payloads/16' is missing"),
    (swap("bundle.json", b'"format":1', b'"format":2'), "of format 2"),
    (swap("bundle.json", b'"events":23', b'"events":22'), "event 22: the chain ends here"),
    (swap("bundle.json", b'"events":23', b'"events":24'), "event 22: the chain ends here"),
    (swap("bundle.json", b'"events":23', b'"events":"23"'), "cannot be read"),
    (swap("bundle.json", b'"events":23', b'"events":23,"more":1'), "cannot be read"),
    (swap("bundle.json", b'"head":"', b'"head":"0'), "no actor, head or number"),
    (swap("bundle.json", MAKER.head.hash.encode(), b"00" * 32), "event 22: the chain ends here"),
    (swap("bundle.json", MAKER.actor.encode(), b"ab" * 16), "event 0: it is not of the actor"),
    (put("bundle.json", b"[" * 4000), "cannot be read"),
    (put("bundle.json", b" " * 5000), "has 5000 bytes, allowed 4096"),
    (put("manifest.toml", b"\xff"), "not UTF-8"),
    (put("chain.jsonl"), "event 0: the chain ends here"),
    (swap("chain.jsonl", b'\\"seq\\":5', b'\\"seq\\":6'), ""),
    (swap("payloads/16", b'"', b'" '), "'payloads/16' has"),
    (put("payloads/16", b'""'), "'payloads/16' has 2 bytes"),
]


def check_links(events: list[Event]) -> None:
    checker = ChainChecker()
    for event in events:
        checker.feed(event)


@pytest.mark.parametrize(("edit", "reason"), EDITS)
def test_a_bundle_with_other_content_is_refused(path: Path, edit: Edit, reason: str) -> None:
    entries = entries_of(path)
    edit(entries)
    rezip(path, entries)

    if reason:
        assert reason in refusal(path)
    else:  # a line as good as any other, for whoever follows the links to find
        with pytest.raises(Unsound, match="event 5: "):
            check_links(read_all(path))


def test_a_payload_in_the_line_that_should_lie_beside_is_refused(path: Path) -> None:
    entries = entries_of(path)
    entries["chain.jsonl"] = b"".join(encode_line(event) for event in MAKER.events)
    rezip(path, entries)

    assert "event 16: a payload of 100002 bytes must lie beside" in refusal(path)


# -- the file is no honest zip file ----------------------------------------------------------------------------------


def repeated(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("chain.jsonl", b"")


def link(path: Path) -> None:
    info = zipfile.ZipInfo("payloads/3")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, "/etc/passwd")


def other_method(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("payloads/3", b"x" * 100)


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("payloads/3", bytes(20_000_000))


def many_small_bombs(path: Path) -> None:
    rezip(path, {f"payloads/{number}": bytes(100_000) for number in range(11)}, zipfile.ZIP_DEFLATED)


def behind(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def before(path: Path) -> None:
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())


def comment(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"hello"


def hidden(path: Path) -> None:
    """Bytes between the last entry and the directory, which is moved to make room."""
    data = path.read_bytes()
    end = len(data) - 22
    (start,) = struct.unpack_from("<I", data, end + 16)
    moved = bytearray(data[:start] + b"hidden" + data[start:])
    struct.pack_into("<I", moved, end + 6 + 16, start + 6)
    path.write_bytes(moved)


def patched(offset_in_directory: int, new: bytes) -> Callable[[Path], None]:
    """Change the first entry of the directory."""

    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        (start,) = struct.unpack_from("<I", data, len(data) - 22 + 16)
        assert data[start : start + 4] == b"PK\1\2"
        data[start + offset_in_directory : start + offset_in_directory + len(new)] = new
        path.write_bytes(data)

    return change


def patched_local(offset: int, new: bytes) -> Callable[[Path], None]:
    """Change the header before the first entry."""

    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[offset : offset + len(new)] = new
        path.write_bytes(data)

    return change


def cut(size: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:size])

    return change


def says_many_entries(path: Path) -> None:
    data = bytearray(path.read_bytes())
    struct.pack_into("<HH", data, len(data) - 22 + 8, 65_000, 65_000)
    path.write_bytes(data)


def damaged_content(path: Path) -> None:
    data = path.read_bytes()
    position = data.index(COMPONENTS[0])
    path.write_bytes(data[:position] + b"\1" + data[position + 1 :])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (repeated, "'chain.jsonl' is in it twice"),
        (link, "'payloads/3' is no file"),
        (other_method, "packed in a way"),
        (bomb, "unpacks from"),
        (many_small_bombs, "all of it unpacks from"),
        (behind, "something behind its end"),
        (before, "belong to no entry"),
        (comment, "something behind its end"),
        (hidden, "belong to no entry"),
        (patched(8, b"\x01\0"), "is encrypted"),
        (patched(8, b"\x20\0"), "packed in a way"),
        (patched(10, b"\x63\0"), "packed in a way"),
        (patched(20, b"\xff\xff\0\0"), "is not what the directory says"),
        (patched(24, b"\xff\xff\0\0"), "is not what the directory says"),
        (patched(42, b"\x01\0\0\0"), "belong to no entry"),
        (patched(46, b"payloadz"), "is not what the directory says"),
        (patched_local(30, b"payloadz"), "is not what the directory says"),
        (patched_local(26, b"\xff\xff"), "is not what the directory says"),
        (patched_local(28, b"\x01\0"), "belong to no entry"),
        (patched_local(0, b"XX"), "is not what the directory says"),
        (says_many_entries, "entries and says 65000"),
        (cut(0), "not a zip file"),
        (cut(10), "not a zip file"),
        (cut(3000), "not a zip file"),
        (damaged_content, "is damaged"),
    ],
)
def test_a_file_that_is_no_honest_zip_file_is_refused(path: Path, change: Callable[[Path], None], reason: str) -> None:
    change(path)

    assert reason in refusal(path)


@settings(max_examples=60)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda data: b"PK\3\4" + data + b"PK\5\6" + bytes(18)))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(BadBundle):
        archive_module.Archive(io.BytesIO(data))


@pytest.mark.slow
@settings(max_examples=300)
@given(st.data())
def test_a_bundle_with_any_byte_changed_is_refused_or_reads_as_the_same_or_shows_in_the_chain(
    data: st.DataObject,
) -> None:
    maker = chain_of(1)
    file = io.BytesIO()
    write_bundle(file, head=maker.head, manifest=MANIFEST, events=maker.events, components={})
    changed = bytearray(file.getvalue())
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        with archive_module.Archive(io.BytesIO(bytes(changed))) as archive:
            bundle = Bundle(archive, ExitStack())
            assert list(bundle.events()) == maker.events
            assert bundle.manifest == MANIFEST
    except TheaterError:
        pass


def test_a_bomb_is_refused_before_it_is_unpacked(path: Path) -> None:
    bomb(path)
    tracemalloc.start()
    refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 2_000_000


def test_a_file_larger_than_allowed_is_not_even_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "TOTAL_MAX_BYTES", 1000)

    assert "bytes, allowed 1000" in refusal(path)


def test_entries_larger_than_allowed_in_all_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rezip(path, entries_of(path), zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(archive_module, "RATIO_MAX", 10_000)
    monkeypatch.setattr(archive_module, "TOTAL_MAX_BYTES", 1_000_000)

    assert "its entries have 21" in refusal(path)


def test_what_would_be_refused_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("theater.runtime.bundle.TOTAL_MAX_BYTES", 1_000_000)
    with pytest.raises(BadBundle, match="too large for a bundle"):
        write_bundle(io.BytesIO(), head=MAKER.head, manifest="", events=MAKER.events, components={})


def test_a_payload_over_the_readers_own_limit_is_refused(path: Path) -> None:
    with open_bundle(path) as bundle, pytest.raises(BadBundle, match="'payloads/16' has 100002 bytes, allowed 70000"):
        list(bundle.events(payload_max_bytes=70_000))
