"""Answers that guests of ``wasi:http`` wait for, and how they are had.

A guest hands a request over before it has written the body, asks for the answer, and waits for it among other things.
So a request is sent when the guest waits for its answer and nothing that it waits for is there already: all that the
poll is about are sent then, at once, and the poll ends with the first answer, or the first timer. What has no answer
yet goes on, and the next poll waits for it again. It ends with the step, or when the guest lets go of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from theater.capabilities.guest_content import bytes_of, content_of
from theater.capabilities.http_client_grant import NAME, HttpClientGrant
from theater.capabilities.http_order import Order
from theater.capabilities.moment import LAST_US, US_PER_MS
from theater.capabilities.wasi_http_bodies import OutgoingBody
from theater.capabilities.wasi_http_codes import ERROR_CODE, EXHAUSTED, TIMED_OUT, UNKNOWN, ErrorCode
from theater.capabilities.wasi_http_fields import allowed
from theater.capabilities.wasi_http_responses import IncomingResponse
from theater.model.act import Act, Interruption
from theater.model.capability import Noted, StepContext
from theater.model.crash import StepCrash
from theater.model.http_types import CONTENT, HTTP_RESPONSE, PAIRS
from theater.model.wit import List, Option, Primitive, Record, Result
from theater.model.wit_json import decoder, encoder

if TYPE_CHECKING:
    from theater.capabilities.http_wire.service import HttpService

AT_ONCE_MAX = 16
"""Requests of one step that are under way at once; the next ones are sent when there are answers."""

_UNFINISHED: ErrorCode = ("internal-error", "the body of the request was not finished")
_CROWDED: ErrorCode = ("connection-limit-reached", None)
_TEXT = Primitive("string")
_ABOUT = List(Record((("method", _TEXT), ("url", _TEXT), ("headers", PAIRS), ("body", Option(CONTENT)))))
_ANSWERS = List(Option(Result(HTTP_RESPONSE, ERROR_CODE)))
"""What is noted of a poll: one for each answer that it was about. Values of header fields stand in it as ISO 8859-1."""

Answer = tuple[str, object]
"""``("ok", http-response)``, its body as bytes, or ``("err", error-code)``."""


class FutureResponse:
    """One request, and its answer once there is one."""

    __slots__ = (
        "_is_over",
        "_lasting",
        "_lock",
        "answer",
        "body",
        "grant",
        "held_bytes",
        "is_begun",
        "is_ours",
        "order",
        "under_way",
        "until_us",
        "was_taken",
    )

    def __init__(self, grant: HttpClientGrant, order: Order, body: OutgoingBody | None) -> None:
        self.grant = grant
        self.order = order
        self.body = body
        self.held_bytes = 0
        self.answer: IncomingResponse | ErrorCode | None = None
        self.was_taken = False
        self.is_begun = False
        """Whether it was sent, or about to be, by this process or another one."""
        self.is_ours = False
        """Whether it was this process."""
        self.until_us = LAST_US
        """When the guest waits no longer: counted from when it is sent."""
        self.under_way: Future[Answer] | None = None
        """What this process does about it."""
        self._is_over = False
        self._lasting: set[object] | None = None
        self._lock = threading.Lock()

    def let_go(self) -> None:
        """Nobody will ask for it. Whoever still waits for it waits no longer."""
        if self.body is not None:
            self.body.forget()
        if self.answer is None:
            self.answer = UNKNOWN
        self._end()

    @property
    def is_ready(self) -> bool:
        """Whether there is an answer. A body that was let go of unfinished is never sent."""
        if self.answer is None and self.body is not None and self.body.is_left and not self.body.is_finished:
            self.answer = _UNFINISHED
        return self.answer is not None

    @property
    def is_whole(self) -> bool:
        """Whether it can be sent."""
        return self.body is None or self.body.is_finished

    @property
    def content(self) -> bytes:
        """The body that is sent."""
        return b"" if self.body is None else bytes(self.body.content)

    def count_in(self, ctx: StepContext) -> None:
        """It will be sent: one of those that the step has under way."""
        self.is_begun = True
        self.until_us = min(ctx.now_us + self.order.timeout_ms * US_PER_MS, LAST_US)
        self._lasting = ctx.lasting
        self._lasting.add(self)

    def is_unsent_by_others(self, ctx: StepContext) -> bool:
        """Whether this process, in this step, was the one to send it. It ends with the step in any case."""
        return self.is_ours and self._lasting is ctx.lasting

    def begin(self, service: HttpService, *, is_new: bool) -> Future[Answer] | None:
        """What this process does about it, from now on at the latest.

        None where another one did, and nobody knows; and where nobody asks any more.
        """
        with self._lock:
            if self.under_way is None and not self._is_over and (is_new or self.order.is_safe):
                answered = import_module("theater.capabilities.http_wire.wasi_exchange").answered
                order = replace(self.order, body=self.content or None)
                self.under_way = service.run(answered(service, self.grant, order))
            return self.under_way

    def give_up(self) -> None:
        """Its body will never be whole, or there is no room for it while the guest waits for nothing else."""
        if self.answer is None:
            self.answer = _CROWDED if self.is_whole else _UNFINISHED

    def resolve(self, ctx: StepContext, answer: Answer) -> None:
        """Take what came of it."""
        case, value = answer
        if case == "ok":
            assert isinstance(value, dict)
            headers = tuple((name, text.encode("latin-1")) for name, text in value["headers"])
            content = b"" if value["body"] is None else bytes_of(value["body"])
            if content is None:
                raise ValueError("the body is not base64")
            self._keep(ctx, IncomingResponse(value["status"], allowed(headers), content))
        else:
            assert isinstance(value, tuple)
            self.answer = value
        self._end()
        if self.body is not None:
            ctx.resources.hold(self, -len(self.body.content), most_bytes=ctx.limits.memory_bytes)
            self.body.forget()

    def _end(self) -> None:
        with self._lock:  # an act that was interrupted may only now get to it
            self._is_over = True
            under_way, self.under_way = self.under_way, None
        if under_way is not None:
            under_way.cancel()
        if self._lasting is not None:
            self._lasting.discard(self)

    def _keep(self, ctx: StepContext, response: IncomingResponse) -> None:
        try:
            ctx.resources.hold(self, response.held_bytes, most_bytes=ctx.limits.memory_bytes)
        except StepCrash:  # that it came is recorded, and must be the same in a replay
            self.answer = ("HTTP-response-body-size", ctx.limits.memory_bytes)
        else:
            self.answer = response

    def take(self, ctx: StepContext) -> object:
        """``future-incoming-response.get``."""
        if not self.is_ready:
            return None
        if self.was_taken:
            return ("err", None)
        self.was_taken = True
        answer = self.answer
        if isinstance(answer, IncomingResponse):
            ctx.resources.hold(self, -answer.held_bytes, most_bytes=ctx.limits.memory_bytes)
            return ("ok", ("ok", ctx.resources.add(answer)))
        return ("ok", ("err", answer))


class Waiting:
    """The answers that one poll is about, none of which is there yet."""

    def __init__(self, ctx: StepContext, futures: Sequence[FutureResponse]) -> None:
        self._ctx = ctx
        self.futures: list[FutureResponse] = []
        self._new: list[FutureResponse] = []
        whole = [future for future in dict.fromkeys(futures) if future.is_whole]
        for future in whole:
            if len(self.futures) == AT_ONCE_MAX:
                break
            if not future.is_begun:
                if len(ctx.lasting) >= AT_ONCE_MAX:
                    continue
                future.count_in(ctx)
                self._new.append(future)
            self.futures.append(future)

    @property
    def until_us(self) -> int:
        """When the time of the first of them is over; now, where it was over while the guest did something else."""
        return max(self._ctx.now_us, min(future.until_us for future in self.futures))

    def act(self, give: Callable[[], object]) -> Act:
        """Have them. ``give`` makes the answer of the poll, once what came of them has been taken over."""

        def taken_over(_answer: object, note: object) -> object:
            self._take_over(note)
            return give()

        return Act(
            self._perform,
            self._unknown,
            is_safe=all(future.order.is_safe for future in self._new),
            give=taken_over,
            service=NAME,
            about={"requests": encoder(_ABOUT)([_about(future) for future in self._new], {})} if self._new else None,
            lasts=True,
            begins=self._begin,
        )

    def exhaust(self) -> None:
        """There is no time left to wait for any of them."""
        for future in self.futures:
            future.resolve(self._ctx, ("err", EXHAUSTED))

    def _begin(self) -> None:
        for future in self._new:
            future.is_ours = True

    def _perform(self, service: HttpService, interruption: Interruption) -> object:
        arrived = threading.Event()
        under_way = [
            future.begin(service, is_new=future in self._new or future.is_unsent_by_others(self._ctx))
            for future in self.futures
        ]
        for each in under_way:
            if each is not None:
                interruption.when_over(partial(_break_off, each))
        interruption.when_wanted(arrived.set)
        for each in under_way:
            if each is None:
                arrived.set()
            else:
                each.add_done_callback(lambda _done: arrived.set())
        arrived.wait()
        found = [("err", UNKNOWN) if each is None else _answer_of(each) for each in under_way]
        return Noted([], encoder(_ANSWERS)(found, {}))

    def _unknown(self) -> object:
        """What is safe may be asked again, if there is anything else to tell."""
        found = [None if future.order.is_safe else ("err", UNKNOWN) for future in self.futures]
        if not any(found):
            found = [("err", UNKNOWN) for _ in self.futures]
        return Noted([], encoder(_ANSWERS)(found, {}))

    def _take_over(self, note: object) -> None:
        if note is not None:
            answers = decoder(_ANSWERS)(note)
            assert isinstance(answers, list)
            for future, answer in zip(self.futures, answers, strict=True):
                if answer is not None:
                    future.resolve(self._ctx, answer)
        for future in self.futures:
            if future.answer is None and future.until_us <= self._ctx.now_us:
                future.resolve(self._ctx, ("err", TIMED_OUT))


def _break_off(under_way: Future[Answer]) -> None:
    under_way.cancel()


def _answer_of(under_way: Future[Answer]) -> Answer | None:
    if not under_way.done():
        return None
    try:
        return under_way.result()
    except CancelledError:
        return ("err", UNKNOWN)


def _about(future: FutureResponse) -> dict[str, object]:
    order = future.order
    body = future.content
    return {
        "method": order.method,
        "url": str(order.url),
        "headers": list(order.headers),
        "body": content_of(body, "automatic") if body else None,
    }
