"""What capabilities keep for a whole node, and the threads on which acts in the world are performed.

A capability's service is opened when something of it is first called live, and closed with the node. An act runs on a
thread of its own, so that no guest's thread waits for the world; there are ``ACTS_MAX`` of them, and who comes when all
are busy waits, within the time that its call may take.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from theater.capabilities.registry import Registry
from theater.errors import InvalidInput
from theater.model.act import Act
from theater.model.ids import ActorId
from theater.model.news import Post
from theater.model.ports import Clock, Entropy
from theater.model.service import Resident, Service
from theater.runtime.mishap import report

LookUpSecret = Callable[[str], str | None]
LookUpCertificate = Callable[[str], tuple[str, str] | None]
"""Name to value; None where there is none."""

ACTS_MAX = 64
"""Requests to other machines and programs that are waited for at once, on one node: each takes a thread."""


class Interrupt:
    """Implements ``Interruption``: wanted once, and for ever."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: list[Callable[[], None]] = []
        self._at_end: list[Callable[[], None]] = []
        self._is_wanted = False
        self._is_over = False

    @property
    def is_wanted(self) -> bool:
        """Whether the act should stop."""
        return self._is_wanted

    def when_wanted(self, action: Callable[[], None]) -> None:
        """Call ``action`` once it should, or now where it should already."""
        with self._lock:
            if not self._is_wanted:
                self._actions.append(action)
                return
        action()

    def when_over(self, action: Callable[[], None]) -> None:
        """Call ``action`` once the step is over, or now where it is already."""
        with self._lock:
            if not self._is_over:
                self._at_end.append(action)
                return
        action()

    def want(self) -> None:
        """Nobody waits for it any more."""
        with self._lock:
            self._is_wanted = True
            actions, self._actions = self._actions, []
        _call_all(actions)

    def end(self) -> None:
        """The step is over: nor does anybody wait for what it left going."""
        self.want()
        with self._lock:
            self._is_over = True
            actions, self._at_end = self._at_end, []
        _call_all(actions)


def _call_all(actions: list[Callable[[], None]]) -> None:
    for action in actions:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - a bug of a capability; the others have to stop as well
            report(error)


class OwnPlace:
    """Implements ``Place`` for one capability."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        entropy: Entropy,
        secret: LookUpSecret,
        certificate: LookUpCertificate = lambda _name: None,
        post: Post | None = None,
    ) -> None:
        self._folder = folder
        self.clock = clock
        self.entropy = entropy
        self._secret = secret
        self._certificate = certificate
        self._post = post

    @property
    def post(self) -> Post:
        """To the actors of the node."""
        assert self._post is not None, "a node that runs steps has a post office"
        return self._post

    @property
    def folder(self) -> Path:
        """Made when it is asked for."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder

    def secret(self, name: str) -> str | None:
        """Looked up anew each time."""
        return self._secret(name)

    def report(self, error: BaseException) -> None:
        """To whoever looks at the node's errors."""
        report(error)

    def certificate(self, name: str) -> tuple[str, str] | None:
        """As the config had it when the node was opened."""
        return self._certificate(name)


class PostOffice(Protocol):
    """Who brings news to actors."""

    def counter(self, capability: str) -> Post:
        """Where the service of that capability is served."""


def kept_key(capability: str, key: str) -> str:
    """Under which the store has what a capability keeps for an actor by ``key``."""
    return f"{capability}/{key}"


