"""Starting, looking at, and ending actors over HTTP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import pytest

from tests.guests import wat
from tests.server.desk import Desk, problem, rows, table
from theater.model.payload import Lifecycle
from theater.runtime.allowances import write_allowance
from theater.runtime.history import payload_of


def actor_of(answer: object) -> Mapping[str, object]:
    """The actor in a document."""
    assert isinstance(answer, Mapping)
    actor = answer["actor"]
    assert isinstance(actor, Mapping)
    return actor


def test_a_start_answers_when_init_is_committed_and_says_where_the_actor_is(desk: Desk) -> None:
    answer = desk.start(wat.COUNTER, params={"start": 5})

    assert answer.status_code == 201
    actor = actor_of(answer.json())
    assert answer.headers["location"] == f"/v1/actors/{actor['id']}"
    assert (actor["name"], actor["status"]) == ("actor", "running")
    assert table(answer)["role"] == "actor"
    assert "runtime" in table(answer)["grants"]  # type: ignore[operator]  # an object
    assert desk.local.get(f"/v1/actors/{actor['id']}/state").json()["state"] == {"count": 5}


def test_the_server_reads_no_file_for_whoever_asks_it(desk: Desk) -> None:
    answer = desk.local.post("/v1/actors", {"manifest": 'name = "a"\ncomponent = "/etc/passwd"\n'})

    assert problem(answer) == (422, "invalid-manifest")
    assert "reads no files" in table(answer)["detail"]  # type: ignore[operator]  # a text


@pytest.mark.parametrize("component", ["sha256:", "sha256:abc", "sha256:../../x", "sha256:" + "A" * 64])
def test_what_is_no_digest_names_no_component(desk: Desk, component: str) -> None:
    answer = desk.local.post("/v1/actors", {"manifest": f'name = "a"\ncomponent = "{component}"\n'})

    assert problem(answer) == (422, "invalid-manifest")


def test_a_component_may_be_named_by_the_manifest_itself(desk: Desk) -> None:
    manifest = f'name = "a"\ncomponent = "sha256:{desk.digest(wat.ECHO)}"\n'

    assert desk.local.post("/v1/actors", {"manifest": manifest}).status_code == 201
    unknown = desk.local.post("/v1/actors", {"manifest": manifest, "name": "b", "component": "0" * 64})
    assert problem(unknown) == (404, "not-found")


def test_a_name_that_is_taken_is_refused_or_changed(desk: Desk) -> None:
    desk.start(wat.ECHO)

    assert problem(desk.start(wat.ECHO)) == (409, "name-taken")
    assert actor_of(desk.start(wat.ECHO, rename=True).json())["name"] == "actor-2"
    assert actor_of(desk.start(wat.ECHO, name="x", rename=True).json())["name"] == "x"
    assert problem(desk.local.post("/v1/actors", {"manifest": "name = 3"})) == (422, "invalid-manifest")


@pytest.mark.parametrize(
    ("guest", "expected"), [(wat.REFUSE_INIT, (422, "refused")), (wat.TRAP_INIT, (424, "crashed"))]
)
def test_an_init_that_fails_leaves_an_actor_to_look_at(desk: Desk, guest: str, expected: tuple[int, str]) -> None:
    answer = desk.start(guest)

    assert problem(answer) == expected
    data = table(answer)["data"]
    assert isinstance(data, dict)
    detail = desk.local.get(f"/v1/actors/{data['actor']}").json()
    assert (detail["failure"]["kind"], detail["actor"]["name"]) == (expected[1], "actor")


def test_a_command_is_started_by_running_it(desk: Desk) -> None:
    answer = desk.start(wat.COMMAND, arguments=["a", "b"])

    assert (answer.status_code, table(answer)["role"]) == (201, "command")
    assert actor_of(answer.json())["status"] == "stopped"


@pytest.mark.parametrize(
    "params",
    ['{"a":1.0000,"a":[1e999,-0.0]}', " [ ] ", "1" * 5000, '"\\ud83d\\ude00"', "[" * 1023 + "]" * 1023],
    ids=["duplicate keys", "spaces", "huge number", "escapes", "deep"],
)
def test_params_reach_init_exactly_as_they_were_written(desk: Desk, params: str) -> None:
    order = {"manifest": 'name = "a"\ncomponent = "a.wasm"\n', "component": desk.digest(wat.REMEMBER)}
    body = f'{json.dumps(order)[:-1]},"params":{params}}}'

    answer = desk.local.post("/v1/actors", body.encode())

    assert answer.status_code == 201, answer.text
    state = desk.local.get("/v1/actors/a/state").text
    assert state.endswith(f'"state":{params.strip()}}}')


def test_settings_replace_placeholders(desk: Desk) -> None:
    manifest = 'name = "${who}"\ncomponent = "a.wasm"\n'
    order = {"manifest": manifest, "component": desk.digest(wat.ECHO)}

    assert problem(desk.local.post("/v1/actors", order)) == (422, "invalid-manifest")
    answer = desk.local.post("/v1/actors", {**order, "settings": {"who": "anna"}})
    assert actor_of(answer.json())["name"] == "anna"


def test_what_goes_beyond_the_ceiling_needs_the_word_of_the_data_directorys_owner(desk: Desk) -> None:
    manifest = 'name = "a"\ncomponent = "a.wasm"\n[capabilities.environment]\nallow = ["LANG"]\n'
    order = {"manifest": manifest, "component": desk.digest(wat.ECHO)}
    denied = desk.local.post("/v1/actors", order)
    ticket = write_allowance(desk.folder, ["environment"], manifest=manifest)

    assert problem(denied) == (403, "denied")
    other = desk.local.post("/v1/actors", {**order, "manifest": manifest + "\n", "allowance": ticket})
    assert problem(other) == (400, "invalid-input")
    ticket = write_allowance(desk.folder, ["environment"], manifest=manifest)
    answer = desk.local.post("/v1/actors", {**order, "allowance": ticket})
    assert answer.status_code == 201, answer.text
    assert "environment" in table(answer)["grants"]  # type: ignore[operator]  # an object
    again = desk.local.post("/v1/actors", {**order, "name": "b", "allowance": ticket})
    assert problem(again) == (400, "invalid-input")


FILES = 'name = "a"\ncomponent = "a.wasm"\n[capabilities.filesystem]\nread = ["data", "/srv/own/more"]\n'
"""Relative to /srv/own, this is within the default ceiling."""


def test_a_client_with_a_token_alone_names_no_folder(desk: Desk) -> None:
    order = {"manifest": FILES, "component": desk.digest(wat.ECHO)}

    refused = desk.local.post("/v1/actors", order)
    assert problem(refused) == (422, "invalid-manifest")
    assert "came without a folder" in table(refused)["detail"]  # type: ignore[operator]  # a text
    for key in ("folder", "manifest_folder"):
        assert problem(desk.local.post("/v1/actors", {**order, key: "/srv/own"}))[0] in (400, 422)
    absolute = FILES.replace('"data"', '"/srv/own/data"')
    assert problem(desk.local.post("/v1/actors", {**order, "manifest": absolute})) == (403, "denied")


def test_where_a_manifest_lies_is_for_the_data_directorys_owner_to_say(desk: Desk) -> None:
    order = {"manifest": FILES, "component": desk.digest(wat.ECHO)}
    ticket = write_allowance(desk.folder, [], manifest=FILES, manifest_folder="/srv/own")
    elsewhere = write_allowance(desk.folder, [], manifest=FILES, manifest_folder="/srv/other")

    assert problem(desk.local.post("/v1/actors", {**order, "allowance": elsewhere})) == (403, "denied")
    answer = desk.local.post("/v1/actors", {**order, "allowance": ticket})

    assert answer.status_code == 201, answer.text
    granted = table(answer)["grants"]["filesystem"]  # type: ignore[index]  # an object
    assert granted["read"] == ["/srv/own/data", "/srv/own/more"]
    desk.local.post("/v1/actors/a/stop")
    again = desk.local.post("/v1/actors/a/restart")  # an actor that is there keeps its own
    assert again.status_code == 200, again.text


def test_a_folder_that_is_known_allows_no_writing(desk: Desk) -> None:
    manifest = FILES.replace("read", "write")
    order = {"manifest": manifest, "component": desk.digest(wat.ECHO)}
    ticket = write_allowance(desk.folder, [], manifest=manifest, manifest_folder="/srv/own")

    assert problem(desk.local.post("/v1/actors", {**order, "allowance": ticket})) == (403, "denied")
    word = write_allowance(
        desk.folder, ["filesystem=write:data", "filesystem=write:more"], manifest=manifest, manifest_folder="/srv/own"
    )
    assert desk.local.post("/v1/actors", {**order, "allowance": word}).status_code == 201


def test_what_is_done_is_recorded_as_done_by_the_token(desk: Desk) -> None:
    anna = desk.token("anna")
    actor = desk.actor(wat.ECHO)
    anna.post("/v1/actors/actor/request", 1)
    for verb in ("pause", "resume", "stop", "restart"):
        assert anna.post(f"/v1/actors/actor/{verb}").status_code == 200

    assert desk.sources("actor")[-1] == "anna"
    done = [payload_of(event) for event in actor.events() if event.header.name in ("paused", "stopped", "restarted")]
    assert [payload.by for payload in done if isinstance(payload, Lifecycle)] == ["anna"] * 3


def test_who_may_only_read_changes_nothing(desk: Desk) -> None:
    desk.start(wat.ECHO)
    reader = desk.token("looks", "read")

    assert reader.get("/v1/actors").status_code == 200
    for method, path in (
        ("POST", "/v1/actors"),
        ("DELETE", "/v1/actors/actor"),
        ("POST", "/v1/actors/actor/stop"),
        ("POST", "/v1/actors/actor/request"),
        ("POST", "/v1/actors/actor/channels"),
        ("POST", "/v1/bundles"),
        ("POST", "/v1/gc"),
        ("PUT", f"/v1/blobs/{'0' * 64}"),
    ):
        assert problem(reader.ask(method, path)) == (403, "forbidden")


def test_actors_are_listed_page_by_page_also_while_they_are_removed(desk: Desk) -> None:
    names = [f"a{number}" for number in range(5)]
    for name in names:
        desk.start(wat.ECHO, name)
        desk.stage.clock.advance(1)

    first = desk.local.get("/v1/actors", params={"limit": 2}).json()
    desk.local.post("/v1/actors/a1/stop")
    assert desk.local.delete("/v1/actors/a1").status_code == 200
    second = desk.local.get("/v1/actors", params={"limit": 2, "after": first["next"]}).json()
    third = desk.local.get("/v1/actors", params={"limit": 2, "after": second["next"]}).json()

    assert [row["name"] for page in (first, second, third) for row in page["actors"]] == names
    assert third["next"] is None
    assert problem(desk.local.get("/v1/actors", params={"after": "ab" * 16})) == (400, "invalid-input")


def test_actors_are_listed_by_status_and_parent(desk: Desk) -> None:
    desk.start(wat.ECHO, "a")
    desk.start(wat.ECHO, "b")
    desk.local.post("/v1/actors/b/stop")

    assert [row["name"] for row in rows(desk.local.get("/v1/actors?status=stopped"), "actors")] == ["b"]
    assert rows(desk.local.get("/v1/actors?parent=a"), "actors") == []
    assert problem(desk.local.get("/v1/actors?parent=nobody")) == (404, "not-found")
    assert problem(desk.local.get("/v1/actors?status=dead")) == (400, "invalid-input")
    assert problem(desk.local.get("/v1/actors?limit=0")) == (400, "invalid-input")


def test_an_actor_is_found_by_name_by_id_and_by_the_beginning_of_its_id(desk: Desk) -> None:
    id = desk.actor(wat.ECHO, "echo").id

    for text in ("echo", id, id[:8]):
        assert desk.local.get(f"/v1/actors/{text}").json()["actor"]["id"] == id
    unknown = desk.local.get("/v1/actors/ecko")
    assert problem(unknown) == (404, "not-found")
    assert "'echo'" in table(unknown)["detail"]  # type: ignore[operator]  # a text


def test_only_what_has_ended_can_be_removed(desk: Desk) -> None:
    id = desk.actor(wat.ECHO).id

    assert problem(desk.local.delete("/v1/actors/actor")) == (409, "not-stopped")
    desk.local.post("/v1/actors/actor/stop")
    assert desk.local.delete("/v1/actors/actor?tree=true").json() == {"removed": [id]}
    assert problem(desk.local.get(f"/v1/actors/{id}")) == (404, "not-found")
    assert problem(desk.local.delete("/v1/actors/actor")) == (404, "not-found")


def test_an_actor_is_paused_resumed_stopped_and_restarted(desk: Desk) -> None:
    desk.start(wat.COUNTER)
    desk.local.post("/v1/actors/actor/request", {"by": 2})

    def status(verb: str, body: object = None) -> tuple[object, object]:
        answer = desk.local.post(f"/v1/actors/actor/{verb}", body)
        assert answer.status_code == 200, answer.text
        return table(answer)["status"], table(answer)["restarts"]

    assert status("pause") == ("paused", 0)
    assert status("resume") == ("running", 0)
    assert status("stop", {"now": True}) == ("stopped", 0)
    assert status("restart") == ("running", 1)
    assert desk.local.get("/v1/actors/actor/state").json()["state"] == {"count": 2}
    assert status("stop") == ("stopped", 1)
    assert status("restart", {"from_init": True}) == ("running", 2)
    desk.stage.rest()
    assert desk.local.get("/v1/actors/actor/state").json()["state"] == {"count": 0}
    assert problem(desk.local.post("/v1/actors/actor/stop", {"later": True})) == (400, "invalid-input")


def test_an_actor_goes_on_with_another_component(desk: Desk) -> None:
    actor = desk.actor(wat.COUNTER)
    digest = desk.digest(wat.REMEMBER)

    assert problem(desk.local.post("/v1/actors/actor/upgrade", {"component": "0" * 64})) == (404, "not-found")
    assert problem(desk.local.post("/v1/actors/actor/upgrade", {"component": "0"})) == (400, "invalid-input")
    assert desk.local.post("/v1/actors/actor/upgrade", {"component": digest}).status_code == 200
    assert actor.ref.record.program == digest
    assert digest == hashlib.sha256(desk.component(wat.REMEMBER)).hexdigest()
