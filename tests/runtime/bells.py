"""A capability made up for tests, whose service lives on between the calls: it is told things, and brings news.

It stands in the place of ``http-server``, so that a puppet can call it: ``close-server`` tells it a text. One that
begins with ``keep`` is kept by itself, and one with ``drop`` drops ``keep`` and the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.guests import puppet
from tests.runtime.stage import PATIENCE_S
from theater.capabilities.registry import Registry, built_in
from theater.capabilities.runtime import RuntimeGrant
from theater.errors import TheaterError
from theater.model.capability import Capability, Grant, HostClass, HostFunction, StepContext
from theater.model.effects import Tell
from theater.model.ids import ActorId
from theater.model.news import Handled, News
from theater.model.service import Place, Service

NAME = "http-server"
INTERFACE = "theater:actor/http-server"
HANDLERS = "theater:actor/http-handlers"
RINGER = puppet.puppet_wat(imports=("runtime", "messaging", "http-server.close-server"), handlers=["http"])
DEAF = puppet.puppet_wat(imports=("runtime", "messaging", "http-server.close-server"))


class Heard:
    """What came of a piece of news."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self.times = 0
        self._outcome: Handled | TheaterError | None = None

    def __call__(self, outcome: Handled | TheaterError) -> None:
        self.times += 1
        self._outcome = outcome
        self._came.set()

    @property
    def has_come(self) -> bool:
        return self._came.is_set()

    def wait(self) -> Handled | TheaterError:
        assert self._came.wait(PATIENCE_S), "nobody said what came of it"
        assert self._outcome is not None
        return self._outcome


@dataclass
class Belfry:
    """The service of all nodes that a test opens one after the other."""

    said: list[tuple[str, object]] = field(default_factory=list)
    """What it was told, confirmed and so on, in order."""
    places: list[Place] = field(default_factory=list)
    closed: int = 0

    def begin(self, place: Place) -> Service:
        self.places.append(place)
        return self

    @property
    def place(self) -> Place:
        """Of the node that is open."""
        return self.places[-1]

    def all(self, what: str) -> list[object]:
        """Everything of one kind."""
        return [value for kind, value in self.said if kind == what]

    def ring(self, actor: ActorId, id: str, program: str, *, expects_reply: bool = True) -> Heard:
        """A request, which is answered by that program."""
        heard = Heard()
        self.place.post.bring(actor, request(id, program, expects_reply=expects_reply), heard)
        return heard

    def toll(
        self, actor: ActorId, id: str, *, keeps: Sequence[tuple[str, bytes]] = (), drops: Sequence[str] = ()
    ) -> Heard:
        """The end of a connection ``id``: durable, and without a place."""
        heard = Heard()
        news = News(id, "bells", f"{HANDLERS}#websocket-closed", (id, 1000, ""), has_place=False)
        self.place.post.bring(actor, news, heard, is_durable=True, keeps=keeps, drops=drops)
        return heard

    def kept(self) -> dict[str, bytes]:
        return {each.key: each.value for each in self.place.post.kept()}

    # -- Resident

    def told(self, _actor: ActorId, order: object) -> None:
        self.said.append(("told", order))

    def confirmed(self, _actor: ActorId, order: object) -> None:
        self.said.append(("confirmed", order))

    def doubted(self, actor: ActorId) -> None:
        self.said.append(("doubted", actor))

    def ended(self, actor: ActorId) -> None:
        self.said.append(("ended", actor))

    def removed(self, actor: ActorId) -> None:
        self.said.append(("removed", actor))

    def shown(self, actor: ActorId) -> list[str]:
        return [f"rings for {actor}"]

    def close(self) -> None:
        self.closed += 1


def request(id: str, program: str, *, expects_reply: bool = True) -> News:
    value = {
        "id": id,
        "server": "tower",
        "tag": program,
        "method": "GET",
        "authority": "here",
        "path": "/",
        "query": None,
        "parameters": [("name", "value")],
        "headers": [],
        "body": ("text", ""),
        "peer": "127.0.0.1:1",
    }
    return News(id, "bells", f"{HANDLERS}#request", (value,), expects_reply=expects_reply)


def tell(text: str) -> str:
    """The program that tells it something."""
    return puppet.call("http-server.close-server", text)


def registry(belfry: Belfry) -> Registry:
    """All capabilities, with this one in the place of ``http-server``."""

    def run(ctx: StepContext, _grant: object, id: str) -> object:
        ctx.system.hold(lambda: belfry.said.append(("released", id)))
        return ("ok", None)

    def act(ctx: StepContext, _answer: object, id: str) -> None:
        keeps = ((id, b"kept"),) if id.startswith("keep") else ()
        drops = ("keep" + id.removeprefix("drop"),) if id.startswith("drop") else ()
        ctx.act(Tell(NAME, id, keeps=keeps, drops=drops))

    own: Capability[Grant] = Capability(
        name=NAME,
        parse=_parse,
        functions=(HostFunction(INTERFACE, "close-server", HostClass.BUFFERED, run, act=act),),
        interfaces=(INTERFACE,),
        default_ceiling=RuntimeGrant(),
        open_service=belfry.begin,
    )
    others = [each for name, each in built_in().capabilities.items() if name != NAME]
    return Registry([*others, own])


def _parse(_table: Mapping[str, object]) -> RuntimeGrant:
    return RuntimeGrant()
