"""What a worker does with one message: it counts the words of a text, and crashes over an empty one."""

from theater_sdk import Message, send


def handle_task(state: dict, message: Message) -> tuple[dict, None]:
    words = message.body["text"].split()
    if not words:
        raise ValueError("there is nothing to count")
    state["done"] += 1
    send(message.sender, {"task": message.body["task"], "words": len(words)})
    return state, None
