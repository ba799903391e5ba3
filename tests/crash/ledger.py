"""What a client was told, and whether it was true: each token that was acknowledged is in one log, none is in two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

BOSS = "boss"  # its log is about its children
HOST_DIED = "host-died"
EXPECTED_CRASHES = frozenset(("trap", HOST_DIED))


@dataclass(slots=True)
class Entry:
    """One token. Times are numbers of events at the client: of what was said and heard, in their order."""

    kind: str
    target: str
    said: int
    heard: int | None = None
    was_refused: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, of which nothing should be; and how much there was."""

    lost: list[str]
    twice: list[str]
    refused_and_done: list[str]
    out_of_order: list[str]
    strays: list[str]
    faulty: list[str]
    unlike: list[str]
    acknowledged: int
    excused: int
    noted: int
    errors: dict[str, int]
    crashes: dict[str, int]
    events: int
    steps: int

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        misdeeds = (self.lost, self.twice, self.refused_and_done, self.out_of_order, self.strays, self.faulty)
        return not (any(misdeeds) or self.unlike)


@dataclass(slots=True)
class Ledger:
    """All tokens of one run."""

    entries: dict[str, Entry] = field(default_factory=dict)
    heard: Counter[str] = field(default_factory=Counter)
    """How often each kind of answer came."""
    _time: int = 0

    def token(self, kind: str, target: str) -> str:
        """The next one, which is about to be sent."""
        token = f"{10_000_000 + len(self.entries)}"
        self.entries[token] = Entry(kind, target, self._tick())
        return token

    def acknowledge(self, token: str) -> None:
        """It was promised that it is, or will be, in a log."""
        entry = self.entries[token]
        entry.heard = self._tick()
        self.heard[f"{entry.kind}: ok"] += 1

    def refuse(self, token: str, why: str) -> None:
        """It was not taken; ``not-running`` and ``mailbox-full`` say that nothing was sent."""
        entry = self.entries[token]
        entry.was_refused = entry.kind == "send" and why in ("not-running", "mailbox-full")
        self.heard[f"{entry.kind}: {why}"] += 1

    def judge(self, report: Iterable[dict[str, object]], *, unlike: Iterable[str] = ()) -> Verdict:
        """Compare with what has become of everybody. ``unlike``: what was answered in two ways."""
        actors = list(report)
        logs = {str(actor["name"]): _texts(actor["log"]) for actor in actors if actor["name"] != BOSS}
        noted = Counter(token for log in logs.values() for token in log if not token.startswith("err:"))
        errors = Counter(token for log in logs.values() for token in log if token.startswith("err:"))
        crashed = [tuple(_texts(pair)) for actor in actors for pair in _list(actor["lost"])]
        dead = " ".join(message for reason, message in crashed if reason == HOST_DIED)
        acknowledged = [token for token, entry in self.entries.items() if entry.heard is not None]
        missing = [token for token in acknowledged if token not in noted]
        strays = sorted(token for token in noted if token not in self.entries)
        return Verdict(
            lost=[token for token in missing if token not in dead],
            twice=sorted(token for token, times in noted.items() if times > 1),
            refused_and_done=[token for token, entry in self.entries.items() if entry.was_refused and token in noted],
            out_of_order=[pair for name, log in logs.items() for pair in self._out_of_order(name, log)],
            strays=strays + ([] if dead else list(errors)),
            faulty=[*map(str, filter(_is_faulty, actors)), *(r for r, _ in crashed if r not in EXPECTED_CRASHES)],
            unlike=list(unlike),
            acknowledged=len(acknowledged),
            excused=sum(token in dead for token in missing),
            noted=len(noted),
            errors=dict(errors),
            crashes=dict(Counter(reason for reason, _ in crashed)),
            events=sum(int(str(actor["events"])) for actor in actors),
            steps=sum(int(str(actor["steps"])) for actor in actors),
        )

    def _out_of_order(self, name: str, log: list[str]) -> list[str]:
        """Of what was sent straight to this actor: what was acknowledged before another was sent is noted before."""
        found = []
        first_heard, its_token = None, ""
        for token in reversed(log):
            entry = self.entries.get(token)
            if entry is None or entry.target != name or entry.kind != "send":
                continue
            if first_heard is not None and first_heard < entry.said:
                found.append(f"{its_token} behind {token} at {name}")
            if entry.heard is not None and (first_heard is None or entry.heard < first_heard):
                first_heard, its_token = entry.heard, token
        return found

    def _tick(self) -> int:
        self._time += 1
        return self._time


def _is_faulty(actor: dict[str, object]) -> bool:
    return not (actor["ok"] and actor["status"] == "running" and actor["open"] is None)


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


def _texts(value: object) -> list[str]:
    return [str(each) for each in _list(value)]
