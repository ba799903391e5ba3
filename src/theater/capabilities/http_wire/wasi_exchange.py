"""Sending an order of ``wasi:http``: its answer as it is recorded, or the interface's error."""

from __future__ import annotations

import asyncio

from theater.capabilities.guest_content import content_of
from theater.capabilities.http_client_grant import HttpClientGrant
from theater.capabilities.http_order import Order
from theater.capabilities.http_wire.exchange import Failed, fetch
from theater.capabilities.http_wire.service import HttpService
from theater.capabilities.http_wire.wasi_errors import error_code
from theater.capabilities.wasi_http_codes import TIMED_OUT

_MS_PER_S = 1000


async def answered(service: HttpService, grant: HttpClientGrant, order: Order) -> tuple[str, object]:
    """What comes of it: an ``http-response``, or an ``error-code``. Never raises, but where it is cancelled.

    It ends with the order's time, even if nobody waits for it any more.
    """
    try:
        async with asyncio.timeout(order.timeout_ms / _MS_PER_S):
            fetched = await fetch(service, grant, order)
    except Failed as failed:
        return "err", error_code(failed)
    except TimeoutError:
        return "err", TIMED_OUT
    body = content_of(fetched.body, "automatic") if fetched.body else None
    headers = [(name, value.decode("latin-1")) for name, value in fetched.headers]
    return "ok", {"status": fetched.status, "headers": headers, "body": body}
