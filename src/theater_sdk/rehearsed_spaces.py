"""The spaces for blobs of a rehearsal: all that are asked for are granted, and none is ever full."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

from theater_sdk.failure import CallFailed
from theater_sdk.text import bytes_of, content_in

_QUOTA_BYTES = 64 * 2**20


class RehearsedSpaces:
    """Keeps what the steps that succeeded put. A test may put something there as well."""

    def __init__(self) -> None:
        self._blobs: dict[str, dict[str, bytes]] = {}
        self._labels: dict[str, dict[str, str]] = {}
        self._before = copy.deepcopy((self._blobs, self._labels))

    def put(self, content: bytes | str, *, label: str | None = None, space: str = "self") -> str:
        """Have it there, as if an earlier step had put it; its digest."""
        data = content.encode() if isinstance(content, str) else content
        digest = self._put(space, data)
        if label is not None:
            self._labels.setdefault(space, {})[label] = digest
        self.end_step(has_succeeded=True)
        return digest

    def blobs(self, space: str = "self") -> dict[str, bytes]:
        """What is there, by digest."""
        return dict(self._blobs.get(space, {}))

    def labels(self, space: str = "self") -> dict[str, str]:
        """The digest that each label names."""
        return dict(self._labels.get(space, {}))

    def end_step(self, *, has_succeeded: bool) -> None:
        """Let what the step changed stand, or take it back."""
        if not has_succeeded:
            self._blobs, self._labels = self._before
        self._before = copy.deepcopy((self._blobs, self._labels))

    def call(self, function: str, args: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any WIT type
        """Answer a function of the interface, by its name there."""
        space = args["space"]
        blobs, labels = self._blobs.setdefault(space, {}), self._labels.setdefault(space, {})
        match function:
            case "put":
                return self._put(space, bytes_of(args["content"]))
            case "put-at-label":
                labels[args["label"]] = self._put(space, bytes_of(args["content"]))
                return labels[args["label"]]
            case "get-label":
                return labels.get(args["label"])
            case "remove-label":
                if labels.pop(args["label"], None) is None:
                    raise CallFailed("unknown-label", args["label"])
                return None
            case "exists":
                return args["blob"] in blobs
            case "list-labels" | "list-blobs" | "usage-of":
                return _listed(function, blobs, labels, args)
        return self._of_one(function, blobs, labels, args)

    def _put(self, space: str, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self._blobs.setdefault(space, {})[digest] = data
        return digest

    def _of_one(self, function: str, blobs: dict[str, bytes], labels: dict[str, str], args: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """What needs a blob that is there."""
        digest = args["blob"]
        if digest not in blobs:
            raise CallFailed("not-found", digest)
        data = blobs[digest]
        match function:
            case "get":
                return content_in(data, args["form"])
            case "get-range":
                return content_in(data[args["offset"] :][: args["length"]], args["form"])
            case "size":
                return len(data)
            case "set-label":
                labels[args["label"]] = digest
            case _:
                label = next((name for name, named in labels.items() if named == digest), None)
                if label is not None:
                    raise CallFailed("labelled", label)
                del blobs[digest]
        return None


def _listed(function: str, blobs: Mapping[str, bytes], labels: Mapping[str, str], args: Mapping[str, Any]) -> Any:  # noqa: ANN401
    match function:
        case "list-labels":
            names = sorted(name for name in labels if name.startswith(args["prefix"]) and name > (args["after"] or ""))
            return [{"name": name, "blob": labels[name]} for name in names[: args["limit"]]]
        case "list-blobs":
            digests = sorted(digest for digest in blobs if digest > (args["after"] or ""))
            return [{"digest": each, "size-bytes": len(blobs[each])} for each in digests[: args["limit"]]]
    used = sum(map(len, blobs.values()))
    return {"used-bytes": used, "quota-bytes": _QUOTA_BYTES, "blobs": len(blobs), "labels": len(labels)}
