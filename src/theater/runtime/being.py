"""One actor as its parts share it: what it is at this moment, its chain, and the lock that guards all of it."""

from __future__ import annotations

from theater.errors import NotRunning
from theater.model.ids import ActorId
from theater.model.ports import ActorRecord, Status
from theater.runtime.anatomy import Anatomy
from theater.runtime.appender import Appender
from theater.runtime.holdings import Holdings
from theater.runtime.life import Memory
from theater.runtime.surroundings import Surroundings
from theater.runtime.thrift import shortage_in_words


class Being:
    """See above."""

    __slots__ = ("anatomy", "appender", "committed", "holdings", "lock", "memory", "record", "surroundings")

    def __init__(
        self,
        surroundings: Surroundings,
        anatomy: Anatomy,
        memory: Memory,
        record: ActorRecord,
        appender: Appender,
        holdings: Holdings,
    ) -> None:
        self.surroundings = surroundings
        self.anatomy = anatomy
        self.memory = memory
        self.record = record
        self.appender = appender
        self.holdings = holdings
        self.lock = surroundings.exclusion.lock()
        self.committed = memory.state_seq, memory.state
        """The seq of the event that holds the last committed state, and the state."""

    @property
    def id(self) -> ActorId:
        """Its id."""
        return self.record.id

    @property
    def status(self) -> Status:
        """As of now."""
        return self.record.status

    def become(self, record: ActorRecord) -> None:
        """It is something else now, and everybody sees it: unless its chain failed, and it will not come to be."""
        self.record = record
        if self.appender.failure is None:
            self.surroundings.directory.put(record)

    def not_running(self, what: str, so: str = "takes no messages") -> NotRunning:
        """Why it does not do something."""
        why = shortage_in_words(self) if what == "stopped" else ""
        return NotRunning(f"actor {self.record.name!r} is {what}: it {so}{why}")
