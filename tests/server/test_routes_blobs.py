"""Components and bundles over HTTP."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guests import wat
from tests.runtime.stage import Stage, Workshop
from tests.server.desk import Desk, problem, table
from theater.server.seats import Seats


def test_a_component_is_kept_under_its_digest_and_comes_back_as_it_was(desk: Desk) -> None:
    data = desk.component(wat.COUNTER)
    digest = hashlib.sha256(data).hexdigest()
    path = f"/v1/blobs/{digest}"

    assert problem(desk.local.get(path)) == (404, "not-found")
    assert problem(desk.local.get(path.upper().replace("V1/BLOBS", "v1/blobs"))) == (400, "invalid-input")
    new, known = desk.local.put(path, data), desk.local.put(path, data)
    assert (new.status_code, known.status_code) == (201, 200)
    assert new.json() == known.json() == {"digest": digest, "size": len(data)}
    answer = desk.local.get(path)
    assert answer.content == data
    assert answer.headers["etag"] == f'"{digest}"'
    assert answer.headers["content-length"] == str(len(data))
    assert desk.local.get(path, headers={"If-None-Match": f'W/"x", "{digest}"'}).status_code == 304
    head = desk.local.ask("HEAD", path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", f'"{digest}"')


def test_what_is_not_a_component_or_another_one_is_not_kept(desk: Desk) -> None:
    text = b"(component)"
    core = desk.component(wat.COUNTER)

    for body, digest in (
        (text, hashlib.sha256(text).hexdigest()),
        (b"", hashlib.sha256(b"").hexdigest()),
        (core, "0" * 64),
    ):
        assert problem(desk.local.put(f"/v1/blobs/{digest}", body)) == (422, "invalid-component")
        assert not desk.stage.runtime.blobs.has(digest)  # type: ignore[arg-type]  # a digest


def test_no_more_transfers_are_begun_at_once_than_there_is_room_for(desk: Desk) -> None:
    object.__setattr__(desk.service, "transfers", Seats(0, "transfers"))
    desk.start(wat.ECHO)

    for answer in (
        desk.local.put(f"/v1/blobs/{'0' * 64}", b"x"),
        desk.local.post("/v1/bundles", b"x"),
        desk.local.get("/v1/actors/actor/bundle"),
    ):
        assert problem(answer) == (503, "busy")
        assert "retry-after" in answer.headers


@pytest.fixture
def there(workshop: Workshop, tmp_path: Path) -> Iterator[Desk]:
    """Another node."""
    (tmp_path / "there").mkdir()
    with Stage(workshop, tmp_path / "there", seed=1) as stage:
        desk = Desk(stage)
        yield desk
        desk.close()


def test_an_actor_goes_out_as_a_bundle_and_comes_in_elsewhere_while_others_run(desk: Desk, there: Desk) -> None:
    actor = desk.actor(wat.COUNTER, "counter")
    actor.request({"by": 5})
    answer = desk.local.get("/v1/actors/counter/bundle")

    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="counter-{actor.id[:12]}.theater"'
    assert answer.headers["content-length"] == str(len(answer.content))
    assert "chain.jsonl" in zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    there.start(wat.ECHO, "counter")
    taken_in = there.local.post("/v1/bundles", answer.content)

    head = actor.head
    assert taken_in.status_code == 201
    assert taken_in.json() == {"id": actor.id, "name": "counter", "events": head.seq + 1, "head": head.hash}
    assert taken_in.headers["location"] == f"/v1/actors/{actor.id}"
    assert [row["status"] for row in there.local.get("/v1/actors").json()["actors"]] == ["stopped", "running"]
    assert problem(there.local.post(f"/v1/actors/{actor.id}/request", {"by": 1})) == (409, "not-running")
    assert problem(there.local.post(f"/v1/actors/{actor.id}/restart")) == (409, "name-taken")
    there.local.post("/v1/actors/counter/stop")
    assert there.local.post(f"/v1/actors/{actor.id}/restart").status_code == 200
    assert there.local.post(f"/v1/actors/{actor.id}/request", {"by": 1}).json()["reply"] == {"count": 6}
    assert problem(there.local.post("/v1/bundles", answer.content)) == (400, "invalid-input")
    there.local.post(f"/v1/actors/{actor.id}/stop")
    assert there.local.delete(f"/v1/actors/{actor.id}").status_code == 200
    again = there.local.post("/v1/bundles", answer.content)
    assert problem(again) == (400, "invalid-input")
    assert "removed" in table(again)["detail"]  # type: ignore[operator]  # a text


@pytest.mark.parametrize("body", [b"", b"no zip", b"PK\x03\x04"])
def test_what_is_no_bundle_is_refused(desk: Desk, body: bytes) -> None:
    assert problem(desk.local.post("/v1/bundles", body)) == (422, "bad-bundle")


def test_a_bundle_whose_chain_was_changed_is_refused_as_such(desk: Desk, there: Desk) -> None:
    desk.start(wat.COUNTER, "counter")
    out = desk.local.get("/v1/actors/counter/bundle").content
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(out)) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data.replace(b"started", b"stopped") if name == "chain.jsonl" else data)

    assert problem(there.local.post("/v1/bundles", changed.getvalue())) == (422, "bad-bundle")
