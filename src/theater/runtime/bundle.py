"""Bundles, ``X.theater``: a chain with all that it takes to run it again, in one zip file.

::

    payloads/SEQ              payloads over 64 KiB
    chain.jsonl               the events, one a line
    components/SHA256.wasm    every component that the chain names
    manifest.toml             what was asked for, to look at: what counts is in the chain's first event
    bundle.json               {"format":1,"actor":ID,"head":HASH,"events":N}

A bundle is written the same, byte for byte, each time. It never carries compiled code. Nothing that stands in it is
believed: links, commitments and what was computed are for verification to check.
"""

from __future__ import annotations

import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Self

import msgspec

from theater.chain.lines import PAYLOAD_MAX_BYTES, encode_line, read_lines
from theater.errors import BadBundle, Unsound
from theater.model.commitment import LARGE_PAYLOAD_BYTES
from theater.model.event import Event, Head
from theater.model.ids import ActorId, Digest, is_actor_id, is_digest
from theater.model.payload import Genesis, decode_payload
from theater.model.ports import BlobStore, EventStore
from theater.runtime.archive import ENTRIES_MAX, TOTAL_MAX_BYTES, Archive
from theater.runtime.history import read_genesis
from theater.runtime.messages import components_named

FORMAT = 1
COMPONENT_MAX_BYTES = 64 << 20
_FACTS_MAX_BYTES = 4096
_MANIFEST_MAX_BYTES = 1 << 20
_SPOOL_BYTES = 8 << 20  # of lines, before they go to a temporary file
_CHUNK_BYTES = 1 << 16
_DENSE = 100  # half of what a reader allows: what packs better than this is stored as it is

_FACTS = "bundle.json"
_CHAIN = "chain.jsonl"
_MANIFEST = "manifest.toml"
_NEEDED = (_FACTS, _CHAIN, _MANIFEST)
_NOT_YET = ("checkpoint", "proof")


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    actor: str
    head: str
    events: int


class Bundle:
    """An opened bundle; use it in a ``with`` statement, or ``close`` it."""

    def __init__(self, archive: Archive, closing: ExitStack) -> None:
        self._archive = archive
        self._closing = closing
        self._payloads: set[int] = set()
        components: list[Digest] = []
        for name in archive.names():
            self._sort_in(name, components)
        for name in _NEEDED:
            if name not in archive.names():
                raise BadBundle(f"'{name}' is missing")
        facts = _read_facts(archive.read(_FACTS, max_bytes=_FACTS_MAX_BYTES))
        self.actor = ActorId(facts.actor)
        self.head = Digest(facts.head)
        """The hash of the last event, as the bundle says."""
        self.event_count = facts.events
        self.components = tuple(sorted(components))
        """The digests of the components in it, as their names say."""
        self.manifest = _text(archive.read(_MANIFEST, max_bytes=_MANIFEST_MAX_BYTES))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._closing.close()

    def events(self, *, payload_max_bytes: int = PAYLOAD_MAX_BYTES) -> Iterator[Event]:
        """The events, read as they are asked for; each call begins anew. Whether they link is not looked at here.

        Raises:
            Unsound: a line is not one, or the events are not as many or not those that the bundle says.
            BadBundle: the file is damaged, or has payloads that belong to no event.
        """
        unused = set(self._payloads)

        def load(seq: int, size_bytes: int) -> bytes:
            if seq not in unused:
                raise BadBundle(f"'payloads/{seq}' is missing", seq=seq)
            unused.discard(seq)
            payload = self._archive.read(f"payloads/{seq}", max_bytes=min(size_bytes, payload_max_bytes))
            if len(payload) != size_bytes:
                raise BadBundle(
                    f"'payloads/{seq}' has {len(payload)} bytes, and event {seq} says {size_bytes}", seq=seq
                )
            return payload

        last: Event | None = None
        count = 0
        with self._archive.open(_CHAIN) as lines:
            for event in read_lines(lines.readline, payload_max_bytes=payload_max_bytes, load_payload=load):
                if count == 0:
                    self._check_manifest(event)
                if event.header.actor != self.actor:
                    raise Unsound(f"event {count}: it is not of the actor that the bundle names", seq=count)
                yield event
                last = event
                count += 1
        if count != self.event_count or last is None or last.hash != self.head:
            seq = max(count - 1, 0)
            raise Unsound(
                f"event {seq}: the chain ends here, and the bundle says that it has {self.event_count} events"
                f" and the head {self.head}",
                seq=seq,
            )
        if unused:
            raise BadBundle(f"'payloads/{min(unused)}' belongs to no event")

    def _check_manifest(self, genesis: Event) -> None:
        """The manifest is there to be read by people, so it must not say something else than event 0 does."""
        if genesis.header.kind != "genesis" or genesis.payload is None:
            return
        try:
            payload = decode_payload("genesis", genesis.payload, seq=0)
        except Unsound:  # that is for whoever needs to know what it says
            return
        assert isinstance(payload, Genesis)
        if payload.manifest != self.manifest:
            raise BadBundle(f"'{_MANIFEST}' is not the manifest of event 0", seq=0)

    def put_components(self, blobs: BlobStore) -> None:
        """Put every component into ``blobs``.

        Raises:
            BadBundle: one is not what its name says.
        """
        for digest in self.components:
            name = _component_name(digest)
            if blobs.put(self._archive.read(name, max_bytes=COMPONENT_MAX_BYTES)) != digest:
                raise BadBundle(f"'{name}' is not what its name says")

    def _sort_in(self, name: str, components: list[Digest]) -> None:
        folder, slash, file = name.rpartition("/")
        if name in _NEEDED:
            return
        if name in _NOT_YET:
            raise BadBundle(f"it has a '{name}', which this version cannot check: verify it with a newer one")
        if slash and folder == "components" and file.endswith(".wasm") and is_digest(file.removesuffix(".wasm")):
            components.append(Digest(file.removesuffix(".wasm")))
        elif slash and folder == "payloads" and file.isdecimal() and str(int(file)) == file:
            self._payloads.add(int(file))
        else:
            raise BadBundle(f"'{name}' does not belong in it")