class Services:
    """Those of one node. Any thread may use it; ``close`` it before the store."""

    def __init__(
        self,
        registry: Registry,
        folder: Path,
        *,
        clock: Clock,
        entropy: Entropy,
        secret: LookUpSecret = lambda _name: None,
        certificate: LookUpCertificate = lambda _name: None,
    ) -> None:
        self._secret = secret
        self._certificate = certificate
        self._registry = registry
        self._folder = folder
        self._clock = clock
        self._entropy = entropy
        self._lock = threading.Lock()
        self._open: dict[str, Service] = {}
        self._office: PostOffice | None = None
        self._closing = ExitStack()
        self._acts: ThreadPoolExecutor | None = None
        self._under_way: set[Interrupt] = set()
        self._is_closed = False

    def of(self, capability: str) -> Service:
        """That of one capability, opened where it is not yet.

        Raises:
            InvalidInput: the capability has none, or the node closes.
        """
        found = self._open.get(capability)
        if found is not None:
            return found
        with self._lock:
            found = self._open.get(capability)
            if found is None:
                opening = self._registry.capabilities[capability].open_service
                if opening is None or self._is_closed:
                    raise InvalidInput(f"the capability {capability!r} has no service here")
                post = self._office.counter(capability) if self._office is not None else None
                folder = self._folder / capability
                place = OwnPlace(folder, self._clock, self._entropy, self._secret, self._certificate, post)
                found = opening(place)
                self._closing.callback(found.close)
                self._open[capability] = found
            return found

    # -- residents

    def attach(self, office: PostOffice) -> None:
        """From now on services can reach actors."""
        self._office = office

    def begin(self, capabilities: Iterable[str]) -> None:
        """The node has started: open the services of these capabilities, which keep something for actors."""
        for capability in capabilities:
            if capability in self._registry.capabilities:
                self.of(capability)

    def told(self, capability: str, actor: ActorId, order: object) -> None:
        """A step has closed that told the service something."""
        resident = self.of(capability)
        assert isinstance(resident, Resident), f"the service of {capability!r} listens to nobody"
        resident.told(actor, order)

    def confirmed(self, capability: str, actor: ActorId, order: object) -> None:
        """That is durable."""
        resident = self._open.get(capability)
        if isinstance(resident, Resident) and not self._is_closed:
            resident.confirmed(actor, order)

    def doubted(self, actor: ActorId) -> None:
        """What an actor told may not be written."""
        self._tell_all(lambda resident: resident.doubted(actor))

    def ended(self, actor: ActorId) -> None:
        """An actor runs no longer."""
        self._tell_all(lambda resident: resident.ended(actor))

    def removed(self, actor: ActorId) -> None:
        """There is no such actor any more."""
        self._tell_all(lambda resident: resident.removed(actor))

    def shown(self, actor: ActorId) -> list[str]:
        """What the services have for that actor, for a person to read."""
        return [line for resident in self._residents() for line in resident.shown(actor)]

    def _residents(self) -> list[Resident]:
        return [service for service in list(self._open.values()) if isinstance(service, Resident)]

    def _tell_all(self, tell: Callable[[Resident], None]) -> None:
        for resident in () if self._is_closed else self._residents():
            try:
                tell(resident)
            except Exception as error:  # noqa: BLE001 - a bug of one capability must not keep the others from it
                report(error)

    # -- acts

    def perform(self, capability: str, act: Act, done: Callable[[object], None]) -> Interrupt:
        """Perform an act on a thread of its own; ``done`` hears the answer there, once.

        It does not where the node closes first, or where the act is interrupted before its turn has come: then nothing
        was done. What the act raises against its promise is reported, and answered as if nobody knew what came of it.
        """
        interrupt = Interrupt()

        def work() -> None:
            try:
                answer = self._answer(capability, act, interrupt)
            finally:
                with self._lock:
                    self._under_way.discard(interrupt)
            if answer is not None:
                done(answer)

        with self._lock:
            if self._is_closed:
                return interrupt
            if self._acts is None:
                self._acts = ThreadPoolExecutor(max_workers=ACTS_MAX, thread_name_prefix="theater-outside")
            self._under_way.add(interrupt)
            try:
                self._acts.submit(work)
            except RuntimeError:  # no thread could be started for it; another one may still find it in the queue
                self._under_way.discard(interrupt)
                interrupt.want()
                raise
        return interrupt

    def _answer(self, capability: str, act: Act, interrupt: Interrupt) -> object:
        """What an act comes to; None where nobody waited for it any more when its turn came: it was not performed."""
        with self._lock:
            if self._is_closed or interrupt.is_wanted:
                return None
        try:
            return act.perform(self.of(capability), interrupt)
        except Exception as error:  # noqa: BLE001 - a bug of the capability must leave no guest waiting
            if not self._is_closed:  # when it may have come too late for its service
                report(error)
            return act.unknown()

    def close(self) -> None:
        """Interrupt every act, join every thread, close every service."""
        with self._lock:
            self._is_closed = True
            under_way, acts = list(self._under_way), self._acts
        for interrupt in under_way:
            interrupt.want()
        if acts is not None:
            acts.shutdown(wait=True, cancel_futures=True)
        self._closing.close()
