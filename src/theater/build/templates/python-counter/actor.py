"""A counter: `{"by": k}` adds k to the count and answers `{"count": n}`."""

from theater_sdk import Actor, Message, Refuse


class Counter(Actor):
    def init(self, params: dict) -> dict:
        return {"count": params.get("start", 0)}

    def handle(self, state: dict, message: Message) -> tuple[dict, dict]:
        if "by" not in message.body:
            raise Refuse('say {"by": NUMBER}')
        state["count"] += message.body["by"]
        return state, {"count": state["count"]}
