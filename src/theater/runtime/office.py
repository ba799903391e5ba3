"""The post office: brings what the world has for actors, on behalf of the services of capabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from theater.errors import InvalidComponent, NotRunning, StoreError, TheaterError
from theater.model.ids import ActorId
from theater.model.news import Answered, Handled, Kept, News
from theater.model.ports import Append, Appended, Entry, EntryKey
from theater.runtime.actor import Actor
from theater.runtime.exports import HANDLED, handler_form
from theater.runtime.letter import Answer, Asker, Letter, Reply, encode_letter
from theater.runtime.mishap import report
from theater.runtime.services import kept_key
from theater.runtime.surroundings import Surroundings


def open_office(surroundings: Surroundings) -> None:
    """From now on the services of a node can reach its actors."""
    services = surroundings.node.services
    if services is not None:
        services.attach(Office(surroundings))


def begin_services(surroundings: Surroundings) -> None:
    """The node has started: open the services that keep something for actors."""
    services, store = surroundings.node.services, surroundings.node.store
    if services is not None:
        entries = (entry for holder in store.holders("service") for entry in store.entries(holder, "service"))
        services.begin(sorted({entry.key.partition("/")[0] for entry in entries}))


class Office:
    """One for a runtime; each service has a ``Counter`` of it. Any thread may use it that holds no actor's lock."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    def counter(self, capability: str) -> Counter:
        """Where the service of that capability is served."""
        return Counter(self._surroundings, capability)


class Counter:
    """Implements ``Post`` for one capability: what it keeps is apart from what others keep."""

    def __init__(self, surroundings: Surroundings, capability: str) -> None:
        self._surroundings = surroundings
        self._prefix = kept_key(capability, "")

    def bring(
        self,
        actor: ActorId,
        news: News,
        answered: Answered,
        *,
        is_durable: bool = False,
        keeps: Sequence[tuple[str, bytes]] = (),
        drops: Sequence[str] = (),
    ) -> Callable[[], None]:
        """Put news into an actor's mailbox."""
        assert is_durable or (news.has_place and not keeps and not drops), "such news have to be durable"
        telling = _Telling(answered)
        asker = Asker(telling.tell)
        letter = Letter(
            id=news.id,
            source=news.source,
            export=news.export,
            arguments=handler_form(news.export, news.arguments) if news.export in HANDLED else news.arguments,
            expects_reply=news.expects_reply,
            done=asker,
            is_durable=is_durable,
            has_place=news.has_place,
        )
        entries = self._entries(actor, keeps)
        gone = self._gone(actor, drops)
        if not is_durable:
            self._with(actor, lambda found: self._submit(found, letter), telling)
        elif news.has_place:
            self._with(actor, lambda found: self._post(found, letter, entries, gone, telling), telling)
        else:
            self._put(actor, letter, entries, gone, telling)

        def forgo() -> None:
            asker.is_gone = True
            found = self._surroundings.router.find(actor)
            if found is not None:
                found.forgo()

        return forgo

    def keep(
        self,
        actor: ActorId,
        done: Callable[[TheaterError | None], None],
        *,
        keeps: Sequence[tuple[str, bytes]] = (),
        drops: Sequence[str] = (),
    ) -> None:
        """Keep something for an actor."""

        def written(result: Appended | StoreError) -> None:
            done(result if isinstance(result, StoreError) else None)

        puts, gone = self._entries(actor, keeps), self._gone(actor, drops)
        self._surroundings.node.store.append(Append(actor, None, (), puts=puts, drops=gone), written)

    def kept(self, actor: ActorId | None = None) -> list[Kept]:
        """What is kept."""
        store = self._surroundings.node.store
        holders = store.holders("service") if actor is None else [actor]
        return [
            Kept(holder, entry.key.removeprefix(self._prefix), entry.value)
            for holder in holders
            for entry in store.entries(holder, "service")
            if entry.key.startswith(self._prefix)
        ]

    def is_living(self, actor: ActorId) -> bool:
        """Whether it has not ended."""
        return self._surroundings.directory.is_living(actor)

    def has_handler(self, actor: ActorId, export: str) -> bool:
        """Whether an actor that is in memory has it."""
        found = self._surroundings.router.find(actor)
        return found is not None and export in found.anatomy.loaded.handlers

    # -- helpers

    def _with(self, actor: ActorId, action: Callable[[Actor], bool], telling: _Telling) -> None:
        def guarded(found: Actor) -> bool:
            try:
                self._surroundings.thrift.require()
                return action(found)
            except TheaterError as error:
                telling.tell(error)
                return True

        self._surroundings.router.awake(actor, guarded, telling.fail)

    def _submit(self, found: Actor, letter: Letter) -> bool:
        _require_handler(found, letter.export)
        return found.submit(letter)

    def _post(
        self,
        found: Actor,
        letter: Letter,
        entries: tuple[Entry, ...],
        gone: tuple[EntryKey, ...],
        telling: _Telling,
    ) -> bool:
        _require_handler(found, letter.export)
        found.reserve_place(letter)
        self._put(found.record.id, letter, entries, gone, telling)
        return True

    def _put(
        self,
        actor: ActorId,
        letter: Letter,
        entries: tuple[Entry, ...],
        gone: tuple[EntryKey, ...],
        telling: _Telling,
    ) -> None:
        def written(result: Appended | StoreError) -> None:
            if isinstance(result, StoreError):
                telling.tell(result)

        mail = Entry(actor, "mailbox", letter.id, encode_letter(letter), once=True)
        batch = Append(actor, None, (), puts=(mail, *entries), drops=gone)
        self._surroundings.node.store.append(batch, written)
        self._surroundings.router.deliver(actor, letter)

    def _entries(self, actor: ActorId, keeps: Sequence[tuple[str, bytes]]) -> tuple[Entry, ...]:
        return tuple(Entry(actor, "service", self._prefix + key, value) for key, value in keeps)

    def _gone(self, actor: ActorId, drops: Sequence[str]) -> tuple[EntryKey, ...]:
        return tuple(EntryKey(actor, "service", self._prefix + key, required=False) for key in drops)


class _Telling:
    """Tells once what came of it, and lets no bug of a capability get into the thread that brings the answer."""

    __slots__ = ("_answered",)

    def __init__(self, answered: Answered) -> None:
        self._answered: list[Answered] = [answered]

    def tell(self, answer: Answer) -> None:
        try:
            answered = self._answered.pop()
        except IndexError:
            return
        try:
            answered(Handled(answer.text) if isinstance(answer, Reply) else answer)
        except Exception as error:  # noqa: BLE001 - see above
            report(error)

    def fail(self, error: TheaterError | None) -> None:
        """It cannot be brought."""
        self.tell(error or NotRunning("the runtime is closing"))


def _require_handler(found: Actor, export: str) -> None:
    if export in HANDLED and export not in found.anatomy.loaded.handlers:
        name = export.partition("#")[0]
        raise InvalidComponent(f"actor {found.record.name!r} does not export {name}: it cannot be told that")
