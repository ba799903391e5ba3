"""An actor that does what nobody wants: {"do": "loop"}, or "eat", "environment", "file", "escape"."""

import os
from pathlib import Path

from theater_sdk import Actor, Message, Refuse


class Mischief(Actor):
    def handle(self, state: dict, message: Message) -> tuple[dict, object]:
        match message.body.get("do"):
            case "loop":
                while True:
                    pass
            case "eat":
                hoard = []
                while True:
                    hoard.append(bytearray(1024 * 1024))
            case "environment":
                return state, {"what I can see": dict(os.environ)}
            case "file":
                return state, Path("/etc/passwd").read_text()
            case "escape":
                print("\x1b[31mI own your terminal\x1b[0m \u202ereversed")
                return state, "done"
            case other:
                raise Refuse(f"I know no mischief called {other!r}")
