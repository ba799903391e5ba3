"""Forking actors over HTTP; and restarting one with what its owner allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import httpx
import pytest

from tests.guests import puppet, wat
from tests.guests.puppet import VERSION, puppet_manifest, puppet_wat
from tests.server.desk import Desk, problem, table
from theater.model.payload import Genesis, Lifecycle
from theater.runtime.allowances import write_allowance
from theater.runtime.history import payload_of
from theater.testing.harness import Actor

ASKING = 'name = "a"\ncomponent = "a.wasm"\n[capabilities.environment]\nallow = ["LANG"]\n'
PATH = "/v1/actors/actor/fork"


def row_of(answer: httpx.Response) -> Mapping[str, object]:
    assert answer.status_code == 201, answer.text
    return cast("Mapping[str, object]", table(answer)["actor"])


def counter(desk: Desk) -> Actor:
    """It counted to 1 and to 3: eight events."""
    actor = desk.actor(wat.COUNTER)
    for by in (1, 2):
        assert desk.local.post("/v1/actors/actor/request", {"by": by}).status_code == 200
    return actor


def test_a_fork_goes_on_from_the_state_before_the_event(desk: Desk) -> None:
    source = counter(desk)
    anna = desk.token("anna")

    answer = anna.post(PATH, {"at": 6})

    row = row_of(answer)
    assert (row["name"], row["status"], row["parent"]) == ("actor-fork", "running", None)
    assert answer.headers["location"] == f"/v1/actors/{row['id']}"
    assert table(answer)["role"] == "actor"
    reply = desk.local.post(f"/v1/actors/{row['id']}/request", {"by": 10})
    assert table(reply)["reply"] == {"count": 11}
    forked = desk.stage.actor(str(row["id"]))
    genesis, started = (payload_of(event) for event in forked.events()[:2])
    assert isinstance(genesis, Genesis)
    assert genesis.forked is not None
    assert (genesis.forked.actor, genesis.forked.seq) == (source.id, 5)
    assert started == Lifecycle(by="anna")


def test_its_name_is_refused_where_it_is_taken_or_changed(desk: Desk) -> None:
    counter(desk)

    names = [row_of(desk.local.post(PATH, {"at": 4, **more}))["name"] for more in ({}, {"rename": True}, {"name": "x"})]

    assert names == ["actor-fork", "actor-fork-2", "x"]
    assert problem(desk.local.post(PATH, {"at": 4})) == (409, "name-taken")
    assert problem(desk.local.post(PATH, {"at": 4, "name": "x"})) == (409, "name-taken")


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ({}, (400, "invalid-input")),
        ({"at": 0}, (400, "invalid-input")),
        ({"at": 3}, (400, "invalid-input")),
        ({"at": "4"}, (400, "invalid-input")),
        ({"at": 4, "with": 1}, (400, "invalid-input")),
        ({"at": 4, "name": "No Name"}, (422, "invalid-manifest")),
        ({"at": 4, "component": "abc"}, (400, "invalid-input")),
        ({"at": 4, "component": "0" * 64}, (404, "not-found")),
        ({"at": 9}, (404, "not-found")),
        ({"at": 2**80}, (404, "not-found")),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(
    desk: Desk, order: dict[str, object], expected: tuple[int, str]
) -> None:
    counter(desk)

    assert problem(desk.local.post(PATH, order)) == expected
    assert len(desk.stage.runtime.store.records()) == 1


def test_nobody_forks_who_is_not_there_or_may_only_look(desk: Desk) -> None:
    counter(desk)

    assert problem(desk.local.post("/v1/actors/nobody/fork", {"at": 4})) == (404, "not-found")
    assert problem(desk.token("looks", "read").post(PATH, {"at": 4})) == (403, "forbidden")


@pytest.mark.slow
def test_another_component_takes_over_and_one_that_fails_to_leaves_the_fork(desk: Desk) -> None:
    manifest = puppet_manifest(
        desk.digest(puppet_wat()), "actor", capabilities={"messaging": "", "supervisor": "", "timing": ""}
    )
    assert desk.local.post("/v1/actors", {"manifest": manifest}).status_code == 201
    for more in ({}, {"migrate": "ok"}, {"migrate": "refuse"}):
        digest = desk.digest(puppet_wat(version="2", **more))  # type: ignore[arg-type]  # words of its own
        answer = desk.local.post(PATH, {"at": 4, "component": digest, "rename": True})
        if "refuse" not in more.values():
            row_of(answer)
            continue
        assert problem(answer) == (422, "refused")
        assert cast("Mapping[str, object]", table(answer)["data"])["actor"] == desk.stage.actor("actor-fork-3").id

    said = [
        table(desk.local.post(f"/v1/actors/{name}/request", puppet.reply(VERSION)))["reply"]
        for name in ("actor-fork", "actor-fork-2", "actor-fork-3")
    ]
    assert said == ["2", "2", "1"]


def test_a_ceiling_holds_for_a_fork(desk: Desk) -> None:
    started(desk)

    answer = desk.local.post("/v1/actors/a/fork", {"at": 4})

    assert problem(answer) == (403, "denied")
    assert "[capabilities.environment]" in answer.text


# -- restart with an allowance ---------------------------------------------------------------------------------------


def started(desk: Desk) -> None:
    """One that has more than the ceiling."""
    ticket = write_allowance(desk.folder, ["environment"], manifest=ASKING)
    row_of(
        desk.local.post("/v1/actors", {"manifest": ASKING, "component": desk.digest(wat.COUNTER), "allowance": ticket})
    )


def test_one_that_ended_and_left_memory_is_restarted_with_what_its_owner_allows(desk: Desk) -> None:
    started(desk)
    desk.local.post("/v1/actors/a/stop")
    desk.reopen()
    restart = "/v1/actors/a/restart"

    assert problem(desk.local.post(restart)) == (403, "denied")
    wrong = write_allowance(desk.folder, ["environment"], manifest=ASKING + "\n")
    assert problem(desk.local.post(restart, {"allowance": wrong})) == (400, "invalid-input")
    other = write_allowance(desk.folder, ["timing"], manifest=ASKING)
    assert problem(desk.local.post(restart, {"allowance": other})) == (403, "denied")
    ticket = write_allowance(desk.folder, ["environment=LANG"], manifest=ASKING)
    answer = desk.local.post(restart, {"allowance": ticket})

    assert (answer.status_code, table(answer)["status"]) == (200, "running")
    assert list(desk.folder.allowances.iterdir()) == []
    desk.local.post("/v1/actors/a/stop")
    assert problem(desk.local.post(restart, {"allowance": ticket})) == (400, "invalid-input")


def test_an_allowance_for_one_that_lives_is_used_up_and_changes_nothing(desk: Desk) -> None:
    started(desk)
    ticket = write_allowance(desk.folder, ["environment"], manifest=ASKING)

    assert desk.local.post("/v1/actors/a/restart", {"allowance": ticket}).status_code == 200
    assert list(desk.folder.allowances.iterdir()) == []


@pytest.mark.parametrize("name", ["../tokens", "a" * 32, "", "A" * 32])
def test_an_allowance_that_is_none_restarts_nobody(desk: Desk, name: str) -> None:
    started(desk)
    desk.local.post("/v1/actors/a/stop")

    assert problem(desk.local.post("/v1/actors/a/restart", {"allowance": name})) == (400, "invalid-input")
    assert desk.stage.actor("a", allowed=["environment"]).status == "stopped"


def test_a_fork_is_allowed_what_its_owner_allows_the_manifest(desk: Desk) -> None:
    started(desk)
    ticket = write_allowance(desk.folder, ["environment"], manifest=ASKING)

    row_of(desk.local.post("/v1/actors/a/fork", {"at": 4, "allowance": ticket}))

    again = desk.local.post("/v1/actors/a/fork", {"at": 4, "name": "b", "allowance": ticket})
    assert problem(again) == (400, "invalid-input")
