"""A runtime for tests, used without ``async``: in a folder that ends with it, with a clock that stands still.

    with Harness() as theater:
        counter = theater.spawn("counter/theater.toml")
        assert counter.request({"by": 2}) == {"count": 2}
        assert counter.verify().ok

Everything in it is the real thing, the store on the disk and the sandbox included; only time and entropy are held.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from theater.model.event import Event, Head
from theater.model.ids import ActorId, Digest
from theater.model.payload import Payload
from theater.model.ports import Durability, Status
from theater.runtime.channel_ref import Channel as ChannelEnd
from theater.runtime.claims import Caps
from theater.runtime.examination import examine_actor
from theater.runtime.history import payload_of
from theater.runtime.letter import Reply
from theater.runtime.opening import Options
from theater.runtime.python_values import from_json, to_json
from theater.runtime.report import Report
from theater.runtime.runtime import ActorRef, Runtime
from theater.runtime.sources import Source
from theater.store.faults import Fault, no_fault
from theater.testing.clock import MockClock
from theater.testing.entropy import SeededEntropy

PATIENCE_S = 30.0
"""How long a test waits, in real time, before it fails instead of hanging."""

_LOOK_S = 0.001
_CALM_LOOKS = 3  # between two actors, a letter is on its way for a moment without anybody doing anything

T = TypeVar("T")


class Harness:
    """One runtime with a ``MockClock`` and a ``SeededEntropy``. Belongs to the thread that entered it.

    ``data_dir`` and ``cache`` (of compiled code) may be given to outlive it; whoever tests many components gives all
    harnesses one ``cache``. The environment is empty unless given. No room is kept free unless a
    test says so.
    """

    def __init__(
        self,
        *,
        data_dir: Path | None = None,
        cache: Path | None = None,
        seed: int = 0,
        environ: Mapping[str, str] | None = None,
        workers: int | None = None,
        durability: Durability | None = None,
        fault: Fault = no_fault,
        reserve_bytes: int = 0,
    ) -> None:
        self.clock = MockClock()
        self._folder = None if data_dir else tempfile.TemporaryDirectory(prefix="theater-test-")
        self._root = data_dir or Path(self._folder.name if self._folder else ".") / "data"
        self._environ = {"XDG_CONFIG_HOME": str(self._root / "config"), **(environ or {})}
        self._options = Options(
            data_dir=self._root,
            clock=self.clock,
            entropy=SeededEntropy(seed),
            workers=workers,
            durability=durability,
            purpose="test",
            cache=cache,
            fault=fault,
            reserve_bytes=reserve_bytes,
        )

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        try:
            self._open()
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.run(self.runtime.__aexit__(None, None, None))
        finally:
            self._runner.close()
            if self._folder is not None:
                self._folder.cleanup()

    def run(self, coroutine: Coroutine[object, object, T], *, timeout_s: float = PATIENCE_S) -> T:
        """What ``coroutine`` returns. Raises ``TimeoutError`` where it takes longer."""

        async def bounded() -> T:
            async with asyncio.timeout(timeout_s):
                return await coroutine

        return self._runner.run(bounded())

    def rest(self, *, timeout_s: float = PATIENCE_S) -> None:
        """Wait until nothing goes on any more but what waits for the clock, or for an answer from outside.

        Raises ``TimeoutError`` where it takes longer.
        """

        async def quiet() -> None:
            calm = 0
            while calm < _CALM_LOOKS:
                self.runtime.store.flush()
                calm = calm + 1 if self.runtime.is_quiet else 0
                await asyncio.sleep(_LOOK_S)

        self.run(quiet(), timeout_s=timeout_s)

    def verify(self, actor: ActorId) -> Report:
        """Verify one chain up to its head."""
        head = self.runtime.store.head(actor).hash
        return examine_actor(self.runtime.node, actor, head=head)

    def reopen(self) -> None:
        """Close the runtime in good order and open it again, as after a restart of the process."""
        self.run(self.runtime.__aexit__(None, None, None))
        self._open()

    def spawn(
        self,
        manifest: str | Path | Source,
        *,
        name: str | None = None,
        params: str | None = None,
        allowed: Sequence[str] = (),
        arguments: Sequence[str] = (),
    ) -> Actor:
        """Start an actor from a manifest, or from a bare component. Raises as ``Runtime.spawn``."""
        started = self.runtime.spawn(
            manifest, name=name, params=params, allowed=allowed, arguments=arguments, rename=name is None
        )
        return Actor(self, self.run(started))

    def actor(self, text: str, *, allowed: Sequence[str] = ()) -> Actor:
        """The actor of that name or id, woken up if it sleeps in the store. Raises as ``Runtime.actor``."""
        return Actor(self, self.run(self.runtime.actor(text, allowed=allowed)))

    def _open(self) -> None:
        self.runtime = Runtime.with_options(self._options, self._environ)
        self.run(self.runtime.__aenter__())


class Pending(Generic[T]):
    """Something under way. Nothing of it runs on this thread until ``result`` is asked for."""

    def __init__(self, harness: Harness, task: asyncio.Task[T]) -> None:
        self._harness = harness
        self._task = task

    @property
    def is_done(self) -> bool:
        """Whether the answer has arrived, as far as can be seen without waiting."""
        self._harness.run(asyncio.sleep(0))
        self._harness.run(asyncio.sleep(0))
        return self._task.done()

    def result(self, *, timeout_s: float = PATIENCE_S) -> T:
        """The answer, or the error that it is. Raises ``TimeoutError`` where it does not come."""

        async def awaited() -> T:
            return await asyncio.shield(self._task)

        return self._harness.run(awaited(), timeout_s=timeout_s)


class Channel:
    """The test's end of a channel."""

    def __init__(self, harness: Harness, end: ChannelEnd) -> None:
        self._harness = harness
        self.end = end

    @property
    def id(self) -> str:
        """Its id."""
        return self.end.id

    @property
    def reply(self) -> str | None:
        """What the actor said when it accepted, a JSON text."""
        return self.end.reply

    def send(self, body: object) -> None:
        """Say something. Raises as ``Channel.send``."""
        self._harness.run(self.end.send(body))

    def receive(self, *, timeout_s: float = PATIENCE_S) -> object:
        """What the actor says next. Raises ``ChannelClosed``, or ``TimeoutError`` where it says nothing."""
        return self._harness.run(self.end.receive(), timeout_s=timeout_s)

    def receive_all(self) -> list[object]:
        """What the actor says until the channel is closed."""

        async def everything() -> list[object]:
            return [body async for body in self.end]

        return self._harness.run(everything())

    def close(self) -> None:
        """End it."""
        self._harness.run(self.end.close())


