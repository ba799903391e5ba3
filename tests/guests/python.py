"""Python guests for tests: built once, and kept in ``.pytest_cache`` until their source or the SDK changes."""

import hashlib
from pathlib import Path

from theater.build.builder import build_project
from theater.build.project import Source, find_project

CACHE = Path(__file__).parents[2] / ".pytest_cache" / "guests"


def python_actor(source: str, *, capabilities: tuple[str, ...] = ()) -> Path:
    """The component of an ``actor.py`` with this text. The first time takes 10 s; the test that asks is a slow one."""
    return _built(Source.PYTHON_ACTOR, source, capabilities)


def python_command(source: str) -> Path:
    """The component of a ``main.py`` with this text. The first time takes 10 s; the test that asks is a slow one."""
    return _built(Source.PYTHON_COMMAND, source, ())


def _built(kind: Source, source: str, capabilities: tuple[str, ...]) -> Path:
    tables = "".join(f"[capabilities.{name}]\n" for name in capabilities)
    manifest = f'name = "guest"\ncomponent = "build/guest.wasm"\n{tables}'
    key = hashlib.sha256(f"{kind.value}\n{manifest}\n{source}".encode()).hexdigest()
    folder = CACHE / key[:16]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "theater.toml").write_text(manifest)
    (folder / kind.value).write_text(source, encoding="utf-8")
    return build_project(find_project(folder), assemble=no_text).path


def no_text(text: str) -> bytes:
    """Stands for the assembler, where nothing is built of component text."""
    raise AssertionError(f"no component text is built here, but this was: {text}")
