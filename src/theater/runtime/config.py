"""What a person set: the config file, the environment, and where each value came from."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from theater.capabilities.registry import Registry
from theater.errors import InvalidInput, InvalidManifest
from theater.model.quantity import parse_size
from theater.model.spelling import nearest
from theater.model.toml_text import parse_toml
from theater.runtime.node_certificates import check_certificates
from theater.runtime.node_secrets import check_sources
from theater.runtime.permissions import Grants, default_ceiling, parse_grants

PORT_MAX = 65_535
_FILE_MAX_BYTES = 2**20  # far more than there is to say
_HOST_MAX_CHARS = 253


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in force, and where it came from: ``default``, ``file``, ``environment`` or ``argument``."""

    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Config:
    """Everything in force. ``ceiling`` is what any root actor may be granted without a person's word."""

    file: Path
    data_dir: Setting
    durability: Setting
    reserve: Setting
    """Room on the disk that is kept free: with less, no new work is begun. ``0``: none is."""
    server: Setting
    """Where the server is that a client asks; "" where none is named."""
    host: Setting
    """Where a server listens."""
    port: Setting
    """The same; ``0``: on any that is free."""
    output: Setting
    """``human`` or ``json``: how a command shows what it found."""
    log_format: Setting
    """``human`` or ``json``: how a server logs."""
    ceiling: Grants
    ceiling_origin: str
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Where the node's secrets lie, by name: what an actor may send and never see."""
    certificates: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """The files of certificates and their keys, by the name that a grant has for them: for servers of actors."""

    @property
    def reserve_bytes(self) -> int:
        """``reserve`` as a number."""
        return parse_size(self.reserve.value)

    @property
    def settings(self) -> dict[str, Setting]:
        """All of them but the ceiling, by the key that each has in the file."""
        return {
            "data-dir": self.data_dir,
            "durability": self.durability,
            "reserve": self.reserve,
            "server": self.server,
            "host": self.host,
            "port": self.port,
            "output": self.output,
            "log-format": self.log_format,
        }


def config_file(environ: Mapping[str, str]) -> Path:
    """``$XDG_CONFIG_HOME/theater/config.toml``, or the same under ``~/.config``."""
    base = environ.get("XDG_CONFIG_HOME") or str(_home(environ) / ".config")
    return Path(base) / "theater" / "config.toml"


def read_config(
    registry: Registry,
    environ: Mapping[str, str],
    *,
    data_dir: str | None = None,
    server: str | None = None,
    arguments: Mapping[str, str | None] | None = None,
) -> Config:
    """The config in force. What the command line says: ``data_dir``, ``server``, ``arguments`` by the key in the file.

    Raises:
        InvalidInput: the file cannot be read, or a key or a value is none that there can be; the message says where.
        InvalidManifest: a table under ``[ceiling]`` is wrong.
    """
    file = config_file(environ)
    table = _read(file)
    ceiling = default_ceiling(registry)
    tables = table.get("ceiling", {})
    if not isinstance(tables, dict) or not all(isinstance(item, dict) for item in tables.values()):
        raise InvalidInput(f"{file}: ceiling must be tables, written [ceiling.NAME]")
    try:
        ceiling.update(parse_grants(registry, tables, where="ceiling"))
    except InvalidManifest as error:
        raise InvalidManifest(f"{file}: {error}") from error
    try:
        secrets = check_sources(table.get("secrets", {}))
        certificates = check_certificates(table.get("tls", {}))
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error}") from error
    said = {"server": server or None, **(arguments or {})}
    given = {key: _setting(key, file, table, environ, said.get(key)) for key in _SETTINGS}
    return Config(
        file=file,
        data_dir=_data_dir(table, environ, data_dir),
        durability=given["durability"],
        reserve=given["reserve"],
        server=given["server"],
        host=given["host"],
        port=given["port"],
        output=given["output"],
        log_format=given["log-format"],
        ceiling=ceiling,
        ceiling_origin="file" if tables else "default",
        secrets=secrets,
        certificates=certificates,
    )


def _setting(
    key: str, file: Path, table: Mapping[str, object], environ: Mapping[str, str], argument: str | None
) -> Setting:
    """The value in force: the command line's, else the environment's, else the file's, else the default."""
    kind = _SETTINGS[key]
    if argument is not None:
        return Setting(_checked(f"--{key} {argument!r}", kind, argument), "argument")
    if kind.variable and environ.get(kind.variable):
        value = environ[kind.variable]
        return Setting(_checked(f"${kind.variable} = {value!r}", kind, value), "environment")
    if key in table:
        return Setting(_checked(f"{file}: {key} = {table[key]!r}", kind, table[key]), "file")
    return Setting(kind.default, "default")


