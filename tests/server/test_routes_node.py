"""The node over HTTP, and what describes the server."""

from __future__ import annotations

from tests.guests import wat
from tests.server.desk import Asker, Desk, problem, table
from theater.server.routes import ENDPOINTS


def test_the_node_tells_what_it_is_and_who_asks(desk: Desk) -> None:
    desk.start(wat.ECHO, "a")
    desk.start(wat.ECHO, "b")
    desk.local.post("/v1/actors/b/stop")

    told = table(desk.token("looks", "read").get("/v1/node"))

    assert (told["actors"], told["running"], told["token"], told["scope"]) == (2, 1, "looks", "read")
    assert told["events"] == desk.stage.runtime.store.size_events()
    assert told["node"] == desk.stage.runtime.store.facts().public_key
    assert told["data_dir"] == str(desk.folder.root)


def test_anybody_may_ask_whether_it_serves_and_how(desk: Desk) -> None:
    nobody = Asker(desk, None)

    assert nobody.get("/healthz").json() == {"status": "ok"}
    assert nobody.get("/openapi.json").json() == {}
    assert problem(nobody.get("/metrics")) == (401, "unauthorized")
    assert problem(nobody.get("/v1/node")) == (401, "unauthorized")
    assert desk.local.get("/metrics").headers["content-type"] == "application/openmetrics-text"


def test_what_nobody_needs_is_collected(desk: Desk) -> None:
    desk.start(wat.ECHO)
    desk.local.post("/v1/actors/actor/stop")
    desk.local.delete("/v1/actors/actor")

    collected = desk.local.post("/v1/gc")

    assert collected.status_code == 200
    assert set(table(collected)) == {"components", "payloads", "cached", "bytes"}


def test_every_endpoint_is_described_and_none_twice() -> None:
    operations = [endpoint.operation for endpoint in ENDPOINTS]
    assert len(set(operations)) == len(operations)
    assert len({(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}) == len(ENDPOINTS)
    for endpoint in ENDPOINTS:
        assert endpoint.summary, endpoint.operation
        named = {parameter.name for parameter in endpoint.parameters if parameter.place == "path"}
        assert named == {part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")}
        assert (endpoint.scope is None) == (endpoint.path in ("/healthz", "/openapi.json"))
        if endpoint.method not in ("GET", "HEAD"):
            assert endpoint.scope == "operate"
