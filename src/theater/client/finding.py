"""Where the server is, and the token for it: as the command line finds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from theater.capabilities.registry import installed
from theater.errors import InvalidInput, NoServer, TheaterError
from theater.runtime.config import Config, read_config
from theater.runtime.server_files import is_served, read_server_file
from theater.store.data_dir import DataDir

Origin = Literal["argument", "environment", "file", "data-dir"]

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Where:
    """A server's URL, and the token for it, if there is one."""

    url: str
    """Its origin, as ``http://127.0.0.1:2823``."""
    token: str | None = field(repr=False)
    origin: Origin
    """What named it: an argument, the environment, the config file, or the data directory that it serves."""
    again: Callable[[], Where] | None = field(default=None, repr=False, compare=False)
    """Looks once more: a server that serves a data directory may come back on another port. None where it cannot."""


def find(environ: Mapping[str, str], *, data_dir: str | None = None, server: str | None = None) -> Where:
    """The server that a command with these options would ask. Nothing is sent to it.

    It is the one that ``server`` names; else, unless ``data_dir`` is given, ``$THEATER_SERVER`` or the config file;
    else the one that serves the data directory. The token is ``$THEATER_TOKEN``; else that of the data directory's
    server, if it is exactly that server which was found.

    Raises:
        NoServer: none is named, and none serves the data directory.
        InvalidInput: what is named is no URL of a server, or the config cannot be read.
        Damaged: what the server wrote of itself is not for us to trust.
    """
    return named_in(read_config(installed(), environ, data_dir=data_dir, server=server), environ)


def named_in(config: Config, environ: Mapping[str, str]) -> Where:
    """The same, of a config that was read already. Raises as ``find``."""
    if not is_named(config):
        return _serving(environ, DataDir(Path(config.data_dir.value)))
    url = origin_of(config.server.value)
    token = environ.get("THEATER_TOKEN") or _token_of(url, DataDir(Path(config.data_dir.value)))
    match config.server.origin:
        case "argument" | "environment" | "file" as origin:
            return Where(url, token, origin)
        case origin:
            raise AssertionError(origin)


def is_named(config: Config) -> bool:
    """Whether a server was named, and not only a data directory. What is said for this one call goes first."""
    if config.server.origin == "argument":
        return True
    return bool(config.server.value) and config.data_dir.origin != "argument"


def origin_of(url: str) -> str:
    """The origin of a URL that is nothing but an origin, written in one way.

    Raises:
        InvalidInput: it is none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    more = (parts.path not in ("", "/"), parts.query, parts.fragment, "@" in parts.netloc)
    if parts.scheme not in _PORTS or not host or any(more) or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInput(f"{url[:200]!r} is no server's URL: write scheme, host and port, as http://127.0.0.1:2823")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + ("" if port in (None, _PORTS[parts.scheme]) else f":{port}")


def _serving(environ: Mapping[str, str], folder: DataDir) -> Where:
    if not is_served(folder):
        raise NoServer(f"no server holds {folder.root}; start one with: theater server")
    content = read_server_file(folder)
    if content is None:
        raise NoServer(f"the server that holds {folder.root} does not listen yet, or no longer: try again")
    again = partial(_serving, environ, folder)
    return Where(origin_of(content.url), environ.get("THEATER_TOKEN") or content.token, "data-dir", again)


def _token_of(url: str, folder: DataDir) -> str | None:
    """The token of the data directory's server, if that is the one at ``url``. What is wrong with it is not asked."""
    try:
        found = _serving({}, folder)
    except TheaterError:
        return None
    return found.token if found.url == url else None
