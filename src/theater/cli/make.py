"""``create`` and ``build``: from nothing to a project, from its source to a component."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from theater.build.builder import build_project
from theater.build.create import Template, create_project
from theater.build.project import find_project
from theater.cli.nodes import assembler
from theater.cli.session import session_of
from theater.model.manifest import is_name


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The actor's name, and that of its new folder.")],
    lang: Annotated[Literal["python"], typer.Option("--lang", help="The language to write it in.")] = "python",
    template: Annotated[
        Template,
        typer.Option(
            "--template", help="An actor that counts, a supervisor, an HTTP server, or a command that runs once."
        ),
    ] = "counter",
) -> None:
    """Make a small project: a manifest, a source, a README and a test."""
    session = session_of(context)
    output = session.output
    if not is_name(name):
        raise typer.BadParameter(
            f"{name!r} is no name for an actor: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter"
        )
    files = create_project(Path(), name, template=template)
    if output.json:
        document = {"name": name, "lang": lang, "template": template, "files": [str(file) for file in files]}
        output.document(document)
        return
    for file in files:
        output.line(str(file))
    allow = " --allow http-server" if template == "http" else ""  # no node allows that by itself
    output.note(f"next: cd {name} && theater build && theater run theater.toml{allow}")


def build(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The project, or its manifest.", show_default=False)
    ] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Build even where nothing has changed.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Build a project's component, unless nothing has changed since it was built."""
    session = session_of(context)
    output = session.output
    project = find_project(folder)
    with output.working(f"building {project.name}") as show:
        built = build_project(project, assemble=assembler(session), force=force, progress=show)
    if output.json:
        output.document(
            {
                "path": str(built.path),
                "digest": built.digest,
                "size": built.size_bytes,
                "seconds": round(built.seconds, 3),
                "cached": built.was_cached,
            }
        )
        return
    how = "nothing has changed" if built.was_cached else f"built in {built.seconds:.1f} s"
    output.line(f"{built.path}  sha256:{built.digest}")
    output.note(f"{how}, {built.size_bytes} bytes")
