"""Messages and requests, with the process killed behind each commit: each is handled once, whenever that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.hitch import Hitch
from tests.guests import puppet
from tests.guests.puppet import ANSWER
from tests.runtime.camera import Camera, developed
from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import Troupe
from theater.errors import StoreError
from theater.store import committer


@pytest.mark.slow
def test_no_message_is_lost_or_handled_twice_wherever_the_process_dies(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "GROUP_MAX", 1)  # each transaction alone: there are more moments to die at
    (tmp_path / "true").mkdir()
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    camera = Camera(tmp_path / "true" / "data", pictures)
    with Stage(workshop, tmp_path / "true", fault=camera) as stage:
        troupe = Troupe(stage)
        anna, bert, carl = (troupe.player(name) for name in ("anna", "bert", "carl"))
        anna.pause()
        passing_on = puppet.log("1") + puppet.send(carl.id, puppet.log("passed"))
        anna.send(puppet.send(bert.id, passing_on) + puppet.send(bert.id, puppet.log("2")))
        anna.send(puppet.request(bert.id, puppet.log("3") + puppet.reply("pong")) + puppet.log(ANSWER))
        anna.send(puppet.request(bert.id, puppet.remember()) + puppet.log(ANSWER))
        anna.send(puppet.send(carl.id, puppet.log("last")))
        camera.is_on = True
        anna.resume()
        troupe.rest()
        bert.send(puppet.answer_request(id_of_deferred(troupe, bert.id), "late"))
        troupe.rest()
        camera.is_on = False

    seen = 0
    for troupe in developed(workshop, pictures):
        seen += 1
        anna, bert, carl = (troupe.find(name) for name in ("anna", "bert", "carl"))
        deferred = troupe.stage.runtime.store.entries(bert.id, "deferred")
        if deferred:  # nobody was told yet that it is to be answered
            bert.send(puppet.answer_request(deferred[0].key, "late"))
            troupe.rest()
        assert [token for token in puppet.log_of(bert.state or "0") if token in "123"] == ["1", "2", "3"]
        assert puppet.log_of(anna.state or "0") == ['"pong"', '"late"']
        assert puppet.log_of(carl.state or "0") == ["passed", "last"]
        assert troupe.stage.runtime.store.holders("mailbox", "answer", "deferred") == []
    assert seen > 10


def test_a_step_on_a_message_that_never_was_is_refused_by_the_store(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "GROUP_MAX", 1)  # so that the sender's transaction fails alone
    hitch = Hitch()
    with Stage(workshop, tmp_path, fault=hitch) as stage:
        troupe = Troupe(stage)
        anna, bert = troupe.player("anna"), troupe.player("bert")
        head = bert.head
        with hitch.held():
            asked = anna.start_request(f'"{puppet.send(bert.id, puppet.log("x"))}"')
            assert hitch.arrived.wait(10.0)
            hitch.fails_once.set()
        with pytest.raises(StoreError):
            asked.result()
        troupe.rest()

        bert = troupe.find("bert")
        assert (bert.head, bert.state) == (head, "0")
        troupe.find("anna").request(puppet.send(bert.id, puppet.log("y")))
        troupe.rest()
        assert troupe.find("bert").state == '"y"'
        troupe.verify()


def id_of_deferred(troupe: Troupe, actor: str) -> str:
    (entry,) = troupe.stage.runtime.store.entries(troupe.find(actor).id, "deferred")
    return entry.key
