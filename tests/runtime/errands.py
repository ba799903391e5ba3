"""A capability made up for tests, whose functions act in the world: a service that is told what to do, and a guest."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.guests.component import Import, actor
from theater.capabilities.registry import Registry, built_in
from theater.capabilities.runtime import RuntimeGrant
from theater.model.act import Act, Interruption
from theater.model.capability import Capability, Denied, Grant, HostClass, HostFunction, StepContext, Wait
from theater.model.service import Place, Service

INTERFACE = "vendor:errands/world"
PATIENCE_S = 20.0
SECOND_US = 1_000_000


@dataclass
class World:
    """Where errands are run: what was begun, what was interrupted, and how often it was opened and closed."""

    begun: list[str] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    is_deadly: bool = False
    open: threading.Event = field(default_factory=threading.Event)
    """Whether a slow errand may end."""

    def run(self, what: str, interruption: Interruption) -> object:
        """Do it. What is to be done is in the words: slow, raise, odd, die, large."""
        self.begun.append(what)
        self.arrived.release()
        if "slow" in what:
            done = threading.Event()

            def stop() -> None:
                done.set()
                threading.Event().wait(0.05)  # whoever interrupts is slower than the act that is interrupted

            interruption.when_wanted(stop)
            while not done.wait(0.01):
                if self.open.is_set():
                    break
            if interruption.is_wanted:
                self.interrupted.append(what)
                return "err", "interrupted"
        if "raise" in what:
            raise OSError("the world is broken")
        if "odd" in what:
            return 12
        if "die" in what and self.is_deadly:
            os._exit(9)
        return "ok", "x" * 5000 if "large" in what else "done"

    def begin(self, place: Place) -> Service:
        """As a node opens it."""
        assert place.folder.is_dir()
        self.opened += 1
        return self

    def close(self) -> None:
        self.closed += 1


def _run(what: str, *, ctx: StepContext, is_safe: bool) -> object:
    if "forbidden" in what:
        return Denied(("err", "denied"))
    until_us = ctx.now_us + 30 * SECOND_US

    def perform(service: World, interruption: Interruption) -> object:
        return service.run(what, interruption)

    return Wait(
        until_us,
        lambda: ("err", "timeout" if ctx.now_us >= until_us else "wait-exhausted"),
        act=Act(perform, lambda: ("err", "unknown"), is_safe=is_safe),
    )


def _post(ctx: StepContext, _grant: object, what: str) -> object:
    return _run(what, ctx=ctx, is_safe=False)


def _get(ctx: StepContext, _grant: object, what: str) -> object:
    return _run(what, ctx=ctx, is_safe=True)


def _parse(_table: Mapping[str, object]) -> RuntimeGrant:
    return RuntimeGrant()


def registry(world: World) -> Registry:
    """All capabilities, and this one."""
    own: Capability[Grant] = Capability(
        name="errands",
        parse=_parse,
        functions=(
            HostFunction(INTERFACE, "post", HostClass.EXTERNAL, _post),
            HostFunction(INTERFACE, "get", HostClass.EXTERNAL, _get),
        ),
        interfaces=(INTERFACE,),
        default_ceiling=RuntimeGrant(),
        open_service=world.begin,
    )
    return Registry([*built_in().capabilities.values(), own])


_TYPE = '(param "what" string) (result (result string (error string)))'
ERRAND = actor(
    imports=[
        Import(f"{INTERFACE}@1.0.0", "post", _TYPE, "(param i32 i32 i32)"),
        Import(f"{INTERFACE}@1.0.0", "get", _TYPE, "(param i32 i32 i32)"),
    ],
    handle="""
    (if (call $is (local.get $body) (local.get $body-len) @"\\"get")
      (then (call $get (local.get $body) (local.get $body-len) (i32.const 64)))
      (else (call $post (local.get $body) (local.get $body-len) (i32.const 64))))
    (if (call $is (local.get $body) (local.get $body-len) @"\\"post and refuse") (then (return (call $refuse @"no"))))
    (call $begin) (call $put @"\\"")
    (if (i32.eqz (i32.load8_u (i32.const 64))) (then (call $put @"ok ")) (else (call $put @"err ")))
    (call $put (i32.load (i32.const 68)) (i32.load (i32.const 72)))
    (call $put @"\\"")
    (call $ok (local.get $body) (local.get $body-len) (global.get $out) (global.get $out-len))""",
)
"""Runs the errand that is its message, a safe one where that begins with ``"get``; answers with what came of it."""
