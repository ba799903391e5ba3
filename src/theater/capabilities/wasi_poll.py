"""What the guests of ``wasi:io`` wait for: streams and bodies, timers, and answers from the web."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from theater.capabilities.wasi_http_futures import FutureResponse, Waiting
from theater.model.capability import StepContext, Wait
from theater.model.crash import StepCrash


@dataclass(frozen=True, slots=True)
class Pollable:
    """Ready from a time on: 0 for a stream, which always is. Or ready when an answer is there."""

    ready_at_us: int = 0
    answer: FutureResponse | None = None

    def is_ready(self, now_us: int) -> bool:
        """Whether it is, now."""
        return self.ready_at_us <= now_us if self.answer is None else self.answer.is_ready


def subscribe(ctx: StepContext, _grant: object, _stream: int) -> int:
    """A pollable for a stream, or for anything else that is ready from the start."""
    return ctx.resources.add(Pollable())


def subscribe_to_answer(ctx: StepContext, _grant: object, number: int) -> int:
    """A pollable for the answer to a request."""
    return ctx.resources.add(Pollable(answer=ctx.resources.get(number)))


def ready(ctx: StepContext, _grant: object, number: int) -> bool:
    """Whether it is, now."""
    pollable: Pollable = ctx.resources.get(number)
    return pollable.is_ready(ctx.now_us)


def block(ctx: StepContext, _grant: object, number: int) -> Wait | None:
    """Until it is ready."""
    wait = _wait(ctx, [ctx.resources.get(number)], is_list=False)
    return wait if isinstance(wait, Wait) else None


def poll(ctx: StepContext, _grant: object, numbers: list[int]) -> Wait | list[int]:
    """Until one is ready; which ones are, by their places in the list. `This function traps if the list is empty`."""
    if not numbers:
        raise StepCrash("trap", "poll was called with an empty list")
    return _wait(ctx, [ctx.resources.get(number) for number in numbers], is_list=True)


def _wait(ctx: StepContext, pollables: Sequence[Pollable], *, is_list: bool) -> Wait | list[int]:
    found = _places(ctx, pollables)
    if found:
        return found
    times_us = [pollable.ready_at_us for pollable in pollables if pollable.answer is None]
    answers = [pollable.answer for pollable in pollables if pollable.answer is not None]
    waiting = Waiting(ctx, answers)
    if waiting.futures:
        return _wait_for_answers(ctx, pollables, waiting, times_us, is_list=is_list)
    if not times_us:  # nobody can write their bodies, or make room, while the guest waits
        for answer in answers:
            answer.give_up()
        return _places(ctx, pollables)

    def ended() -> list[int] | None:
        places = _places(ctx, pollables)
        if not places:  # the step's limit ended it: polling has no error for that
            raise StepCrash("deadline", "the limit 'wait' was used up while the guest was polling")
        return places if is_list else None

    return Wait(until_us=min(times_us), answer=ended)


def _wait_for_answers(
    ctx: StepContext, pollables: Sequence[Pollable], waiting: Waiting, times_us: list[int], *, is_list: bool
) -> Wait:
    def give() -> list[int] | None:
        if not _places(ctx, pollables):
            waiting.exhaust()
        return _places(ctx, pollables) if is_list else None

    until_us = min([*times_us, waiting.until_us])
    return Wait(until_us=until_us, answer=list, act=waiting.act(give))


def _places(ctx: StepContext, pollables: Sequence[Pollable]) -> list[int]:
    now_us = ctx.now_us
    return [place for place, pollable in enumerate(pollables) if pollable.is_ready(now_us)]
