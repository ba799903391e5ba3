"""The actor interface on one side, the user's class on the other. This module is what the component is made from."""

import gc
import os
import random
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import actor as user_module
import theater_calls
import theater_imports
import theater_library
import theater_traceback
import wit_world.exports
from componentize_py_types import Err
from wit_world.imports import runtime
from wit_world.imports.types import Message, Outcome

import theater_sdk.host
from theater_sdk import step
from theater_sdk.actor import Actor as UserActor
from theater_sdk.actor import Refuse

# When an instance starts, its runtime seeds ``random``, with 2,496 bytes that a kept instance does not draw again, so
# that the steps of fresh and of kept instances would draw different ones. Each step seeds it itself, in ``_guarded``.
SEED = random.seed
random.seed = lambda *_arguments, **_keywords: None

APP = user_module.__file__.rpartition("/")[0]
OWN_FILES = ("/theater_guest.py", "/theater_calls.py")
OWN_FILES += tuple(
    f"/theater_sdk/{name}.py"
    for name in (
        "host",
        "step",
        "text",
        "messaging",
        "supervisor",
        "timing",
        "store",
        "http",
        "http_server",
        "files",
        "process",
    )
)
OWN_FILES += ("/json/__init__.py", "/json/encoder.py")
T = TypeVar("T")
LEVELS = {
    "trace": runtime.LogLevel.TRACE,
    "debug": runtime.LogLevel.DEBUG,
    "info": runtime.LogLevel.INFO,
    "warn": runtime.LogLevel.WARN,
    "error": runtime.LogLevel.ERROR,
}


class NoActor(Exception):
    """The module has not the one class that it needs."""


class Host:
    """The functions of ``theater_sdk`` as the interface ``runtime`` has them."""

    def log(self, level: str, text: str) -> None:
        if level not in LEVELS:
            raise ValueError(f"there is no log level {level!r}; there are {', '.join(LEVELS)}")
        runtime.log(LEVELS[level], _well_formed(str(text)))

    def self_id(self) -> str:
        return runtime.self()

    def self_name(self) -> str:
        return runtime.name()

    def parent_id(self) -> str | None:
        return runtime.parent()

    def self_component(self) -> str:
        return runtime.component()

    def shutdown(self, value: str | None) -> None:
        try:
            runtime.shutdown(value)
        except Err as error:
            raise theater_calls.failure(error) from None

    def call(self, interface: str, function: str, args: Mapping[str, Any]) -> object:
        return theater_calls.call(interface, function, args)


class Actor(wit_world.exports.Actor):
    """What the component exports."""

    def init(self, params: str) -> str:
        return _guarded(lambda: step.first_state(USER_CLASS, params))

    def handle(self, state: str, message: Message) -> Outcome:
        state, reply = _guarded(
            lambda: step.step(
                USER_CLASS,
                state,
                id=message.id,
                sender=message.sender,
                expects_reply=message.expects_reply,
                body=message.body,
            )
        )
        return Outcome(state, reply)


# The bindings have a class for each interface that this component exports: see the world that it is built for.

if hasattr(wit_world.exports, "ChannelHandlers"):

    class ChannelHandlers(wit_world.exports.ChannelHandlers):
        def opened(self, state: str, channel: object) -> Outcome:
            new_state, reply = _guarded(
                lambda: step.channel_opened(
                    USER_CLASS, state, id=channel.id, peer=channel.peer, opening=channel.opening
                )
            )
            return Outcome(new_state, reply)

        def message(self, state: str, channel: str, body: str) -> str:
            return _guarded(lambda: step.channel_message(USER_CLASS, state, id=channel, body=body))

        def closed(self, state: str, channel: str) -> str:
            return _guarded(lambda: step.channel_closed(USER_CLASS, state, id=channel))


if hasattr(wit_world.exports, "SupervisorHandlers"):

    class SupervisorHandlers(wit_world.exports.SupervisorHandlers):
        def child_exited(self, state: str, exit: object) -> str:  # noqa: A002 - WIT's word for it
            return _guarded(lambda: step.child_exited(USER_CLASS, state, exit=theater_calls.plain(exit)))


if hasattr(wit_world.exports, "EventHandlers"):

    class EventHandlers(wit_world.exports.EventHandlers):
        def child_events(self, state: str, batch: object) -> str:
            return _guarded(lambda: step.child_events(USER_CLASS, state, batch=theater_calls.plain(batch)))


