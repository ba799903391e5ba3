"""The least grant of ``store`` that the calls of a history need."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from theater.capabilities.guest_content import size_at_most
from theater.capabilities.store_grant import NAME, OWN, StoreGrant
from theater.model.narrowing import AS_GRANTED, Least, Need, SeenCall, rounded_size, size_within

_WRITES = frozenset({"put", "remove", "put-at-label", "set-label", "remove-label"})


def needs(call: SeenCall) -> Iterator[Need]:
    """``space`` with what is done there, ``blob`` with a size, ``put`` with whose, the digest and its size."""
    if call.interface != f"theater:actor/{NAME}":
        return
    space = str(call.arguments[0])
    yield "space", space, "write" if call.function in _WRITES else "read"
    match call.answer:
        case ("err", ("too-large", _)):
            yield "blob", AS_GRANTED
        case ("err", ("quota", *_)):
            yield "quota", AS_GRANTED
        case ("ok", {"used-bytes": int(used)}):
            yield "used", call.actor, used
        case ("ok", (str(form), str() | bytes() as content)):
            yield "blob", size_at_most((form, content))
        case ("ok", str(digest)) if call.function in {"put", "put-at-label"}:
            size_bytes = _size_put(call)
            yield "blob", size_bytes
            yield "put", call.actor, space, digest, size_bytes


def grant(granted: StoreGrant, found: Collection[Need]) -> StoreGrant:
    """The spaces that were used, for reading alone where nothing was written; as much room as was ever taken at most.

    How full a space is that others write to cannot be told from one history.
    """
    written = {str(need[1]) for need in found if need[0] == "space" and need[2] == "write"} & set(granted.space)
    read = {str(need[1]) for need in found if need[0] == "space"} & granted.readable
    return StoreGrant(
        space=tuple(written),
        read=tuple(read - written),
        quota_bytes=_quota(granted, found) if written <= set(OWN) else granted.quota_bytes,
        blob_bytes=size_within(found, "blob", granted.blob_bytes),
    )


LEAST = Least(needs, grant)


def _size_put(call: SeenCall) -> int:
    content = call.arguments[-1]
    assert isinstance(content, tuple)
    return size_at_most(content)


def _quota(granted: StoreGrant, found: Collection[Need]) -> int:
    """What each actor ever put, as if nothing of it had been removed; or how much it was told that there is."""
    if ("quota", AS_GRANTED) in found:
        return granted.quota_bytes
    blobs: dict[tuple[str | int, str | int], int] = {}
    total: dict[str | int, int] = {}
    for kind, *rest in found:
        match kind, rest:
            case "put", [actor, _, digest, int(size_bytes)]:
                blobs[actor, digest] = max(size_bytes, blobs.get((actor, digest), 0))
            case "used", [actor, int(used)]:
                total[actor] = max(used, total.get(actor, 0))
    sums: dict[str | int, int] = {}
    for (actor, _), size_bytes in blobs.items():
        sums[actor] = sums.get(actor, 0) + size_bytes
    most = max([0, *sums.values(), *total.values()])
    return min(granted.quota_bytes, rounded_size(most))
