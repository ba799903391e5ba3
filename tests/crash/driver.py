"""A client that kills the node that it works with, again and again, and remembers what it was promised.

The kills are blind: some time after the start of the process, which may be in the middle of it, or after some number
of answers. What the client does follows from its seed; what the process is at when it dies does not.
"""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.crash import cast
from tests.crash.keyed import Keyed, Keys
from tests.crash.ledger import Ledger, Verdict

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
READ_BYTES = 1 << 20
START_S = 0.6  # what a start takes at most where nothing disturbs it: so many kills hit the middle of one
EARLY = 0.3  # of all kills
ANSWERS_MAX = 80  # before a kill
WINDOW = 24  # orders under way at once
TRIES = 3
COUNTER_TOKENS = 250  # at one counter, whose state is written whole with each


class Stuck(AssertionError):
    """The node does not answer any more."""


class Process:
    """One life of the node."""

    def __init__(self, task: dict[str, str], errors: Path) -> None:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        with errors.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.worker", json.dumps(task)],
                env={**os.environ, "PYTHONPATH": paths},
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._rest = b""

    def order(self, **order: object) -> None:
        """Have something done."""
        with suppress(BrokenPipeError):  # it has just died, and the next life does something else
            self._in.write(json.dumps(order).encode() + b"\n")
            self._in.flush()

    def lines(self, until: float) -> list[dict[str, Any]]:
        """What it says next; nothing where it has said nothing until then."""
        lines: list[dict[str, Any]] = []
        while not lines and select.select([self._out], [], [], max(0.0, until - time.monotonic()))[0]:
            data = os.read(self._out.fileno(), READ_BYTES)
            if not data:
                raise Stuck(f"the node ended by itself: {self._process.wait(PATIENCE_S)}")
            lines = self._split(data)
        return lines

    def kill(self) -> list[dict[str, Any]]:
        """Kill it; what it had said by then."""
        self._process.kill()
        left = self._split(self._out.read())
        self._end()
        return left

    def close(self) -> int:
        """Let it end in good order; its exit code."""
        self._in.close()
        self._out.read()
        return self._end()

    def _end(self) -> int:
        code = self._process.wait(PATIENCE_S)
        self._out.close()
        with suppress(BrokenPipeError):
            self._in.close()
        return code

    def _split(self, data: bytes) -> list[dict[str, Any]]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]


