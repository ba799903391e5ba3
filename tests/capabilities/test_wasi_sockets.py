"""No network: everything links, nothing connects."""

import pytest

from theater.capabilities.registry import built_in
from theater.capabilities.wasi_sockets import (
    CAPABILITY,
    address_family,
    instance_network,
    is_listening,
    no_socket,
)
from theater.capabilities.wasi_world import EMPTY_WORLD as GRANT
from theater.model.capability import Denied
from theater.testing.step_context import FakeStepContext

TABLE = built_in().table


@pytest.mark.parametrize(
    ("interface", "function", "arguments"),
    [
        ("wasi:sockets/tcp-create-socket", "create-tcp-socket", ["ipv4"]),
        ("wasi:sockets/udp-create-socket", "create-udp-socket", ["ipv6"]),
        ("wasi:sockets/ip-name-lookup", "resolve-addresses", [1, "example.com"]),
    ],
)
def test_every_way_to_the_network_is_denied(interface: str, function: str, arguments: list[object]) -> None:
    _, found = TABLE[interface, function]

    assert found.run(FakeStepContext(), GRANT, *arguments) == Denied(("err", "access-denied"))


def test_there_is_a_handle_to_the_network_that_there_is_not() -> None:
    ctx = FakeStepContext()

    number = instance_network(ctx, GRANT)

    assert number == 1
    TABLE["wasi:sockets/network", "[resource-drop]network"][1].run(ctx, GRANT, number)
    with pytest.raises(KeyError):
        ctx.resources.get(number)


def test_no_error_is_one_of_the_network() -> None:
    _, function = TABLE["wasi:sockets/network", "network-error-code"]

    assert function.run(FakeStepContext(), GRANT, 1) is None


def test_every_method_that_can_fail_says_that_there_is_no_socket() -> None:
    failing = [function for function in CAPABILITY.functions if function.run is no_socket]

    assert len(failing) == 25 + 11 + 1 + 2 + 1
    assert {function.run(FakeStepContext(), GRANT, 1) for function in failing} == {("err", "invalid-state")}


def test_what_cannot_fail_answers_something_harmless() -> None:
    assert not is_listening(FakeStepContext(), GRANT, 1)
    assert address_family(FakeStepContext(), GRANT, 1) == "ipv4"
