"""What a guest gets of a call that looks at the world or acts in it: as the boundary does it, without a step."""

from collections.abc import Callable

from theater.capabilities.filesystem_usage import Usage
from theater.model.act import Look
from theater.model.capability import Denied, Noted, Wait


class Uninterrupted:
    """An ``Interruption`` that never is wanted, or always."""

    def __init__(self, *, is_wanted: bool = False) -> None:
        self.is_wanted = is_wanted

    def when_wanted(self, action: Callable[[], None]) -> None:
        del action

    def when_over(self, action: Callable[[], None]) -> None:
        del action


def answered(outcome: object, *, usage: Usage | None = None, is_wanted: bool = False) -> object:
    """The answer, once everything has been done that leads to it."""
    match outcome:
        case Denied():
            return outcome.answer
        case Look():
            give, found = outcome.give, outcome.look()
        case Wait(act=act) if act is not None:
            give, found = act.give, act.perform(usage or Usage(), Uninterrupted(is_wanted=is_wanted))
        case _:
            return outcome
    answer, note = (found.answer, found.note) if isinstance(found, Noted) else (found, None)
    return answer if give is None else give(answer, note)


def given_again(outcome: object, recorded: object, note: object = None) -> object:
    """What a replay gives of a recorded answer: nothing is looked at, and nothing is done."""
    give = outcome.give if isinstance(outcome, Look) else None
    if isinstance(outcome, Wait) and outcome.act is not None:
        give = outcome.act.give
    return recorded if give is None else give(recorded, note)
