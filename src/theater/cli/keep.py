"""``export``, ``import``, ``config``, ``version``: what goes out of a node and comes in, and what the node is."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from theater import __version__
from theater.chain.lines import encode_line
from theater.cli.grants import grant_keys
from theater.cli.look import Id
from theater.cli.session import session_of
from theater.engine.settings import engine_identity
from theater.errors import InvalidInput, NotFound
from theater.model.event import Head
from theater.model.ports import ActorRecord, EventStore
from theater.runtime.bundle import components_in, write_bundle
from theater.runtime.config import Config, Setting
from theater.runtime.history import read_genesis
from theater.runtime.importing import import_bundle as take_in
from theater.runtime.lookup import find_record
from theater.runtime.node import is_supported_platform
from theater.store import FileBlobStore, SqliteEventStore

_LINES_SUFFIX = ".jsonl"


def export(
    context: typer.Context,
    id: Id,
    to: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="X.theater: a bundle; X.jsonl: the chain's lines alone."),
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace a file of that name.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Write an actor's chain into a file, with all that it takes to verify it elsewhere."""
    session = session_of(context)
    if to.exists() and not force:
        raise InvalidInput(f"{to} exists already; choose another name, or replace it with --force")
    with session.store() as store, session.output.working(f"writing {to}"):
        record = find_record(store, id)
        head = store.head(record.id)
        with _written_whole(to) as file:
            if to.suffix == _LINES_SUFFIX:
                for event in store.events(record.id, stop=head.seq + 1):
                    file.write(encode_line(event))
            else:
                _write_bundle(file, store, FileBlobStore(session.folder().components), record, head)
    document = {"id": record.id, "file": str(to), "events": head.seq + 1, "head": head.hash}
    if session.output.json:
        session.output.document(document)
    else:
        session.output.line(f"{to}: {head.seq + 1} events, head {head.hash}")


def import_bundle(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(metavar="X.theater", help="A bundle, as export writes it.")],
) -> None:
    """Take in an actor from a bundle, stopped, with its whole history and its component."""
    session = session_of(context)
    if not bundle.is_file():
        raise NotFound(f"there is no file {bundle}")
    data_dir = session.folder()
    data_dir.hold("theater import")
    try:
        store = SqliteEventStore.open(data_dir)
        try:
            with session.output.working(f"reading {bundle}"):
                record = take_in(bundle, store, FileBlobStore(data_dir.components))
            head = store.head(record.id)
        finally:
            store.close()
    finally:
        data_dir.release()
    if session.output.json:
        document = {"id": record.id, "name": record.name, "events": head.seq + 1, "head": head.hash}
        session.output.document(document)
        return
    session.output.line(f"id {record.id}")
    session.output.line(f"head {head.seq} {head.hash}")
    session.output.note(
        f"{record.name} is here, stopped; what its history says was not run again: theater verify {record.id[:12]}"
    )


def show_config(context: typer.Context) -> None:
    """Show what is in force, and where each value came from."""
    session = session_of(context)
    config = session.config()
    if session.output.json:
        session.output.document(_config_document(config))
        return
    rows = [[key, value.value, value.origin] for key, value in _settings(config).items()]
    rows.append(["config file", str(config.file), "read" if config.file.is_file() else "not there"])
    session.output.table(["SETTING", "VALUE", "FROM"], rows)
    session.output.line()
    session.output.line(f"ceiling, from {config.ceiling_origin}: what any actor may be granted without a person's word")
    for name, grant in sorted(config.ceiling.items()):
        if not name.startswith("wasi-"):  # linked for everybody, and nothing to ask for
            session.output.line(f"  [ceiling.{name}]")
            for line in grant_keys(grant):
                session.output.line(f"  {line}")


def version(context: typer.Context) -> None:
    """Show the versions of Theater, its engine and Python, and the platform."""
    session = session_of(context)
    engine = engine_identity()
    system = f"{platform.system()} {platform.machine()}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    supported = is_supported_platform()
    if session.output.json:
        session.output.document(
            {
                "theater": __version__,
                "engine": {"name": engine.name, "version": engine.version},
                "python": python,
                "platform": system,
                "supported": supported,
            }
        )
        return
    session.output.line(f"theater   {__version__}")
    session.output.line(f"engine    {engine.name} {engine.version}")
    session.output.line(f"python    {python}")
    session.output.line(f"platform  {system}{'' if supported else ' (not tested)'}")


def _write_bundle(file: BinaryIO, store: EventStore, blobs: FileBlobStore, record: ActorRecord, head: Head) -> None:
    _, genesis = read_genesis(store, record.id)
    components = components_in(store.events(record.id, stop=head.seq + 1))
    write_bundle(
        file,
        head=head,
        manifest=genesis.manifest,
        events=store.events(record.id, stop=head.seq + 1),
        components={digest: blobs.path(digest) for digest in components},
    )


@contextmanager
def _written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when all of it has been written; nothing is left of it otherwise."""
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            os.fchmod(file.fileno(), 0o666 & ~_umask())  # as any file that one makes; mkstemp's are their owner's alone
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error}") from error
    finally:
        if temporary is not None:
            temporary.unlink()


def _umask() -> int:
    mask = os.umask(0)  # the only way to read it
    os.umask(mask)
    return mask


def _settings(config: Config) -> dict[str, Setting]:
    return {"data-dir": config.data_dir, "durability": config.durability}


def _config_document(config: Config) -> dict[str, object]:
    return {
        "file": str(config.file),
        "settings": {key: {"value": item.value, "origin": item.origin} for key, item in _settings(config).items()},
        "ceiling": {
            "origin": config.ceiling_origin,
            "grants": {name: dict(grant.table()) for name, grant in sorted(config.ceiling.items())},
        },
    }
