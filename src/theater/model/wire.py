"""The documents of the HTTP API: what a server sends and takes, and a client takes and sends.

One structure a document; the OpenAPI description is made from these. Fields only grow. A guest's JSON value (state,
message, reply) stands in a document as exactly its text: ``msgspec.Raw``. Times are texts as in a chain's headers,
sizes bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from theater.model.ports import Durability, Status
from theater.model.stdin import Stdin

Scope = Literal["read", "operate"]
"""What a token may do: look at everything, or also change things."""

Hex64 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Id = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Count = Annotated[int, Meta(ge=0)]

# msgspec reads no text as it is into a union: it would have to look at it to know which of both it is. So to msgspec it
# is any text, and ``_null_as_none`` makes None of the one text that means it.
if TYPE_CHECKING:
    JsonOrNone = msgspec.Raw | None
else:
    JsonOrNone = msgspec.Raw

_NULL = b"null"


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what a server sends."""


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what a client sends: what the server does not know is refused, not passed over."""


# -- errors ----------------------------------------------------------------------------------------------------------


class Problem(Document, frozen=True):
    """An error, RFC 9457. ``code`` is stable, and that of the error; ``data`` is what is known beyond the message."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    data: dict[str, object] = {}


# -- actors ----------------------------------------------------------------------------------------------------------


class ActorRow(Document, frozen=True):
    """An actor in a list. ``head`` is the hash of event ``seq``, the last of its chain."""

    id: Id
    name: str
    status: Status
    parent: Id | None
    seq: int
    head: Hex64
    created: str
    restarts: Count
    hidden_state: bool
    waiting: Count
    """Messages in its mailbox."""
    steps: Count | None = None
    """That it closed since the server was started; null where no server was asked."""


class ActorPage(Document, frozen=True):
    """Actors, oldest first. ``next`` is the ``after`` of the next page, null behind the last."""

    actors: list[ActorRow]
    next: Id | None


class Child(Document, frozen=True):
    """A child, as its parent has it."""

    id: Id
    name: str
    status: Status
    restarts: Count


class Supervision(Document, frozen=True):
    """How it supervises its children, and how it is to be supervised itself; as in a manifest.

    ``restart`` is ``temporary`` for a root actor whose manifest says nothing of it: nobody restarts it.
    """

    strategy: str
    intensity: Count
    period: str
    restart: str
    restart_from: str
    shutdown: str


class Failure(Document, frozen=True):
    """The last crash or refusal of its chain."""

    seq: int
    time: str
    kind: Literal["refused", "crashed"]
    reason: str | None
    message: str


class ActorDetail(Document, frozen=True):
    """Everything about one actor but its events and its state itself.

    What a strange chain does not tell (one that was taken in may be withheld in part) is null, or empty.
    """

    actor: ActorRow
    program: Hex64
    role: str | None
    """``actor`` or ``command``."""
    instance: str | None
    manifest: str | None
    """The manifest's text."""
    params: JsonOrNone
    arguments: list[str]
    grants: dict[str, dict[str, object]]
    """The effective ones, defaults written out."""
    allowed: list[str]
    """What a person allowed beyond the node's ceiling."""
    limits: dict[str, object]
    """All of them, as in a manifest."""
    limits_set: list[str]
    """Those that the manifest sets itself."""
    supervision: Supervision | None
    children: list[Child]
    deferred: Count
    """Requests that it put off."""
    timers: Count
    channels: Count
    services: list[str]
    """What the node has open for it, a line each: where it listens. Empty where no node runs."""
    chain_bytes: Count
    state_seq: int | None
    """The event that holds the state; null where there is none."""
    state_bytes: Count | None
    failure: Failure | None
    """Looked for among the last 4,096 events, 16 MiB of them; null where it is not there."""
    engine: str | None
    version: str | None
    """Of Theater, that made it."""
    node: str | None
    """Public key of the node that made it."""
    durability: Durability

    def __post_init__(self) -> None:
        _null_as_none(self, "params")


class StartOrder(Order, frozen=True):
    """An actor to be started."""

    manifest: str
    """The manifest's text."""
    component: Hex64 | None = None
    """The digest of one in the content store; null: the manifest names it so itself."""
    name: str | None = None
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """In place of the manifest's."""
    settings: dict[str, object] = {}
    """For the manifest's placeholders."""
    arguments: list[str] = []
    stdin: Stdin | None = None
    """What its program can read."""
    rename: bool = False
    """Whether a name that is taken becomes ``name-2`` and so on, in place of an error."""
    allowance: str | None = None
    """The name of a file in the server's data directory with what a person allowed beyond the ceiling."""


