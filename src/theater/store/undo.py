"""Taking back what a batch has done to some dicts, when it is refused after all."""

from __future__ import annotations

from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

_ABSENT = object()


class Undo:
    """Changes dicts and remembers how they were.

    A batch that concerns several actors finds out late that it is refused. To look at all of it first and to change
    things afterwards would mean two walks that must agree about what the first parts do to the later ones.
    """

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps: list[tuple[dict[object, object], object, object]] = []

    def begin(self) -> None:
        """What was changed until now stays."""
        self._steps.clear()

    def put(self, mapping: dict[_K, _V], key: _K, value: _V) -> None:
        """Set ``mapping[key]``."""
        self._steps.append((mapping, key, mapping.get(key, _ABSENT)))  # type: ignore[arg-type]  # see `roll_back`
        mapping[key] = value

    def pop(self, mapping: dict[_K, _V], key: _K) -> None:
        """Remove ``key``, which is there."""
        self._steps.append((mapping, key, mapping.pop(key)))  # type: ignore[arg-type]  # see `roll_back`

    def pop_if_there(self, mapping: dict[_K, _V], key: _K) -> None:
        """Remove ``key`` if it is there."""
        if key in mapping:
            self.pop(mapping, key)

    def roll_back(self) -> None:
        """Make the dicts what they were at ``begin``, but for their order."""
        # A dict takes back only what it gave, whatever its types are.
        for mapping, key, value in reversed(self._steps):
            if value is _ABSENT:
                mapping.pop(key, None)
            else:
                mapping[key] = value
        self._steps.clear()
