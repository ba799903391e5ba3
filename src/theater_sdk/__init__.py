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

``time``, ``datetime``, ``random`` and ``uuid`` work as always; what they answer is recorded, so that a step can be run
again. ``theater_sdk.testing`` runs an actor's class in a test, without a sandbox.
"""

from theater_sdk.actor import NO_REPLY, Actor, Message, Refuse
from theater_sdk.host import log, parent_id, self_id, self_name, shutdown

__all__ = [
    "NO_REPLY",
    "Actor",
    "Message",
    "Refuse",
    "log",
    "parent_id",
    "self_id",
    "self_name",
    "shutdown",
]
