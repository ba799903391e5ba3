"""What the runtime needs from the outside world, as interfaces that others implement.

Time and entropy are ports so that tests can hold them; the event store is a port because it has two implementations
and will have more. An ``append`` may take seconds: it is asynchronous, and a chain never has two under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from theater.errors import StoreError
from theater.model.blob_space import BlobSpace, BlobWrites, LearnIndex
from theater.model.event import Event, Head
from theater.model.ids import ActorId, Digest

Status = Literal["running", "paused", "stopped", "crashed"]

LIVING: tuple[Status, ...] = ("running", "paused")
"""An actor that takes messages, and whose name is its own."""

Space = Literal[
    "mailbox", "signal", "answer", "deferred", "timer", "channel", "child", "duty", "subscription", "key", "service"
]
"""What kinds of things an actor holds durably beside its chain; see ``Entry``."""

Durability = Literal["process", "power"]
"""What an acknowledged write survives: the death of the process, or the loss of power."""


class Clock(Protocol):
    """Where time comes from."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""

    def call_at(self, when_us: int, action: Callable[[], None]) -> Callable[[], None]:
        """Run ``action`` once, soon after ``when_us``, on a thread of the clock's; returns what cancels it."""

    def close(self) -> None:
        """Cancel what waits and join the clock's thread."""


class Entropy(Protocol):
    """Where unpredictable bytes come from."""

    def take(self, size_bytes: int) -> bytes:
        """Fresh random bytes."""


@dataclass(frozen=True, slots=True)
class ActorRecord:
    """The row by which an actor is found. Everything else about it is in its chain."""

    id: ActorId
    name: str
    """Unique among actors that are neither stopped nor crashed."""
    status: Status
    parent: ActorId | None
    created_us: int
    program: Digest
    has_hidden_state: bool = False
    """Found by sampling: a step of a warm instance depended on more than its inputs. It runs fresh since then."""
    engine: str = ""
    """Fingerprint of the engine that its chain named last; "" where that, and hidden state, has to be looked up."""
    restarts: int = 0
    """How often it was started again."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """Something that an actor holds durably beside its chain, until it is dropped: a waiting message, a timer, a child.

    ``value`` is whatever the runtime wrote; the store does not look into it. Entries of an actor come back in the order
    in which they were first put. With ``once``, an entry that is there already stays as it is: the second was a
    duplicate; without, the value is replaced, and the place in the order kept.
    """

    actor: ActorId
    space: Space
    key: str
    value: bytes
    once: bool = False


class EntryKey(msgspec.Struct, frozen=True, gc=False):
    """An entry to be dropped, or only looked for. Where a ``required`` one is not there, nothing at all is written.

    So a step cannot be committed on a message that was never accepted, nor twice on the same one.
    """

    actor: ActorId
    space: Space
    key: str
    required: bool = True


class Append(msgspec.Struct, frozen=True):
    """One transaction: all of it or nothing.

    ``expected`` is the head that the chain must have; None, and then without events, where only entries are written.
    ``record`` is written (inserted or replaced) with the events. ``attempt`` sets the durable attempt mark of the
    actor's open step: the number of times that running it was begun after an unclean stop; 0 clears it. ``drops`` are
    made before ``puts``; both may concern other actors too, which must have a chain, or get one by ``births``: the
    first appends of chains that begin in this very transaction (these have no births of their own). ``requires`` have
    to be there before anything is dropped, and stay: what an open step rests on.
    """

    actor: ActorId
    expected: Head | None
    events: tuple[Event, ...]
    record: ActorRecord | None = None
    attempt: int | None = None
    puts: tuple[Entry, ...] = ()
    drops: tuple[EntryKey, ...] = ()
    births: tuple[Append, ...] = ()
    requires: tuple[EntryKey, ...] = ()
    erases: bool = False
    """Whether the actor is removed: its row and all that it holds go in this transaction, and ``wipe`` erases the
    payloads of all its events but those of this batch. Their headers stay, and so does the node-wide index. From then
    on nothing is appended to its chain (``HeadConflict``), and what others put for it is passed over: it was on its
    way, and whoever sent it finds nobody. The spaces for blobs that end with it go in this transaction, too."""
    blobs: tuple[BlobWrites, ...] = ()
    """What steps change in spaces for blobs, by the rules of ``theater.model.blob_space``; for a space whose owner was
    removed they are passed over."""


class Appended(msgspec.Struct, frozen=True):
    """The append is durable. ``first_index`` is the node-wide index of its first event."""

    head: Head
    first_index: int


AppendDone = Callable[[Appended | StoreError], None]


class Written(msgspec.Struct, frozen=True):
    """One transaction that was committed: the batches in it that were written, and how long writing them took."""

    batches: tuple[Append, ...]
    took_s: float


Observer = Callable[[Written], None]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a store knows of itself. ``unclean`` is True when the last holder did not close it."""

    unclean: bool
    public_key: str
    """Ed25519, 64 hex digits: made with the store."""
    durability: Durability


@dataclass(frozen=True, slots=True)
class Swept:
    """Files that were removed, and what they took."""

    files: int = 0
    size_bytes: int = 0

    def __add__(self, other: Swept) -> Swept:
        """Both together."""
        return Swept(self.files + other.files, self.size_bytes + other.size_bytes)


