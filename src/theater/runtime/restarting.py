"""Beginning an actor again that was stopped or has crashed: from its last committed state, or from ``init``."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from theater.errors import NameTaken, StoreError
from theater.model.event import Event
from theater.model.ports import LIVING
from theater.runtime.being import Being
from theater.runtime.consequences import Consequences
from theater.runtime.duties import strike_off
from theater.runtime.letter import Letter, encode_letter
from theater.runtime.life import first_letter, restarted_by
from theater.runtime.loading import INIT, RUN
from theater.runtime.mailbox import Mailbox
from theater.runtime.orders import Restart
from theater.runtime.settlement import Told, let_go, tell
from theater.runtime.supervising import Supervising


def begin_again(being: Being, mailbox: Mailbox, supervising: Supervising, restart: Restart) -> None:
    """Let it live again. Nothing of it is running, and its lock is held; ``restart.done`` may hear ``NameTaken``.

    Nothing is done where a supervisor orders it whose child, the parent of this one, has ended by now.
    """
    directory, name = being.surroundings.directory, being.record.name
    if directory.named(name) != being.id and not directory.reserve_name(name, being.id):
        restart.done(NameTaken(f"a living actor is called {being.record.name!r} by now; stop that first"))
        return
    is_fresh = restart.start == "init" or being.memory.state is None
    was_living = being.status in LIVING
    told: Told = []
    before = being.record
    being.become(replace(before, status="running", restarts=before.restarts + 1))
    parent = before.parent
    if restart.order is not None and parent is not None and not directory.is_living(parent):
        being.become(before)  # its parent ended meanwhile: nobody would supervise it
        directory.release_name(name)
        strike_off(being, restart.order, restart.done, restart.placed)
        return
    letters: list[Letter] = []

    def bring(made: list[Event], brought: Consequences) -> None:
        if restart.order is not None:
            brought.drop(restart.order.actor, "duty", restart.order.key, required=False)
        if was_living:
            let_go(being, mailbox, brought, told, what="restarted")
        if is_fresh:
            for old in mailbox.take_if(lambda letter: letter.export in (INIT, RUN)):  # it was stopped before it began
                brought.drop(being.id, "mailbox", old.id, required=False)
            first = first_letter(being.anatomy, made[0].header.seq)
            if first is not None:
                letter = msgspec.structs.replace(first, is_durable=True)
                brought.put(being.id, "mailbox", letter.id, encode_letter(letter), once=True)
                letters.append(letter)
        supervising.restarted(made[0], "init" if is_fresh else "last-state", brought)
        brought.after.append(lambda: being.surroundings.revive(being.id))
        if restart.placed is not None:
            brought.after.append(restart.placed)

    def heard(failure: StoreError | None, made: list[Event]) -> None:
        del made
        restart.done(failure)
        tell(told, failure, None)

    being.appender.commit(heard, restarted_by(restart), record=being.record, bring=bring)
    if letters:
        being.memory.state = being.memory.state_seq = None
        being.committed = None, None
        mailbox.put_first(letters[0])
