"""What a capability is: its grant, its host functions, and the class of each.

The class says when a function acts and what is recorded (``HostClass``); it is declared where the function is
registered, and the boundary does the rest. A capability therefore cannot forget to record, and cannot act too early.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, Self, TypeVar, runtime_checkable

from theater.model.act import Act
from theater.model.actor_system import ActorSystem
from theater.model.crash import StepCrash
from theater.model.effects import AtOnce, Effect, Tell
from theater.model.ids import ActorId, Digest
from theater.model.limits import Limits
from theater.model.narrowing import Least
from theater.model.randomness import Stream
from theater.model.service import Place, Service


class HostClass(Enum):
    """When a host function acts, and what of it is recorded."""

    DERIVED = "derived"
    """Computed from what the step knew when it began; no event; replay computes it again."""
    OUTPUT = "output"
    """A ``log`` event; acts when that is committed; replay compares."""
    READ = "read"
    """Acts at once; a ``host`` event; replay answers from it."""
    BUFFERED = "buffered"
    """A ``host`` event; acts with the commit of the step; made again by a re-run."""
    WAITING = "waiting"
    """``intent``, then ``host`` with the time at which it was answered; stands even if the step fails."""
    EXTERNAL = "external"
    """``intent``, then ``host``; acts at once and stands; after a death in between: outcome unknown."""


SUSPENDING = frozenset({HostClass.WAITING, HostClass.EXTERNAL})


@dataclass(frozen=True, slots=True)
class Wait:
    """What a waiting function returns to wait until ``until_us``; ``answer`` makes the answer once that is reached.

    The step's clock then shows the time at which the wait really ended, so ``answer`` may ask the context for it.
    A waiting function that need not wait returns its answer directly, and is then recorded as nothing at all: such
    an answer must be derived.

    Where the step's limit ``wait`` ends the wait before that, ``answer`` is called all the same, with a clock that
    shows a time before ``until_us``: it answers the interface's error for it, or ends the step.

    With an ``effect``, the wait is for what comes of it, which is the answer; ``until_us`` is when the guest stops
    waiting, and ``answer`` what it gets then. A function that waits so has a ``check``, and its ``run`` depends on
    nothing but its context and arguments: a step that is resumed makes the same effect again and waits on.

    With an ``act``, the wait is for what that comes to out in the world.
    """

    until_us: int
    answer: Callable[[], object]
    effect: AtOnce | None = None
    act: Act | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """What a function of any class returns for a call beyond its grant: the interface's error for it, as ``answer``.

    A ``check`` returns it too where the call cannot be made as things are now.

    Nothing was touched. The guest gets ``answer``; the call is recorded as a ``host`` event, so that it can be seen and
    counted, even where an answer within the grant would have been derived. ``note`` is a JSON value that is recorded
    with it: what was asked, where arguments and answer do not say that.
    """

    answer: object
    note: object = None


@dataclass(frozen=True, slots=True)
class Noted:
    """What a buffered function returns to have more recorded than arguments and answer: what it read to decide.

    ``note`` is a JSON value; it is ``StepContext.note`` when the function's ``act`` is called, live or not.
    """

    answer: object
    note: object


class Holding(Protocol):
    """Something of a guest's that the host keeps in memory."""

    held_bytes: int


