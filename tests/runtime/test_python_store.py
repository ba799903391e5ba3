"""A Python actor that keeps blobs: what crosses the sandbox's wall is what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guests.python import python_actor
from theater.capabilities.store import digest_of
from theater.testing.harness import Actor, Harness

COMPILE_S = 120.0
"""For a component of 18 MB, on a machine that has other things to do."""

SOURCE = """
from theater_sdk import Actor, CallFailed, store


class Archive(Actor):
    def handle(self, state, message):
        data = bytes(range(256))
        digest = store.put(data)
        text = store.put_at_label("a", "\\u00fc")
        store.set_label("b", digest)
        got = [store.get(digest) == data, store.get_text(text), list(store.get_range(digest, 254, 9))]
        refused = []
        denied = lambda: store.put("", space="tree")
        for attempt in (lambda: store.get_text(digest), lambda: store.remove(text), denied):
            try:
                attempt()
            except CallFailed as error:
                refused.append(error.reason)
        store.remove_label("a")
        store.remove(text)
        listed = [[label.name, label.blob] for label in store.labels()], [blob.size_bytes for blob in store.blobs()]
        usage = store.usage()
        there = [store.exists(text), store.size(digest), store.get_label("b") == digest, store.get_label("a")]
        return state, [got, refused, *listed, there, [usage.used_bytes, usage.blobs, usage.labels]]
"""


@pytest.mark.slow
def test_a_python_actor_keeps_and_finds_blobs(tmp_path: Path) -> None:
    component = python_actor(SOURCE, capabilities=("store",))
    manifest = tmp_path / "theater.toml"
    manifest.write_text(
        f'name = "archive"\ncomponent = "{component}"\n[capabilities.store]\n[limits]\nmemory = "256MiB"\n'
    )
    with Harness(data_dir=tmp_path / "data") as harness:
        actor = Actor(harness, harness.run(harness.runtime.spawn(manifest), timeout_s=COMPILE_S))

        assert actor.request(None) == [
            [True, "ü", [254, 255]],
            ["not-text", "labelled", "denied"],
            [["b", digest_of(bytes(range(256)))]],
            [256],
            [False, 256, True, None],
            [256, 1, 1],
        ]
        assert actor.verify().ok
