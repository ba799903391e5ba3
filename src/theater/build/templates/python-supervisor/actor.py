"""A supervisor and its workers, in one component: `{"text": "…"}` has a worker count its words.

The runtime starts an ended worker again, as `[supervision]` in the manifest says. Nothing here does that.
"""

from worker import handle_task

from theater_sdk import (
    NO_REPLY,
    Actor,
    ChildExit,
    Message,
    Refuse,
    reply,
    self_component,
    self_name,
    send,
    spawn,
)

# The same component, so it needs the same capabilities: of each as little as it can do with.
WORKER = """
name = "worker"
component = "sha256:%s"

[limits]
fuel = 100_000_000
children = 0

[capabilities.supervisor]
[capabilities.messaging]
to = ["parent"]
"""


class Team(Actor):
    def init(self, params: dict) -> dict:
        if "workers" not in params:
            return {"done": 0}  # a worker
        manifest = WORKER % self_component()
        names = [f"{self_name()}-{number}" for number in range(1, params["workers"] + 1)]
        return {"workers": [spawn(manifest=manifest, name=name, params={}) for name in names], "open": {}, "ended": []}

    def handle(self, state: dict, message: Message) -> tuple[dict, object]:
        if "workers" not in state:
            return handle_task(state, message)
        match message.body:
            case {"text": str()}:
                worker = state["workers"][0]
                state["workers"] = [*state["workers"][1:], worker]  # everybody's turn comes
                send(worker, {"task": message.id, "text": message.body["text"]})
                state["open"][message.id] = worker
                return state, NO_REPLY  # the worker's answer, or its end, comes in a later step
            case {"task": task, "words": words} if state["open"].pop(task, None):
                reply(task, {"words": words})
                return state, None
            case "ended":
                return state, state["ended"]
        raise Refuse('say {"text": "…"} or "ended"')

    def child_exited(self, state: dict, exit: ChildExit) -> dict:  # noqa: A002
        state["ended"].append([exit.name, exit.reason, exit.detail, exit.decision])
        lost = next((task for task, worker in state["open"].items() if worker == exit.child), None)
        if lost is not None:  # a worker takes its tasks in order: this is the one that it ended over
            del state["open"][lost]
            reply(lost, {"failed": exit.reason})
        return state