class Resources:
    """The resources of one instance: numbered in the order of creation, from 1; a number is never used again.

    An item that keeps bytes of the guest's is ``Holding``; their number is changed by ``hold`` alone. One with a method
    ``let_go`` hears when the guest has let go of it.
    """

    __slots__ = ("_children", "_items", "_next", "_parents", "held_bytes")

    def __init__(self) -> None:
        self._items: dict[int, object] = {}
        self._next = 1
        self._parents: dict[int, int] = {}
        self._children: dict[int, int] = {}
        self.held_bytes = 0
        """What all items keep."""

    def add(self, item: object, *, of: int | None = None) -> int:
        """Give ``item`` the next number. It is a child ``of`` another one, which must not go before it."""
        number = self._next
        self._next += 1
        self._items[number] = item
        self.held_bytes += getattr(item, "held_bytes", 0)
        if of is not None:
            self._parents[number] = of
            self._children[of] = self._children.get(of, 0) + 1
        return number

    def get(self, number: int) -> Any:  # noqa: ANN401 - each capability knows what it put there
        """The item of a number that the guest holds. The engine lets no other number through."""
        return self._items[number]

    def hold(self, item: Holding, more_bytes: int, *, most_bytes: int) -> None:
        """Have ``item``, which is one of these, keep so many bytes more.

        Raises:
            StepCrash: all of them would keep more than ``most_bytes``.
        """
        if self.held_bytes + more_bytes > most_bytes:
            raise StepCrash("host-data", f"the host would keep more than {most_bytes} bytes for this guest")
        item.held_bytes += more_bytes
        self.held_bytes += more_bytes

    def drop(self, number: int) -> None:
        """The guest let go of it.

        Raises:
            StepCrash: it has children, which is a trap.
        """
        if self._children.get(number):
            raise StepCrash("trap", "the guest let go of a resource before it let go of its children")
        item = self._items.pop(number, None)
        self.held_bytes -= getattr(item, "held_bytes", 0)
        parent = self._parents.pop(number, None)
        if parent is not None:
            self._children[parent] -= 1
            if not self._children[parent]:
                del self._children[parent]
        let_go = getattr(item, "let_go", None)
        if let_go is not None:
            let_go()


class StepContext(Protocol):
    """What a host function may know and do. It is the same in a live step and in a replayed one."""

    @property
    def actor(self) -> ActorId:
        """The actor's id."""

    @property
    def name(self) -> str:
        """The actor's name."""

    @property
    def parent(self) -> ActorId | None:
        """The actor that spawned this one; None where it was started from outside."""

    @property
    def component(self) -> Digest:
        """The component that runs this step."""

    @property
    def limits(self) -> Limits:
        """The actor's limits."""

    @property
    def now_us(self) -> int:
        """The step's standing clock, microseconds since 1970; moves only when a wait was answered."""

    @property
    def started_us(self) -> int:
        """The time of the actor's genesis: where its monotonic clock begins."""

    @property
    def environment(self) -> tuple[tuple[str, str], ...]:
        """The granted variables with their values as of genesis."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The program's arguments as of genesis, without a program name."""

    def read_stdin(self, size_bytes: int) -> bytes | None:
        """At most so many of the next bytes that the program was given to read as of genesis; None at their end."""

    def grant(self, capability: str) -> Any:  # noqa: ANN401 - each capability knows its own
        """The actor's grant of another capability, which its arguments lead to; None where it has none."""

    @property
    def resources(self) -> Resources:
        """The instance's resources."""

    @property
    def lasting(self) -> set[object]:
        """What acts of the step have left going, for whoever has to bound it."""

    def random(self, stream: Stream, size_bytes: int) -> bytes:
        """The next bytes of one of the step's random streams."""

    def write(self, stream: str, data: bytes, *, level: str | None = None) -> None:
        """Put guest output into the chain: ``stream`` is ``stdout``, ``stderr`` or ``log``.

        stdout and stderr are cut into events at line ends; ``log`` makes one event a call.
        """

    def flush(self, stream: str) -> None:
        """Make an event of an unfinished line."""

    @property
    def call_id(self) -> str:
        """The id that this call gives out; only where the function is registered with ``gives_id``.

        It follows from the actor, the message and the number of such calls in the step so far, so that a step that is
        run again gives the same ids.
        """

    @property
    def note(self) -> object:
        """In ``act``: what the call noted (``Noted``), None where nothing."""

    @property
    def effects(self) -> Sequence[Effect]:
        """The buffered calls of the step so far."""

    def act(self, effect: Effect) -> None:
        """Have this done when the step commits."""

    @property
    def system(self) -> ActorSystem:
        """The other actors.

        Only there when a call is answered live: in ``run`` of read and buffered functions, and in ``check``.
        """

    @property
    def service(self) -> Any:  # noqa: ANN401 - each capability knows what it made
        """What the capability's ``open_service`` made for the node. Only there when a call is answered live."""


