"""The least grant of ``supervisor`` that the calls of a history need: the directories that children came from."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from theater.capabilities.grant_table import ITEMS_MAX
from theater.capabilities.supervisor_grant import SupervisorGrant, plain_path
from theater.model.narrowing import Least, Need, SeenCall


def needs(call: SeenCall) -> Iterator[Need]:
    """``directory`` with a path."""
    match call.arguments:
        case ({"source": ("directory", str(text))}, *_):
            path = plain_path(text)
            if path is not None:
                yield "directory", path


def grant(granted: SupervisorGrant, found: Collection[Need]) -> SupervisorGrant:
    """Those alone, within the ones that were granted."""
    paths = tuple(path for need in found if granted.allows(path := str(need[1])))
    narrow = SupervisorGrant(paths)
    return narrow if len(narrow.directories) <= ITEMS_MAX else granted


LEAST = Least(needs, grant)
