"""A fixed play that uses everything that actors do to each other; it can be taken up again wherever it broke off.

As a script it is a process that kills itself at the nth passing of a fault point of the store, and says ``ack ACT``
for each act that was promised by then. Whoever takes it up again does what was neither promised nor begun.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from tests.guests import puppet
from tests.guests.puppet import ANSWER, MESSAGE, puppet_manifest
from tests.runtime.mortal import Doom, say
from theater.errors import NotFound
from theater.model.ids import ActorId
from theater.model.manifest import parse_manifest
from theater.model.ports import ActorRecord
from theater.runtime.history import state_at
from theater.runtime.sources import Source
from theater.testing.harness import Harness

ALLOWED = ("messaging", "timing")
CAPABILITIES = {"messaging": 'to = ["any"]', "supervisor": "", "timing": ""}
ROOTS = ("anna", "bert", "carl", "dora", "emil", "fred")
SLEEP_MS = 100
LONG_S = 1.0  # behind everything that waits for the clock, and long before anybody gives up waiting for an answer
LARGE_BYTES = 100_000  # too many for the database, so that they get a file of their own
UNFINISHED = ("mailbox", "signal", "duty", "deferred", "answer", "timer")

_ID = "X" * 32


class Play:
    """The play on one stage."""

    def __init__(self, stage: Harness, component: bytes) -> None:
        self.stage = stage
        self._digest = hashlib.sha256(component).hexdigest()
        stage.runtime.blobs.put(component)
        self._acts: dict[str, Callable[[str], None]] = {f"born-{name}": self._be_born for name in ROOTS}
        self._acts |= {
            "ask": self._ask,
            "sleep": self._sleep,
            "large": self._large,
            "schedule": self._schedule,
            "child": lambda act: self._have_children(act, "anna", "kurt"),
            "children": lambda act: self._have_children(act, "emil", "lena", "marc"),
            "trouble": self._make_trouble,
            "stop": self._stop,
        }

    def perform(self, promised: Collection[str] = (), said: Callable[[str], object] = str) -> None:
        """Do what was not promised before, and come to rest; ``said`` hears of each act that is promised."""
        for act, do in self._acts.items():
            if act not in promised:
                do(act)
                said(act)
        self._rest()
        self.stage.clock.advance(LONG_S)
        self._rest()

    def outcome(self) -> dict[str, tuple[str, list[str], list[str]]]:
        """What has become of everybody: status, log, and what is left to do.

        Only Kurt's log has one order: he hears from nobody but Anna. The others hear from several at once.
        """
        store = self.stage.runtime.store
        names = {record.id: record.name for record in store.records()}
        found: dict[str, tuple[str, list[str], list[str]]] = {}
        for record in store.records():
            state = state_at(store, record.id, store.head(record.id).seq)
            text = state.text if state is not None else "0"
            for actor, name in names.items():
                text = text.replace(actor, name)
            log = puppet.log_of(text)
            left = [str(entry.space) for entry in store.entries(record.id) if entry.space in UNFINISHED]
            found[record.name] = (record.status, log if record.name == "kurt" else sorted(log), left)
        return found

    # -- the acts ----------------------------------------------------------------------------------------------------

    def _be_born(self, act: str) -> None:
        name = act.removeprefix("born-")
        if self._record(name) is None:
            source = Source(parse_manifest(self._manifest(name), params=None), Path())
            self.stage.spawn(source, name=name, allowed=ALLOWED)

    def _ask(self, act: str) -> None:
        """Anna sends to Bert, who asks Carl, who defers; Fred reminds Carl of the answer."""
        carl, fred = self._id("carl"), self._id("fred")
        before, after = puppet.send(carl, puppet.answer_request(_ID, "late")).split(_ID)
        deferring = puppet.defer() + puppet.log("asked") + puppet.send(fred, puppet.join(before, MESSAGE, after))
        asking = puppet.request(carl, deferring, 10_000) + puppet.log(ANSWER) + puppet.send(fred, puppet.log("told"))
        self._send(act, "anna", puppet.log("sent") + puppet.send(self._id("bert"), asking))

    def _sleep(self, act: str) -> None:
        waking = puppet.sleep(SLEEP_MS) + puppet.log("slept") + puppet.send(self._id("carl"), puppet.log("woken"))
        self._send(act, "fred", waking)

    def _large(self, act: str) -> None:
        del act
        self._actor("anna").request_json(json.dumps(puppet.reply(puppet.filled(LARGE_BYTES))))

    def _schedule(self, act: str) -> None:
        self._send(act, "dora", puppet.schedule(SLEEP_MS, puppet.log("tick")) + puppet.log("set"))

    def _have_children(self, act: str, parent: str, *names: str) -> None:
        spawning = "".join(puppet.spawn(puppet.child(self._manifest(name))) + puppet.log(name) for name in names)
        self._send(act, parent, spawning)

    def _make_trouble(self, act: str) -> None:
        """Kurt crashes twice between what is sent to him."""
        self._rest()  # until he is born
        kurt = self._id("kurt")
        bodies = (puppet.log("1"), puppet.trap(), puppet.log("2"), puppet.trap(), puppet.log("3"))
        self._send(act, "anna", "".join(puppet.send(kurt, body) for body in bodies))

    def _stop(self, act: str) -> None:
        del act
        self._rest()  # until his children are born
        self._actor("emil").stop()

    # -- what they are made of ---------------------------------------------------------------------------------------

    def _send(self, act: str, to: str, program: str) -> None:
        """Send it, unless that was done before: whoever was told so died before it could say so."""
        marked = puppet.answer(f"act-{act}") + program
        store = self.stage.runtime.store
        actor, mark = self._id(to), f"act-{act}".encode()
        waits = any(mark in entry.value for entry in store.entries(actor) if entry.space == "mailbox")
        if not waits and not any(mark in (event.payload or b"") for event in store.events(actor)):
            self._actor(to).send(marked)

    def _manifest(self, name: str) -> str:
        return puppet_manifest(self._digest, name, capabilities=CAPABILITIES, supervision="intensity = 100")

    def _actor(self, name: str) -> Any:  # noqa: ANN401 - an actor of whichever harness this is
        return self.stage.actor(self._id(name), allowed=ALLOWED)

    def _id(self, name: str) -> ActorId:
        record = self._record(name)
        if record is None:
            raise NotFound(name)
        return record.id

    def _record(self, name: str) -> ActorRecord | None:
        return next((record for record in self.stage.runtime.store.records() if record.name == name), None)

    def _rest(self) -> None:
        self.stage.rest()


def main(task: dict[str, Any]) -> None:
    """Perform, and die where the task says."""
    doom = Doom(task["point"], task["nth"], is_armed=True)
    with Harness(data_dir=Path(task["data"]), cache=Path(task["cache"]), fault=doom) as stage:
        Play(stage, Path(task["component"]).read_bytes()).perform(said=lambda act: say(f"ack {act}"))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
