"""The traceback of the user's code, on stderr, where it becomes part of the step's record."""

import os
import sys
import traceback

HINT = "a component has no files to import from when it runs: import this at the top of the module"


def show(error: BaseException, *, app: str, own: tuple[str, ...]) -> None:
    """Print ``error`` as Python does, with paths relative to ``app`` and without the frames of the files ``own``."""
    try:
        if isinstance(error, ImportError):
            error.add_note(HINT)
        summary = traceback.TracebackException.from_exception(error)
        _tidy(summary, app, own, set())
        sys.stderr.write("".join(summary.format()))
        sys.stderr.flush()
    except MemoryError:  # none is left to say more with
        os.write(2, b"MemoryError\n")


def _tidy(summary: traceback.TracebackException, app: str, own: tuple[str, ...], seen: set[int]) -> None:
    if id(summary) in seen:
        return
    seen.add(id(summary))
    kept = [frame for frame in summary.stack if not frame.filename.endswith(own)]
    for frame in kept:
        frame.filename = frame.filename.removeprefix(app + "/")
    summary.stack[:] = kept
    causes = (summary.__cause__, summary.__context__, *(summary.exceptions or ()))
    for cause in causes:
        if cause is not None:
            _tidy(cause, app, own, seen)
