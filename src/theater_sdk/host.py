"""The host's functions, as an actor calls them. In the sandbox they are the host's; in a test, a rehearsal's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from theater_sdk.failure import CallFailed
from theater_sdk.text import encoded

Level = Literal["trace", "debug", "info", "warn", "error"]


class Host(Protocol):
    """Who answers the functions below. JSON passes as text."""

    def log(self, level: Level, text: str) -> None:
        """Write an entry to the actor's log."""

    def self_id(self) -> str:
        """The actor's id."""

    def self_name(self) -> str:
        """The actor's name."""

    def parent_id(self) -> str | None:
        """The id of the actor that spawned it."""

    def self_component(self) -> str:
        """The digest of the component that runs this step."""

    def shutdown(self, value: str | None) -> None:
        """End the actor when the step is committed."""

    def call(self, interface: str, function: str, args: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any WIT type
        """Call a function of a capability, by its name and its arguments' names in WIT.

        Values are plain: a record is a dict by WIT's names, a variant a pair of case and payload, an enum its name. An
        error of the interface is raised as ``CallFailed``.
        """


_hosts: list[Host] = []


def enter(host: Host) -> None:
    """Let ``host`` answer from now on, until ``leave``."""
    _hosts.append(host)


def leave() -> None:
    """Let whoever answered before answer again."""
    _hosts.pop()


def log(level: Level, text: str) -> None:
    """Write one entry to the actor's log; it stays there if the step fails. What is printed is recorded too."""
    _host().log(level, text)


def self_id() -> str:
    """The actor's own id."""
    return _host().self_id()


def self_name() -> str:
    """The actor's name."""
    return _host().self_name()


def parent_id() -> str | None:
    """The id of the actor that spawned this one; None if it was started from outside."""
    return _host().parent_id()


def self_component() -> str:
    """The digest of the actor's own component: with ``sha256:`` before it, what a child's manifest may name."""
    return _host().self_component()


def shutdown(value: Any = None) -> None:  # noqa: ANN401 - any JSON
    """End the actor, for good and without a fault, once this step is committed; ``value`` is what it leaves behind."""
    _host().shutdown(None if value is None else encoded(value, "the value given to shutdown()"))


def call(interface: str, function: str, args: Mapping[str, Any], failure: type[CallFailed] = CallFailed) -> Any:  # noqa: ANN401 - of any WIT type
    """Call a capability's function; what it refuses is raised as ``failure``."""
    try:
        return _host().call(interface, function, args)
    except CallFailed as error:
        raise failure(error.reason, error.detail, function=function) from None


def _host() -> Host:
    if not _hosts:
        message = "there is no host here: call this in init() or handle(), and in tests through theater_sdk.testing"
        raise RuntimeError(message)
    return _hosts[-1]