class EventStore(Protocol):
    """Chains, the index of actors, and the node-wide index over all events."""

    def facts(self) -> NodeFacts:
        """What it knows of itself."""

    def append(self, batch: Append, done: AppendDone, *, hurry: bool = True) -> None:
        """Write a batch; ``done`` hears the result, once, on the thread that wrote. Never blocks for the disk.

        Errors handed to ``done``: ``HeadConflict`` (the head is another, or a required entry is not there; nothing
        written), ``Fenced``, ``Damaged`` and its child ``DiskFull``, ``NameTaken`` through ``StoreError.data``. Raises
        nothing of these itself. Batches are written in the order in which they were handed over.

        Without ``hurry`` it may stay queued until the next ``flush`` or hurried append: for a caller that will bring
        more at once and then flush.
        """

    def flush(self, written: Callable[[], None] = lambda: None) -> None:
        """Write what is queued, perhaps on this thread, and then the callbacks run here.

        ``written`` is called when the writing on this thread is over, before the callbacks; not if there was none.

        Waits for the disk no more than writing to a file does: where the store promises to survive the loss of power,
        another thread writes.
        """

    def head(self, actor: ActorId) -> Head:
        """The durable head of a chain, ``EMPTY`` where there is none."""

    def heads(self, actors: Sequence[ActorId]) -> dict[ActorId, Head]:
        """The durable heads of many chains, of those of them that there are; quicker than one by one."""

    def events(self, actor: ActorId, *, start: int = 0, stop: int | None = None) -> Iterator[Event]:
        """Durable events with ``start <= seq < stop`` in order.

        Raises ``Damaged`` where stored bytes are not what was written.
        """

    def events_reversed(self, actor: ActorId, *, start: int) -> Iterator[Event]:
        """Durable events from ``seq = start`` backwards to 0."""

    def events_by_index(self, *, start: int, limit: int) -> Iterator[tuple[int, Event]]:
        """Durable events of all actors in node-wide order, with their index."""

    def record(self, actor: ActorId) -> ActorRecord | None:
        """The row of one actor."""

    def records(self) -> list[ActorRecord]:
        """The rows of all actors, oldest first."""

    def find(self, text: str) -> list[ActorRecord]:
        """Rows whose name equals ``text`` (living ones first), or whose id equals it, or whose id begins with it."""

    def attempt(self, actor: ActorId) -> int:
        """The attempt mark of an actor's open step, 0 where none is set."""

    def entries(self, actor: ActorId, space: Space | None = None) -> list[Entry]:
        """What an actor holds, of one space or of all, in the order in which it was first put."""

    def entry(self, actor: ActorId, space: Space, key: str) -> Entry | None:
        """One entry."""

    def holders(self, *spaces: Space) -> list[ActorId]:
        """The actors that hold anything in one of these spaces, oldest actor first."""

    def size_entries(self, space: Space) -> dict[ActorId, int]:
        """How many entries of a space each actor holds, where it holds any."""

    def read_space(self, space: BlobSpace, learn: LearnIndex) -> None:
        """Have ``learn`` hear, on this thread, what is in a space for blobs, while nobody writes.

        All that is in it then, observers have been told of, and nothing else. Not to be called from what ``append``
        calls back.
        """

    def blob(self, space: BlobSpace, blob: Digest, *, offset: int, size_bytes: int) -> bytes | None:
        """At most so many bytes of a guest's blob, from ``offset`` on; None where there is no such blob."""

    def size_events(self) -> int:
        """How many events the node-wide index covers."""

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` behind each transaction, once what waits for it has been called back, on that thread.

        It must be quick. Several may be set, and stay. What one raises is reported, and keeps nobody from anything.
        """

    def size_bytes(self, actor: ActorId) -> int:
        """What the chain takes: headers and payloads, large ones included."""

    def free_bytes(self) -> int:
        """How much room there is for more, as the system says."""

    def wipe(self, may_go_on: Callable[[], bool] = lambda: True) -> int:
        """Erase the payloads of actors that were removed, and say how many bytes. Blocks, in slices of short writes.

        What was begun and not finished when a process died, or when ``may_go_on`` said no, is taken up by the next
        call. Not to be called from what ``append`` calls back; and what waits for other batches may be called back on
        this thread.
        """

    def sweep(self) -> Swept:
        """Remove files that nobody names, since a process died before it said what they are. Blocks."""

    def close(self) -> None:
        """Finish what was appended, mark the store cleanly closed and let go of it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One blob. ``since_us`` is when it was last put there."""

    digest: Digest
    size_bytes: int
    since_us: int


class BlobStore(Protocol):
    """Content by digest: components, as files so that the engine can map them."""

    def put(self, data: bytes) -> Digest:
        """Keep ``data``; the same bytes are kept once."""

    def path(self, digest: Digest) -> Path:
        """The file with exactly these bytes. Raises ``NotFound``, or ``Damaged`` if its bytes are not the digest's."""

    def has(self, digest: Digest) -> bool:
        """Whether it is kept here."""

    def kept(self) -> Iterator[Kept]:
        """Everything that is kept here."""

    def remove(self, digest: Digest, *, put_before_us: int | None = None) -> bool:
        """Keep it no longer, unless it was put there at ``put_before_us`` or later. Whether it was removed."""

    def sweep(self) -> Swept:
        """Remove what was half written when a process died. Blocks."""
