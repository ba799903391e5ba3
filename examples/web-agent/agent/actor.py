"""An agent: `{"ask": QUESTION}` goes to a model, which may ask for tools before it answers.

What the model says is nobody's promise: it names a tool and gives it text. What comes of that is for the grant to say.
"""

import json
from urllib.parse import urlencode

from theater_sdk import Actor, CallFailed, Message, Refuse, http, log

TURNS_MAX = 6
"""How often the model is asked for one answer: it may want tools for ever."""
LINES_MAX = 40
"""How much of the conversation is kept and sent along."""


class Agent(Actor):
    def init(self, params: dict) -> dict:
        return {"model": params["model"], "tools": params["tools"], "conversation": []}

    def handle(self, state: dict, message: Message) -> tuple[dict, dict]:
        match message.body:
            case {"ask": str(question)}:
                conversation = [*state["conversation"], {"role": "user", "content": question}]
            case _:
                raise Refuse('say {"ask": QUESTION}')
        for turn in range(1, TURNS_MAX + 1):
            said = ask_model(state["model"], conversation)
            conversation.append(said)
            if not said.get("tool_calls"):
                state["conversation"] = kept(conversation)
                return state, {"answer": said["content"], "turns": turn}
            conversation += [use_tool(state["tools"], call) for call in said["tool_calls"]]
        raise Refuse(f"the model had no answer after {TURNS_MAX} turns")


def ask_model(url: str, conversation: list[dict]) -> dict:
    """What the model says next. The key is put in on the way out: this code never sees it."""
    body = {"model": "stand-in", "messages": conversation}
    try:
        found = http.post(url, json=body, headers={"authorization": "Bearer {{secret:MODEL_KEY}}"})
    except CallFailed as error:
        raise Refuse(f"the model cannot be asked: {error}") from error
    try:
        said = found.json() if found.status == 200 else None
    except ValueError:
        said = None
    match said:
        case {"choices": [{"message": {"tool_calls": [_, *_]} as line}, *_]}:
            return line
        case {"choices": [{"message": {"content": str()} as line}, *_]}:
            return line
    raise Refuse(f"the model answered {found.status}: {found.text[:200]}")


def use_tool(tools: str, call: object) -> dict:
    """The tool's answer as a line of the conversation. What fails is for the model to make something of."""
    match call:
        case {"id": str(id), "function": {"name": str(name), "arguments": str(arguments)}}:
            try:
                content = http.get(f"{tools}/{name}?{urlencode(json.loads(arguments))}").text
            except (CallFailed, TypeError, ValueError) as error:
                log("warn", f"{name}: {error}")
                content = f"error: {error}"
            return {"role": "tool", "tool_call_id": id, "content": content}
    raise Refuse(f"the model called a tool in no way that there is: {json.dumps(call)[:200]}")


def kept(conversation: list[dict]) -> list[dict]:
    """The end of it, from a question on."""
    end = conversation[-LINES_MAX:]
    first = next((index for index, line in enumerate(end) if line["role"] == "user"), 0)
    return end[first:]
