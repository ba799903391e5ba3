"""``theater:actor/store``: blobs by their SHA-256, and labels for them, in spaces that outlive the actor's steps.

Recorded: every call, as ``host``, with what is put and what is got. A replay answers from that, and touches no space.
What a call changes comes with the commit of the step, in the same transaction; the step itself sees it at once.

Limits: a blob has at most 1 MiB (``blob``; 4 MiB is the most that can be granted), and so has what one call gets. A
space holds at most 64 MiB of them (``quota``), 10,000 blobs and 10,000 labels; a list gives 1,000 at once. A label has
1 to 255 bytes. Nothing that a guest says is ever part of a path: digests and labels are keys of a table.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping

from theater.capabilities.guest_content import Content, bytes_of, bytes_within, content_of
from theater.capabilities.guest_json import size_bytes
from theater.capabilities.registration import buffered, functions
from theater.capabilities.store_grant import BLOBS_MAX, LABELS_MAX, NAME, StoreGrant, parse
from theater.capabilities.store_least import LEAST
from theater.errors import StoreError
from theater.model.actor_system import Problem, SpaceLimits, SpaceView
from theater.model.capability import Capability, Denied, HostClass, StepContext
from theater.model.effects import PutBlob, RemoveBlob, RemoveLabel, SetLabel
from theater.model.ids import Digest, is_digest

LABEL_MAX_BYTES = 255
"""As in the interface: a file's name has no more either."""
PAGE_MAX = 1000
"""As in the interface: labels of 255 bytes make 400 KB of such a page, of the 16 MiB that a step records."""

Answer = tuple[str, object]

_OK: Answer = ("ok", None)


