"""Building a project: from its sources to the component at its place, or nothing where nothing has changed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from theater.build.output import Built, digest_inputs, read_component, write_component
from theater.build.project import Project, Source
from theater.build.python import build_python, compiler_version, read_guest_files
from theater.build.sources import read_sources
from theater.build.wat import Assemble, build_wat
from theater.build.world import actor_world, command_world, find_handlers, read_interfaces
from theater.errors import BuildFailed
from theater.model.ids import Digest


@dataclass(frozen=True, slots=True)
class _Recipe:
    """All that a component depends on, and how it is made from that."""

    inputs: Mapping[str, bytes]
    make: Callable[[], bytes]


def build_project(
    project: Project, *, assemble: Assemble, force: bool = False, progress: Callable[[str], None] = lambda _: None
) -> Built:
    """Build ``project``, unless the component at its place was built from the very same inputs.

    ``assemble`` is asked for projects in component text; ``progress`` hears one line before work that takes seconds.
    ``force`` builds in any case.

    Raises:
        BuildFailed: the sources have a fault, which the message shows; or the compiler is missing or failed.
    """
    start = time.monotonic()
    recipe = _recipe(project, assemble)
    inputs = digest_inputs(recipe.inputs)
    data = None if force else read_component(project.output, inputs)
    was_cached = data is not None
    if data is None:
        progress(f"building {project.name} from {project.source.value}")
        data = recipe.make()
        try:
            write_component(project.output, data, inputs)
        except OSError as error:
            raise BuildFailed(f"{project.output} cannot be written: {error.strerror}") from error
    return Built(
        path=project.output,
        digest=Digest(hashlib.sha256(data).hexdigest()),
        size_bytes=len(data),
        seconds=time.monotonic() - start,
        was_cached=was_cached,
    )


def _recipe(project: Project, assemble: Assemble) -> _Recipe:
    match project.source:
        case Source.WAT:
            text = (project.folder / project.source.value).read_bytes()
            return _Recipe({"actor.wat": text}, lambda: build_wat("actor.wat", text, assemble))
        case Source.PYTHON_ACTOR:
            handlers = find_handlers(read_sources(project.folder))
            world = actor_world(project.capabilities, read_interfaces(), handlers)
            return _python_recipe(project, "theater_guest", world)
        case Source.PYTHON_COMMAND:
            return _python_recipe(project, "theater_command", command_world(project.capabilities, read_interfaces()))


def _python_recipe(project: Project, entry: str, wit: Mapping[str, bytes]) -> _Recipe:
    sources = read_sources(project.folder)
    guest_files = read_guest_files()
    inputs = {"compiler": compiler_version().encode(), "entry": entry.encode()}
    for part, files in (("app", sources), ("sdk", guest_files), ("wit", wit)):
        inputs |= {f"{part}/{name}": data for name, data in files.items()}
    return _Recipe(inputs, lambda: build_python(entry, sources=sources, guest_files=guest_files, wit=wit))
