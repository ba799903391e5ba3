"""A run in the server that holds the data directory: the actor goes on there when the run is over."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from theater.cli.component import Component, read_component
from theater.cli.grants import show_effective
from theater.cli.nodes import empty_node
from theater.cli.salient import payload_in
from theater.cli.session import Session
from theater.cli.stage import Part, Seen
from theater.cli.starting import restart_through, start_through
from theater.cli.talk import reply_text
from theater.errors import TheaterError
from theater.model.event import Head
from theater.model.ids import ActorId, Digest
from theater.model.payload import CrashedPayload, Payload, RefusedPayload, State
from theater.model.wire import ActorDetail, EventRow
from theater.runtime.sources import Source

if TYPE_CHECKING:
    from theater.client import Client


PATIENCE_S = 30.0
"""How long a server may be away while an actor begins again."""


class ServerStage:
    """Implements ``Stage`` with a server's client, which somebody else closes."""

    def __init__(self, session: Session, client: Client) -> None:
        self._session = session
        self._client = client
        self._component: Component | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def role_of(self, source: Source) -> str:
        """As in ``Stage``."""
        self._component = read_component(self._session, source)
        data = self._component.data
        if data is None:
            data = self._client.blob(self._component.digest)
        with empty_node(self._session) as node:
            return node.loader.load(node.blobs.put(data)).role

    def start(self, part: Part) -> ServerPlayer:
        """As in ``Stage``. The grants are shown once it has been started: it is for the server to decide them."""
        failure: TheaterError | None = None
        component = self._component or read_component(self._session, part.source)
        try:
            actor = start_through(self._session, self._client, part, component).actor.id
        except TheaterError as error:
            text = error.data.get("actor")
            if not isinstance(text, str):
                raise
            actor, failure = text, error
        return self._player(self._client.actor(actor), failure)

    def wake(self, actor: str, allowed: tuple[str, ...]) -> ServerPlayer:
        """As in ``Stage``."""
        return self._player(self._client.actor(actor), None, allowed)

    def _player(self, detail: ActorDetail, failure: TheaterError | None, allowed: tuple[str, ...] = ()) -> ServerPlayer:
        show_effective(detail.grants, self._session.output)
        return ServerPlayer(self._session, self._client, detail, failure, allowed)


class ServerPlayer:
    """Implements ``Player``."""

    def __init__(
        self,
        session: Session,
        client: Client,
        detail: ActorDetail,
        failure: TheaterError | None,
        allowed: tuple[str, ...],
    ) -> None:
        """``allowed``: beyond the ceiling, where it has to be started again; a living actor has its grants."""
        self.id = ActorId(detail.actor.id)
        self.role = detail.role or "actor"  # what is not known was erased, and so is gone
        self.status = detail.actor.status
        self.failure = failure
        self._has_state = detail.state_seq is not None
        self._next = detail.actor.seq + 1
        self._session = session
        self._client = client
        self._allowed = allowed

    def request(self, body: str, *, timeout_s: float) -> str | None:
        """As in ``Player``."""
        return reply_text(self._client.request(self.id, body, timeout_s=timeout_s))

    def handle(self, body: str) -> None:
        """As in ``Player``."""
        self._client.send_and_wait(self.id, body)

    def restart(self) -> None:
        """As in ``Player``."""
        restart_through(self._session, self._client, self.id, allowed=self._allowed)
        if self._has_state:
            return  # no ``init`` is run
        for row in self._client.follow(
            self.id, start=self._next, patience_s=PATIENCE_S
        ):  # at most as long as a step may take
            if isinstance(_payload(row), State | RefusedPayload | CrashedPayload) or row.name == "stopped":
                return

    def resume(self) -> None:
        """As in ``Player``."""
        self._client.resume(self.id)

    def events(self, start: int) -> Iterator[Seen]:
        """As in ``Player``."""
        for row in self._client.events(self.id, start=start):
            payload = _payload(row)
            if payload is not None:
                yield Seen(row.seq, row.name, payload)

    def head(self) -> Head:
        """As in ``Player``."""
        row = self._client.actor(self.id).actor
        return Head(row.seq, Digest(row.head))

    def services(self) -> list[str]:
        """As in ``Player``."""
        return self._client.actor(self.id).services

    def stay(self) -> None:
        """It goes on in the server."""


def _payload(row: EventRow) -> Payload | None:
    return None if row.payload is None else payload_in(row)
