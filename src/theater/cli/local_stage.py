"""A run in this process, which holds the data directory for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from theater.cli.local_runtime import LocalRuntime
from theater.cli.session import Session
from theater.cli.stage import Part, Seen
from theater.errors import NotRunning, TheaterError
from theater.model.event import Head
from theater.runtime.history import payload_of
from theater.runtime.runtime import ActorRef
from theater.runtime.sources import Source, component_of

_DURABLE_ROUNDS = 2000
_DURABLE_ROUND_S = 0.002


class LocalStage:
    """Implements ``Stage``."""

    def __init__(self, session: Session) -> None:
        self._output = session.output
        self._local = LocalRuntime(session, purpose="theater run")

    def __enter__(self) -> Self:
        self._local.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._local.__exit__(kind, error, trace)

    def role_of(self, source: Source) -> str:
        """As in ``Stage``."""
        node = self._local.runtime.node
        return node.loader.load(component_of(source, node.blobs, node.engine.assemble)).role

    def start(self, part: Part) -> LocalPlayer:
        """As in ``Stage``."""
        with self._output.working("compiling and starting"):
            return self._local.do(self._started(part))

    def wake(self, actor: str, allowed: tuple[str, ...]) -> LocalPlayer:
        """As in ``Stage``."""
        with self._output.working("starting"):
            reference = self._local.do(self._local.runtime.actor(actor, allowed=allowed))
        return LocalPlayer(self._local, reference)

    async def _started(self, part: Part) -> LocalPlayer:
        runtime = self._local.runtime
        failure: TheaterError | None = None
        try:
            reference = await runtime.spawn(
                part.source,
                name=part.name,
                allowed=part.allowed,
                arguments=part.arguments,
                stdin=part.stdin,
                rename=part.name is None,
            )
        except TheaterError as error:
            actor = error.data.get("actor")
            if not isinstance(actor, str):
                raise
            reference, failure = await runtime.actor(actor), error
        return LocalPlayer(self._local, reference, failure)


class LocalPlayer:
    """Implements ``Player``."""

    def __init__(self, local: LocalRuntime, reference: ActorRef, failure: TheaterError | None = None) -> None:
        self.id = reference.id
        self.role = reference.role
        self.status = reference.record.status
        self.failure = failure
        self._local = local
        self._store = local.runtime.store
        self._reference = reference

    def request(self, body: str, *, timeout_s: float) -> str | None:
        """As in ``Player``."""
        return self._local.do(self._reference.request_json(body, timeout_s=timeout_s)).text

    def handle(self, body: str) -> None:
        """As in ``Player``."""
        self._local.do(self._reference.send_and_wait_json(body))

    def restart(self) -> None:
        """As in ``Player``."""
        self._local.do(self._restarted())

    def resume(self) -> None:
        """As in ``Player``."""
        self._local.do(self._reference.resume())

    def events(self, start: int) -> Iterator[Seen]:
        """As in ``Player``."""
        for event in self._store.events(self.id, start=start):
            if event.payload is not None:
                yield Seen(event.header.seq, event.header.name, payload_of(event))

    def head(self) -> Head:
        """As in ``Player``."""
        return self._store.head(self.id)

    def services(self) -> list[str]:
        """As in ``Player``."""
        return self._local.runtime.live.services(self.id)

    def stay(self) -> None:
        """As in ``Player``."""
        with contextlib.suppress(KeyboardInterrupt):
            self._local.do(_for_ever())

    async def _restarted(self) -> None:
        await self._reference.restart()
        with contextlib.suppress(NotRunning):
            await self._reference.resume()  # changes nothing, and comes after the step that is running
        for _ in range(_DURABLE_ROUNDS):
            if self._store.head(self.id) == self._reference.head:
                break
            await asyncio.to_thread(self._store.flush)
            await asyncio.sleep(_DURABLE_ROUND_S)


async def _for_ever() -> None:
    """Until it is interrupted."""
    await asyncio.get_running_loop().create_future()
