"""``watch``: a project's actor, built anew and upgraded in place whenever one of its files changes.

The actor keeps its id, its chain, its mailbox and its state: what changes is its component, between two steps. So one
can write code beside an actor that is at work.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from watchfiles import Change, DefaultFilter
from watchfiles import watch as changes_in

from theater.build.builder import build_project
from theater.build.output import Built
from theater.build.project import MANIFEST, Project, find_project
from theater.cli.component import Component, upload
from theater.cli.grants import show_effective
from theater.cli.nodes import assembler
from theater.cli.session import Session, session_of
from theater.cli.stage import Part
from theater.cli.starting import restart_through, start_through
from theater.cli.talk import crash_line
from theater.errors import Busy, Crashed, InvalidInput, NotFound, Refused, TheaterError
from theater.model.ids import Digest
from theater.model.ports import LIVING
from theater.model.wire import ActorDetail, ActorRow
from theater.runtime.sources import read_source

if TYPE_CHECKING:
    from theater.client import Client

DEBOUNCE_MS = 200
"""How long files have to be at rest: an editor writes several for one save."""

RETRY_MS = 1000
"""How long to wait for a change before it is asked whether a server that was away is back."""

_Deed = Literal["found", "started", "upgraded", "restarted"]


class SourceFilter(DefaultFilter):
    """Everything that a build may depend on, and little that a build makes: whatever passes has it looked at again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(ignore_paths=[f"{folder / 'build'}{os.sep}"])
        self._folder = folder

    def __call__(self, change: Change, path: str) -> bool:
        """Whether to look again because of this file."""
        parts = Path(path).relative_to(self._folder).parts if Path(path).is_relative_to(self._folder) else ()
        return super().__call__(change, path) and not any(part.startswith(".") for part in parts)


def watch(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The project, or its manifest.", show_default=False)
    ] = Path(),
) -> None:
    """Build a project and start its actor; build and upgrade it again whenever a file changes, keeping its state."""
    session = session_of(context)
    manifest = (folder / MANIFEST if folder.is_dir() else folder).resolve()
    if not manifest.exists():
        raise NotFound(f"there is no {manifest}: `theater create NAME` makes a project")
    session.where()  # without a server there is nothing to wait for: one that goes away later is waited for
    watcher = Watcher(session, manifest)
    watcher.look()
    changes = changes_in(
        manifest.parent,
        watch_filter=SourceFilter(manifest.parent),
        debounce=DEBOUNCE_MS,
        step=DEBOUNCE_MS // 4,
        rust_timeout=RETRY_MS,
        yield_on_timeout=True,
    )
    is_first = True
    for changed in changes:
        if changed or watcher.is_waiting or is_first:  # the first time for what has changed during the first build
            watcher.look(is_again=not changed)
        is_first = False


@dataclass(slots=True)
class _Known:
    """What was said, so that it is not said again, and what was tried in vain, so that it is not tried again."""

    error: str = ""
    failed: tuple[str, str] = ("", "")
    manifest: str = ""
    digest: str = ""
    is_watching: bool = False


