"""Every capability is found, every function has one owner, and every import that nothing answers has its reason."""

import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from theater.capabilities import random, registry
from theater.capabilities.registration import functions
from theater.capabilities.registry import Registry, built_in
from theater.capabilities.wasi_world import EMPTY_WORLD, wasi_capability
from theater.errors import InvalidInput
from theater.model.capability import Capability, Grant, HostClass, StepContext
from theater.testing.step_context import FakeStepContext

EVERY = built_in()


def answer(_ctx: StepContext, _grant: object) -> int:
    return 42


FOREIGN = wasi_capability("weather", functions("acme:weather/forecast", HostClass.DERIVED, {"tomorrow": answer}))


def test_every_capability_of_the_package_is_found_by_being_there() -> None:
    assert [*EVERY.capabilities] == [
        "environment",
        "filesystem",
        "http-client",
        "http-server",
        "messaging",
        "process",
        "random",
        "runtime",
        "store",
        "supervisor",
        "timing",
        "wasi-cli",
        "wasi-clocks",
        "wasi-filesystem",
        "wasi-http",
        "wasi-io",
        "wasi-random",
        "wasi-sockets",
    ]


def test_a_function_is_found_with_its_capability_by_interface_and_name() -> None:
    capability, function = EVERY.table["theater:actor/timing", "now"]

    assert capability.name == "timing"
    assert (function.interface, function.name, function.host_class) == (
        "theater:actor/timing",
        "now",
        HostClass.DERIVED,
    )


def test_a_capability_lists_the_interfaces_of_its_functions() -> None:
    for capability in EVERY.capabilities.values():
        assert {function.interface for function in capability.functions} == {*capability.interfaces}


def test_only_wasi_and_the_runtime_are_linked_without_a_grant() -> None:
    linked = {name for name, capability in EVERY.capabilities.items() if capability.ungranted is not None}

    assert linked == {"runtime"} | {name for name in EVERY.capabilities if name.startswith("wasi-")}


def test_the_default_ceiling_allows_everything_but_the_environment_the_web_and_programs() -> None:
    closed = {name for name, capability in EVERY.capabilities.items() if capability.default_ceiling is None}

    assert closed == {"environment", "http-client", "http-server", "process"}


def test_the_default_ceiling_holds_relatives_and_no_folders() -> None:
    relatives = {"to": ["children", "parent", "siblings"]}
    names = {"to": ["descendants", "name:ledger", "any"]}

    assert beyond_default("messaging", relatives) == []
    assert beyond_default("messaging", {"to": ["descendants"]}) == []
    assert beyond_default("messaging", names) == ['to = ["any"]']
    assert beyond_default("messaging", {"to": ["name:ledger"]}) == ['to = ["name:ledger"]']
    assert beyond_default("supervisor", {"directories": ["/srv"]}) == ['directories = ["/srv"]']


def beyond_default(name: str, table: dict[str, list[str]]) -> list[str]:
    capability = EVERY.capabilities[name]
    return capability.parse(table).lines(capability.default_ceiling)


def test_the_defaults_of_a_capability_are_within_its_default_ceiling() -> None:
    for capability in EVERY.capabilities.values():
        if capability.default_ceiling is not None:
            assert capability.parse({}).lines(capability.default_ceiling) == []


# -- what is refused -------------------------------------------------------------------------------------------------


def test_an_import_that_is_answered_and_granted_is_not_refused() -> None:
    assert EVERY.refusal("theater:actor/timing@0.1.0", "now", granted={"timing"}) is None
    assert not EVERY.missing("theater:actor/timing@0.1.0", "now")
    assert not EVERY.missing("theater:actor/timing", "now")


def test_grants_are_not_looked_at_where_none_are_given() -> None:
    assert EVERY.refusal("theater:actor/timing@0.1.0", "now") is None


@pytest.mark.parametrize("version", range(13))
def test_every_release_of_wasi_0_2_is_answered_without_a_grant(version: int) -> None:
    assert EVERY.refusal(f"wasi:io/poll@0.2.{version}", "poll", granted=()) is None
    assert EVERY.refusal(f"wasi:http/types@0.2.{version}", "[constructor]fields", granted=()) is None


