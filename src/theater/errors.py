"""Every error that Theater raises, in one place.

Each class has a stable ``code`` (it appears in JSON output and in problem details, and never changes), keeps its data
as attributes, and its message says what to do. The classes are grouped by what the caller can do about them:

* fix the call      -- ``InvalidInput`` and its children
* try again         -- ``Busy`` and its children
* give up           -- ``NotFound``, ``Refused``, ``Crashed``, ``Diverged``, ``Unsound``, ``StoreError``
* report our bug    -- ``InternalError``

A guest's refusal (``Refused``), a guest's crash (``Crashed``) and a replay that went elsewhere (``Diverged``) are three
different things and are never merged.
"""

from __future__ import annotations


class TheaterError(Exception):
    """The root: catching it catches everything that Theater raises on purpose, and nothing else."""

    code = "error"

    def __init__(self, message: str, **data: object) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


# -- fix the call ----------------------------------------------------------------------------------------------------


class InvalidInput(TheaterError):
    """What was passed in cannot be used as it is; nothing was changed. Not raised for what a guest returns."""

    code = "invalid-input"


class InvalidJson(InvalidInput):
    """A text is not JSON as RFC 8259 and our limits define it. ``data``: ``offset`` in characters."""

    code = "invalid-json"


class InvalidManifest(InvalidInput):
    """A manifest has a wrong key, type or value. Not raised for a manifest that asks for too much: see ``Denied``."""

    code = "invalid-manifest"


class InvalidComponent(InvalidInput):
    """A file is not a component that this node can run: wrong format, unknown import, missing export, too large."""

    code = "invalid-component"


class CompileFailed(InvalidComponent):
    """The engine could not compile a component within its limits. Raised again on every load: it is not cached."""

    code = "compile-failed"


class BuildFailed(InvalidInput):
    """A source could not be made into a component. The message has file and line where the toolchain knows them."""

    code = "build-failed"


class Denied(InvalidInput):
    """More was asked for than the ceiling or the parent allows. ``data``: ``asked``, the exact manifest lines."""

    code = "denied"


class NameTaken(InvalidInput):
    """A living actor already has that name."""

    code = "name-taken"


class NotRunning(InvalidInput):
    """The actor is stopped or crashed and takes no messages. Not raised for a paused one: it accepts and waits."""

    code = "not-running"


class NoChannels(InvalidInput):
    """The actor's component does not export ``channel-handlers``: it takes no channels. Nothing was asked of it."""

    code = "no-channels"


class ChannelClosed(InvalidInput):
    """The channel is closed; the message says by whom or why. What was received before it was can still be read."""

    code = "channel-closed"


class NotStopped(InvalidInput):
    """The actor lives, or has children, and only what has ended can be removed."""

    code = "not-stopped"


class IdempotencyMismatch(InvalidInput):
    """The same idempotency key came before with another message. Nothing was sent."""

    code = "idempotency-mismatch"


class BadRequest(InvalidInput):
    """An HTTP request that the server's interface does not have. ``status`` is the one to answer with.

    ``code`` is that of the case: ``no-such-route``, ``no-such-method``, ``too-large``, ``wrong-type``, ``bad-request``.
    """

    code = "bad-request"

    def __init__(self, message: str, *, code: str = "bad-request", status: int = 400, **data: object) -> None:
        super().__init__(message, **data)
        self.code = code
        self.status = status


class Unauthorized(InvalidInput):
    """A server was asked without a token, or with one that it does not know."""

    code = "unauthorized"


class Forbidden(InvalidInput):
    """The token may not do that, or the request comes from where none may come from. ``code`` says which."""

    code = "forbidden"

    def __init__(self, message: str, *, code: str = "forbidden", **data: object) -> None:
        super().__init__(message, **data)
        self.code = code


class BadBundle(InvalidInput):
    """A bundle or an exported chain is not in its format; nothing of it was kept."""

    code = "bad-bundle"


# -- try again -------------------------------------------------------------------------------------------------------


class Busy(TheaterError):
    """The same call may succeed later."""

    code = "busy"


class MailboxFull(Busy):
    """The actor's mailbox holds as many messages as its manifest allows; nothing was queued."""

    code = "mailbox-full"


class DataDirLocked(Busy):
    """Another process holds the data directory. ``data``: ``holder``, what that process wrote of itself."""

    code = "data-dir-locked"


class TimedOut(Busy):
    """No answer within the time given. The step itself goes on and its events stand."""

    code = "timed-out"


class Closing(Busy):
    """The server is stopping: it takes no more requests. Nothing was done."""

    code = "closing"


class NoServer(Busy):
    """No server answers where one was expected. Nothing was asked of anybody, or nobody knows what came of it."""

    code = "no-server"


# -- give up ---------------------------------------------------------------------------------------------------------


class NotFound(TheaterError):
    """No actor, event, file or blob of that name. The message names the nearest that there is, if any."""

    code = "not-found"


class Refused(TheaterError):
    """The guest answered ``err(text)``: its state is unchanged and it lives on. Not raised when it crashed."""

    code = "refused"


class Crashed(TheaterError):
    """The guest trapped, ran out of a limit or answered what is not JSON. ``data``: ``reason``, see CrashReason."""

    code = "crashed"


class Diverged(TheaterError):
    """A replay asked or answered something other than what is recorded. ``data``: ``seq``, ``expected``, ``got``."""

    code = "diverged"


class Unsound(TheaterError):
    """A chain is not what it says it is. ``data``: ``seq`` of the first bad event."""

    code = "unsound"


class StoreError(TheaterError):
    """The store decided that an operation cannot happen, and nothing of it did. Nothing is retried inside."""

    code = "store-error"


class HeadConflict(StoreError):
    """An append named a head that is not the chain's head. Nothing was written."""

    code = "head-conflict"


class Fenced(StoreError):
    """The holder lost its right to append to the chain; another one has it."""

    code = "fenced"


class Damaged(StoreError):
    """Stored bytes are not what was written, or could not be written. What was committed before stands."""

    code = "damaged"


class DiskFull(Damaged):
    """There is no room to record what would happen, so it does not happen."""

    code = "disk-full"


# -- report our bug --------------------------------------------------------------------------------------------------


class InternalError(TheaterError):
    """Something that only a bug of ours explains."""

    code = "internal"
