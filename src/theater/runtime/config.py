"""What a person set: the config file, the environment, and where each value came from."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from theater.capabilities.registry import Registry
from theater.errors import InvalidInput, InvalidManifest
from theater.model.spelling import nearest
from theater.model.toml_text import parse_toml
from theater.runtime.permissions import Grants, default_ceiling, parse_grants

_KEYS = ("data-dir", "durability", "ceiling")
_DURABILITIES = ("process", "power")


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
    ceiling: Grants
    ceiling_origin: str


def config_file(environ: Mapping[str, str]) -> Path:
    """``$XDG_CONFIG_HOME/theater/config.toml``, or the same under ``~/.config``."""
    base = environ.get("XDG_CONFIG_HOME") or str(_home(environ) / ".config")
    return Path(base) / "theater" / "config.toml"


def read_config(registry: Registry, environ: Mapping[str, str], *, data_dir: str | None = None) -> Config:
    """The config in force; ``data_dir`` is what the command line says.

    Raises:
        InvalidInput: the file cannot be read, or has a key or value that it cannot have.
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
    durability = Setting(str(table["durability"]), "file") if "durability" in table else Setting("process", "default")
    if durability.value not in _DURABILITIES:
        raise InvalidInput(f'{file}: durability = {durability.value!r}: write "process" or "power"')
    return Config(
        file=file,
        data_dir=_data_dir(table, environ, data_dir),
        durability=durability,
        ceiling=ceiling,
        ceiling_origin="file" if tables else "default",
    )


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
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from error
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