def open_bundle(path: Path) -> Bundle:
    """Open the bundle in ``path`` and look at everything but its events and components.

    Raises:
        BadBundle: it is none; says why.
    """
    opening = ExitStack()
    try:
        file = opening.enter_context(path.open("rb"))
        return Bundle(opening.enter_context(Archive(file)), opening)
    except BaseException:
        opening.close()
        raise


def components_in(events: Iterable[Event]) -> set[Digest]:
    """The components that a chain names: all of them are to be in its bundle. Raises ``Unsound``."""
    found: set[Digest] = set()
    for event in events:
        header = event.header
        if header.kind not in ("genesis", "message", "lifecycle") or event.payload is None:
            continue
        try:
            found.update(components_named(header.name, decode_payload(header.kind, event.payload, seq=header.seq)))
        except ValueError as error:
            raise Unsound(f"event {header.seq}: {error}", seq=header.seq) from error
    return found


def write_bundle(
    file: BinaryIO, *, head: Head, manifest: str, events: Iterable[Event], components: Mapping[Digest, Path]
) -> None:
    """Write a bundle of ``events``, which end with ``head``. ``file`` need not be seekable.

    Memory holds one event at a time; the lines wait in a temporary file. ``components`` are all that the chain names.

    Raises:
        BadBundle: it would be larger than a reader takes.
    """
    actor: ActorId | None = None
    with zipfile.ZipFile(file, "w") as archive, tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as lines:
        writer = _Writer(archive)
        for event in events:
            actor = event.header.actor
            if event.payload is not None and len(event.payload) > LARGE_PAYLOAD_BYTES:
                writer.add(f"payloads/{event.header.seq}", BytesIO(event.payload))
            lines.write(encode_line(event, large_beside=True))
        assert actor is not None
        writer.add(_CHAIN, lines)
        for digest in sorted(components):
            with components[digest].open("rb") as component:
                writer.add(_component_name(digest), component)
        writer.add(_MANIFEST, BytesIO(manifest.encode()))
        facts = _Facts(format=FORMAT, actor=actor, head=head.hash, events=head.seq + 1)
        writer.add(_FACTS, BytesIO(msgspec.json.encode(facts) + b"\n"))


def write_bundle_of(file: BinaryIO, store: EventStore, blobs: BlobStore, actor: ActorId, head: Head) -> None:
    """Write the bundle of an actor's chain up to ``head``, with the components that it names.

    Raises:
        NotFound: a component is not kept here.
        Damaged, Unsound: the chain is not what was written.
        BadBundle: as ``write_bundle``.
    """
    _, genesis = read_genesis(store, actor)
    components = components_in(store.events(actor, stop=head.seq + 1))
    write_bundle(
        file,
        head=head,
        manifest=genesis.manifest,
        events=store.events(actor, stop=head.seq + 1),
        components={digest: blobs.path(digest) for digest in components},
    )


class _Writer:
    """Adds entries whose bytes depend on nothing but their content."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._entries = 0
        self._total = 0

    def add(self, name: str, content: IO[bytes]) -> None:
        """Put ``content`` into the archive, deflated where that is worth it and a reader will believe it."""
        content.seek(0)
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        size = packed = 0
        while chunk := content.read(_CHUNK_BYTES):
            size += len(chunk)
            packed += len(packer.compress(chunk))
        packed += len(packer.flush())
        self._entries += 1
        self._total += size
        if self._entries > ENTRIES_MAX or self._total > TOTAL_MAX_BYTES:
            raise BadBundle(f"too large for a bundle: over {TOTAL_MAX_BYTES} bytes or {ENTRIES_MAX} entries")
        info = zipfile.ZipInfo(name)  # dated 1980-01-01, the earliest that a zip file can say
        info.create_system = 3  # Unix, whatever this runs on
        info.external_attr = (stat.S_IFREG | 0o644) << 16
        info.file_size = size
        info.compress_type = zipfile.ZIP_DEFLATED if packed < size < _DENSE * packed else zipfile.ZIP_STORED
        content.seek(0)
        with self._archive.open(info, "w") as entry:
            while chunk := content.read(_CHUNK_BYTES):
                entry.write(chunk)


def _component_name(digest: Digest) -> str:
    return f"components/{digest}.wasm"


def _read_facts(data: bytes) -> _Facts:
    try:
        facts = msgspec.json.decode(data, type=_Facts)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBundle(f"'{_FACTS}' cannot be read: {error}") from error
    for field in msgspec.structs.fields(_Facts):
        if data.count(f'"{field.name}"'.encode()) != 1:  # the values are digits, and hex that no name is of
            raise BadBundle(f"'{_FACTS}' has {field.name!r} more than once")
    if facts.format != FORMAT:
        raise BadBundle(f"it is of format {facts.format}, and this version reads {FORMAT}")
    if not is_actor_id(facts.actor) or not is_digest(facts.head) or facts.events < 1:
        raise BadBundle(f"'{_FACTS}' has no actor, head or number of events")
    return facts


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadBundle(f"'{_MANIFEST}' is not UTF-8") from error
