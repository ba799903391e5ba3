"""``theater:actor/http-client``: HTTP requests to the granted methods and URLs.

Recorded: the request, with placeholders for secrets, as ``intent``, and the answer, whole, as ``host``; for a safe
method (``GET``, ``HEAD``, ``OPTIONS``, ``TRACE``) both as one ``host`` event. A replay sends nothing.

Limits: nothing is allowed that the grant does not name. Private addresses are refused, whatever name leads there, but
where ``private`` names them. Bodies have at most 1 MiB each way (``request-size``, ``response-size``; 64 MiB can be
granted), since they are recorded whole; an answer's is counted unpacked, and may unpack to at most 200 times of what
came. A request takes at most 60 s (``timeout``), and what is left of the step's limit ``wait``; it follows at most 10
redirects (``redirects``; 20 can be granted). It has at most 100 header fields, and 64 KiB of them.
"""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from theater.capabilities.http_client_grant import NAME, HttpClientGrant, parse
from theater.capabilities.http_client_least import LEAST
from theater.capabilities.http_order import Order, OutgoingRequest, read_order
from theater.capabilities.moment import wait_at_most
from theater.capabilities.registration import functions
from theater.model.act import Act, Interruption
from theater.model.capability import Capability, Denied, HostClass, StepContext, Wait
from theater.model.service import Place

if TYPE_CHECKING:
    from theater.capabilities.http_wire.service import HttpService

_UNKNOWN = ("err", ("outcome-unknown", None))


def send(ctx: StepContext, grant: HttpClientGrant, request: OutgoingRequest) -> Wait | Denied:
    """Send one request and wait for the whole answer. What cannot be sent is recorded, too."""
    order = read_order(grant, request)
    if not isinstance(order, Order):
        return Denied(("err", order))

    def perform(service: HttpService, interruption: Interruption) -> object:
        exchange = import_module("theater.capabilities.http_wire.exchange").exchange
        under_way: Future[tuple[str, object]] = service.run(exchange(service, grant, order))
        interruption.when_wanted(lambda: break_off(under_way))
        try:
            return under_way.result()
        except CancelledError:
            return _UNKNOWN

    act = Act(perform, lambda: _UNKNOWN, is_safe=order.is_safe)
    return replace(wait_at_most(ctx, order.timeout_ms), act=act)


def break_off(under_way: Future[tuple[str, object]]) -> None:
    """Nobody waits for it any more."""
    under_way.cancel()


def open_service(place: Place) -> HttpService:
    """For all actors of a node. The HTTP library is imported here: who only reads manifests does without it."""
    service: HttpService = import_module("theater.capabilities.http_wire.service").HttpService(place.secret)
    return service


_INTERFACE = "theater:actor/http-client"

CAPABILITY = Capability(
    name=NAME,
    parse=parse,
    functions=functions(_INTERFACE, HostClass.EXTERNAL, {"send": send}),
    interfaces=(_INTERFACE,),
    default_ceiling=None,
    open_service=open_service,
    least=LEAST,
)
