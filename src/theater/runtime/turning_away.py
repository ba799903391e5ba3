"""Answering those who wait for an actor that will not get to them: it has ended, rests with the runtime, or is gone."""

from __future__ import annotations

from collections.abc import Sequence

from theater.errors import NotRunning, StoreError
from theater.model.event import Event
from theater.model.ids import ActorId
from theater.model.ports import Append, Appended
from theater.runtime.being import Being
from theater.runtime.consequences import Consequences
from theater.runtime.letter import Deferred, Letter
from theater.runtime.mailbox import Mailbox
from theater.runtime.mishap import report
from theater.runtime.settlement import Told, refuse, reply, tell
from theater.runtime.surroundings import Surroundings


def refuse_waiting(being: Being, mailbox: Mailbox) -> None:
    """Answer the requests that wait, since the actor does not run. Its lock is held."""
    waiting = mailbox.take_requests()
    if not waiting:
        return
    told: Told = []
    error = being.not_running(being.status, "did not get to this message")

    def bring(made: list[Event], brought: Consequences) -> None:
        del made
        refuse(being.surroundings, brought, told, by=being.id, waiting=waiting, error=error)

    being.appender.commit(lambda failure, _: tell(told, failure, None), bring=bring)


def give_up_waiting(being: Being, mailbox: Mailbox) -> None:
    """The runtime closes: what is in the store stays there, and who waits outside hears of it. The lock is held."""
    error = being.not_running("closed", "did not get to this message")
    waiting: list[Letter | Deferred] = [*mailbox.clear(), *being.holdings.all_deferred()]
    for asked in waiting:
        if asked.sender is None:
            asked.done(error)


def turn_away(surroundings: Surroundings, actor: ActorId, letters: Sequence[Letter]) -> None:
    """Answer what was on its way to an actor that was removed; what asks for no answer is dropped. No lock is held."""
    asking = [letter for letter in letters if letter.expects_reply or letter.sender is None]
    if not asking:
        return
    told: Told = []
    brought = Consequences()
    error = NotRunning(f"actor {actor} was removed: it takes no messages")
    for letter in asking:
        reply(surroundings, brought, told, by=actor, asked=letter, answer=error)

    def written(result: Appended | StoreError) -> None:
        if isinstance(result, StoreError):
            report(result)
        tell(told, None, None)

    puts, drops = tuple(brought.puts.values()), tuple(brought.drops.values())
    if puts or drops:
        holder = (puts or drops)[0].actor
        surroundings.node.store.append(Append(holder, None, (), puts=puts, drops=drops), written)
    else:
        tell(told, None, None)
    for action in brought.after:
        action()
