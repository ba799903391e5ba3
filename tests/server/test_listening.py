"""What may be listened on."""

import socket

import pytest

from theater.errors import InvalidInput
from theater.server.hosts import Hosts
from theater.server.listening import bind


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost", "127.0.0.2"])
def test_loopback_is_bound_on_any_free_port(host: str) -> None:
    door = bind(host, 0, may_be_public=False)
    with door.socket:
        door.listen()
        port = door.port
        url = door.url(is_secure=False)

    name = host.strip("[]")
    assert url == f"http://{f'[{name}]' if ':' in name else name}:{port}"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_what_others_can_reach_needs_a_word(host: str) -> None:
    with pytest.raises(InvalidInput, match="--insecure-behind-proxy"):
        bind(host, 0, may_be_public=False)

    door = bind(host, 0, may_be_public=True)
    with door.socket:
        assert door.url(is_secure=True).startswith(("https://127.0.0.1:", "https://[::1]:"))


def test_a_port_that_is_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"port {port} on 127.0.0.1 is in use"):
            bind("127.0.0.1", port, may_be_public=False)


def test_of_two_that_bound_a_port_the_second_to_listen_is_refused() -> None:
    first = bind("127.0.0.1", 0, may_be_public=False)
    with first.socket:
        second = bind("127.0.0.1", first.port, may_be_public=False)
        with second.socket:
            first.listen()
            with pytest.raises(InvalidInput, match="is in use"):
                second.listen()


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "", "a" * 300])
def test_a_host_that_is_none_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput):
        bind(host, 0, may_be_public=False)


def test_a_host_that_is_allowed_has_to_be_one() -> None:
    for text in ("", "http://a.example", "a b", "*"):
        with pytest.raises(InvalidInput, match="--allow-host"):
            Hosts("127.0.0.1", [text])