class Started(Document, frozen=True):
    """An actor whose first step has been committed."""

    actor: ActorRow
    grants: dict[str, dict[str, object]]
    role: str


class StopOrder(Order, frozen=True):
    """``now``: do not wait for the step that is running; it ends as ``terminated``."""

    now: bool = False


class RestartOrder(Order, frozen=True):
    """``from_init``: with a fresh ``init``, else from the last committed state."""

    from_init: bool = False
    allowance: str | None = None
    """As in ``StartOrder``; for its own manifest, where it has ended and goes beyond the ceiling."""


class UpgradeOrder(Order, frozen=True):
    """The digest of a component in the content store."""

    component: Hex64


class ForkOrder(Order, frozen=True):
    """A new actor, to go on from the last step of another's that was closed before event ``at``."""

    at: Annotated[int, Meta(ge=1)]
    """That event, and all behind it, has not happened for it; at most one behind the last event."""
    name: str | None = None
    """In place of the other's with ``-fork`` behind it."""
    component: Hex64 | None = None
    """The digest of one in the content store; null: the one that the other had there."""
    rename: bool = False
    """As in ``StartOrder``."""
    allowance: str | None = None
    """As in ``StartOrder``; for the other's manifest."""


class Removed(Document, frozen=True):
    """Actors that were removed: what they recorded is erased; the headers of their events stay."""

    removed: list[Id]


# -- talking ---------------------------------------------------------------------------------------------------------


class Receipt(Document, frozen=True):
    """The event that proves it."""

    seq: int
    hash: Hex64


class Replied(Document, frozen=True):
    """The answer to a request, exactly as the guest wrote it; null where it gave none."""

    reply: JsonOrNone
    receipt: Receipt
    has_reply: bool = True
    """Whether ``reply`` is what the guest answered: it may have answered ``null``, too."""

    def __post_init__(self) -> None:
        _null_as_none(self, "reply")


class Accepted(Document, frozen=True):
    """A message that will be handled once, also if the process dies. With ``receipt``, it has been."""

    id: Id
    receipt: Receipt | None = None


class ChannelOpened(Document, frozen=True):
    """A channel that the actor accepted, with what it said."""

    channel: Id
    actor: Id
    reply: JsonOrNone

    def __post_init__(self) -> None:
        _null_as_none(self, "reply")


class ChannelMessages(Document, frozen=True):
    """What the actor said since it was last read. ``closed`` says why nothing more will come, null while it is open."""

    messages: list[msgspec.Raw]
    closed: str | None


# -- looking ---------------------------------------------------------------------------------------------------------


class EventRow(Document, frozen=True):
    """An event: the fields of its header, its hash, and its payload as it is; both null where it was erased.

    The header can be made again of ``actor seq prev time kind name commit size``, so whoever reads can check the hash.
    """

    seq: int
    kind: str
    name: str
    time: str
    hash: Hex64
    prev: Hex64
    payload: JsonOrNone
    actor: Id
    commit: Hex64
    size: Count
    salt: str | None
    trace: str | None = None
    index: Count | None = None
    """The node-wide one, where all events of the node were asked for."""

    def __post_init__(self) -> None:
        _null_as_none(self, "payload")


class EventPage(Document, frozen=True):
    """Events in order. ``next`` is the ``from`` of the next page, null where there were no more when it was made."""

    events: list[EventRow]
    next: Count | None


class StateDocument(Document, frozen=True):
    """A state, exactly as the guest wrote it, and the event that holds it."""

    id: Id
    seq: int
    state: msgspec.Raw


# -- keeping ---------------------------------------------------------------------------------------------------------


class Blob(Document, frozen=True):
    """A component in the content store."""

    digest: Hex64
    size: Count


class Imported(Document, frozen=True):
    """An actor that was taken in from a bundle, stopped."""

    id: Id
    name: str
    events: Count
    head: Hex64


class Collected(Document, frozen=True):
    """What was of no use to anybody, and is gone."""

    components: Count
    payloads: Count
    cached: Count
    bytes: Count


class NodeDocument(Document, frozen=True):
    """The node that a server serves."""

    version: str
    engine: str
    node: str
    """Its public key."""
    durability: Durability
    data_dir: str
    started: str
    actors: Count
    running: Count
    events: Count
    free_bytes: Count
    reserve_bytes: Count
    token: str
    """The name of the token that asked."""
    scope: Scope


class Health(Document, frozen=True):
    """It serves."""

    status: Literal["ok"] = "ok"


def _null_as_none(document: Document, name: str) -> None:
    text = getattr(document, name)
    if text is not None and len(text) == len(_NULL) and bytes(text) == _NULL:
        msgspec.structs.force_setattr(document, name, None)
