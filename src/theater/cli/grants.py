"""Grants for people: shown before anything runs, and asked about where a manifest wants more than the node allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from theater.cli.output import Output
from theater.errors import Denied
from theater.model.capability import Grant
from theater.runtime.permissions import Grants, Permissions

_YES = ("y", "yes")


def decide_or_ask(
    decide: Callable[[Sequence[str]], Permissions], *, allowed: Sequence[str], output: Output
) -> Permissions:
    """What ``decide`` says of what is ``allowed``. A person is asked once whether what goes beyond is, this time.

    Raises:
        Denied: there is nobody to ask, or the answer is no.
        InvalidManifest, InvalidInput: as ``decide``.
    """
    try:
        return decide(allowed)
    except Denied as denied:
        if not output.is_interactive:
            raise
        lines = _lines(denied)
        output.note("the manifest asks for more than this node allows:")
        for line in lines:
            output.note(f"    {line}")
        if output.ask("allow it this once? [y/N] ").lower() not in _YES:
            raise
        more = [line.removeprefix("[capabilities.").removesuffix("]") for line in lines if line.startswith("[")]
        return decide([*allowed, *more])


def show_grants(effective: Grants, output: Output) -> None:
    """What the actor gets, one line a capability."""
    for name, grant in sorted(effective.items()):
        output.note(f"grant  {grant_line(name, grant)}")


def grant_line(name: str, grant: Grant) -> str:
    """A capability and what of it, on one line."""
    keys = ", ".join(grant_keys(grant))
    return f"{name}  {keys}" if keys else name


def grant_keys(grant: Grant) -> list[str]:
    """The keys of a grant as they would stand in a manifest, defaults written out."""
    return [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in grant.table().items()]


def _lines(denied: Denied) -> list[str]:
    asked = denied.data.get("asked")
    return [str(line) for line in asked] if isinstance(asked, list) else []
