"""New projects, from the templates that come with the package."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, get_args

from theater.errors import InvalidInput, NameTaken
from theater.model.manifest import is_name

Template = Literal["counter", "command", "supervisor", "http"]
TEMPLATES: tuple[Template, ...] = get_args(Template)

_PLACEHOLDER = "{{name}}"


def create_project(parent: Path, name: str, *, template: str = "counter") -> tuple[Path, ...]:
    """Make the folder ``name`` in ``parent`` with a project in it; returns the files in the order to read them.

    Raises:
        InvalidInput: no name for an actor, or no template of that name.
        NameTaken: there is something of that name that is not an empty folder. Nothing was written.
    """
    if not is_name(name):
        raise InvalidInput(
            f"{name!r} is no name for an actor: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter"
        )
    if template not in TEMPLATES:
        raise InvalidInput(f"there is no template {template!r}; there are {', '.join(TEMPLATES)}")
    folder = parent / name
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise NameTaken(f"{folder} is there already, and not empty: choose another name, or remove it")
    files = {
        path: text.replace(_PLACEHOLDER, name)
        for path, text in _read(resources.files("theater") / "build" / "templates" / f"python-{template}").items()
    }
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return tuple(folder / path for path in sorted(files, key=_reading_order))


def _read(folder: Traversable) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in folder.iterdir():
        if item.is_dir():
            if item.name != "__pycache__":
                found |= {f"{item.name}/{path}": text for path, text in _read(item).items()}
        else:
            found[item.name] = item.read_text(encoding="utf-8")
    return found


def _reading_order(path: str) -> tuple[int, str]:
    order = ("actor.py", "worker.py", "main.py", "theater.toml", "README.md")
    return (order.index(path) if path in order else len(order), path)
