"""What replayed steps called, seen at the boundary: how often, and what of the grants that needs.

A replay that is watched runs each step against a host that passes every call on, derived ones as well, and looks at it
on the way. One that is not has no part of this.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from theater.capabilities.registry import Registry
from theater.errors import InvalidInput
from theater.model.crash import StepCrash, StepExit
from theater.model.effects import ChildOrder, Spawn, SpawnAndWait
from theater.model.execution import Host, Program
from theater.model.manifest import parse_manifest
from theater.model.narrowing import Need, SeenCall
from theater.model.wit import strip_version
from theater.runtime.anatomy import Anatomy
from theater.runtime.boundary import Boundary

NEEDS_MAX = 100_000
NEEDS_MAX_CHARS = 16 * 2**20
"""Different needs of one capability that are kept, and their texts together: 20 MB, or 40 where each is a long URL.
Where there are more, its grant stays as it was."""

Watch = Callable[[Anatomy, Boundary], Host]
"""Makes the host of one step that is run again."""

_METHOD = "[method]"
_DROP = "[resource-drop]"

_Needs = Callable[[SeenCall], object]


@dataclass(frozen=True, slots=True)
class _Interest:
    """Who wants to know of a function's calls."""

    owner: str
    """The capability whose grant the function is given."""
    asked: tuple[str, ...]
    """Those that are asked what a call needs."""


class Sightings:
    """What was seen of one or more histories. Steps are run by several threads; it may be read when they have ended."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._interests = _interests(registry)
        self._lock = threading.Lock()
        self._digests: set[str] = set()
        self._chars: Counter[str] = Counter()
        self._full: set[str] = set()
        self.calls: dict[str, Counter[str]] = {}
        """By the capability whose grant they were given: how often each function was called."""
        self.evidence: dict[str, Counter[str]] = {}
        """By capability: the same of other interfaces whose calls show what its grant is needed for."""
        self.needs: dict[str, Counter[Need]] = {}
        """By capability: how many calls have each need."""
        self.imported: set[str] = set()
        """The capabilities without whose grant a component of the histories cannot run."""
        self.exported: set[str] = set()
        """What its components export, without versions."""
        self.of_children: set[str] = set()
        """What the children asked for that were started: their parent can give them no more than it has."""

    def meet(self, program: Program) -> None:
        """A component of a history, whether a step was run in it or not."""
        with self._lock:
            if program.digest in self._digests:
                return
            self._digests.add(program.digest)
            self.exported |= {strip_version(interface) for interface in program.exported_interfaces}
            for wanted in program.imports:
                found = self._registry.table.get((strip_version(wanted.interface), wanted.name))
                if found is not None and found[0].ungranted is None:
                    self.imported.add(found[0].name)

    def watch(self, anatomy: Anatomy, boundary: Boundary) -> Host:
        """The host of a step."""
        self.meet(anatomy.loaded.program)
        return _Watched(self, anatomy, boundary)

    def count(self, interface: str, function: str) -> None:
        """A function was called."""
        interest = self._interests.get((interface, function))
        if interest is not None:
            with self._lock:
                self.calls.setdefault(interest.owner, Counter())[f"{interface}#{function}"] += 1

    def note(self, call: SeenCall) -> None:
        """A call has been answered."""
        interest = self._interests.get((call.interface, call.function))
        for name in interest.asked if interest is not None else ():
            least = self._registry.capabilities[name].least
            assert least is not None
            found = set(least.needs(call))
            with self._lock:
                kept = self.needs.setdefault(name, Counter())
                new = found - kept.keys()
                self._chars[name] += sum(len(part) for need in new for part in need if isinstance(part, str))
                if new and (len(kept) + len(new) > NEEDS_MAX or self._chars[name] > NEEDS_MAX_CHARS):
                    self._full.add(name)
                    found -= new
                kept.update(found)
                if found and interest is not None and name != interest.owner:
                    self.evidence.setdefault(name, Counter())[f"{call.interface}#{call.function}"] += 1

    def is_full(self, name: str) -> bool:
        """Whether there was more to keep of a capability than is kept."""
        return name in self._full

    def spawned(self, order: ChildOrder) -> None:
        """A child was ordered."""
        try:
            asked = parse_manifest(order.manifest, params=order.params).capabilities
        except InvalidInput:  # then there was no child
            return
        with self._lock:
            self.of_children |= asked.keys()


class _Watched:
    """Implements ``Host`` by a boundary, and tells of each call."""

    __slots__ = ("_anatomy", "_boundary", "_effects", "_played", "_sightings")

    def __init__(self, sightings: Sightings, anatomy: Anatomy, boundary: Boundary) -> None:
        self._sightings = sightings
        self._anatomy = anatomy
        self._boundary = boundary
        self._effects = 0
        self._played = 0

    def call(self, interface: str, function: str, args: tuple[object, ...]) -> object:
        if function.startswith(_DROP):
            return self._boundary.call(interface, function, args)
        context = self._boundary.context
        now_us = context.now_us
        arguments = args
        if function.startswith(_METHOD) and isinstance(args[0], int):
            arguments = (context.resources.get(args[0]), *args[1:])
        self._sightings.count(interface, function)
        answer: object = None
        try:
            answer = self._boundary.call(interface, function, args)
        except (StepCrash, StepExit):
            self._note(interface, function, arguments, None, now_us)
            raise
        self._note(interface, function, arguments, answer, now_us)
        return answer

    def tick(self) -> None:
        self._boundary.tick()

    def _note(self, interface: str, function: str, args: tuple[object, ...], answer: object, now_us: int) -> None:
        facts = self._anatomy.facts
        self._sightings.note(SeenCall(facts.actor, facts.parent, interface, function, args, answer, now_us))
        effects, played = self._boundary.context.effects, self._boundary.played
        for effect in [*effects[self._effects :], *(each for each, _ in played[self._played :])]:
            if isinstance(effect, Spawn | SpawnAndWait):
                self._sightings.spawned(effect.order)
        self._effects, self._played = len(effects), len(played)


def _interests(registry: Registry) -> Mapping[tuple[str, str], _Interest]:
    found: dict[tuple[str, str], _Interest] = {}
    known = registry.capabilities
    for key, (capability, _) in registry.table.items():
        owner = capability.under or capability.name
        asked = {name: None for name in (owner,) if name in known and known[name].least is not None}
        asked |= {name: None for name, other in known.items() if other.least is not None and key[0] in other.least.also}
        found[key] = _Interest(owner, tuple(asked))
    return found
