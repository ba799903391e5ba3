"""Components from Python sources, through componentize-py."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path

from theater.build.diagnosis import diagnose, find_syntax_error
from theater.build.toolchain import run_python
from theater.build.world import WORLD
from theater.errors import BuildFailed

COMPILER = "componentize-py"
# Folders with these names are what componentize-py calls them inside the component: /0 and /1.
_APP = "app"
_SDK = "sdk"


def compiler_version() -> str:
    """The version of the installed compiler.

    Raises:
        BuildFailed: there is none.
    """
    try:
        return metadata.version(COMPILER)
    except metadata.PackageNotFoundError as error:
        raise BuildFailed(f"building Python needs {COMPILER}: pip install 'theater[python]'") from error


def read_guest_files() -> dict[str, bytes]:
    """What goes into every Python component besides the project's own files, by path."""
    guest = resources.files("theater") / "build" / "guest"
    files = {name: data for name, data in _read(guest).items() if "/" not in name}
    return files | {f"theater_sdk/{name}": data for name, data in _read(resources.files("theater_sdk")).items()}


def build_python(
    entry: str, *, sources: Mapping[str, bytes], guest_files: Mapping[str, bytes], wit: Mapping[str, bytes]
) -> bytes:
    """The component of the guest module ``entry``.

    Raises:
        BuildFailed: the sources have a fault, which the message shows; or the compiler failed.
    """
    fault = find_syntax_error(sources)
    if fault is not None:
        raise BuildFailed(fault)
    with tempfile.TemporaryDirectory(prefix="theater-build-") as name:
        folder = Path(name)
        for part, files in ((_APP, sources), (_SDK, guest_files), ("wit", wit)):
            _lay_out(folder / part, files)
        arguments = ["-q", "-d", "wit", "-w", WORLD, "componentize", "-p", _APP, "-p", _SDK, "-o", "out.wasm", entry]
        ran = run_python(folder / _SDK / "theater_componentize.py", arguments, folder=folder)
        output = folder / "out.wasm"
        if ran.status or not output.is_file():
            raise BuildFailed(diagnose(ran.output, sources))
        return output.read_bytes()


def _lay_out(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _read(folder: Traversable) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for item in folder.iterdir():
        if item.is_dir():
            if item.name != "__pycache__":
                found |= {f"{item.name}/{name}": data for name, data in _read(item).items()}
        elif item.name.endswith(".py"):
            found[item.name] = item.read_bytes()
    return found
