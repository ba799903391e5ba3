"""Every capability there is, and which of its host functions answers which import.

A capability is a module of this package, or of a package that names one under the entry point group
``theater.capabilities``, whose ``CAPABILITY`` is a ``Capability``. Nothing else lists them: to add one, add a file.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

import theater.capabilities
from theater.errors import InvalidInput
from theater.model.capability import Capability, Grant, HostFunction
from theater.model.spelling import nearest
from theater.model.wit import strip_version

ENTRY_POINT_GROUP = "theater.capabilities"

AnyCapability = Capability[Grant]

THEATER_VERSION = "0.1.0"
"""Of the package ``theater:actor``, whose interfaces only ever change under a new version."""

_WASI_VERSION = re.compile(r"0\.2\.\d+\Z")


class Registry:
    """A set of capabilities in which every name, interface and function has one owner. Never changes."""

    def __init__(self, capabilities: Iterable[AnyCapability]) -> None:
        self._by_name: dict[str, AnyCapability] = {}
        self._by_interface: dict[str, AnyCapability] = {}
        self._table: dict[tuple[str, str], tuple[AnyCapability, HostFunction]] = {}
        for capability in capabilities:
            self._add(capability)

    @property
    def capabilities(self) -> Mapping[str, AnyCapability]:
        """All of them, by name, in the order of their names."""
        return MappingProxyType(self._by_name)

    @property
    def table(self) -> Mapping[tuple[str, str], tuple[AnyCapability, HostFunction]]:
        """Who answers, by (interface without version, function as in WIT)."""
        return MappingProxyType(self._table)

    def missing(self, interface: str, function: str) -> bool:
        """Whether this version has no such function. ``interface`` with or without its version."""
        return (strip_version(interface), function) not in self._table

    def refusal(
        self, interface: str, function: str | None = None, *, granted: Collection[str] | None = None
    ) -> str | None:
        """Why a component with this import cannot be loaded, in words for its user; None where it can.

        ``interface`` has its version as written; "" for a function that is imported outside of any. ``function`` is
        None for an interface that is imported for its types alone. ``granted`` are the names of the capabilities
        granted; without it, grants are not looked at.
        """
        if not interface:
            return (
                f"this component imports the function {function!r} outside of any interface, and nothing answers that"
            )
        unsupported = self._package_refusal(interface)
        if unsupported is not None or function is None:
            return unsupported
        name = strip_version(interface)
        if (name, function) not in self._table:
            return self._missing_refusal(name, function)
        capability, _ = self._table[name, function]
        if granted is None or capability.ungranted is not None or capability.name in granted:
            return None
        return f"{name} was not granted: add [capabilities.{capability.name}] to the manifest"

    def _package_refusal(self, interface: str) -> str | None:
        package, _, path = interface.partition("/")
        version = path.partition("@")[2]
        if package.startswith("wasi:") and not _WASI_VERSION.match(version):
            target = f"WASI {version}" if version else "a WASI without version"
            return f"this component imports {interface}: it targets {target}; build it for WASI 0.2"
        if package == "theater:actor" and version != THEATER_VERSION:
            return f"this component imports {interface}; this version answers theater:actor@{THEATER_VERSION}"
        return None

    def _missing_refusal(self, interface: str, function: str) -> str:
        if interface in self._by_interface:
            return f"this component imports {function!r} of {interface}, which this version does not have"
        return f"this component imports {interface}, which nothing answers{nearest(interface, self._by_interface)}"

    def _add(self, capability: AnyCapability) -> None:
        if capability.name in self._by_name:
            raise InvalidInput(f"two capabilities are called {capability.name!r}; uninstall the package of one")
        self._by_name[capability.name] = capability
        for interface in capability.interfaces:
            other = self._by_interface.setdefault(interface, capability)
            if other is not capability:
                raise InvalidInput(
                    f"the capabilities {other.name!r} and {capability.name!r} both answer {interface}; "
                    "uninstall the package of one"
                )
        for function in capability.functions:
            key = (function.interface, function.name)
            if function.interface not in capability.interfaces:
                raise InvalidInput(
                    f"the capability {capability.name!r} does not list {function.interface}, and uses it"
                )
            if key in self._table:
                raise InvalidInput(f"the capability {capability.name!r} has {'#'.join(key)} twice")
            self._table[key] = (capability, function)


def built_in() -> Registry:
    """The capabilities of this package alone: what tests rest on."""
    return Registry(_own())


def installed() -> Registry:
    """The capabilities of this package and of every installed package that names some.

    Raises:
        InvalidInput: two of them want the same name, interface or function, or an entry point is no capability.
    """
    return Registry([*_own(), *_foreign(entry_points(group=ENTRY_POINT_GROUP))])


def _own() -> list[AnyCapability]:
    names = sorted(module.name for module in pkgutil.iter_modules(theater.capabilities.__path__))
    modules = [importlib.import_module(f"{theater.capabilities.__name__}.{name}") for name in names]
    return [module.CAPABILITY for module in modules if hasattr(module, "CAPABILITY")]


def _foreign(points: Iterable[EntryPoint]) -> list[AnyCapability]:
    return [_loaded(point) for point in sorted(points, key=lambda point: (point.name, point.value))]


def _loaded(point: EntryPoint) -> AnyCapability:
    try:
        capability = point.load()
    except (ImportError, AttributeError) as error:
        raise InvalidInput(f"the capability {point.name!r} ({point.value}) cannot be loaded: {error}") from error
    if not isinstance(capability, Capability):
        raise InvalidInput(f"{point.value} is named as a capability and is none: name a module's CAPABILITY")
    return capability