def _checked(where: str, kind: _Kind, value: object) -> str:
    try:
        return kind.check(value)
    except ValueError as error:
        raise InvalidInput(f"{where}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Kind:
    """A setting: its default, what is wrong with a value (a ``ValueError`` says so), and the variable that sets it."""

    default: str
    check: Callable[[object], str]
    variable: str = ""


def _one_of(*words: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value not in words:
            raise ValueError("write " + " or ".join(f'"{word}"' for word in words))
        return str(value)

    return check


def _size(value: object) -> str:
    try:
        parse_size(value)
    except InvalidInput as error:
        raise ValueError('write a size, for example "1GiB", or 0') from error
    return str(value)


def _url(value: object) -> str:
    text = value if isinstance(value, str) and value.isprintable() and " " not in value else ""
    problem = 'write the address of a server, for example "http://127.0.0.1:2823"'
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and parts.hostname is not None and parts.port != 0
    except ValueError as error:
        raise ValueError(problem) from error
    if not is_good or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(problem)
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address holds no name and no password: a token goes into its own place")
    return text.rstrip("/")


def _host(value: object) -> str:
    is_good = isinstance(value, str) and 0 < len(value) <= _HOST_MAX_CHARS and value.isprintable()
    if not is_good or any(char in str(value) for char in " /@?#"):
        raise ValueError('write a name or an address, for example "127.0.0.1"')
    return str(value)


def _port(value: object) -> str:
    text = str(value) if isinstance(value, str) or type(value) is int else ""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(PORT_MAX)) and int(text) <= PORT_MAX):
        raise ValueError(f"write a number from 0 to {PORT_MAX}")
    return str(int(text))


_SETTINGS: Mapping[str, _Kind] = {
    "durability": _Kind("process", _one_of("process", "power")),
    "reserve": _Kind("1GiB", _size, "THEATER_RESERVE"),
    "server": _Kind("", _url, "THEATER_SERVER"),
    "host": _Kind("127.0.0.1", _host),
    "port": _Kind("2823", _port),
    "output": _Kind("human", _one_of("human", "json"), "THEATER_OUTPUT"),
    "log-format": _Kind("human", _one_of("human", "json")),
}
_KEYS = ("data-dir", "ceiling", "secrets", "tls", *_SETTINGS)


def _home(environ: Mapping[str, str]) -> Path:
    """``$HOME``; where that is not set, or empty, what the system has for the user."""
    if environ.get("HOME"):
        return Path(environ["HOME"])
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError as error:
        raise InvalidInput("this user has no home folder: set HOME, or name a folder with --data-dir") from error


def _read(file: Path) -> dict[str, object]:
    try:
        if file.exists() and not file.is_file():  # a pipe would be waited for, and a device has no end
            raise InvalidInput(f"{file} is no file")
        with file.open("rb") as opened:
            data = opened.read(_FILE_MAX_BYTES + 1)
        text = data.decode()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not TOML: it is no text in UTF-8") from error
    if len(data) > _FILE_MAX_BYTES:
        raise InvalidInput(f"{file} is too large: it may have {_FILE_MAX_BYTES} bytes")
    try:
        table = parse_toml(text)
    except InvalidInput as error:
        raise InvalidInput(f"{file} is not TOML: {error}") from error
    for key in table:
        if key not in _KEYS:
            raise InvalidInput(f"{file} has an unknown key {key!r}{nearest(key, _KEYS)}")
    data_dir = table.get("data-dir", "-")
    if not isinstance(data_dir, str) or not data_dir:
        raise InvalidInput(f"{file}: data-dir = {data_dir!r}: write the name of a folder")
    return table


def _data_dir(table: Mapping[str, object], environ: Mapping[str, str], argument: str | None) -> Setting:
    if argument:
        return Setting(argument, "argument")
    if environ.get("THEATER_DATA_DIR"):
        return Setting(environ["THEATER_DATA_DIR"], "environment")
    if "data-dir" in table:
        return Setting(str(Path(str(table["data-dir"])).expanduser()), "file")
    base = environ.get("XDG_DATA_HOME") or str(_home(environ) / ".local" / "share")
    return Setting(str(Path(base) / "theater"), "default")