@pytest.mark.parametrize(
    ("interface", "function", "reason"),
    [
        (
            "theater:actor/timing@0.1.0",
            "now",
            "theater:actor/timing was not granted: add [capabilities.timing] to the manifest",
        ),
        (
            "theater:actor/timing@0.1.0",
            "reschedule",
            "this component imports 'reschedule' of theater:actor/timing, which this version does not have",
        ),
        (
            "theater:actor/messaging@0.1.0",
            "send",
            "theater:actor/messaging was not granted: add [capabilities.messaging] to the manifest",
        ),
        (
            "theater:actor/process@0.1.0",
            "get",
            "this component imports 'get' of theater:actor/process, which this version does not have",
        ),
        (
            "theater:actor/timming@0.1.0",
            "now",
            "this component imports theater:actor/timming, which nothing answers; did you mean 'theater:actor/timing'?",
        ),
        (
            "theater:actor/timing@0.2.0",
            "now",
            "this component imports theater:actor/timing@0.2.0; this version answers theater:actor@0.1.0",
        ),
        (
            "wasi:http/types@0.3.0",
            "[constructor]fields",
            "this component imports wasi:http/types@0.3.0: it targets WASI 0.3.0; build it for WASI 0.2",
        ),
        (
            "wasi:cli/stdout@0.3.0",
            "write-via-stream",
            "this component imports wasi:cli/stdout@0.3.0: it targets WASI 0.3.0; build it for WASI 0.2",
        ),
        (
            "wasi:http/client@0.3.0-rc-2026-03-15",
            "send",
            (
                "this component imports wasi:http/client@0.3.0-rc-2026-03-15: it targets WASI 0.3.0-rc-2026-03-15; "
                "build it for WASI 0.2"
            ),
        ),
        (
            "wasi:cli/stdout@0.2.0-rc-2023-12-05",
            "get-stdout",
            (
                "this component imports wasi:cli/stdout@0.2.0-rc-2023-12-05: it targets WASI 0.2.0-rc-2023-12-05; "
                "build it for WASI 0.2"
            ),
        ),
        (
            "wasi:cli/stdout",
            "get-stdout",
            "this component imports wasi:cli/stdout: it targets a WASI without version; build it for WASI 0.2",
        ),
        (
            "wasi:keyvalue/store@0.2.0",
            "open",
            "this component imports wasi:keyvalue/store, which nothing answers",
        ),
        ("acme:weather/forecast", "tomorrow", "this component imports acme:weather/forecast, which nothing answers"),
        (
            "",
            "log",
            "this component imports the function 'log' outside of any interface, and nothing answers that",
        ),
    ],
)
def test_a_refused_import_has_a_reason_for_the_user(interface: str, function: str, reason: str) -> None:
    assert EVERY.refusal(interface, function, granted={"random"}) == reason


@pytest.mark.parametrize(
    "interface", ["theater:actor/types@0.1.0", "theater:actor/http-types@0.1.0", "wasi:io/error@0.2.3"]
)
def test_an_interface_imported_for_its_types_alone_is_not_refused(interface: str) -> None:
    assert EVERY.refusal(interface) is None


@pytest.mark.parametrize("interface", ["theater:actor/types@0.2.0", "wasi:cli/types@0.3.0", "wasi:http/types@0.3.0"])
def test_types_of_a_package_that_is_not_answered_are_refused(interface: str) -> None:
    assert EVERY.refusal(interface) is not None


# -- one owner for everything ----------------------------------------------------------------------------------------


def renamed(name: str, **changes: object) -> Capability[Grant]:
    """The capability ``random``, otherwise."""
    fields: dict[str, object] = {
        "parse": random.CAPABILITY.parse,
        "functions": random.CAPABILITY.functions,
        "interfaces": random.CAPABILITY.interfaces,
        "default_ceiling": None,
    }
    return Capability(name=name, **(fields | changes))  # type: ignore[arg-type]  # the fields of a capability


@pytest.mark.parametrize(
    ("capabilities", "reason"),
    [
        ([random.CAPABILITY, random.CAPABILITY], "two capabilities are called 'random'"),
        ([random.CAPABILITY, renamed("dice")], "'random' and 'dice' both answer theater:actor/random"),
        (
            [renamed("dice", functions=random.CAPABILITY.functions * 2)],
            "'dice' has theater:actor/random#random-bytes twice",
        ),
        ([renamed("dice", interfaces=())], "'dice' does not list theater:actor/random"),
    ],
)
def test_two_owners_are_refused(capabilities: Iterable[Capability[Grant]], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        Registry(capabilities)


def plant(monkeypatch: pytest.MonkeyPatch, *points: str, capability: object = FOREIGN) -> None:
    """Entry points, and a module of another package with a ``CAPABILITY``."""
    module = ModuleType("acme_weather")
    module.CAPABILITY = capability  # type: ignore[attr-defined]  # a module made for this test
    monkeypatch.setitem(sys.modules, "acme_weather", module)
    found = [EntryPoint(name=point.split(":")[0], value=point, group=registry.ENTRY_POINT_GROUP) for point in points]
    monkeypatch.setattr(registry, "entry_points", lambda *, group: found if group == registry.ENTRY_POINT_GROUP else [])


def test_a_capability_of_another_package_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "acme_weather:CAPABILITY")

    found = registry.installed()

    _, function = found.table["acme:weather/forecast", "tomorrow"]
    assert function.run(FakeStepContext(), EMPTY_WORLD) == 42
    assert found.refusal("acme:weather/forecast@3.1.4", "tomorrow", granted=()) is None
    assert "weather" not in built_in().capabilities


def test_a_capability_of_another_package_may_not_take_what_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "acme_weather:CAPABILITY", capability=renamed("dice"))

    with pytest.raises(InvalidInput, match="both answer theater:actor/random"):
        registry.installed()


@pytest.mark.parametrize("point", ["acme_missing:CAPABILITY", "acme_weather:NOTHING"])
def test_an_entry_point_that_leads_nowhere_is_named(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    plant(monkeypatch, point)

    with pytest.raises(InvalidInput, match=point):
        registry.installed()


def test_an_entry_point_that_is_no_capability_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "acme_weather:CAPABILITY", capability="sunny")

    with pytest.raises(InvalidInput, match="acme_weather:CAPABILITY is named as a capability and is none"):
        registry.installed()


def test_without_other_packages_the_installed_are_the_built_in() -> None:
    assert registry.installed().table.keys() == EVERY.table.keys()
