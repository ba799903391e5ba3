"""The project's own WIT files, read: so that a hand-written guest has the very types of the interfaces it uses.

Only what these files use is understood; resources and flags are not.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from theater.model import wit

FOLDER = Path(__file__).parents[2] / "src" / "theater" / "wit"
PACKAGE = "theater:actor"
VERSION = "0.1.0"

_TOKEN = re.compile(r"->|[%\w-]+|[^\s\w]")
_COMMENT = re.compile(r"//.*")


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface, every name in it resolved."""

    name: str
    uses: tuple[tuple[str, str], ...]
    """Types of other interfaces: (interface, name)."""
    types: Mapping[str, wit.Type]
    """Its own types, in order."""
    functions: Mapping[str, wit.Function]

    @property
    def path(self) -> str:
        """How a component names it."""
        return f"{PACKAGE}/{self.name}@{VERSION}"


@functools.cache
def read_interface(name: str) -> Interface:
    """The interface of this name."""
    return _Parser(_COMMENT.sub("", (FOLDER / f"{name}.wit").read_text(encoding="utf-8"))).interface()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0
        self._scope: dict[str, wit.Type | None] = {name: wit.Primitive(name) for name in get_args(wit.PrimitiveName)}
        self._scope["_"] = None

    def interface(self) -> Interface:
        self._at = self._tokens.index("interface") + 1
        name = self._next()
        self._expect("{")
        uses: list[tuple[str, str]] = []
        types: dict[str, wit.Type] = {}
        functions: dict[str, wit.Function] = {}
        while not self._have("}"):
            word = self._next()
            if word == "use":
                uses += self._use()
            elif word == "type":
                alias = self._next()
                self._expect("=")
                types[alias] = self._define(alias, self._type())
                self._expect(";")
            elif word in ("record", "variant", "enum"):
                defined = self._next()
                types[defined] = self._define(defined, self._body(word))
            else:
                functions[word.lstrip("%")] = self._function()
        return Interface(name, tuple(uses), types, functions)

    def _use(self) -> list[tuple[str, str]]:
        other = self._next()
        self._expect(".")
        self._expect("{")
        found = []
        while not self._have("}"):
            found.append((other, self._next()))
            self._scope[found[-1][1]] = _resolved(other, found[-1][1])
            self._have(",")
        self._expect(";")
        return found

    def _define(self, name: str, type_: wit.Type) -> wit.Type:
        self._scope[name] = type_
        return type_

    def _body(self, kind: str) -> wit.Type:
        self._expect("{")
        members: list[tuple[str, wit.Type | None]] = []
        while not self._have("}"):
            name = self._next()
            payload: wit.Type | None = None
            if self._have(":"):
                payload = self._type()
            elif self._have("("):
                payload = self._type()
                self._expect(")")
            members.append((name.lstrip("%"), payload))
            self._have(",")
        if kind == "enum":
            return wit.Enum(tuple(name for name, _ in members))
        if kind == "variant":
            return wit.Variant(tuple(members))
        return wit.Record(tuple((name, type_) for name, type_ in members if type_ is not None))

    def _function(self) -> wit.Function:
        for token in (":", "func", "("):
            self._expect(token)
        params: list[tuple[str, wit.Type]] = []
        while not self._have(")"):
            name = self._next()
            self._expect(":")
            params.append((name.lstrip("%"), self._type()))
            self._have(",")
        result = self._type() if self._have("->") else None
        self._expect(";")
        return wit.Function(tuple(params), result)

    def _type(self) -> wit.Type:
        type_ = self._maybe_type()
        assert type_ is not None
        return type_

    def _maybe_type(self) -> wit.Type | None:
        name = self._next()
        if name not in ("list", "option", "tuple", "result"):
            return self._scope[name]
        parts: list[wit.Type | None] = []
        if self._have("<"):
            while not self._have(">"):
                parts.append(self._maybe_type())
                self._have(",")
        if name == "result":
            ok, err = (*parts, None, None)[:2]
            return wit.Result(ok, err)
        given = [part for part in parts if part is not None]
        if name == "tuple":
            return wit.Tuple(tuple(given))
        return wit.List(given[0]) if name == "list" else wit.Option(given[0])

    def _next(self) -> str:
        self._at += 1
        return str(self._tokens[self._at - 1])

    def _have(self, token: str) -> bool:
        if self._tokens[self._at] != token:
            return False
        self._at += 1
        return True

    def _expect(self, token: str) -> None:
        found = self._next()
        assert found == token, f"{found!r} where {token!r} should be"


def _resolved(interface: str, name: str) -> wit.Type:
    return read_interface(interface).types[name]
