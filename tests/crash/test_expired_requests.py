"""A request that was deferred and never answered takes no place for longer than its asker waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guests import puppet
from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import Troupe
from theater.runtime.python_values import to_json

WAIT_MS = 1000
OUTSTANDING = 2


@pytest.fixture
def troupe(workshop: Workshop, tmp_path: Path) -> Iterator[Troupe]:
    with Stage(workshop, tmp_path) as stage:
        yield Troupe(stage)


def test_requests_whose_askers_gave_up_make_room_for_others(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert", limits=f"outstanding = {OUTSTANDING}")
    asking = puppet.request(bert.id, puppet.defer(), WAIT_MS) + puppet.reply(puppet.FULL_ANSWER)

    for _ in range(2 * OUTSTANDING):
        asked = anna.start_request(to_json(asking))
        troupe.rest()
        troupe.stage.clock.advance(WAIT_MS / 1000)
        assert asked.result().text == '"err:timeout"'
    bert.request(puppet.reply("ok"))
    troupe.rest()

    assert not troupe.stage.runtime.store.entries(bert.id, "deferred")
    troupe.verify()
