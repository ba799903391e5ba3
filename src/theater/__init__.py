"""Theater: WebAssembly actors that are sandboxed, recorded, replayed and verified.

async with theater.Runtime(data_dir="…") as runtime:
    counter = await runtime.spawn("counter/theater.toml")
    reply = await counter.request({"by": 1})

What is named here is the public interface. It is loaded when first asked for: the child processes that compile and
build import this package too, and need none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from theater.runtime.letter import Reply
    from theater.runtime.reference import ActorRef
    from theater.runtime.runtime import Runtime

_HOMES = {
    "ActorRef": "theater.runtime.reference",
    "Reply": "theater.runtime.letter",
    "Runtime": "theater.runtime.runtime",
}

__all__ = ["ActorRef", "Reply", "Runtime", "__version__"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'theater' has no attribute {name!r}")
    return getattr(import_module(home), name)
