"""What an actor written in Python is made of.

An ``actor.py`` has one class that extends ``Actor``::

    from theater_sdk import Actor


    class Counter(Actor):
        def init(self, params):
            return {"count": params.get("start", 0)}

        def handle(self, state, message):
            state["count"] += message.body["by"]
            return state, {"count": state["count"]}

State, params, bodies and replies are what ``json.loads`` gives and ``json.dumps`` takes. Everything that an actor is to
remember stands in its state: neither the object nor a variable of the module is there in the next step.

An actor that talks to others, has children or timers, keeps blobs, reads files, asks the web, is asked by it or runs
programs says so in its manifest (``[capabilities.messaging]``, ``supervisor``, ``timing``, ``store``, ``filesystem``,
``http-client``, ``http-server``, ``process``), and calls ``send``, ``request``, ``spawn``, ``schedule``, ``store.put``,
``files.read_text``, ``http.get``, ``http_server.open_server``, ``process.run`` and the like. What one of them refuses
is raised as ``CallFailed``. What arrives otherwise than as a message comes to a method of its own, if the class has it:
``channel_opened``, ``channel_message``, ``channel_closed``, ``child_exited``, ``child_events``, ``http_request``,
``http_middleware``, ``websocket_opened``, ``websocket_message``, ``websocket_closed``, ``process_output``,
``process_exited``, ``migrate``.

``time``, ``datetime``, ``random`` and ``uuid`` work as always; what they answer is recorded, so that a step can be run
again. ``theater_sdk.testing`` runs an actor's class in a test, without a sandbox.
"""

from theater_sdk import files, http, http_server, process, store
from theater_sdk.actor import NO_REPLY, Actor, Message, Refuse
from theater_sdk.failure import CallFailed, ChildFailed, RequestFailed
from theater_sdk.host import log, parent_id, self_component, self_id, self_name, shutdown
from theater_sdk.messaging import (
    Channel,
    ChannelOpening,
    OpenedChannel,
    PendingRequest,
    cancel,
    channels,
    close_channel,
    open_channel,
    outstanding,
    reply,
    request,
    send,
    send_on_channel,
    whereis,
)
from theater_sdk.supervisor import (
    ChainEvent,
    Child,
    ChildExit,
    ChildSpec,
    ChildState,
    EventBatch,
    child_events,
    child_state,
    children,
    remove_child,
    restart_child,
    resume,
    spawn,
    spawn_and_wait,
    stop_child,
    subscribe,
    unsubscribe,
)
from theater_sdk.timing import Timer, cancel_timer, schedule, sleep, timers

__all__ = [
    "NO_REPLY",
    "Actor",
    "CallFailed",
    "ChainEvent",
    "Channel",
    "ChannelOpening",
    "Child",
    "ChildExit",
    "ChildFailed",
    "ChildSpec",
    "ChildState",
    "EventBatch",
    "Message",
    "OpenedChannel",
    "PendingRequest",
    "Refuse",
    "RequestFailed",
    "Timer",
    "cancel",
    "cancel_timer",
    "channels",
    "child_events",
    "child_state",
    "children",
    "close_channel",
    "files",
    "http",
    "http_server",
    "log",
    "open_channel",
    "outstanding",
    "parent_id",
    "process",
    "remove_child",
    "reply",
    "request",
    "restart_child",
    "resume",
    "schedule",
    "self_component",
    "self_id",
    "self_name",
    "send",
    "send_on_channel",
    "shutdown",
    "sleep",
    "spawn",
    "spawn_and_wait",
    "stop_child",
    "store",
    "subscribe",
    "timers",
    "unsubscribe",
    "whereis",
]
