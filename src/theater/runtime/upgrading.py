"""Live upgrade: an actor goes on with another component, between two of its steps.

The component is compiled and held against the grants in force before the actor hears of it. Where it exports
``upgrade.migrate`` and there is a state, a step is run with it first, whose result is the state that it takes over: the
``message`` event of that step names the component. Its closing event, ``lifecycle: upgraded`` and the actor's row are
one transaction. A migration that is refused or crashes leaves the older component in place, and the actor as it was: it
is no failure of the actor's, and nobody's business but that of whoever wanted the upgrade.

A migration runs whatever the actor's status is, and leaves that as it is: one that is stopped or crashed is often
upgraded so that it can be started again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from theater.errors import NoChannels, StoreError, TheaterError
from theater.model.event import Event, Kind
from theater.model.ids import Digest
from theater.model.ports import ActorRecord
from theater.runtime.anatomy import Anatomy, upgraded_anatomy
from theater.runtime.being import Being
from theater.runtime.consequences import Consequences
from theater.runtime.exports import CHANNEL_OPENED, HANDLERS, MIGRATE
from theater.runtime.letter import Answer, Letter
from theater.runtime.life import lifecycle
from theater.runtime.loading import Loader
from theater.runtime.orders import Heard
from theater.runtime.settlement import Told, refuse, tell
from theater.runtime.subscription_settlement import unsubscribe_from
from theater.runtime.thrift import has_full_chain


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An actor is to go on as ``anatomy``, which is its own but for the component.

    ``done`` hears when that is durable, or why the actor stays as it was.
    """

    by: str
    anatomy: Anatomy
    done: Heard


def successor(anatomy: Anatomy, loader: Loader, component: Digest) -> Anatomy:
    """The same actor with another component, compiled and bound. Blocks while it compiles.

    It stays right whatever else the actor is upgraded to meanwhile, since nothing but the component ever changes.

    Raises:
        NotFound, Damaged: the content store does not have it, or not as it was.
        InvalidComponent, CompileFailed: it cannot take the place of this actor's.
    """
    return upgraded_anatomy(anatomy, loader, loader.load(component))


def upgrade(
    being: Being, wanted: Upgrade, *, drop_warm: Callable[[], None], migrate: Callable[[Letter, Anatomy], None]
) -> None:
    """Go on with the component, or have ``migrate`` begin the step that comes before. The lock is held.

    What the actor has already is nothing to do: who did not hear of his upgrade may ask for it again.
    """
    failure = being.appender.failure
    if failure is not None:
        wanted.done(failure)
    elif wanted.anatomy.facts.component == being.anatomy.facts.component:  # maybe since a moment ago, and not durable
        being.appender.commit(lambda failed, _: wanted.done(failed))
    elif being.memory.state is not None and MIGRATE in wanted.anatomy.loaded.handlers:
        if has_full_chain(being):
            wanted.done(being.not_running("stopped", "takes no further step"))
            return
        drop_warm()
        migrate(_migration(being, wanted), wanted.anatomy)
    else:
        drop_warm()
        before = being.anatomy, being.record
        event = take_over(being, wanted.anatomy, wanted.by)

        def heard(failed: StoreError | None, made: list[Event]) -> None:
            del made
            if failed is not None:
                give_back(being, *before)
            wanted.done(failed)

        being.appender.commit(heard, event, record=being.record)


def take_over(being: Being, anatomy: Anatomy, by: str) -> tuple[Kind, str, bytes]:
    """The actor is that from here on; returns the event that says so, for the commit that follows. The lock is held."""
    before, after = being.anatomy.facts.component, anatomy.facts.component
    being.anatomy = anatomy
    being.become(replace(being.record, program=after))
    return lifecycle("upgraded", by, {"from": before, "to": after})


def give_back(being: Being, anatomy: Anatomy, record: ActorRecord) -> None:
    """The upgrade was not written, so it has not happened."""
    with being.lock:
        being.anatomy = anatomy
        being.become(replace(being.record, program=record.program))


def is_orphaned(being: Being, letter: Letter) -> bool:
    """Whether it is for a handler that the actor's component had, and the one to which it was upgraded has not."""
    return letter.export in HANDLERS and letter.export not in being.anatomy.loaded.handlers


def pass_over(being: Being, letter: Letter) -> None:
    """Take a letter for a handler that is not there out of the mailbox, as if it had never been sent."""
    told: Told = []
    problem: TheaterError = being.not_running("upgraded", f"has no {letter.export} any more")
    if letter.export == CHANNEL_OPENED:
        problem = NoChannels(f"actor {being.record.name!r} takes no channels")

    def bring(made: list[Event], brought: Consequences) -> None:
        del made
        if letter.expects_reply or letter.sender is None:  # whoever is outside may wait until it is handled
            refuse(being.surroundings, brought, told, by=being.id, waiting=[letter], error=problem)
        elif letter.is_durable:
            brought.drop(being.id, "mailbox", letter.id)
        unsubscribe_from(being.surroundings.subscriptions, brought, being.id, letter)

    being.appender.commit(lambda failure, _: tell(told, failure, None), bring=bring)


def anatomy_of_step(anatomy: Anatomy, loader: Loader, component: str | None) -> Anatomy:
    """In what a step that was left open goes on: a migration in the component that its message names.

    Raises:
        InvalidComponent and others, as ``successor``.
    """
    return anatomy if component is None else successor(anatomy, loader, Digest(component))


def _migration(being: Being, wanted: Upgrade) -> Letter:
    def done(answer: Answer) -> None:
        wanted.done(answer if isinstance(answer, TheaterError) else None)

    return Letter(
        id=f"migrate-{being.appender.head.seq + 1}",  # that of its event, so no other message of the chain has it
        source=wanted.by,
        export=MIGRATE,
        arguments=(being.anatomy.facts.component,),
        expects_reply=False,
        done=done,
    )