class Actor:
    """One actor of a harness."""

    def __init__(self, harness: Harness, ref: ActorRef) -> None:
        self._harness = harness
        self.ref = ref

    @property
    def id(self) -> ActorId:
        """Its id."""
        return self.ref.id

    @property
    def status(self) -> Status:
        """As of now."""
        return self.ref.record.status

    @property
    def head(self) -> Head:
        """The last event of its chain."""
        return self.ref.head

    @property
    def state(self) -> str | None:
        """Its state's JSON text."""
        return self.ref.state()[1]

    def request(self, body: object) -> object:
        """Send ``body`` and return the reply, both as Python values. Raises as ``ActorRef.request``."""
        reply = self.request_json(to_json(body))
        return None if reply.text is None else from_json(reply.text)

    def request_json(self, body: str) -> Reply:
        """Send a JSON text; the reply has exactly the guest's text."""
        return self.start_request(body).result()

    def start_request(self, body: str) -> Pending[Reply]:
        """Submit a request and do not wait for its reply. Raises what keeps it from being submitted with ``result``."""
        return self._start(self.ref.request_json(body))

    def start_send(self, body: str) -> Pending[Reply]:
        """Submit a message for which no reply is expected; ``result`` waits until it has been handled."""
        return self._start(self.ref.send_and_wait_json(body))

    def send(self, body: object) -> str:
        """Send ``body``; returns its id once it is accepted for good, handled or not."""
        return self._harness.run(self.ref.send(body))

    def open_channel(self, opening: object = None) -> Channel:
        """Open a channel to it. Raises as ``Runtime.open_channel``."""
        return Channel(self._harness, self.start_open_channel(opening).result())

    def start_open_channel(self, opening: object = None) -> Pending[ChannelEnd]:
        """Ask for a channel and do not wait until it is accepted."""
        return self._start(self.ref.open_channel(opening))

    def pause(self) -> None:
        """Begin no further step."""
        self._harness.run(self.ref.pause())

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._harness.run(self.ref.resume())

    def stop(self) -> None:
        """Stop it after the step that is running."""
        self._harness.run(self.ref.stop())

    def start_stop(self) -> Pending[None]:
        """Ask for a stop and do not wait for it."""
        return self._start(self.ref.stop())

    def terminate(self) -> None:
        """Stop it now."""
        self._harness.run(self.ref.terminate())

    def restart(self) -> None:
        """Go on after a stop or a crash."""
        self._harness.run(self.ref.restart())

    def upgrade(self, component: Path | bytes | str) -> Digest:
        """Go on with another component. Raises as ``ActorRef.upgrade``."""
        return self.start_upgrade(component).result()

    def start_upgrade(self, component: Path | bytes | str) -> Pending[Digest]:
        """Ask for an upgrade and do not wait for it."""
        return self._start(self.ref.upgrade(component))

    def events(self, *, start: int = 0) -> list[Event]:
        """Its durable events."""
        return list(self._harness.runtime.store.events(self.id, start=start))

    def kinds(self) -> list[str]:
        """The kinds of its durable events; a lifecycle event is named by its verb."""
        return [event.header.name if event.header.kind == "lifecycle" else event.header.kind for event in self.events()]

    def payloads(self, kind: str) -> list[Payload]:
        """What its durable events of one kind say."""
        return [payload_of(event) for event in self.events() if event.header.kind == kind]

    def verify(self, *, execute: bool = True, caps: Caps | None = None) -> Report:
        """Verify its chain up to its head, by running every step again."""
        head = self._harness.runtime.store.head(self.id).hash
        return examine_actor(self._harness.runtime.node, self.id, head=head, execute=execute, caps=caps)

    def _start(self, coroutine: Coroutine[object, object, T]) -> Pending[T]:
        async def start() -> asyncio.Task[T]:
            task = asyncio.get_running_loop().create_task(coroutine)
            await asyncio.sleep(0)  # so far that it is submitted
            return task

        return Pending(self._harness, self._harness.run(start()))
