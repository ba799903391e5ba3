"""Values that are recorded inside an event: written as plain JSON, read back strictly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import msgspec

from theater.errors import InvalidInput, Unsound


class Recorded(msgspec.Struct, frozen=True, rename="kebab"):
    """The base of such values. Its keys are the field names as WIT spells them: ``first_ms`` is ``"first-ms"``.

    Fields only grow: a key that a later version added is ignored, and a missing one has its default.
    """

    def to_json(self) -> dict[str, object]:
        """The value as objects, lists, strings, numbers, booleans and nulls, and nothing else."""
        plain: dict[str, object] = msgspec.json.decode(msgspec.json.encode(self))
        return plain

    @classmethod
    def parse(cls, plain: object) -> Self:
        """The value that ``to_json`` gave ``plain`` for.

        Raises:
            InvalidInput: a missing key, a value of the wrong type, or one that cannot be.
        """
        try:
            return msgspec.convert(plain, cls)
        except msgspec.ValidationError as error:
            raise InvalidInput(str(error)) from error

    @classmethod
    def from_json(cls, plain: object, *, seq: int) -> Self:
        """As ``parse``, of what event ``seq`` of a chain recorded.

        Raises:
            Unsound: no version writes this; ``seq`` is named.
        """
        try:
            return cls.parse(plain)
        except InvalidInput as error:
            raise Unsound(f"event {seq}: what is recorded as {cls.__name__} cannot be: {error}", seq=seq) from error


def check_one_of(name: str, value: object, known: Sequence[str]) -> None:
    """Raises ``InvalidInput`` where ``value``, that of the field ``name``, is none of ``known``."""
    if value not in known:
        raise InvalidInput(f"{name} = {value!r}: use one of {', '.join(known)}")


def check_whole(name: str, value: object, *, least: int, most: int) -> None:
    """Raises ``InvalidInput`` where ``value``, that of the field ``name``, is no whole number within the bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidInput(f"{name} = {value!r}: use a whole number from {least} to {most}")