class Watcher:
    """One project, and the actor that runs it."""

    def __init__(self, session: Session, manifest: Path) -> None:
        self._session = session
        self._output = session.output
        self._manifest = manifest
        self._known = _Known()
        self._id: str | None = None
        self.is_waiting = False
        """Whether a server was away: everything else can only change with a file."""

    def look(self, *, is_again: bool = False) -> None:
        """Bring the actor up to date. A fault is shown, unless ``is_again``, and it was shown the last time.

        Raises:
            NotFound: the project's folder is gone, and with it what could be watched.
        """
        if not self._manifest.parent.is_dir():
            raise NotFound(f"{self._manifest.parent} is gone")
        self.is_waiting = False
        try:
            self._bring_up_to_date()
            self._known.error = ""
        except TheaterError as error:  # a person is about to mend the source, or the server comes back
            self.is_waiting = isinstance(error, Busy)
            self._complain(error, is_again=is_again)
        except OSError as error:
            self._complain(InvalidInput(f"{error.filename}: {error.strerror}"), is_again=is_again)
        if not self._known.is_watching:
            self._known.is_watching = True
            if self._output.json:
                self._output.document({"event": "watching", "folder": str(self._manifest.parent)})
            else:
                self._output.note(f"watching {self._manifest.parent}; end it with Ctrl-C")

    def _bring_up_to_date(self) -> None:
        text = self._manifest.read_text(encoding="utf-8", errors="replace")  # the manifest's reader says what is wrong
        project = find_project(self._manifest)
        built = self._built(project)
        with self._session.client() as client:
            detail = self._detail(client, project.name)
            if detail is None or (detail.state_seq is None and detail.actor.status not in LIVING):
                if (text, built.digest) != self._known.failed:
                    self._start(client, project, text, built)
                return
            self._known.failed = ("", "")
            self._compare_manifests(detail, text)
            row = detail.actor
            if detail.program != built.digest:
                upload(client, _component(built))
                row = client.upgrade(row.id, built.digest)
                self._did("upgraded", row, built.digest)
            elif self._id is None:
                self._did("found", row, built.digest)
            self._id = row.id
            if row.status not in LIVING:
                self._did("restarted", restart_through(self._session, client, row.id), built.digest)

    def _built(self, project: Project) -> Built:
        with self._output.working(f"building {project.name}") as show:
            built = build_project(project, assemble=assembler(self._session), progress=show)
        if built.digest != self._known.digest:
            self._known.digest = built.digest
            if self._output.json:
                took = round(built.seconds, 3)
                document = {"event": "built", "component": built.digest, "size": built.size_bytes, "seconds": took}
                self._output.document(document | {"cached": built.was_cached})
            elif not built.was_cached:
                self._output.line(f"built sha256:{built.digest[:16]} in {built.seconds:.1f} s")
                self._output.flush()
        return built

    def _detail(self, client: Client, name: str) -> ActorDetail | None:
        """Our actor; or one of that name, if it is nobody's child. A living one, or else the last that ended."""
        for id in [self._id, name]:
            try:
                detail = client.actor(id) if id is not None else None
            except NotFound:  # it was removed
                continue
            if detail is not None and detail.role == "actor" and detail.actor.parent is None:
                return detail
        return None

    def _start(self, client: Client, project: Project, text: str, built: Built) -> None:
        part = Part(read_source(self._manifest), project.name, None, (), ())
        self._known.manifest = text
        self._known.failed = (text, built.digest)  # also a command, which has run: it is started again when it changes
        try:
            started = start_through(self._session, client, part, _component(built))
        except Busy:
            self._known.failed = ("", "")
            raise
        self._id = started.actor.id
        show_effective(started.grants, self._output)
        self._did("started", started.actor, built.digest)

    def _compare_manifests(self, detail: ActorDetail, text: str) -> None:
        if text not in (detail.manifest, self._known.manifest):
            self._output.note(
                f"{self._manifest.name} is not what the actor was started with, whose grants and limits it keeps; "
                f"for the new ones: theater stop {detail.actor.name}; theater start {self._manifest.name}"
            )
        self._known.manifest = text

    def _did(self, what: _Deed, row: ActorRow, digest: str) -> None:
        if self._output.json:
            about = {"id": row.id, "name": row.name, "status": row.status, "component": digest}
            self._output.document({"event": what, **about})
        else:
            self._output.line(f"{what} {row.name} {row.id}  {row.status}  sha256:{digest[:16]}")
            self._output.flush()

    def _complain(self, error: TheaterError, *, is_again: bool) -> None:
        if is_again and error.message == self._known.error:
            return
        self._known.error = error.message
        if self._output.json:
            self._output.document({"event": "error", "code": error.code, "message": error.message})
        elif isinstance(error, Refused):
            self._output.note(f"refused: {error.message}")
        elif isinstance(error, Crashed):
            self._output.note(crash_line(error), has_lines=True)
        else:
            self._output.error(error)
            if self.is_waiting:
                self._output.note("going on when it is back")


def _component(built: Built) -> Component:
    return Component(Digest(built.digest), built.path.read_bytes())
