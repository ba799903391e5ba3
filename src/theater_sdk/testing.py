"""Running an actor's class in a test, in this process and without a sandbox.

What crosses the sandbox's wall is JSON there as here, so that a tuple comes back as a list and a key that is a number
as a string. Fuel, memory and the recording are not imitated: that is what ``theater run`` is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from theater_sdk import host, http_server
from theater_sdk import step as steps
from theater_sdk.actor import NO_REPLY, Actor
from theater_sdk.host import Level
from theater_sdk.http_server import Answer
from theater_sdk.rehearsed_files import RehearsedFiles
from theater_sdk.rehearsed_host import ID, Call, RehearsedHost
from theater_sdk.rehearsed_spaces import RehearsedSpaces
from theater_sdk.text import bytes_of, content_of, decoded, encoded

__all__ = ["ID", "Call", "Rehearsal", "RehearsedFiles", "RehearsedSpaces"]

T = TypeVar("T")


class Rehearsal:
    """One actor that plays its part for a test.

    For instance::

        counter = Rehearsal(Counter, {"start": 40})
        assert counter.request({"by": 2}) == {"count": 42}
        assert counter.state == {"count": 42}

    What ``init`` and ``handle`` raise, ``Refuse`` too, is raised here; the state then stays as it was.

    What the actor calls is in ``calls``, of a step that failed only what stands all the same. ``answers`` says what a
    function answers, by its name: a value, a function of the call's arguments that returns one, or a ``CallFailed``.
    Functions that wait for others (``request``, ``child_state`` …) need one; the rest do what they say::

        relay = Rehearsal(Relay, answers={"whereis": "ab" * 16, "request": lambda to, body, **_: {"got": body}})
        relay.answers["send"] = CallFailed("mailbox-full", 1000)
    """

    def __init__(
        self,
        actor_class: type[Actor],
        params: Any = None,  # noqa: ANN401 - any JSON
        *,
        name: str = "rehearsal",
        answers: Mapping[str, Any] | None = None,
    ) -> None:
        self._class = actor_class
        self._host = RehearsedHost(name, dict(answers or {}))
        text = encoded({} if params is None else params, "params")
        self._state = self._run(lambda: steps.first_state(actor_class, text))

    @property
    def state(self) -> Any:  # noqa: ANN401 - any JSON
        """The actor's state, a copy."""
        return decoded(self._state)

    @property
    def logged(self) -> list[tuple[Level, str]]:
        """What the actor logged so far, in steps that failed too: pairs of level and text."""
        return self._host.logged

    @property
    def answers(self) -> dict[str, Any]:
        """What functions answer from now on; it can be changed."""
        return self._host.answers

    @property
    def calls(self) -> list[Call]:
        """What the actor called so far and what stands, without what only reads."""
        return self._host.calls

    def calls_of(self, function: str) -> list[Call]:
        """Those of one function: ``calls_of("spawn")[0]["child"]["name"]``."""
        return [call for call in self.calls if call.function == function]

    @property
    def sent(self) -> list[tuple[str, Any]]:
        """What the actor sent so far: pairs of receiver and body."""
        return [(call["to"], call["body"]) for call in self.calls_of("send")]

    @property
    def replies(self) -> dict[str, Any]:
        """What the actor answered to requests that it had left open, by the request's id."""
        return {call["id"]: call["body"] for call in self.calls_of("reply")}

    @property
    def spaces(self) -> RehearsedSpaces:
        """What is in the spaces for blobs; it can be put there."""
        return self._host.spaces

    @property
    def files(self) -> RehearsedFiles:
        """What is in the granted directory; it can be put there."""
        return self._host.files

    @property
    def is_stopped(self) -> bool:
        """Whether a step that succeeded called ``shutdown``."""
        return self._host.is_stopped

    def request(self, body: Any, *, sender: str | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Handle a request and return the reply, or ``NO_REPLY`` where the actor left it open."""
        reply = self._handle(body, sender=sender, expects_reply=True)
        return NO_REPLY if reply is None else decoded(reply)

    def send(self, body: Any, *, sender: str | None = None) -> None:  # noqa: ANN401 - any JSON
        """Handle a message for whose reply nobody waits."""
        self._handle(body, sender=sender, expects_reply=False)

    def open_channel(self, opening: Any = None, *, peer: str | None = None) -> tuple[str, Any]:  # noqa: ANN401 - any JSON
        """Ask for a channel as another actor would; its id, and what the actor replied."""
        id = self._next_id()
        text = encoded(opening, "the opening of a channel")
        self._state, reply = self._run(
            lambda: steps.channel_opened(self._class, self._state, id=id, peer=peer, opening=text)
        )
        return id, None if reply is None else decoded(reply)

    def say(self, channel_id: str, body: Any) -> None:  # noqa: ANN401 - any JSON
        """Say something on a channel as its other side would."""
        text = encoded(body, "what is said on a channel")
        self._state = self._run(lambda: steps.channel_message(self._class, self._state, id=channel_id, body=text))

    def close_channel(self, channel_id: str) -> None:
        """Close a channel as its other side would."""
        self._state = self._run(lambda: steps.channel_closed(self._class, self._state, id=channel_id))

    def end_child(self, child: str, reason: str = "crashed", detail: Any = "trap", *, restarted: bool = True) -> None:  # noqa: ANN401
        """Tell the actor that a child has ended, and whether it is started again.

        ``detail`` goes with the reason: the value of "normal", the text of "shutdown", why it "crashed".
        """
        payload = {"crashed": (detail, None), "normal": None if detail is None else encoded(detail, "a child's value")}
        exit = {  # noqa: A001 - as in WIT
            "child": child,
            "name": "",
            "reason": (reason, payload.get(reason, detail)),
            "seq": 0,
            "hash": "0" * 64,
            "decision": ("restarted", [child]) if restarted else ("left", None),
        }
        self._state = self._run(lambda: steps.child_exited(self._class, self._state, exit=exit))

    def migrate(self, state: Any, from_digest: str = "0" * 64) -> Any:  # noqa: ANN401 - any JSON
        """Have the actor take over an older version's state; returns what it made of it, its state from now on."""
        text = encoded(state, "the older state")
        self._state = self._run(lambda: steps.migrate(self._class, text, from_digest=from_digest))
        return self.state

    def ask(
        self,
        method: str,
        path: str,
        body: Any = b"",  # noqa: ANN401 - bytes, a text or any JSON
        *,
        tag: str = "",
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        query: str | None = None,
    ) -> Answer | None:
        """Have the actor answer an HTTP request; None where it put that off. No routes are looked at.

        Where it has put it off, ``answered`` has the answer by the request's id, once it is given.
        """
        content = (
            body if isinstance(body, bytes) else (body if isinstance(body, str) else encoded(body, "the body")).encode()
        )
        request = http_server.Request(
            id=self._next_id(),
            server=self._host.servers.first,
            tag=tag,
            method=method,
            authority="localhost",
            path=path,
            query=query,
            parameters=dict(parameters or {}),
            headers=tuple((name.lower(), value) for name, value in (headers or {}).items()),
            content=content,
            peer="127.0.0.1:1",
        )
        value = http_server.value_of(request)
        self._state, response = self._run(lambda: steps.http_request(self._class, self._state, request=value))
        if response is None:
            self._host.servers.waiting.add(request.id)
        return None if response is None else _answer(response)

    @property
    def answered(self) -> dict[str, Answer]:
        """What the actor answered to HTTP requests that it had put off, by the request's id."""
        return {call["request"]: _answer(call["response"]) for call in self.calls_of("respond")}

    def open_websocket(self, path: str = "/", *, tag: str = "", parameters: Mapping[str, str] | None = None) -> str:
        """Ask for a WebSocket as a client would; its id. Raises what the actor raises, ``Refuse`` too."""
        id = self._next_id()
        opening = {
            "connection": id,
            "server": self._host.servers.first,
            "tag": tag,
            "path": path,
            "query": None,
            "parameters": list((parameters or {}).items()),
            "headers": [],
            "protocol": None,
            "peer": "127.0.0.1:1",
        }
        self._host.servers.open(id, tag)
        try:
            self._state = self._run(lambda: steps.websocket_opened(self._class, self._state, opening=opening))
        except BaseException:
            self._host.servers.lose(id)
            raise
        return id

    def say_websocket(self, connection_id: str, message: bytes | str) -> None:
        """Say something over a WebSocket as its client would."""
        content, is_binary = content_of(message), isinstance(message, bytes)
        self._state = self._run(
            lambda: steps.websocket_message(
                self._class, self._state, connection=connection_id, content=content, is_binary=is_binary
            )
        )

    def close_websocket(self, connection_id: str, code: int = 1000, reason: str = "") -> None:
        """Close a WebSocket as its client would."""
        self._host.servers.lose(connection_id)
        self._state = self._run(
            lambda: steps.websocket_closed(self._class, self._state, connection=connection_id, code=code, reason=reason)
        )

    def said(self, connection_id: str) -> list[bytes | str]:
        """What the actor said over a WebSocket, in its order."""
        return [
            _said(call["message"]) for call in self.calls_of("send_websocket") if call["connection"] == connection_id
        ]

    def process_output(
        self, process_id: str, content: bytes | str, *, source: str = "stdout", gap: bool = False
    ) -> Any:  # noqa: ANN401 - any JSON
        """Tell the actor that a process wrote something; its new state."""
        output = {"id": process_id, "source": source, "content": content_of(content), "gap": gap}
        self._state = self._run(lambda: steps.process_output(self._class, self._state, output=output))
        return self.state

    def process_exited(self, process_id: str, kind: str = "code", number: int | None = 0) -> Any:  # noqa: ANN401 - any JSON
        """Tell the actor that a process has ended; its new state. ``("timeout", None)`` and ``("lost", None)``, too."""
        status = (kind, number)
        self._state = self._run(lambda: steps.process_exited(self._class, self._state, id=process_id, status=status))
        self._host.processes.end(process_id)
        return self.state

    def _handle(self, body: Any, *, sender: str | None, expects_reply: bool) -> str | None:  # noqa: ANN401 - any JSON
        id = self._next_id()
        text = encoded(body, "the body of a message")
        self._state, reply = self._run(
            lambda: steps.step(self._class, self._state, id=id, sender=sender, expects_reply=expects_reply, body=text)
        )
        is_answered = any(call["id"] == id for call in self.calls if call.function in ("reply", "cancel"))
        if expects_reply and reply is None and not is_answered:
            self._host.pending[id] = sender
        return reply

    def _next_id(self) -> str:
        if self.is_stopped:
            raise RuntimeError("the actor called shutdown() in an earlier step: it gets no more messages")
        return self._host.next_id()

    def _run(self, action: Callable[[], T]) -> T:
        host.enter(self._host)
        has_succeeded = False
        try:
            outcome = action()
            has_succeeded = True
        finally:
            host.leave()
            self._host.end_step(has_succeeded=has_succeeded)
        return outcome


def _answer(response: Mapping[str, Any]) -> Answer:
    body = response["body"]
    return Answer(
        response["status"],
        None if body is None else _said(("text", body[1]) if body[0] == "text" else ("binary", body)),
        response["headers"],
    )


def _said(message: tuple[str, Any]) -> bytes | str:
    kind, value = message
    return value if kind == "text" else bytes_of(value)
