"""``wasi:sockets``: no network. Making a socket or looking up a name is denied.

Every function is there, so that a component of any toolchain links. Only the two ways to make a socket and the look-up
can be reached; the methods of sockets and streams that cannot exist say so if they are.

Recorded: each denied call, as a ``host`` event. Limits: none.
"""

from __future__ import annotations

from theater.capabilities.registration import drops, functions, methods
from theater.capabilities.wasi_poll import subscribe
from theater.capabilities.wasi_world import WasiGrant, wasi_capability
from theater.model.capability import Denied, HostClass, StepContext


class Network:
    """A handle to the network that there is not."""

    __slots__ = ()


def instance_network(ctx: StepContext, _grant: WasiGrant) -> int:
    """A handle with which everything is denied."""
    return ctx.resources.add(Network())


def access_denied(_ctx: StepContext, _grant: WasiGrant, *_arguments: object) -> Denied:
    """Making a socket, looking up a name."""
    return Denied(("err", "access-denied"))


def network_error_code(_ctx: StepContext, _grant: WasiGrant, _error: int) -> None:
    """No stream error is the network's."""


def no_socket(_ctx: StepContext, _grant: WasiGrant, *_arguments: object) -> object:
    """A method of a socket, a datagram stream or a look-up, of which there are none."""
    return ("err", "invalid-state")


def is_listening(_ctx: StepContext, _grant: WasiGrant, _socket: int) -> bool:
    """A socket that cannot exist does not listen."""
    return False


def address_family(_ctx: StepContext, _grant: WasiGrant, _socket: int) -> str:
    """The type has no error, so it is the first of the two."""
    return "ipv4"


_NETWORK = "wasi:sockets/network"
_INSTANCE_NETWORK = "wasi:sockets/instance-network"
_LOOKUP = "wasi:sockets/ip-name-lookup"
_TCP = "wasi:sockets/tcp"
_TCP_CREATE = "wasi:sockets/tcp-create-socket"
_UDP = "wasi:sockets/udp"
_UDP_CREATE = "wasi:sockets/udp-create-socket"

_TCP_METHODS = (
    "start-bind",
    "finish-bind",
    "start-connect",
    "finish-connect",
    "start-listen",
    "finish-listen",
    "accept",
    "local-address",
    "remote-address",
    "set-listen-backlog-size",
    "keep-alive-enabled",
    "set-keep-alive-enabled",
    "keep-alive-idle-time",
    "set-keep-alive-idle-time",
    "keep-alive-interval",
    "set-keep-alive-interval",
    "keep-alive-count",
    "set-keep-alive-count",
    "hop-limit",
    "set-hop-limit",
    "receive-buffer-size",
    "set-receive-buffer-size",
    "send-buffer-size",
    "set-send-buffer-size",
    "shutdown",
)

_UDP_METHODS = (
    "start-bind",
    "finish-bind",
    "stream",
    "local-address",
    "remote-address",
    "unicast-hop-limit",
    "set-unicast-hop-limit",
    "receive-buffer-size",
    "set-receive-buffer-size",
    "send-buffer-size",
    "set-send-buffer-size",
)

_D = HostClass.DERIVED

CAPABILITY = wasi_capability(
    "wasi-sockets",
    (
        *functions(_INSTANCE_NETWORK, _D, {"instance-network": instance_network}),
        *drops(_INSTANCE_NETWORK, "network"),
        *functions(_NETWORK, _D, {"network-error-code": network_error_code}),
        *drops(_NETWORK, "network", "error"),
        *functions(_LOOKUP, _D, {"resolve-addresses": access_denied}),
        *methods(_LOOKUP, "resolve-address-stream", _D, {"resolve-next-address": no_socket, "subscribe": subscribe}),
        *drops(_LOOKUP, "resolve-address-stream", "network", "pollable"),
        *functions(_TCP_CREATE, _D, {"create-tcp-socket": access_denied}),
        *drops(_TCP_CREATE, "network", "tcp-socket"),
        *methods(_TCP, "tcp-socket", _D, dict.fromkeys(_TCP_METHODS, no_socket)),
        *methods(
            _TCP,
            "tcp-socket",
            _D,
            {"is-listening": is_listening, "address-family": address_family, "subscribe": subscribe},
        ),
        *drops(_TCP, "tcp-socket", "network", "input-stream", "output-stream", "pollable"),
        *functions(_UDP_CREATE, _D, {"create-udp-socket": access_denied}),
        *drops(_UDP_CREATE, "network", "udp-socket"),
        *methods(_UDP, "udp-socket", _D, dict.fromkeys(_UDP_METHODS, no_socket)),
        *methods(_UDP, "udp-socket", _D, {"address-family": address_family, "subscribe": subscribe}),
        *methods(_UDP, "incoming-datagram-stream", _D, {"receive": no_socket, "subscribe": subscribe}),
        *methods(
            _UDP,
            "outgoing-datagram-stream",
            _D,
            {"check-send": no_socket, "send": no_socket, "subscribe": subscribe},
        ),
        *drops(_UDP, "udp-socket", "incoming-datagram-stream", "outgoing-datagram-stream", "network", "pollable"),
    ),
)
