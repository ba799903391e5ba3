"""What is wrong with Python sources: said in a few lines that name file and line.

A fault in the syntax is found by this process's own Python, at once. The Python inside a component is newer than ours
may be; where the fault may be a construct that only the newer one knows, the compiler has the word.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Mapping

GUEST_PYTHON = (3, 14)
"""The Python inside a component."""

LINES_MAX = 40
"""Of a traceback: more is not read by anybody."""

PACKAGES = "A component has the standard library and the project's own files: copy packages in pure Python beside them."

# Constructs that came with 3.12 and later: f-strings with any expression, type parameters, `except A, B`, templates.
_NEWER = re.compile(
    r"""\b(?:[fFtT][rR]?|[rR][fFtT])["']|^\s*type\s|^\s*(?:async\s+)?(?:def|class)\s+\w+\s*\[|^\s*except\b"""
)
_FRAME = re.compile(r'^  File "/(?P<root>\d+)/(?P<path>[^"]+)", line (?P<line>\d+)')
_LAST = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<text>.*))?$")


def find_syntax_error(sources: Mapping[str, bytes]) -> str | None:
    """The first fault in the syntax of the modules among ``sources``, as file, line, fault and the line itself."""
    for name in sorted(sources):
        if not name.endswith(".py"):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(sources[name], name, "exec", dont_inherit=True)
        except SyntaxError as error:
            if not _may_be_newer(error):
                return _describe(name, error)
        except (ValueError, RecursionError, MemoryError) as error:  # a null byte; nested too deep
            return f"{name}: {error}"
    return None


def diagnose(output: str, sources: Mapping[str, bytes]) -> str:
    """What the compiler's output says of the sources, without the compiler's own part of it."""
    lines = _guest_part(output).splitlines()
    if not lines:
        return "the compiler failed without saying why"
    last = next((match for line in reversed(lines) if (match := _LAST.match(line))), None)
    if last is not None and last["type"].endswith("NoActor"):
        return last["text"] or lines[-1]
    if last is not None and last["type"] in {"SyntaxError", "IndentationError", "TabError"}:
        return _moved_to_front(lines, last["text"] or "")
    text = "\n".join(_own_frames(lines, sources)[-LINES_MAX:])
    if last is not None and last["type"] == "ModuleNotFoundError":
        text += f"\n{PACKAGES}"
    return text


def _may_be_newer(error: SyntaxError) -> bool:
    if sys.version_info >= GUEST_PYTHON:
        return False
    return error.msg.startswith("f-string") or _NEWER.search(error.text or "") is not None


def _describe(name: str, error: SyntaxError) -> str:
    text = f"{name}:{error.lineno}: {error.msg}" if error.lineno else f"{name}: {error.msg}"
    if not error.text:
        return text
    shown = error.text.rstrip("\n").expandtabs(1)
    indent = len(shown) - len(shown.lstrip())
    column = max(0, (error.offset or 1) - 1 - indent)
    width = (error.end_offset or 0) - (error.offset or 0) if error.end_lineno == error.lineno else 1
    return f"{text}\n    {shown.strip()}\n    {' ' * column}{'^' * max(1, width)}"


def _guest_part(output: str) -> str:
    """What came from inside: behind our own child's traceback, before the compiler repeats it as a cause."""
    _, marker, rest = output.partition("\nAssertionError: ")
    return (rest if marker else output).partition("\n\nCaused by:")[0].strip("\n")


def _own_frames(lines: list[str], sources: Mapping[str, bytes]) -> list[str]:
    """A traceback without the frames of files that are not the project's; their lines go with them."""
    kept: list[str] = []
    is_own = True
    for line in lines:
        frame = _FRAME.match(line)
        if frame is not None or line.startswith("  File "):
            is_own = frame is not None and frame["root"] == "0" and frame["path"] in sources
        elif not line.startswith("    "):
            is_own = True
        if is_own:
            kept.append(line.replace('"/0/', '"', 1) if frame is not None else line)
    return kept


def _moved_to_front(lines: list[str], message: str) -> str:
    """``File "/0/actor.py", line 7`` and what follows, as ``actor.py:7: message`` and the same."""
    places = [(index, match) for index, line in enumerate(lines) if (match := _FRAME.match(line))]
    if not places:
        return "\n".join(lines)
    index, place = places[-1]
    return "\n".join([f"{place['path']}:{place['line']}: {message}", *lines[index + 1 : -1]])
