"""Several puppets on one stage: actors that send, ask, spawn and fail as a test tells them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache

import pytest

from tests.guests import puppet
from tests.guests.puppet import puppet_manifest, puppet_wat
from tests.runtime.stage import Stage
from theater.errors import Crashed
from theater.model.ids import ActorId
from theater.model.manifest import parse_manifest
from theater.model.payload import Lifecycle
from theater.runtime.history import payload_of
from theater.runtime.letter import Reply
from theater.runtime.sources import Source
from theater.testing.harness import Actor, Pending

HANDLERS = ("supervisor", "channels", "events")
CAPABILITIES = {"messaging": 'to = ["any"]', "supervisor": "", "timing": 'repeat = "100ms"'}


@cache
def text_of(handlers: tuple[str, ...] = (), migrate: str | None = None, version: str = "1") -> str:
    """The WAT text of a puppet."""
    return puppet_wat(handlers=handlers, migrate=migrate, version=version)  # type: ignore[arg-type]  # words of its own


class Troupe:
    """Puppets of one stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def digest(self, **kind: object) -> str:
        """A puppet in the content store."""
        file = self.stage.workshop.file(text_of(**kind))
        data = file.read_bytes()
        self.stage.runtime.blobs.put(data)
        return hashlib.sha256(data).hexdigest()

    def manifest(
        self,
        name: str,
        *,
        handlers: Iterable[str] = (),
        capabilities: Mapping[str, str] = CAPABILITIES,
        migrate: str | None = None,
        version: str = "1",
        **lines: str,
    ) -> str:
        """The text of a puppet's manifest."""
        digest = self.digest(handlers=tuple(handlers), migrate=migrate, version=version)
        return puppet_manifest(digest, name, capabilities=capabilities, **lines)

    def player(self, name: str, *, params: str | None = None, **kind: object) -> Actor:
        """A root actor."""
        text = self.manifest(name, **kind)  # type: ignore[arg-type]  # passed on
        return self.root(text, name, params=params)

    def root(self, text: str, name: str, *, params: str | None = None) -> Actor:
        """A root actor of this manifest."""
        manifest = parse_manifest(text, params=params)
        return self.stage.spawn(
            Source(manifest, self.stage.folder), name=name, allowed=("messaging", "supervisor", "timing")
        )

    def boss(self, supervision: str = "intensity = 5", name: str = "boss", **kind: object) -> Actor:
        """A root actor that supervises, and logs what it hears of its children."""
        return self.player(name, handlers=("supervisor",), supervision=supervision, **kind)  # type: ignore[arg-type]  # passed on

    def child(self, parent: Actor, name: str, *, manifest: str | None = None, **how: object) -> Actor:
        """A child of ``parent``, which has begun, for good or bad, when this returns."""
        order = puppet.child(manifest or self.manifest(name), name=name, **how)  # type: ignore[arg-type]  # passed on
        child = self.ask(parent, puppet.spawn(order))
        assert not child.startswith("err:"), child
        self.rest()
        return self.find(child)

    def middle(self, parent: Actor, name: str, supervision: str = "intensity = 5", **how: object) -> Actor:
        """A child that supervises children of its own."""
        manifest = self.manifest(name, handlers=("supervisor",), supervision=supervision)
        return self.child(parent, name, manifest=manifest, **how)

    def ask(self, actor: Actor, program: str) -> str:
        """What the last host function that ``program`` calls answers the actor."""
        return str(actor.request(program + puppet.reply(puppet.FULL_ANSWER)))

    def begin(self, actor: Actor, program: str) -> Pending[Reply]:
        """Have the actor begin a step that goes on for a while."""
        return actor.start_request(json.dumps(program))

    def crash(self, actor: Actor) -> None:
        """Let it fail, and wait until whatever comes of that has come."""
        self.crash_together(actor)

    def crash_together(self, *actors: Actor) -> None:
        """Let these fail at the same time: none of them before all of them are about to."""
        clock = self.stage.clock
        program = (puppet.sleep(1) if len(actors) > 1 else "") + puppet.trap()
        timers = len(clock.timers)
        crashing = [self.begin(actor, program) for actor in actors]
        if len(actors) > 1:
            clock.wait_for_timers(timers + len(actors))
            clock.advance(0.001)
        for pending in crashing:
            with pytest.raises(Crashed):
                pending.result()
        self.rest()

    def story(self, *verbs: str, start: int = 0) -> list[str]:
        """Who became what, in the order of all events of the node: ``anna stopped``; from the ``start``-th on."""
        events = self.stage.runtime.store.events_by_index(start=0, limit=100_000)
        names = {record.id: record.name for record in self.stage.runtime.store.records()}
        told = [f"{names[event.header.actor]} {event.header.name}" for _, event in events if event.header.name in verbs]
        return told[start:]

    def decisions(self, actor: Actor) -> list[Mapping[str, object]]:
        """What a supervisor decided, in order."""
        found: list[Mapping[str, object]] = []
        for event in actor.events():
            if event.header.name == "supervised":
                payload = payload_of(event)
                assert isinstance(payload, Lifecycle)
                found.append(payload.detail or {})
        return found

    def heard(self, actor: Actor) -> list[str]:
        """What a supervisor that logs was told: ``anna crashed:trap restarted``."""
        tokens = [token.split("/") for token in puppet.log_of(actor.state or "0") if token.startswith("exited/")]
        return [f"{name} {reason} {decision}" for _, _, name, reason, decision in tokens]

    def find(self, actor: str) -> Actor:
        """One of them, by name or id."""
        return self.stage.actor(actor, allowed=("messaging", "supervisor", "timing"))

    def rest(self) -> None:
        """Wait until nobody does anything any more."""
        self.stage.rest()

    def verify(self) -> None:
        """Every chain of this node is sound."""
        for record in self.stage.runtime.store.records():
            report = self.stage.verify(ActorId(record.id))
            assert report.ok, (record.name, report.fault)
