"""``export``, ``import``, ``gc``, ``backup``, ``config``: what a node keeps, what leaves it, and what is in force."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from theater.chain.lines import encode_line
from theater.cli.event_rows import event_of
from theater.cli.grants import grant_keys
from theater.cli.holder import holder, own_folder
from theater.cli.local_runtime import LocalRuntime
from theater.cli.look import Id
from theater.cli.session import Session, session_of
from theater.client.finding import is_named
from theater.errors import InvalidInput, NotFound
from theater.model.wire import Collected, Imported
from theater.runtime.bundle import open_bundle, write_bundle_of
from theater.runtime.config import Config
from theater.runtime.importing import import_bundle as take_in
from theater.runtime.lookup import find_record
from theater.store import FileBlobStore, SqliteEventStore
from theater.store.backup import back_up

if TYPE_CHECKING:
    from theater.client import Client

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
    if to.exists() and not to.is_file():  # /dev/null as well: it would be replaced, for everybody
        raise InvalidInput(f"{to} is no file: name one that is not there yet")
    if to.exists() and not force:
        raise InvalidInput(f"{to} exists already; choose another name, or replace it with --force")
    with holder(session) as client, session.output.working(f"writing {to}"):
        actor, events, head = _from_server(client, id, to) if client is not None else _from_store(session, id, to)
    if session.output.json:
        session.output.document({"id": actor, "file": str(to), "events": events, "head": head})
    else:
        session.output.line(f"{to}: {events} events, head {head}")


def import_bundle(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(metavar="X.theater", help="A bundle, as export writes it.")],
) -> None:
    """Take in an actor from a bundle, stopped, with its whole history and its component."""
    session = session_of(context)
    if not bundle.is_file():
        raise NotFound(f"there is no file {bundle}")
    with holder(session) as client, session.output.working(f"reading {bundle}"):
        taken = client.import_bundle(bundle) if client is not None else _taken_in(session, bundle)
    if session.output.json:
        document = {"id": taken.id, "name": taken.name, "events": taken.events, "head": taken.head}
        session.output.document(document)
        return
    session.output.line(f"id {taken.id}")
    session.output.line(f"head {taken.events - 1} {taken.head}")
    session.output.note(
        f"{taken.name} is here, stopped; what its history says was not run again: theater verify {taken.id[:12]}"
    )


def gc(context: typer.Context) -> None:
    """Remove what is of no use to anybody: components of no chain, and what actors that are gone left behind."""
    session = session_of(context)
    with holder(session) as client, session.output.working("looking for what is of no use"):
        gone = client.collect() if client is not None else _collected(session)
    counts = {"components": gone.components, "payloads": gone.payloads, "cached": gone.cached, "bytes": gone.bytes}
    if session.output.json:
        session.output.document(counts)
    else:
        for what, count in counts.items():
            session.output.line(f"{what:<10}  {count}")


def backup(
    context: typer.Context,
    to: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet, or is empty.")],
) -> None:
    """Copy the whole data directory, as it is at one moment, also while a server works on it."""
    session = session_of(context)
    folder = session.folder()
    if is_named(session.config()):
        with session.client() as client:
            if own_folder(session, client) is None:
                raise InvalidInput(
                    f"a backup is made from the files of a server, and {client.url} serves others than {folder.root}: "
                    "call theater backup on its machine, with its --data-dir"
                )
    with session.output.working(f"copying {folder.root}"):
        report = back_up(folder, to)
    if session.output.json:
        document = {"folder": str(to), "events": report.events}
        session.output.document(document | {"components": report.components, "bytes": report.bytes})
    else:
        session.output.line(
            f"{to}: {report.events} events, {report.components} components, {report.bytes} bytes; "
            f"to restore it: theater --data-dir {to} server"
        )


def show_config(context: typer.Context) -> None:
    """Show what is in force, and where each value came from."""
    if context.invoked_subcommand is not None:
        return
    session = session_of(context)
    config = session.config()
    if session.output.json:
        session.output.document(_config_document(config))
        return
    rows = [[key, value.value, value.origin] for key, value in config.settings.items()]
    rows.append(["config file", str(config.file), "read" if config.file.is_file() else "not there"])
    session.output.table(["SETTING", "VALUE", "FROM"], rows)
    session.output.line()
    session.output.line(f"ceiling, from {config.ceiling_origin}: what any actor may be granted without a person's word")
    for name, grant in sorted(config.ceiling.items()):
        if not name.startswith("wasi-"):  # linked for everybody, and nothing to ask for
            session.output.line(f"  [ceiling.{name}]")
            for line in grant_keys(grant):
                session.output.line(f"  {line}")


def _from_store(session: Session, id: str, to: Path) -> tuple[str, int, str]:
    with session.store() as store, _written_whole(to) as file:
        record = find_record(store, id)
        head = store.head(record.id)
        if to.suffix == _LINES_SUFFIX:
            for event in store.events(record.id, stop=head.seq + 1):
                file.write(encode_line(event))
        else:
            write_bundle_of(file, store, FileBlobStore(session.folder().components), record.id, head)
    return record.id, head.seq + 1, head.hash


def _from_server(client: Client, id: str, to: Path) -> tuple[str, int, str]:
    row = client.actor(id).actor
    with _written_whole(to) as file:
        if to.suffix == _LINES_SUFFIX:
            for event in client.events(row.id, limit=row.seq + 1):
                file.write(encode_line(event_of(event)))
            return row.id, row.seq + 1, row.head
        client.bundle(row.id, file)
        file.flush()
        with open_bundle(Path(file.name)) as bundle:
            return bundle.actor, bundle.event_count, bundle.head


def _taken_in(session: Session, bundle: Path) -> Imported:
    data_dir = session.folder()
    data_dir.hold("theater import")
    try:
        store = SqliteEventStore.open(data_dir)
        try:
            record = take_in(bundle, store, FileBlobStore(data_dir.components))
            head = store.head(record.id)
        finally:
            store.close()
    finally:
        data_dir.release()
    return Imported(id=record.id, name=record.name, events=head.seq + 1, head=head.hash)


def _collected(session: Session) -> Collected:
    session.folder().require_store()
    with LocalRuntime(session, purpose="theater gc") as local:
        return local.do(local.runtime.collect())


@contextmanager
def _written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when all of it has been written; nothing is left of it otherwise."""
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        os.close(descriptor)
        with temporary.open("wb") as file:
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


def _config_document(config: Config) -> dict[str, object]:
    return {
        "file": str(config.file),
        "settings": {key: {"value": item.value, "origin": item.origin} for key, item in config.settings.items()},
        "ceiling": {
            "origin": config.ceiling_origin,
            "grants": {name: dict(grant.table()) for name, grant in sorted(config.ceiling.items())},
        },
    }