class Grant(Protocol):
    """What a manifest's ``[capabilities.NAME]`` table, once parsed, allows.

    Frozen; empty means nothing beyond defaults.
    """

    def table(self) -> dict[str, Any]:
        """As it would stand in a manifest, defaults written out; ``parse(table())`` gives an equal grant."""

    def lines(self, beyond: Any) -> list[str]:  # noqa: ANN401 - a grant of the same type
        """What this asks that ``beyond`` does not allow, a manifest line each.

        ``beyond`` is a ceiling's or a parent's grant, or None where there is none. A list has a line for each
        of its items, so that what two grants leave over can be compared line by line. Where nothing is asked but the
        capability itself, and ``beyond`` is None, it is the table's head.
        """

    def narrowed(self, ceiling: Any) -> Any:  # noqa: ANN401 - a grant of the same type
        """The widest grant within both. ``ceiling`` may be None where ``lines(None)`` is empty."""


@runtime_checkable
class Located(Protocol):
    """A grant that has paths in it, which may be relative to the folder of the manifest that they stand in.

    Wherever grants are compared, recorded or used, they are absolute: what a child may is then plain from the text.
    """

    @property
    def is_relative(self) -> bool:
        """Whether a path in it is."""

    def located(self, folder: str | None) -> Self:
        """With every path absolute; without those that are relative where there is no folder."""


G_co = TypeVar("G_co", covariant=True)
"""The grant's type; covariant, so that ``Capability[Grant]`` is any capability."""

HostRun = Callable[..., object]
"""``(ctx, grant, *args)``: the arguments and the answer in the shapes of ``theater.model.wit``."""


HostAct = Callable[..., None]
"""``(ctx, answer, *args)``: adds to the step what a buffered call does, if its answer says that it is done."""

HostCheck = Callable[..., "Denied | None"]
"""``(ctx, grant, *args)``: whether a call that would wait can be made as things are."""


@dataclass(frozen=True, slots=True)
class HostFunction:
    """One function, by its interface without version and its name as in WIT, and who answers it.

    A derived, output or time-waiting function has only ``run``, which a replay runs, too; so has an external one: it
    decides from its arguments and grant alone, and returns a ``Wait`` with an ``act``, or an answer that is derived.
    A read function's ``run`` is called live alone. So is that of a buffered function: it decides, and its ``act``,
    which is always there and always called behind it, live and in every re-run, adds the effect that the (perhaps
    recorded) answer speaks of. A function that waits for others has a ``check``, called live alone, before anything is
    recorded of the call.
    """

    interface: str
    name: str
    host_class: HostClass
    run: HostRun
    act: HostAct | None = None
    check: HostCheck | None = None
    looks: bool = False
    """Of a read function: ``run`` is called in a replay, too. It decides from its arguments, its grant and the step's
    resources alone, and returns a ``Look``, or an answer that is derived. An external function may do so as well."""
    gives_id: bool = False
    """Each call, successful or not, takes the next id of the step. An answer ``ok`` that is a text is that id."""

    def __post_init__(self) -> None:
        assert (self.act is not None) == (self.host_class is HostClass.BUFFERED), self.name
        assert self.check is None or self.host_class is HostClass.WAITING, self.name
        assert not self.looks or self.host_class is HostClass.READ, self.name


@dataclass(frozen=True, slots=True)
class Capability(Generic[G_co]):
    """One capability: all that the core knows of it.

    ``parse(table)`` makes a grant from a manifest table and raises ``InvalidManifest`` naming the key. ``ungranted`` is
    the grant under which functions run that are linked without having been asked for (``wasi:*``), or None where the
    interface is not linked then.
    """

    name: str
    parse: Callable[[Mapping[str, Any]], G_co]
    functions: tuple[HostFunction, ...]
    interfaces: tuple[str, ...]
    default_ceiling: G_co | None
    ungranted: G_co | None = None
    under: str | None = None
    """Another capability, whose grant its functions are given where the actor has it: the same things by another
    interface."""
    open_service: Callable[[Place], Service] | None = None
    """Called once a node, when something of the capability is first called live."""
    least: Least[G_co] | None = None
    """How its grant is narrowed to what a history needs; None: it is left as it was granted."""
    serves: Callable[[Service, ActorId, Any, bool], Tell | None] | None = None
    """``(service, actor, grant, must)``, called at the birth of an actor that is a service: reserves where it is asked.

    The capability's service is told what comes back, which is kept with the birth. Where the actor cannot be asked
    there, it raises ``InvalidInput``, and leaves nothing reserved; unless it ``must`` go on, as the birth of a child
    has to: then that shows later.
    """
