"""What actors export: the signatures here are those of the WIT texts, and components are held to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import pytest

import theater
from theater.capabilities.registry import THEATER_VERSION
from theater.errors import InvalidComponent
from theater.model.execution import ImportedFunction
from theater.model.ids import Digest
from theater.model.wit import (
    Enum,
    Function,
    List,
    Option,
    Primitive,
    PrimitiveName,
    Record,
    Result,
    Tuple,
    Type,
    Variant,
    strip_version,
)
from theater.runtime import exports, loading
from theater.runtime.exports import (
    ACTOR_EXPORTS,
    CHANNEL_CLOSED,
    CHANNEL_MESSAGE,
    CHANNEL_OPENED,
    CHILD_EVENTS,
    CHILD_EXITED,
    HANDLE,
    HANDLERS,
    INIT,
    MIGRATE,
    SERVE,
    WARM,
    handler_arguments,
)
from theater.runtime.loading import handlers_of, role_of

WIT = Path(theater.__file__).parent / "wit"
TEXT = Primitive("string")
COMPONENT = Digest("c" * 64)


class Interface:
    """One WIT text, read far enough: the package writes one declaration or member to a line."""

    def __init__(self, name: str) -> None:
        text = (WIT / f"{name}.wit").read_text(encoding="utf-8")
        self._lines = [line.strip() for line in text.splitlines() if not line.strip().startswith("//")]

    def function(self, name: str) -> Function:
        text = " ".join(self._lines)
        found = re.search(rf"{name}: func\((.*?)\) -> (.*?);", text)
        assert found is not None, name
        params = [part.partition(": ") for part in found[1].split(", ")]
        return Function(tuple((name, self.type(kind)) for name, _, kind in params), self.type(found[2]))

    def type(self, text: str) -> Type:
        if text in get_args(PrimitiveName):
            return Primitive(text)  # type: ignore[arg-type]  # it has just been looked up
        if found := re.fullmatch(r"(list|option|result|tuple)<(.*)>", text):
            inner = [self.type(part) for part in re.findall(r"(?:[^,<]|<.*?>)+", found[2].replace(", ", ","))]
            match found[1], inner:
                case "tuple", _:
                    return Tuple(tuple(inner))
                case "list", [element]:
                    return List(element)
                case "option", [payload]:
                    return Option(payload)
                case _, [ok, err]:
                    return Result(ok, err)
        return self._named(text)

    def _named(self, name: str) -> Type:
        for at, line in enumerate(self._lines):
            if alias := re.fullmatch(rf"type {name} = (.*);", line):
                return self.type(alias[1])
            if (used := re.fullmatch(r"use ([a-z-]+)\.\{(.*)\};", line)) and name in used[2].split(", "):
                return Interface(used[1]).type(name)
            if declared := re.fullmatch(rf"(record|variant|enum) {name} \{{", line):
                return self._declared(declared[1], self._lines[at + 1 : self._lines.index("}", at)])
        raise AssertionError(f"there is no type {name}")

    def _declared(self, kind: str, members: list[str]) -> Type:
        members = [member.rstrip(",") for member in members if member]
        if kind == "record":
            pairs = [member.partition(": ") for member in members]
            return Record(tuple((name, self.type(of)) for name, _, of in pairs))
        if kind == "enum":
            return Enum(tuple(members))
        cases = [member.rstrip(")").partition("(") for member in members]
        return Variant(tuple((name, self.type(of) if of else None) for name, _, of in cases))


@pytest.mark.parametrize("name", [*ACTOR_EXPORTS, *HANDLERS])
def test_a_signature_is_that_of_the_wit(name: str) -> None:
    interface, _, function = name.partition("#")

    found = Interface(interface.removeprefix("theater:actor/")).function(function)

    assert found == {**ACTOR_EXPORTS, **HANDLERS}[name]


def test_the_names_are_at_hand_where_programs_are_loaded() -> None:
    assert (loading.CHANNEL_OPENED, loading.MIGRATE) == (exports.CHANNEL_OPENED, exports.MIGRATE)
    assert CHANNEL_OPENED == "theater:actor/channel-handlers#opened"


def test_a_migration_and_a_first_step_are_not_of_the_kept_instance() -> None:
    assert set(WARM) == {HANDLE, SERVE, *HANDLERS} - {MIGRATE}
    assert INIT not in WARM


# -- components ------------------------------------------------------------------------------------------------------


@dataclass
class Surface:
    """A program as far as its exports go."""

    signatures: Mapping[str, Function]
    version: str = THEATER_VERSION
    digest: Digest = COMPONENT
    imports: tuple[ImportedFunction, ...] = ()
    imported_interfaces: tuple[str, ...] = ()
    resources: Mapping[tuple[str, str], int] = field(default_factory=dict)
    of_other_versions: frozenset[str] = field(default_factory=frozenset)

    @property
    def exported_interfaces(self) -> tuple[str, ...]:
        names = dict.fromkeys(name.partition("#")[0] for name in self.signatures)
        return tuple(f"{name}@{'0.2.0' if name in self.of_other_versions else self.version}" for name in names)

    @property
    def exports(self) -> Mapping[tuple[str, str], Function]:
        made = {}
        for name, signature in self.signatures.items():
            interface, _, function = name.partition("#")
            made[strip_version(interface), function] = signature
        return made


def test_the_handlers_that_are_there_are_found() -> None:
    channels = {name: HANDLERS[name] for name in (CHANNEL_OPENED, CHANNEL_MESSAGE, CHANNEL_CLOSED)}
    program = Surface({**ACTOR_EXPORTS, **channels, MIGRATE: HANDLERS[MIGRATE]})

    assert role_of(program) == "actor"
    assert handlers_of(program) == {*channels, MIGRATE}
    assert handlers_of(Surface(ACTOR_EXPORTS)) == frozenset()
    assert handlers_of(Surface({**ACTOR_EXPORTS, **HANDLERS})) == HANDLERS.keys()


def test_a_handler_of_another_version_is_refused() -> None:
    program = Surface({**ACTOR_EXPORTS, **HANDLERS}, of_other_versions=frozenset({exports.EVENT_HANDLERS}))

    with pytest.raises(InvalidComponent, match=r"event-handlers@0\.2\.0; this version runs .*event-handlers@0\.1\.0"):
        handlers_of(program)


@pytest.mark.parametrize("name", HANDLERS)
@pytest.mark.parametrize("what", ["result", "params", "async"])
def test_a_handler_with_another_signature_is_refused(name: str, what: str) -> None:
    signature = HANDLERS[name]
    changed = {
        "result": replace(signature, result=Result(TEXT, None)),
        "params": replace(signature, params=(*signature.params, ("more", TEXT))),
        "async": replace(signature, is_async=True),
    }

    with pytest.raises(InvalidComponent, match=f"this component's {name} does not have the parameters and result"):
        handlers_of(Surface({**ACTOR_EXPORTS, **HANDLERS, name: changed[what]}))


def test_half_an_interface_is_refused() -> None:
    with pytest.raises(InvalidComponent, match=r"exports theater:actor/channel-handlers without its function message"):
        handlers_of(Surface({CHANNEL_OPENED: HANDLERS[CHANNEL_OPENED], CHANNEL_CLOSED: HANDLERS[CHANNEL_CLOSED]}))


# -- arguments -------------------------------------------------------------------------------------------------------

EXIT = {
    "child": "a" * 32,
    "name": "worker",
    "reason": {"crashed": {"trap": None}},
    "seq": 7,
    "hash": "b" * 64,
    "decision": {"restarted": ["a" * 32]},
}


def test_arguments_of_a_chain_become_those_of_a_guest() -> None:
    (exit_,) = handler_arguments(CHILD_EXITED, [EXIT])

    assert exit_ == {
        **EXIT,
        "reason": ("crashed", ("trap", None)),
        "decision": ("restarted", ["a" * 32]),
    }
    assert handler_arguments(CHANNEL_MESSAGE, ["c", "1"]) == ("c", "1")
    assert handler_arguments(CHANNEL_OPENED, [{"id": "c", "peer": None, "opening": "1"}]) == (
        {"id": "c", "peer": None, "opening": "1"},
    )


@pytest.mark.parametrize(
    ("export", "arguments"),
    [
        (CHILD_EXITED, []),
        (CHILD_EXITED, [EXIT, EXIT]),
        (CHILD_EXITED, [{**EXIT, "reason": {"tired": None}}]),
        (CHILD_EXITED, [{**EXIT, "seq": -1}]),
        (CHANNEL_MESSAGE, ["c"]),
        (CHANNEL_CLOSED, [7]),
        (CHILD_EVENTS, [{"child": "a", "events": [{}], "gap": False}]),
        (MIGRATE, [None]),
    ],
)
def test_arguments_of_no_such_handler_are_refused(export: str, arguments: list[object]) -> None:
    with pytest.raises(ValueError, match=r"expected|in place of"):
        handler_arguments(export, arguments)
