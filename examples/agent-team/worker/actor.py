"""A worker: does what its role is to a text, and remembers how many tasks it has done.

The `joker` is code that nobody has read. Told so, it crashes, loops, refuses, leaves, or answers far too much.
"""

from theater_sdk import Actor, Message, Refuse, send, shutdown


class Worker(Actor):
    def init(self, params: dict) -> dict:
        return {"role": params["role"], "done": 0}

    def handle(self, state: dict, message: Message) -> tuple[dict, object]:
        result = WORK[state["role"]](message.body)
        state["done"] += 1
        if message.expects_reply:
            return state, result
        if result is not None:  # who leaves says nothing more
            send(message.sender, {"task": message.body["task"], "result": result})
        return state, None


def count(task: dict) -> dict:
    return {"words": len(task["text"].split())}


def sort(task: dict) -> dict:
    return {"sorted": sorted(set(task["text"].lower().split()))}


def joke(task: dict) -> object:
    match task["do"]:
        case "work":
            return {"backwards": task["text"][::-1]}
        case "crash":
            return {}["a key that is not there"]
        case "loop":
            while True:
                pass
        case "refuse":
            raise Refuse("not before my coffee")
        case "leave":
            shutdown({"said": "goodbye"})
            return None
        case "flood":
            return "ha" * 1_000_000
    raise Refuse(f"no idea how to {task['do']}")


WORK = {"counter": count, "sorter": sort, "joker": joke}