class Client:
    """Works, and kills."""

    def __init__(self, folder: Path, *, component: Path, cache: Path, seed: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.errors = folder / "stderr"
        self.ledger = Ledger()
        self.keys = Keys()
        self.removed: set[str] = set()
        """The ids of those of which it was said that they were removed."""
        self.kills = 0
        self.early_kills = 0
        self._task = {"data": str(folder / "data"), "cache": str(cache), "component": str(component)}
        self._random = random.Random(seed)
        self._ids: dict[str, str] = {}
        self._numbers = 0
        self._mayflies = 0
        self._flying: set[str] = set()  # who may be there still
        self._pending: dict[int, Callable[[dict[str, Any]], None]] = {}

    def run(self, kills: int) -> Verdict:
        """Live and die so often, then live once more, come to rest, and judge."""
        for _ in range(kills):
            self._live_and_die()
        process = Process(self._task, self.errors)
        try:
            left, report = self._finish(process)
        except BaseException:
            process.kill()
            raise
        if left:
            raise Stuck(f"this has not come to rest: {left}")
        assert process.close() == 0
        errors = self.errors.read_text()
        assert not errors, errors
        return self.ledger.judge(report, unlike=self.keys.unlike)

    def _live_and_die(self) -> None:
        process = Process(self._task, self.errors)
        try:
            if self._random.random() < EARLY:
                until = time.monotonic() + self._random.uniform(0, START_S)
                self.early_kills += not self._work(process, until=until, answers=ANSWERS_MAX)
            else:
                self._work(process, until=None, answers=self._random.randint(1, ANSWERS_MAX))
                self._hear(process.lines(time.monotonic() + self._random.uniform(0, 0.02)))
        finally:
            self._hear(process.kill())
            self.kills += 1
            self._pending.clear()

    def _finish(self, process: Process) -> tuple[object, list[dict[str, object]]]:
        """Some more work, and again all that nothing was heard of; then rest and a report."""
        self._work(process, until=None, answers=ANSWERS_MAX)
        self._wait(process, lambda: not self._pending)
        for _ in range(TRIES):  # somebody may just be on the way to be started again
            for order in self.keys.unheard:
                self._say_keyed(process, order)
            for name in sorted(self._flying):
                self._say_mayfly(process, name)
            self._wait(process, lambda: not self._pending)
        if self._flying:
            raise Stuck(f"these cannot be removed: {self._flying}")
        answers: list[Any] = []
        for what, body in (("rest", ""), ("report", ""), ("left of", " ".join(sorted(self.removed)))):
            self._say(process, what, "", body, lambda line: answers.append(line["ok"]))
            self._wait(process, lambda: not self._pending)
        assert answers[2] == {}, answers[2]
        return answers[0], answers[1]

    def _work(self, process: Process, *, until: float | None, answers: int) -> bool:
        """Give orders until then, or until so many were answered; whether it came so far that it took any."""
        is_ready = False
        patience = time.monotonic() + PATIENCE_S
        while answers > 0:
            lines = process.lines(until if until is not None else patience)
            if not lines:
                if until is None:
                    raise Stuck(f"no answer to {list(self._pending)}")
                break
            is_ready = is_ready or any("ready" in line for line in lines)
            answers -= self._hear(lines)
            while is_ready and len(self._pending) < WINDOW:
                self._order(process)
        return is_ready

    def _wait(self, process: Process, is_done: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not is_done():
            lines = process.lines(until)
            if not lines:
                raise Stuck(f"no answer to {list(self._pending)}")
            self._hear(lines)

    def _hear(self, lines: list[dict[str, Any]]) -> int:
        answered = 0
        for line in lines:
            if "ready" in line:
                self._ids.update(line["ready"])
                continue
            heard = self._pending.pop(line["n"], None)
            if heard is not None:
                heard(line)
                answered += 1
        return answered

    def _say(
        self,
        process: Process,
        do: str,
        to: str,
        body: str,
        heard: Callable[[dict[str, Any]], None],
        *,
        key: str | None = None,
    ) -> None:
        self._numbers += 1
        self._pending[self._numbers] = heard
        process.order(n=self._numbers, do=do, to=to, body=body, key=key)

    # -- what is ordered ---------------------------------------------------------------------------------------------

    def _order(self, process: Process) -> None:
        counter = self._counter(process)
        if counter is None:
            self._to_a_child(process)
            return
        choice = self._random.choices(
            (self._send, self._relay, self._ask_on, self._sleep, self._defer, self._with_key),
            weights=(4, 3, 2, 2, 2, 4),
        )[0]
        if self._random.random() < 0.15:
            self._to_a_child(process)
        elif self._random.random() < 0.04:
            self._mayflies += 1
            self._say_mayfly(process, f"mayfly-{self._mayflies}")
        elif self._random.random() < 0.02:
            child = self._random.choice(cast.CHILDREN)
            self._say(process, "send", child, cast.crashed(), _unheard)
        else:
            choice(process, counter)

    def _counter(self, process: Process) -> str | None:
        """The newest counter that is known; a new one is asked for now and then."""
        era = len(self.ledger.entries) // COUNTER_TOKENS
        name = f"counter-{era}"
        if name not in self._ids:
            self._ids[name] = ""
            self._say(process, "root", name, "", lambda line: self._ids.update({name: line["ok"]}))
        if not self._ids[name] and not any(self._pending):
            del self._ids[name]
        known = [f"counter-{each}" for each in (era, era - 1) if self._ids.get(f"counter-{each}")]
        return known[0] if known else None

    def _send(self, process: Process, counter: str) -> None:
        token = self.ledger.token("send", counter)
        self._say(process, "send", counter, cast.noted(token), self._accepted(token))

    def _to_a_child(self, process: Process) -> None:
        child = self._random.choice(cast.CHILDREN)
        token = self.ledger.token("send", child)
        self._say(process, "send", child, cast.noted(token), self._accepted(token))

    def _relay(self, process: Process, counter: str) -> None:
        token = self.ledger.token("relay", counter)
        names = [*self._random.sample(("relay-0", "relay-1"), self._random.randint(1, 2))]
        last = self._random.choice((counter, counter, self._random.choice(cast.CHILDREN)))
        program = cast.relayed([self._ids[name] for name in (*names, last)], token)
        sender = self._random.choice(("sender-0", "sender-1"))
        if self._random.random() < 0.5:
            self._say(process, "send", sender, program, self._accepted(token))
        else:
            replying = cast.replying(token) + program
            self._say(process, "request", sender, replying, self._done(token))

    def _ask_on(self, process: Process, counter: str) -> None:
        token = self.ledger.token("chain", counter)
        ways = [self._ids[name] for name in ("chain-1", "chain-2", counter)[-self._random.randint(1, 3) :]]
        program = cast.asked_on(ways, token)
        if self._random.random() < 0.3:
            self._say(process, "send", "chain-0", program, self._accepted(token))
        else:
            self._say(process, "request", "chain-0", program, self._done(token))

    def _sleep(self, process: Process, counter: str) -> None:
        token = self.ledger.token("sleep", counter)
        sleeper = self._random.choice(("sleeper-0", "sleeper-1"))
        program = cast.slept(self._random.randint(1, 40), self._ids[counter], token)
        if self._random.random() < 0.5:
            self._say(process, "send", sleeper, program, self._accepted(token))
        else:
            self._say(process, "request", sleeper, program, self._done(token))

    def _defer(self, process: Process, counter: str) -> None:
        token = self.ledger.token("defer", counter)
        asker = self._random.choice(("asker-0", "asker-1"))
        helper = self._random.choice(("relay-0", "relay-1"))
        program = cast.answered_late(self._ids["keeper"], self._ids[helper], token)
        if self._random.random() < 0.5:
            self._say(process, "send", asker, program, self._accepted(token))
        else:
            self._say(process, "request", asker, program, self._done(token))

    def _with_key(self, process: Process, counter: str) -> None:
        """Something new, at times twice at once; or something again, in this life or in another."""
        again = self.keys.again(self._random) if self._random.random() < 0.5 else None
        if again is not None:
            self._say_keyed(process, again)
            return
        token = self.ledger.token("keyed", counter)
        match self._random.randrange(4):
            case 0:
                order = Keyed(token, "send", counter, cast.noted(token))
            case 1:
                order = Keyed(token, "send", self._random.choice(cast.CHILDREN), cast.noted(token))
            case 2:
                order = Keyed(token, "request", counter, cast.noted_by_its_id(token))
            case _:
                slept = cast.slept(self._random.randint(1, 40), self._ids[counter], token)
                order = Keyed(token, "request", self._random.choice(("sleeper-0", "sleeper-1")), slept)
        self.keys.add(order)
        for _ in range(self._random.choice((1, 1, 1, 2))):
            self._say_keyed(process, order)

    def _say_keyed(self, process: Process, order: Keyed) -> None:
        token = order.token

        def heard(line: dict[str, Any]) -> None:
            if self.keys.heard(token, line):
                self.ledger.acknowledge(token)
            else:
                self.ledger.refuse(token, line.get("error", ""))

        self._say(process, order.do, order.to, order.body, heard, key=token)

    def _say_mayfly(self, process: Process, name: str) -> None:
        """Have one born with a child, and removed."""

        def heard(line: dict[str, Any]) -> None:
            if "ok" in line:
                self.removed.update(line["ok"])
                self._flying.discard(name)
            self.ledger.heard[f"mayfly: {line.get('error', 'ok')}"] += 1

        self._flying.add(name)
        self._say(process, "mayfly", name, "", heard)

    # -- what is heard -----------------------------------------------------------------------------------------------

    def _accepted(self, token: str) -> Callable[[dict[str, Any]], None]:
        def heard(line: dict[str, Any]) -> None:
            if "ok" in line:
                self.ledger.acknowledge(token)
            else:
                self.ledger.refuse(token, line["error"])

        return heard

    def _done(self, token: str) -> Callable[[dict[str, Any]], None]:
        def heard(line: dict[str, Any]) -> None:
            answer = line.get("ok")
            if answer is not None and json.loads(answer) in (int(token), token):
                self.ledger.acknowledge(token)
            else:
                self.ledger.refuse(token, str(answer) if "ok" in line else line["error"])

        return heard


def _unheard(line: dict[str, Any]) -> None:
    """Nothing was promised by it."""
    del line
