"""The HTTP servers of a rehearsal: whatever is opened is there, and nobody but the test asks anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from theater_sdk.failure import CallFailed

_PORT = 8080
"""Where a server is that asked for any port."""


class RehearsedServers:
    """Keeps what the steps opened and added; a step that fails leaves nothing."""

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        """Requests that were put off."""
        self._servers: dict[str, dict[str, Any]] = {}
        self._added: dict[str, tuple[str, tuple[str, Any]]] = {}
        self._websockets: dict[str, str] = {}
        self._before: Any = None

    @property
    def first(self) -> str:
        """The id of the server that was opened first."""
        return next(iter(self._servers), "0" * 32)

    def open(self, connection: str, tag: str) -> None:
        """A client has come."""
        self._websockets[connection] = tag

    def lose(self, connection: str) -> None:
        """It has gone."""
        self._websockets.pop(connection, None)

    def end_step(self, *, has_succeeded: bool) -> None:
        """Let what the step did stand, or take it back."""
        if not has_succeeded and self._before is not None:
            self.waiting, self._servers, self._added, self._websockets = self._before
        self._before = None

    def call(self, function: str, args: Mapping[str, Any], next_id: Callable[[], str]) -> Any:  # noqa: ANN401 - of any WIT type
        """Answer a function of the interface, by its name there."""
        if self._before is None:
            self._before = deepcopy((self.waiting, self._servers, self._added, self._websockets))
        if function not in ("add-route", "add-middleware", "add-websocket", "remove-route", "list-routes"):
            return self._of_node(function, args, next_id)
        server = args["server"]
        if server not in self._servers:
            raise CallFailed("unknown-server", server)
        match function:
            case "list-routes":
                found = ((id, spec) for id, (where, spec) in self._added.items() if where == server)
                return [{"id": id, "spec": spec} for id, spec in found]
            case "remove-route":
                if self._added.get(args["id"], ("", None))[0] != server:
                    raise CallFailed("unknown-route", args["id"])
                del self._added[args["id"]]
                return None
        kind = function.removeprefix("add-")
        spec = (kind, dict(args[kind]))
        for id, known in self._added.items():
            if known == (server, spec):
                raise CallFailed("route-taken", id)
        id = next_id()
        self._added[id] = (server, spec)
        return id

    def _of_node(self, function: str, args: Mapping[str, Any], next_id: Callable[[], str]) -> Any:  # noqa: ANN401 - as above
        match function:
            case "open-server":
                options = {**args["options"], "port": args["options"]["port"] or _PORT}
                if any(known["options"] == options for known in self._servers.values()):
                    raise CallFailed("address-in-use")
                id = next_id()
                self._servers[id] = {"id": id, "options": options, "status": ("open", None)}
                return {**self._servers[id], "status": ("opening", None)}
            case "close-server":
                if self._servers.pop(args["id"], None) is None:
                    raise CallFailed("unknown-server", args["id"])
            case "list-servers":
                return [self._servers[id] for id in sorted(self._servers)]
            case "list-websockets":
                tags = sorted(self._websockets.items())
                return [{"id": id, "server": self.first, "tag": tag, "peer": "127.0.0.1:1"} for id, tag in tags]
            case "respond":
                if args["request"] not in self.waiting:
                    raise CallFailed("unknown-request", args["request"])
                self.waiting.discard(args["request"])
            case _:
                if args["connection"] not in self._websockets:
                    raise CallFailed("unknown-connection", args["connection"])
                if function == "close-websocket":
                    del self._websockets[args["connection"]]
        return None
