"""Where a puppet plays alone: each call of it, and a host that says what a test wants it to say."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.engine.rig import LIMITS, Rig
from theater.engine.program import WasmtimeProgram
from theater.model.execution import Closed, ExecutionLimits

MESSAGE_ID = "5" * 32


@dataclass
class ScriptedHost:
    """Gives one answer after the other, and keeps what was asked."""

    answers: list[object]
    calls: list[tuple[object, ...]] = field(default_factory=list)

    def call(self, interface: str, function: str, args: tuple[object, ...]) -> object:
        self.calls.append((f"{interface.partition('/')[2]}.{function}", *args))
        return self.answers.pop(0)

    def tick(self) -> None:
        pass


@dataclass
class Played:
    """How one call of a puppet ended."""

    calls: list[tuple[object, ...]]
    closed: Closed

    @property
    def ok(self) -> object:
        assert self.closed.crash is None, self.closed
        assert isinstance(self.closed.result, tuple)
        case, value = self.closed.result
        assert case == "ok", value
        return value

    @property
    def state(self) -> object:
        return self.ok["state"] if isinstance(self.ok, dict) else self.ok

    @property
    def reply(self) -> object:
        assert isinstance(self.ok, dict)
        return self.ok["reply"]

    @property
    def refusal(self) -> object:
        assert isinstance(self.closed.result, tuple)
        assert self.closed.result[0] == "err"
        return self.closed.result[1]


class Stage:
    """One puppet, and calls of it."""

    def __init__(self, rig: Rig, text: str) -> None:
        self._rig = rig
        self.program: WasmtimeProgram = rig.load(text)

    def handle(
        self, program: str, *answers: object, state: str = "0", sender: str | None = None, is_send: bool = False
    ) -> Played:
        return self.handle_text(f'"{program}"', *answers, state=state, sender=sender, is_send=is_send)

    def handle_text(
        self, body: str, *answers: object, state: str = "0", sender: str | None = None, is_send: bool = False
    ) -> Played:
        message = {"id": MESSAGE_ID, "sender": sender, "expects-reply": not is_send, "body": body}
        return self.call("actor", "handle", state, message, answers=answers)

    def call(
        self,
        interface: str,
        function: str,
        *args: object,
        answers: tuple[object, ...] = (),
        limits: ExecutionLimits = LIMITS,
    ) -> Played:
        host = ScriptedHost(list(answers))
        closed = self._rig.run(
            self.program, function, *args, interface=f"theater:actor/{interface}", host=host, limits=limits
        )
        assert not host.answers, "not all answers were asked for"
        return Played(host.calls, closed)
