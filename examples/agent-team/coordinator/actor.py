"""The coordinator of a team: starts three workers, hands out tasks, collects results, logs how its workers end.

`{"to": ROLE, "do": …, "text": …}` hands a task out and is answered when the worker has sent its result, or has ended
over it. `{"ask": ROLE, …}` waits for the worker inside the step. `"report"` tells what there is to know.
"""

from theater_sdk import (
    NO_REPLY,
    Actor,
    CallFailed,
    ChildExit,
    Message,
    Refuse,
    RequestFailed,
    children,
    reply,
    request,
    schedule,
    send,
    spawn,
)

ROLES = ("counter", "sorter", "joker")
AGAIN_S = 0.1

# What a worker is, and all that it may do: compute for a moment, and talk to whoever spawned it.
MANIFEST = """
name = "worker"
component = "%s"

[limits]
fuel = 200_000_000
reply = "16KiB"
message = "16KiB"

[capabilities.messaging]
to = ["parent"]
"""


class Coordinator(Actor):
    def init(self, params: dict) -> dict:
        manifest = MANIFEST % params["worker"]
        workers = {role: spawn(manifest=manifest, name=role, params={"role": role}) for role in ROLES}
        return {"workers": workers, "tasks": {}, "handed-out": 0, "results": 0, "exits": []}

    def handle(self, state: dict, message: Message) -> tuple[dict, object]:
        match message.body:
            case {"task": str() as task, "result": result} if message.sender in state["workers"].values():
                state["results"] += 1
                answer(state, task, {"result": result})
                return state, None
            case {"again": str() as task}:  # from a timer of its own
                hand_out(state, task)
                return state, None
            case {"to": str() as role} if role in state["workers"]:
                state["handed-out"] += 1
                task = str(state["handed-out"])
                state["tasks"][task] = {"asker": message.id, "role": role, "body": message.body}
                hand_out(state, task)
                return state, NO_REPLY
            case {"ask": str() as role} if role in state["workers"]:
                try:
                    return state, {"result": request(state["workers"][role], message.body)}
                except RequestFailed as error:
                    return state, {"failed": str(error)}
            case "report":
                workers = [
                    {"name": child.name, "status": child.status, "restarts": child.restarts} for child in children()
                ]
                return state, {"workers": workers, "exits": state["exits"], "results": state["results"]}
        raise Refuse('say {"to": ROLE, "do": …}, {"ask": ROLE, "do": …} or "report"')

    def child_exited(self, state: dict, exit: ChildExit) -> dict:  # noqa: A002 - the SDK's word
        how = {"worker": exit.name, "reason": exit.reason, "detail": exit.detail, "decision": exit.decision}
        state["exits"].append(how)
        # A worker takes its tasks in order, so the oldest one that is open is the one that it ended over.
        for task, open_task in state["tasks"].items():
            if state["workers"][open_task["role"]] == exit.child:
                answer(state, task, {"failed": how})
                break
        return state


def hand_out(state: dict, task: str) -> None:
    open_task = state["tasks"][task]
    try:
        send(state["workers"][open_task["role"]], {"task": task} | open_task["body"])
    except CallFailed as error:
        if error.reason != "not-running":  # it may be about to be restarted
            raise
        schedule({"again": task}, after_s=AGAIN_S)


def answer(state: dict, task: str, body: dict) -> None:
    """Answer whoever gave this task, long ago or just now."""
    reply(state["tasks"].pop(task)["asker"], body)