if hasattr(wit_world.exports, "HttpHandlers"):

    class HttpHandlers(wit_world.exports.HttpHandlers):
        def request(self, state: str, request: object) -> object:
            new_state, response = _guarded(
                lambda: step.http_request(USER_CLASS, state, request=theater_calls.plain(request))
            )
            answer = None if response is None else theater_calls.bound("response", response)
            return wit_world.exports.http_handlers.HttpOutcome(new_state, answer)

        def websocket_opened(self, state: str, opening: object) -> str:
            return _guarded(lambda: step.websocket_opened(USER_CLASS, state, opening=theater_calls.plain(opening)))

        def websocket_message(self, state: str, connection: str, content: object, is_binary: bool) -> str:  # noqa: FBT001
            return _guarded(
                lambda: step.websocket_message(
                    USER_CLASS,
                    state,
                    connection=connection,
                    content=theater_calls.plain(content),
                    is_binary=is_binary,
                )
            )

        def websocket_closed(self, state: str, connection: str, code: int, reason: str) -> str:
            return _guarded(
                lambda: step.websocket_closed(USER_CLASS, state, connection=connection, code=code, reason=reason)
            )


if hasattr(wit_world.exports, "MiddlewareHandlers"):

    class MiddlewareHandlers(wit_world.exports.MiddlewareHandlers):
        def request(self, state: str, request: object) -> object:
            new_state, (verdict, value) = _guarded(
                lambda: step.http_middleware(USER_CLASS, state, request=theater_calls.plain(request))
            )
            module = wit_world.exports.middleware_handlers
            if verdict == "proceed":
                passed = module.Verdict_Proceed(theater_calls.bound("request", value))
            else:
                passed = module.Verdict_Respond(theater_calls.bound("response", value))
            return module.MiddlewareOutcome(new_state, passed)


if hasattr(wit_world.exports, "ProcessHandlers"):

    class ProcessHandlers(wit_world.exports.ProcessHandlers):
        def output(self, state: str, output: object) -> str:
            return _guarded(lambda: step.process_output(USER_CLASS, state, output=theater_calls.plain(output)))

        def exit(self, state: str, id: str, status: object) -> str:
            return _guarded(lambda: step.process_exited(USER_CLASS, state, id=id, status=theater_calls.plain(status)))


if hasattr(wit_world.exports, "Upgrade"):

    class Upgrade(wit_world.exports.Upgrade):
        def migrate(self, state: str, from_digest: str) -> str:
            return _guarded(lambda: step.migrate(USER_CLASS, state, from_digest=from_digest))


def _guarded(run: Callable[[], T]) -> T:
    """Run one step. Its random numbers come from its seed alone, also where the instance has run steps before."""
    random.seed = SEED
    random.seed(os.urandom(32))
    try:
        outcome = run()
    except Refuse as refusal:
        _flush()
        raise Err(_well_formed(str(refusal.text))) from None
    except SystemExit:
        _flush()
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is shown and then a trap
        _flush()
        theater_traceback.show(error, app=APP, own=OWN_FILES)
        del error
        os.abort()  # a trap, without the words that the bindings would add
    _flush()
    return outcome


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _well_formed(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _user_class() -> type[UserActor]:
    found = {
        value
        for value in vars(user_module).values()
        if isinstance(value, type) and issubclass(value, UserActor) and value is not UserActor
    }
    classes = [each for each in found if not any(other is not each and issubclass(other, each) for other in found)]
    if not classes:
        raise NoActor("actor.py has no class that extends Actor: write `class Name(Actor):`, with a method handle")
    if len(classes) > 1:
        names = ", ".join(sorted(each.__name__ for each in classes))
        raise NoActor(f"actor.py has more than one class that extends Actor ({names}): keep one, move the others")
    if classes[0].handle is UserActor.handle:
        raise NoActor(f"class {classes[0].__name__} has no method handle: write `def handle(self, state, message):`")
    return classes[0]


USER_CLASS = _user_class()
theater_sdk.host.enter(Host())
theater_imports.prepare(APP)
theater_library.install()
# What there is now is there in every instance and never garbage: the collector need not look at it again.
gc.collect()
gc.freeze()
