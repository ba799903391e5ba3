"""The guest SDK's store, in a rehearsal: blobs and labels that come with the step."""

from __future__ import annotations

from typing import Any

import pytest

from theater_sdk import Actor, CallFailed, Message, Refuse, store
from theater_sdk.testing import Rehearsal


class Archive(Actor):
    """Keeps what it is told under a label, and says what it has."""

    def handle(self, state: Any, message: Message) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        match message.body:
            case {"keep": text, "as": label}:
                digest = store.put_at_label(label, text)
                assert store.get_text(digest) == text
                if text == "no":
                    raise Refuse("not that")
                return state, digest
            case {"look": label}:
                blob = store.get_label(label)
                return state, None if blob is None else store.get(blob).decode("utf-8", "replace")
            case {"forget": label}:
                blob = store.get_label(label)
                store.remove_label(label)
                store.remove(blob or "")
                return state, store.exists(blob or "")
        names = [label.name for label in store.labels()]
        sizes = [blob.size_bytes for blob in store.blobs()]
        usage = store.usage()
        return state, [names, sizes, usage.used_bytes, usage.blobs, usage.labels]


def test_what_a_step_keeps_is_there_in_the_next_one() -> None:
    archive = Rehearsal(Archive)

    digest = archive.request({"keep": "abc", "as": "a"})
    assert archive.request({"look": "a"}) == "abc"
    assert archive.request({"look": "b"}) is None
    assert archive.request(None) == [["a"], [3], 3, 1, 1]
    assert archive.spaces.blobs() == {digest: b"abc"}
    assert [call.function for call in archive.calls] == ["store_put_at_label"]
    assert archive.request({"forget": "a"}) is False
    assert (archive.spaces.blobs(), archive.spaces.labels()) == ({}, {})


def test_a_step_that_fails_keeps_nothing() -> None:
    archive = Rehearsal(Archive)

    with pytest.raises(Refuse):
        archive.request({"keep": "no", "as": "a"})
    assert archive.spaces.blobs() == {}
    assert archive.calls == []


def test_a_test_may_put_something_there_and_say_what_fails() -> None:
    archive = Rehearsal(Archive, answers={"store_put_at_label": CallFailed("quota", 10)})
    archive.spaces.put(b"\xff", label="a")

    assert archive.request({"look": "a"}) == "\ufffd"
    with pytest.raises(CallFailed, match=r"put-at-label: quota \(10\)"):
        archive.request({"keep": "x", "as": "b"})


class Caller(Actor):
    """Does what a test says."""

    def handle(self, state: Any, message: Message) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        blob = store.put(b"abc\xff", space="tree")
        store.set_label("a", blob, space="tree")
        parts = [store.get_range(blob, 1, 2, space="tree"), store.get(blob, space="tree")]
        assert parts == [b"bc", b"abc\xff"]
        assert store.size(blob, space="tree") == len(parts[1])
        reasons = []
        for attempt in (
            lambda: store.remove(blob, space="tree"),
            lambda: store.get_text(blob, space="tree"),
            lambda: store.get("0" * 64),
            lambda: store.remove_label("b"),
        ):
            with pytest.raises(CallFailed) as failed:
                attempt()
            reasons.append(failed.value.reason)
        return state, reasons


def test_what_is_refused_is_refused_as_by_the_runtime() -> None:
    assert Rehearsal(Caller).request(None) == ["labelled", "not-text", "not-found", "unknown-label"]
