"""Who does what may be done by one process at a time: the server, where there is one, and else this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from theater.cli.session import Session
from theater.client.finding import origin_of
from theater.runtime.server_files import is_served, read_server_file
from theater.store.data_dir import DataDir

if TYPE_CHECKING:
    from theater.client import Client


@contextmanager
def holder(session: Session) -> Iterator[Client | None]:
    """The server that is to do it; None where there is none, and whoever asks has to do it himself.

    Raises:
        NoServer: the one that serves the data directory does not listen yet.
    """
    if not session.has_server():
        yield None
        return
    with session.client() as client:
        yield client


def own_folder(session: Session, client: Client) -> DataDir | None:
    """The server's data directory, if it is the one in force here, and this user's; else None."""
    folder = session.folder()
    if not is_served(folder):
        return None
    server = read_server_file(folder)
    return folder if server is not None and origin_of(server.url) == client.url else None
