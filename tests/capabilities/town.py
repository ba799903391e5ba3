"""Where programs run in tests of the capability ``process``: the service, and an actor that hears what it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.capabilities.neighbours import Neighbours, step
from theater.capabilities import process
from theater.capabilities.process_grant import parse
from theater.capabilities.process_life import Life
from theater.capabilities.process_spec import OutputMode, ProcessSpec
from theater.capabilities.processes import Processes
from theater.errors import TheaterError
from theater.model.act import Interruption
from theater.model.capability import Denied, Wait
from theater.model.ids import ActorId
from theater.model.news import Answered, Handled, Kept, News, Post
from theater.model.service import Place
from theater.runtime.services import Interrupt, OwnPlace
from theater.testing.clock import MockClock
from theater.testing.entropy import SeededEntropy
from theater.testing.step_context import ACTOR, FakeStepContext

PATIENCE_S = 20.0

SHELL, CAT, SLEEP, SORT, ENV = (f"/usr/bin/{name}" for name in ("dash", "cat", "sleep", "sort", "env"))


@dataclass
class Ear:
    """A ``Post`` that keeps what it brings. ``answer`` is what comes of output; None leaves it open."""

    answer: Handled | TheaterError | None = field(default_factory=lambda: Handled(None))
    has_handlers: bool = True
    is_alive: bool = True
    entries: dict[str, bytes] = field(default_factory=dict)
    news: list[News] = field(default_factory=list)
    open: list[Answered] = field(default_factory=list)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

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
        assert actor == ACTOR
        assert is_durable != news.has_place
        with self._arrived:
            self.entries.update(keeps)
            for key in drops:
                self.entries.pop(key, None)
            self.news.append(news)
            answer = self.answer if news.has_place else Handled(None)
            if answer is None:
                self.open.append(answered)
            self._arrived.notify_all()
        if answer is not None:
            answered(answer)
        return lambda: None

    def keep(
        self,
        actor: ActorId,
        done: Callable[[TheaterError | None], None],
        *,
        keeps: Sequence[tuple[str, bytes]] = (),
        drops: Sequence[str] = (),
    ) -> None:
        assert actor == ACTOR
        self.entries.update(keeps)
        for key in drops:
            self.entries.pop(key, None)
        done(None)

    def kept(self, actor: ActorId | None = None) -> list[Kept]:
        return [Kept(ACTOR, key, value) for key, value in self.entries.items()]

    def is_living(self, actor: ActorId) -> bool:
        return self.is_alive

    def has_handler(self, actor: ActorId, export: str) -> bool:
        return self.has_handlers

    # -- for tests

    @property
    def heard(self) -> list[str]:
        """Briefly: ``stdout:text``, with ``!`` where there was a gap, and the status in the end."""
        return [_brief(news) for news in self.news]

    def wait(self, is_so: Callable[[list[str]], bool]) -> list[str]:
        """What has been heard, once that is so."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: is_so(self.heard), PATIENCE_S), self.heard
            return self.heard

    def wait_for_end(self) -> list[str]:
        return self.wait(lambda heard: bool(heard) and heard[-1].startswith("exit:"))


def _brief(news: News) -> str:
    match news.arguments:
        case ({"source": source, "content": (_, text), "gap": gap},):
            return f"{source}:{text}{'!' if gap else ''}"
        case (_, (case, number)):
            return f"exit:{case}" + ("" if number is None else f":{number}")
    raise AssertionError(news)


class Town:
    """The service with its ear, and calls as a guest makes them."""

    def __init__(self, folder: Path, ear: Ear | None = None, /, **grant: object) -> None:
        self.ear = ear or Ear()
        self.clock = MockClock()
        self.folder = folder
        self.grant = parse({"allow": [SHELL, SLEEP, SORT, ENV, f"cat={CAT}"], **grant})
        post: Post = self.ear
        place: Place = OwnPlace(folder, self.clock, SeededEntropy(0), lambda _: None, post=post)
        self.service = Processes(place)
        self.context: FakeStepContext = step(Neighbours(own_service=self.service))

    def run(self, spec: ProcessSpec, stdin: str | None = None, interruption: Interruption | None = None) -> object:
        content = None if stdin is None else ("text", stdin)
        return self.did(process.run(self.context, self.grant, spec, content), interruption)

    def start(self, spec: ProcessSpec, mode: str = "lines", size_bytes: int | None = None) -> object:
        self.context.begin_id()
        kind: OutputMode = (mode, size_bytes)
        answer = self.did(process.start(self.context, self.grant, spec, kind))
        if isinstance(answer, tuple) and answer[0] == "ok":
            assert answer[1] == self.context.call_id
        return answer

    def started(self, spec: ProcessSpec, mode: str = "lines", size_bytes: int | None = None) -> str:
        answer = self.start(spec, mode, size_bytes)
        assert answer == ("ok", self.context.call_id), answer
        return self.context.call_id

    def write(self, id: str, text: str) -> object:
        return self.did(process.write_stdin(self.context, self.grant, id, ("text", text)))

    def close_stdin(self, id: str) -> object:
        return self.did(process.close_stdin(self.context, self.grant, id))

    def signal(self, id: str, name: str) -> object:
        return self.did(process.send_signal(self.context, self.grant, id, name))

    def status(self, id: str) -> object:
        return process.status(self.context, self.grant, id)

    def pid(self, id: str) -> int:
        """Of a process that runs."""
        pid = self.life(id).pid
        assert pid is not None
        return pid

    def life(self, id: str) -> Life:
        """Likewise."""
        found = self.service._register.find(ACTOR, id)
        assert found is not None
        assert found.life is not None
        return found.life

    def did(self, outcome: object, interruption: Interruption | None = None) -> object:
        match outcome:
            case Denied():
                return outcome.answer
            case Wait(act=act) if act is not None:
                return act.perform(self.service, interruption or Interrupt())
        raise AssertionError(outcome)


@contextmanager
def town(folder: Path, ear: Ear | None = None, /, **grant: object) -> Iterator[Town]:
    """A town, which leaves nothing behind."""
    made = Town(folder, ear, **grant)
    try:
        yield made
    finally:
        made.service.close()
        made.clock.close()


def spec(
    program: str,
    *arguments: str,
    directory: str | None = None,
    environment: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    timeout_ms: int | None = None,
    form: str = "automatic",
) -> ProcessSpec:
    """A ``process-spec``."""
    variables = list(environment.items()) if isinstance(environment, Mapping) else list(environment)
    return {
        "program": program,
        "arguments": list(arguments),
        "directory": directory,
        "environment": variables,
        "timeout-ms": timeout_ms,
        "output-form": form,
    }


def shell(text: str, **more: object) -> ProcessSpec:
    """One that a shell runs."""
    return spec(SHELL, "-c", text, **more)  # type: ignore[arg-type]  # as they are


def finished(stdout: str, stderr: str = "", *, code: int = 0) -> object:
    """The answer of a program that ended by itself."""
    return ("ok", {"status": ("code", code), "stdout": ("text", stdout), "stderr": ("text", stderr)})


def status_of(answer: object) -> object:
    """How the program ended that was run."""
    match answer:
        case ("ok", {"status": status}):
            return status
    raise AssertionError(answer)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Until something is so that happens outside of this process."""
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until, "it did not come to that"
        threading.Event().wait(0.005)


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
