"""``theater:actor/environment``: the variables that the grant names, as they were at genesis, and the arguments.

Recorded: nothing; the values stand in ``genesis``. Asking for a variable that the grant does not name is, as a ``host``
event; the answer is the same whether it exists or not.

Limits: 256 names in a grant, a name of 255 bytes, 1,000 variables, 64 KiB a value and 256 KiB in all: the values lie in
the first event of every chain, and no environment that a person wrote comes near.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from theater.capabilities.grant_table import check_keys, manifest_line, texts_of
from theater.capabilities.registration import functions
from theater.errors import InvalidInput, InvalidManifest
from theater.model.capability import Capability, Denied, HostClass, StepContext
from theater.model.narrowing import AS_GRANTED, Least, Need, SeenCall

NAME = "environment"
PATTERNS_MAX = 256
NAME_MAX_BYTES = 255
VARIABLES_MAX = 1000
VALUE_MAX_BYTES = 64 * 1024
TOTAL_MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class EnvironmentGrant:
    """Which variables: by exact name, or by how it begins (``LC_*``). Sorted, and none that another one covers."""

    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in self.allow:
            if not is_name(pattern) or "*" in pattern[:-1]:
                raise InvalidManifest(
                    f"[capabilities.{NAME}] allow: {pattern!r} is neither a variable's name nor the beginning of one "
                    'with * behind it; write for example "LANG" or "LC_*"'
                )
        object.__setattr__(self, "allow", _least(self.allow))

    def allows(self, name: str) -> bool:
        """Whether the guest may know of the variable ``name``."""
        return any(_covers(pattern, name) for pattern in self.allow)

    def table(self) -> dict[str, object]:
        return {"allow": list(self.allow)}

    def lines(self, beyond: EnvironmentGrant | None) -> list[str]:
        if beyond is None and not self.allow:
            return [f"[capabilities.{NAME}]"]
        more = [pattern for pattern in self.allow if beyond is None or not beyond.allows(pattern)]
        return [manifest_line("allow", [pattern]) for pattern in more]

    def narrowed(self, ceiling: EnvironmentGrant) -> EnvironmentGrant:
        both = [*filter(ceiling.allows, self.allow), *filter(self.allows, ceiling.allow)]
        return EnvironmentGrant(tuple(both))


def parse(table: Mapping[str, object]) -> EnvironmentGrant:
    """Keys: ``allow``, a list of names."""
    check_keys(NAME, table, ("allow",))
    patterns = texts_of(NAME, table, "allow")
    if len(patterns) > PATTERNS_MAX:
        raise InvalidManifest(f"[capabilities.{NAME}] allow: {PATTERNS_MAX} names are the most")
    return EnvironmentGrant(patterns)


def is_name(name: str) -> bool:
    """Whether a variable can be called that."""
    return 0 < len(name.encode("utf-8", "replace")) <= NAME_MAX_BYTES and not {"=", "\0"} & set(name)


def captured(grant: EnvironmentGrant, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What of ``environ`` the grant names, by name: what is put into ``genesis``.

    Raises:
        InvalidInput: a value is not text, or a limit of this file is exceeded; the variable is named.
    """
    found = tuple(_checked(sorted((name, value) for name, value in environ.items() if grant.allows(name))))
    if len(found) > VARIABLES_MAX:
        raise InvalidInput(
            f"[capabilities.{NAME}] names {len(found)} variables that are set; {VARIABLES_MAX} are the most"
        )
    return found


def _checked(variables: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    total_bytes = 0
    for name, value in variables:
        try:
            size_bytes = len(value.encode())
            total_bytes += len(name.encode()) + size_bytes
        except UnicodeEncodeError as error:
            raise InvalidInput(f"the variable {name!r} is not UTF-8; unset it or do not grant it") from error
        if size_bytes > VALUE_MAX_BYTES or total_bytes > TOTAL_MAX_BYTES:
            raise InvalidInput(
                f"the variable {name!r} is too much: {VALUE_MAX_BYTES} bytes a value and {TOTAL_MAX_BYTES} in all are "
                "what an actor can be given; shorten it or do not grant it"
            )
        yield name, value


def _covers(pattern: str, name: str) -> bool:
    """Whether everything that ``name`` (a name, or a pattern as well) stands for is within ``pattern``."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == name


def _least(patterns: Iterable[str]) -> tuple[str, ...]:
    every = set(patterns)
    covered = {name for name in every for pattern in every if pattern != name and _covers(pattern, name)}
    return tuple(sorted(every - covered))


def get(ctx: StepContext, grant: EnvironmentGrant, name: str) -> object:
    """The value of one variable."""
    if not is_name(name):
        return ("err", ("invalid-name", None))
    if not grant.allows(name):
        return Denied(("err", ("denied", manifest_line("allow", [name]))))
    return ("ok", dict(ctx.environment).get(name))


def get_all(ctx: StepContext, _grant: EnvironmentGrant) -> list[tuple[str, str]]:
    """Every variable that is granted and was set."""
    return sorted(ctx.environment)


def arguments(ctx: StepContext, _grant: EnvironmentGrant) -> list[str]:
    """The actor's arguments."""
    return list(ctx.arguments)


def needs(call: SeenCall) -> Iterator[Need]:
    """``name`` of a variable that was asked for; that all of them were: which were needed cannot be told from that."""
    match call.function, call.arguments:
        case "get", (str(name),):
            yield "name", name
        case "get-all" | "get-environment", _:
            yield (AS_GRANTED,)


def least_grant(granted: EnvironmentGrant, found: Collection[Need]) -> EnvironmentGrant:
    """Those that were asked for by name; where all of them were asked for, what was granted."""
    if (AS_GRANTED,) in found:
        return granted
    names = {str(need[1]) for need in found if need[0] == "name" and granted.allows(str(need[1]))}
    return only(granted, names)


def only(granted: EnvironmentGrant, names: Collection[str]) -> EnvironmentGrant:
    """These of the granted variables; all where a name has a ``*`` in it, by which no grant can name it alone."""
    if len(names) > PATTERNS_MAX or any("*" in name for name in names):
        return granted
    return EnvironmentGrant(tuple(names))


_INTERFACE = "theater:actor/environment"
_WASI = "wasi:cli/environment"

CAPABILITY = Capability(
    name=NAME,
    parse=parse,
    functions=functions(_INTERFACE, HostClass.DERIVED, {"get": get, "get-all": get_all, "arguments": arguments}),
    interfaces=(_INTERFACE,),
    default_ceiling=None,
    least=Least(needs, least_grant, also=(_WASI,)),
)
