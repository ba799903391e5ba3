"""A client without a server: it says what it is told to, and notes what it was asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from threading import Event
from types import TracebackType
from typing import Self

import msgspec

from theater.errors import ChannelClosed, TheaterError
from theater.model import wire
from theater.model.ports import Status

NOBODY = "0" * 64


def row(name: str = "counter", *, status: Status = "running", digit: str = "a") -> wire.ActorRow:
    """An actor whose id is all ``digit``."""
    return wire.ActorRow(
        id=digit * 32,
        name=name,
        status=status,
        parent=None,
        seq=7,
        head="b" * 64,
        created="2026-01-01T00:00:00.000000Z",
        restarts=0,
        hidden_state=False,
        waiting=0,
    )


def detail(actor: wire.ActorRow, *, grants: dict[str, dict[str, object]] | None = None) -> wire.ActorDetail:
    """Everything about it."""
    return wire.ActorDetail(
        actor=actor,
        program=NOBODY,
        role="actor",
        instance="fresh",
        manifest="",
        params=msgspec.Raw(b"{}"),
        arguments=[],
        grants=grants or {},
        allowed=[],
        limits={},
        limits_set=[],
        supervision=None,
        children=[],
        deferred=0,
        timers=0,
        channels=0,
        services=[],
        chain_bytes=0,
        state_seq=None,
        state_bytes=None,
        failure=None,
        engine="",
        version="",
        node="",
        durability="process",
    )


class FakeClient:
    """As much of a ``Client`` as the commands here use. ``errors`` has what a method raises, by its name."""

    url = "http://127.0.0.1:1"

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.errors: dict[str, list[TheaterError]] = {}
        self.rows: dict[str, wire.ActorRow] = {"counter": row()}
        self.grants: dict[str, dict[str, object]] = {}
        self.blobs: dict[str, bytes] = {}
        self.orders: list[wire.StartOrder] = []
        self.forks: list[wire.ForkOrder] = []
        self.allowances: list[str | None] = []
        self.manifest: str | None = ""
        self.reply: msgspec.Raw | None = msgspec.Raw(b'{"count":1}')
        self.has_reply = True
        self.heard: list[wire.ChannelMessages] = []
        self.said: list[str] = []
        self.waits = Event()
        """Set when everything was heard, and the next thing is waited for."""
        self._is_closed = Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def actor(self, id: str) -> wire.ActorDetail:
        found = detail(self._row("actor", id), grants=self.grants)
        return msgspec.structs.replace(found, manifest=self.manifest)

    def stop(self, id: str, *, now: bool = False) -> wire.ActorRow:
        return self._row("stop", id, now, status="stopped")

    def restart(self, id: str, *, from_init: bool = False, allowance: str | None = None) -> wire.ActorRow:
        self.allowances.append(allowance)
        return self._row("restart", id, from_init)

    def pause(self, id: str) -> wire.ActorRow:
        return self._row("pause", id, status="paused")

    def resume(self, id: str) -> wire.ActorRow:
        return self._row("resume", id)

    def upgrade(self, id: str, digest: str) -> wire.ActorRow:
        return self._row("upgrade", id, digest)

    def fork(self, id: str, order: wire.ForkOrder) -> wire.Started:
        self.forks.append(order)
        return wire.Started(actor=self._row("fork", id), grants=self.grants, role="actor")

    def remove(self, id: str, *, tree: bool = False) -> wire.Removed:
        return wire.Removed(removed=[self._row("remove", id, tree).id])

    def has_blob(self, digest: str) -> bool:
        return digest in self.blobs

    def put_blob(self, data: bytes) -> wire.Blob:
        digest = hashlib.sha256(data).hexdigest()
        self._note("put_blob", digest)
        self.blobs[digest] = data
        return wire.Blob(digest=digest, size=len(data))

    def start(self, order: wire.StartOrder) -> wire.Started:
        self.orders.append(order)
        self._note("start")
        return wire.Started(actor=self.rows["counter"], grants=self.grants, role="actor")

    def send(self, id: str, body: str, *, key: str | None = None) -> wire.Accepted:
        self._note("send", id, body, key)
        return wire.Accepted(id="c" * 32)

    def request(self, id: str, body: str, *, timeout_s: float | None = None, key: str | None = None) -> wire.Replied:
        self._note("request", id, body, timeout_s, key)
        receipt = wire.Receipt(seq=9, hash="d" * 64)
        return wire.Replied(reply=self.reply, receipt=receipt, has_reply=self.has_reply)

    def open_channel(self, actor: str, opening: str) -> wire.ChannelOpened:
        self._note("open_channel", actor, opening)
        return wire.ChannelOpened(channel="e" * 32, actor="a" * 32, reply=self.reply)

    def say(self, channel: str, body: str) -> wire.Accepted:
        self._note("say", channel, body)
        self.said.append(body)
        return wire.Accepted(id="c" * 32)

    def hear(self, channel: str, _wait_s: float) -> wire.ChannelMessages:
        self._note("hear", channel)
        if self.heard:
            return self.heard.pop(0)
        self.waits.set()
        assert self._is_closed.wait(30), f"{channel} was never closed"
        raise ChannelClosed("it was closed here")

    def close_channel(self, channel: str) -> None:
        self._is_closed.set()
        self._note("close_channel", channel)

    def collect(self) -> wire.Collected:
        self._note("collect")
        return wire.Collected(components=1, payloads=2, cached=3, bytes=4)

    def follow(self, id: str, start: int | None = None, **_more: object) -> Iterator[wire.EventRow]:
        self._note("follow", id, start)
        return iter(())

    def _row(self, verb: str, id: str, *more: object, status: Status = "running") -> wire.ActorRow:
        self._note(verb, id, *more)
        found = self.rows.get(id) or next((one for one in self.rows.values() if one.id == id), row(id))
        return msgspec.structs.replace(found, status=status)

    def _note(self, verb: str, *more: object) -> None:
        self.asked.append((verb, *more))
        errors = self.errors.get(verb)
        if errors:
            raise errors.pop(0)