class _Refused(Exception):
    """A call that comes to an error of the interface."""

    def __init__(self, problem: Problem, *, is_denied: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.is_denied = is_denied


def _answered(call: Callable[[], object]) -> object:
    """What a call gives, as the interface's result."""
    try:
        return ("ok", call())
    except _Refused as refused:
        answer = ("err", refused.problem)
        return Denied(answer) if refused.is_denied else answer
    except StoreError as error:
        return ("err", ("io", error.message))


def _space(ctx: StepContext, grant: StoreGrant, space: str, *, writes: bool = False) -> SpaceView:
    problem = grant.refusal(space, writes=writes)
    if problem is not None:
        raise _Refused(problem, is_denied=True)
    return ctx.system.space(space)


def _require(problem: Problem | None) -> None:
    if problem is not None:
        raise _Refused(problem)


def _digest(text: str) -> Digest:
    if not is_digest(text):
        raise _Refused(("invalid-digest", None))
    return Digest(text)


def _label(text: str) -> str:
    is_sound = 0 < size_bytes(text) <= LABEL_MAX_BYTES and not any(unicodedata.category(each) == "Cc" for each in text)
    if not is_sound:
        raise _Refused(("invalid-label", None))
    return text


def _data(grant: StoreGrant, content: Content) -> bytes:
    data = bytes_within(content, grant.blob_bytes)
    if not isinstance(data, bytes):
        raise _Refused(data)
    return data


def _form(data: bytes | None, blob: Digest, form: str) -> Content:
    if data is None:
        raise _Refused(("not-found", blob))
    content = content_of(data, form)
    if content is None:
        raise _Refused(("not-text", None))
    return content


def _size(view: SpaceView, blob: Digest) -> int:
    size = view.size_of(blob)
    if size is None:
        raise _Refused(("not-found", blob))
    return size


def _limits(grant: StoreGrant) -> SpaceLimits:
    return SpaceLimits(grant.quota_bytes, BLOBS_MAX, LABELS_MAX)


# -- reading


def get(ctx: StepContext, grant: StoreGrant, space: str, blob: str, form: str) -> object:
    """A whole blob."""

    def call() -> Content:
        view, digest = _space(ctx, grant, space), _digest(blob)
        size = _size(view, digest)
        if size > grant.blob_bytes:
            raise _Refused(("too-large", grant.blob_bytes))
        return _form(view.read(digest, offset=0, size_bytes=size), digest, form)

    return _answered(call)


def get_range(
    ctx: StepContext, grant: StoreGrant, space: str, blob: str, offset: int, length: int, form: str
) -> object:
    """Part of a blob."""

    def call() -> Content:
        view, digest = _space(ctx, grant, space), _digest(blob)
        size = _size(view, digest)
        start = min(offset, size)
        wanted = min(length, size - start)
        if wanted > grant.blob_bytes:
            raise _Refused(("too-large", grant.blob_bytes))
        return _form(view.read(digest, offset=start, size_bytes=wanted), digest, form)

    return _answered(call)


def exists(ctx: StepContext, grant: StoreGrant, space: str, blob: str) -> object:
    """Whether it is there."""
    return _answered(lambda: _space(ctx, grant, space).size_of(_digest(blob)) is not None)


def size(ctx: StepContext, grant: StoreGrant, space: str, blob: str) -> object:
    """In bytes."""
    return _answered(lambda: _size(_space(ctx, grant, space), _digest(blob)))


def get_label(ctx: StepContext, grant: StoreGrant, space: str, label: str) -> object:
    """What it names."""
    return _answered(lambda: _space(ctx, grant, space).blob_of(_label(label)))


def list_labels(ctx: StepContext, grant: StoreGrant, space: str, prefix: str, after: str | None, limit: int) -> object:
    """A page of them. Neither ``prefix`` nor ``after`` need be a label."""

    def call() -> list[dict[str, object]]:
        found = _space(ctx, grant, space).labels(prefix, after=after or "", limit=min(limit, PAGE_MAX))
        return [{"name": name, "blob": blob} for name, blob in found]

    return _answered(call)


def list_blobs(ctx: StepContext, grant: StoreGrant, space: str, after: str | None, limit: int) -> object:
    """A page of them."""

    def call() -> list[dict[str, object]]:
        view = _space(ctx, grant, space)
        found = view.blobs(after="" if after is None else _digest(after), limit=min(limit, PAGE_MAX))
        return [{"digest": digest, "size-bytes": size_} for digest, size_ in found]

    return _answered(call)


def usage_of(ctx: StepContext, grant: StoreGrant, space: str) -> object:
    """How full it is, by this actor's quota."""

    def call() -> Mapping[str, int]:
        usage = _space(ctx, grant, space).usage()
        return {
            "used-bytes": usage.used_bytes,
            "quota-bytes": grant.quota_bytes,
            "blobs": usage.blobs,
            "labels": usage.labels,
        }

    return _answered(call)


# -- writing: each decides first, live alone, and then does what the answer, be it recorded, says


def put(ctx: StepContext, grant: StoreGrant, space: str, content: Content) -> object:
    """Keep a blob."""
    return _answered(lambda: _put(ctx, grant, space, None, content))


def put_at_label(ctx: StepContext, grant: StoreGrant, space: str, label: str, content: Content) -> object:
    """Keep a blob under a label."""
    return _answered(lambda: _put(ctx, grant, space, label, content))


def _put(ctx: StepContext, grant: StoreGrant, space: str, label: str | None, content: Content) -> Digest:
    view = _space(ctx, grant, space, writes=True)
    if label is not None:
        _label(label)
    data = _data(grant, content)
    digest = digest_of(data)
    _require(view.may_put(digest, len(data), label, _limits(grant)))
    return digest


def act_put(ctx: StepContext, answer: Answer, space: str, content: Content) -> None:
    """It comes with the commit."""
    if answer[0] == "ok":
        ctx.act(_recorded(answer, space, content))


def act_put_at_label(ctx: StepContext, answer: Answer, space: str, label: str, content: Content) -> None:
    """Both come with the commit."""
    if answer[0] == "ok":
        effect = _recorded(answer, space, content)
        ctx.act(effect)
        ctx.act(SetLabel(space, label, effect.blob))


def _recorded(answer: Answer, space: str, content: Content) -> PutBlob:
    """What was put. Raises ``ValueError`` where a forged record says otherwise."""
    data = bytes_of(content)
    if data is None or (digest := digest_of(data)) != answer[1]:
        raise ValueError("the digest is not that of what was put")
    return PutBlob(space, digest, data)


def remove(ctx: StepContext, grant: StoreGrant, space: str, blob: str) -> object:
    """Keep it no longer."""
    return _answered(lambda: _require(_space(ctx, grant, space, writes=True).may_remove(_digest(blob))))


def act_remove(ctx: StepContext, answer: Answer, space: str, blob: str) -> None:
    """It goes with the commit."""
    if answer == _OK:
        ctx.act(RemoveBlob(space, Digest(blob)))


def set_label(ctx: StepContext, grant: StoreGrant, space: str, label: str, blob: str) -> object:
    """Have it name this blob."""

    def call() -> None:
        view = _space(ctx, grant, space, writes=True)
        _require(view.may_label(_label(label), _digest(blob), _limits(grant)))

    return _answered(call)


def act_set_label(ctx: StepContext, answer: Answer, space: str, label: str, blob: str) -> None:
    """It does with the commit."""
    if answer == _OK:
        ctx.act(SetLabel(space, label, Digest(blob)))


def remove_label(ctx: StepContext, grant: StoreGrant, space: str, label: str) -> object:
    """Remove it."""
    return _answered(lambda: _require(_space(ctx, grant, space, writes=True).may_remove_label(_label(label))))


def act_remove_label(ctx: StepContext, answer: Answer, space: str, label: str) -> None:
    """It goes with the commit."""
    if answer == _OK:
        ctx.act(RemoveLabel(space, label))


def digest_of(data: bytes) -> Digest:
    """By what a blob is known."""
    return Digest(hashlib.sha256(data).hexdigest())


_INTERFACE = "theater:actor/store"

CAPABILITY = Capability(
    name=NAME,
    parse=parse,
    functions=(
        *functions(
            _INTERFACE,
            HostClass.READ,
            {
                "get": get,
                "get-range": get_range,
                "exists": exists,
                "size": size,
                "get-label": get_label,
                "list-labels": list_labels,
                "list-blobs": list_blobs,
                "usage-of": usage_of,
            },
        ),
        *buffered(
            _INTERFACE,
            {
                "put": (put, act_put),
                "remove": (remove, act_remove),
                "put-at-label": (put_at_label, act_put_at_label),
                "set-label": (set_label, act_set_label),
                "remove-label": (remove_label, act_remove_label),
            },
        ),
    ),
    interfaces=(_INTERFACE,),
    default_ceiling=StoreGrant(),
    least=LEAST,
)
