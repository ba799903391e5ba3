"""What may stand next on a command line: commands, options, values that are known, and actors.

Nothing fails here, nothing is waited for long, and no text comes out that means anything to a shell: commands and
options are our own, and a name of an actor that is none, which only a damaged store could have, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from theater.cli.commands import Row
from theater.cli.program import AnyCommand, Commands, program
from theater.model.ids import ID_PREFIX_MIN, is_actor_id
from theater.model.manifest import is_name

ACTORS_MAX = 100
"""How many actors are offered: nobody reads more."""

_PLAIN = re.compile(r"[A-Za-z0-9._=:-]+\Z")


@dataclass(frozen=True, slots=True)
class Actor:
    """What is needed of an actor to offer it."""

    name: str
    id: str
    status: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A word that may stand there, and what it means."""

    word: str
    help: str = ""


Actors = Callable[[], Iterable[Actor]]


def suggestions(words: Sequence[str], begun: str, actors: Actors) -> list[Suggestion]:
    """What the word ``begun`` may become behind ``words``, which do not include the program's name.

    Empty where that is no word that can be known, such as the name of a file.
    """
    words, begun = unsplit(words, begun)
    if not all(map(str.isprintable, [*words, begun])):
        return []
    place = _Place(program())
    for word in words:
        place.take(word)
    found = (item for item in place.next(begun, actors) if item.word.startswith(begun) and _PLAIN.match(item.word))
    return list({item.word: item for item in found}.values())


def unsplit(words: Sequence[str], begun: str) -> tuple[list[str], str]:
    """Bash takes ``--option=value`` for three words, and wants the value completed alone."""
    return [word for word in words if word != "="], "" if begun == "=" else begun


class _Place:
    """Where on a command line one is."""

    def __init__(self, command: AnyCommand) -> None:
        self._command: AnyCommand = command
        self._waiting: TyperOption | None = None  # for its value
        self._count = 0  # of arguments
        self._are_options_over = False

    def take(self, word: str) -> None:
        """One word further."""
        if self._waiting is not None:
            self._waiting = None
        elif self._are_options_over or not word.startswith("-") or word == "-":
            self._take_argument(word)
        elif word == "--":
            self._are_options_over = True
        else:
            option = self._options().get(word)
            self._waiting = option if option is not None and not option.is_flag else None

    def next(self, begun: str, actors: Actors) -> Iterator[Suggestion]:
        """What may come."""
        option, is_joined, value = begun.partition("=")
        if self._waiting is not None:
            yield from _values(self._waiting, begun, actors)
        elif begun.startswith("--") and is_joined and option in self._options():
            for found in _values(self._options()[option], value, actors):
                yield Suggestion(f"{option}={found.word}", found.help)
        elif begun.startswith("-") and not self._are_options_over:
            yield from (Suggestion(name, item.help or "") for name, item in self._options().items())
            yield Suggestion("--help")
        elif isinstance(self._command, TyperGroup):
            if self._count == 0:
                yield from (Suggestion(name, row.help) for name, row in _rows(self._command).items())
        else:
            arguments = [item for item in self._command.params if isinstance(item, TyperArgument)]
            if arguments and (self._count < len(arguments) or arguments[-1].nargs == -1):
                yield from _values(arguments[min(self._count, len(arguments) - 1)], begun, actors)

    def _take_argument(self, word: str) -> None:
        if isinstance(self._command, TyperGroup) and word in self._command.commands:
            found = self._command.commands[word]
            assert isinstance(found, TyperCommand | TyperGroup)
            self._command = found
        else:
            self._count += 1

    def _options(self) -> dict[str, TyperOption]:
        return {name: item for item in self._command.params if isinstance(item, TyperOption) for name in item.opts}


def _rows(group: TyperGroup) -> Mapping[str, Row]:
    assert isinstance(group.commands, Commands)
    return group.commands.rows


def _values(parameter: TyperArgument | TyperOption, begun: str, actors: Actors) -> Iterator[Suggestion]:
    choices: object = getattr(parameter.type, "choices", ())
    if isinstance(choices, Iterable):
        yield from (Suggestion(str(choice)) for choice in choices)
    if "ID" in re.split(r"[^A-Z]", str(parameter.metavar)):
        yield from _actors(begun, actors)


def _actors(begun: str, actors: Actors) -> Iterator[Suggestion]:
    is_id_begun = len(begun) >= ID_PREFIX_MIN
    count = 0
    for actor in actors():
        if count == ACTORS_MAX:
            return
        if is_name(actor.name) and actor.name.startswith(begun):
            yield Suggestion(actor.name, actor.status)
            count += 1
        elif is_id_begun and is_actor_id(actor.id) and actor.id.startswith(begun):
            yield Suggestion(actor.id, actor.status)
            count += 1
