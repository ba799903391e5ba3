"""Timers, channels and subscriptions, with the process killed behind each of their commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.guests import puppet
from tests.guests.puppet import ABOUT, ANSWER, FIRST, HEAD, MESSAGE
from tests.runtime.camera import Camera, developed
from tests.runtime.stage import Stage, Workshop
from tests.runtime.test_subscriptions import seqs, spawning
from tests.runtime.troupe import Troupe

pytestmark = pytest.mark.slow


@contextmanager
def filmed(workshop: Workshop, folder: Path) -> Iterator[tuple[Troupe, Camera]]:
    (folder / "true").mkdir()
    (folder / "pictures").mkdir()
    camera = Camera(folder / "true" / "data", folder / "pictures")
    with Stage(workshop, folder / "true", fault=camera) as stage:
        try:
            yield Troupe(stage), camera
        finally:
            camera.is_on = False


def test_no_firing_is_lost_or_doubled(workshop: Workshop, tmp_path: Path) -> None:
    with filmed(workshop, tmp_path) as (troupe, camera):
        anna = troupe.player("anna")
        timers = puppet.schedule(1000, puppet.log(MESSAGE)) + puppet.schedule(1000, puppet.log(MESSAGE), 1000)
        anna.pause()
        anna.send(timers)
        camera.is_on = True
        anna.resume()
        for _ in range(3):
            troupe.rest()
            troupe.stage.clock.advance(1)
        troupe.rest()

    seen = 0
    for troupe in developed(workshop, tmp_path / "pictures", later_s=3):
        seen += 1
        fired = puppet.log_of(troupe.find("anna").state or "")
        once = [token for token in fired if "-" not in token]
        again = [token for token in fired if "-" in token]
        assert len(once) == 1
        assert [token.split("-")[1] for token in again] == [str(number) for number in range(len(again))]
        assert again
    assert seen > 1  # as few as that where commits come together


def test_nothing_that_is_said_on_a_channel_is_lost_or_doubled(workshop: Workshop, tmp_path: Path) -> None:
    with filmed(workshop, tmp_path) as (troupe, camera):
        anna, bert = (troupe.player(name, handlers=("channels",)) for name in ("anna", "bert"))
        anna.pause()
        opening = puppet.log("opened") + puppet.send_on_channel(ABOUT, puppet.log("welcome"))
        anna.send(puppet.open_channel(bert.id, opening) + puppet.log(HEAD) + puppet.send_on_channel(HEAD, said("0")))
        anna.send(puppet.send_on_channel(FIRST, said("1")) + puppet.send_on_channel(FIRST, said("2")))
        anna.send(puppet.close_channel(FIRST))
        camera.is_on = True
        anna.resume()
        troupe.rest()

    seen = 0
    for troupe in developed(workshop, tmp_path / "pictures"):
        seen += 1
        anna, bert = troupe.find("anna"), troupe.find("bert")
        assert puppet.log_of(bert.state or "") == ["opened", "0", "1", "2", "closed"]
        assert puppet.log_of(anna.state or "")[1:] == ["welcome"]
        assert troupe.stage.runtime.store.size_entries("channel") == {}
        assert troupe.stage.runtime.store.size_entries("answer") == {}
    assert seen > 1  # as few as that where commits come together


def said(token: str) -> str:
    return puppet.log(token)


def test_no_event_is_delivered_twice_or_not_at_all(workshop: Workshop, tmp_path: Path) -> None:
    with filmed(workshop, tmp_path) as (troupe, camera):
        boss = troupe.player("boss", handlers=("events", "supervisor"))
        child = troupe.find(str(boss.request(spawning(troupe) + puppet.reply(ANSWER))))
        troupe.rest()
        boss.pause()
        boss.send(puppet.subscribe(child.id, 0))
        child.pause()
        for _ in range(3):
            child.send(puppet.count())
        camera.is_on = True
        boss.resume()
        child.resume()
        troupe.rest()

    seen = 0
    for troupe in developed(workshop, tmp_path / "pictures"):
        seen += 1
        boss, child = troupe.find("boss"), troupe.find("child")
        assert child.state == "3"
        assert seqs(boss, child) == list(range(len(child.events())))
    assert seen > 1  # as few as that where commits come together
