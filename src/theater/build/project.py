"""A project: a folder with a manifest, the source of one component beside it, and where the component goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath

from theater.errors import BuildFailed, InvalidInput, InvalidManifest, NotFound
from theater.model.manifest import MANIFEST_MAX_BYTES, check_name
from theater.model.toml_text import parse_toml

MANIFEST = "theater.toml"


class Source(Enum):
    """What a component is made from: told by the name of the file."""

    PYTHON_ACTOR = "actor.py"
    PYTHON_COMMAND = "main.py"
    WAT = "actor.wat"


@dataclass(frozen=True, slots=True)
class Project:
    """What there is to build."""

    folder: Path
    name: str
    source: Source
    capabilities: tuple[str, ...]
    """Those that the manifest asks for, sorted."""
    output: Path
    """Where the component goes: the manifest's ``component``, or ``build/NAME.wasm``."""


def find_project(path: Path) -> Project:
    """The project of a folder or of a manifest.

    Raises:
        NotFound: there is no manifest.
        InvalidManifest: the manifest is not TOML, or its name is none. Its other keys are not looked at here.
        BuildFailed: there is not exactly one source beside it, or the component would not lie in the folder.
    """
    manifest = path / MANIFEST if path.is_dir() else path
    table = _read(manifest)
    name = check_name(table.get("name"))
    capabilities = table.get("capabilities", {})
    if not isinstance(capabilities, dict):
        raise InvalidManifest(f"{manifest}: capabilities has to be a table: write `[capabilities.timing]`")
    folder = manifest.resolve().parent
    return Project(
        folder=folder,
        name=name,
        source=_source(folder),
        capabilities=tuple(sorted(map(str, capabilities))),
        output=_output(folder, name, table.get("component")),
    )


def _read(manifest: Path) -> Mapping[str, object]:
    try:
        with manifest.open("rb") as file:
            data = file.read(MANIFEST_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFound(f"there is no {manifest}: `theater create NAME` makes a project") from error
    except OSError as error:
        raise InvalidManifest(f"{manifest} cannot be read: {error.strerror}") from error
    if len(data) > MANIFEST_MAX_BYTES:
        raise InvalidManifest(f"{manifest} is larger than {MANIFEST_MAX_BYTES} bytes")
    try:
        return parse_toml(data.decode())
    except (UnicodeDecodeError, InvalidInput) as error:
        raise InvalidManifest(f"{manifest}: {error}") from error


def _source(folder: Path) -> Source:
    found = [source for source in Source if (folder / source.value).is_file()]
    if len(found) == 1:
        return found[0]
    known = ", ".join(source.value for source in Source)
    if not found:
        raise BuildFailed(f"{folder}: there is nothing to build; one of these is looked for: {known}")
    names = ", ".join(source.value for source in found)
    raise BuildFailed(f"{folder}: it is not clear what to build: there are {names}; keep one")


def _output(folder: Path, name: str, component: object) -> Path:
    if component is None:
        return folder / "build" / f"{name}.wasm"
    if not isinstance(component, str) or not component.endswith(".wasm") or "${" in component:
        raise BuildFailed(f'{MANIFEST}: component is no file to be built: write `component = "build/{name}.wasm"`')
    relative = PurePosixPath(component)
    output = folder / relative
    if relative.is_absolute() or not output.resolve().is_relative_to(folder):
        raise BuildFailed(f"{MANIFEST}: component = {component!r} lies outside of the project's folder")
    return output
