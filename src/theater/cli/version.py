"""``version``: what is installed here."""

from __future__ import annotations

import platform

import typer

from theater import __version__
from theater.cli.session import session_of
from theater.engine.settings import engine_identity
from theater.runtime.machine import is_supported_platform


def version(context: typer.Context) -> None:
    """Show the versions of Theater, its engine and Python, and the platform."""
    session = session_of(context)
    engine = engine_identity()
    system = f"{platform.system()} {platform.machine()}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    supported = is_supported_platform()
    if session.output.json:
        session.output.document(
            {
                "theater": __version__,
                "engine": {"name": engine.name, "version": engine.version},
                "python": python,
                "platform": system,
                "supported": supported,
            }
        )
        return
    session.output.line(f"theater   {__version__}")
    session.output.line(f"engine    {engine.name} {engine.version}")
    session.output.line(f"python    {python}")
    session.output.line(f"platform  {system}{'' if supported else ' (not tested)'}")
