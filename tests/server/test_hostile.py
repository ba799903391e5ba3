"""Hostile text in everything that a client or a guest can write: none of it comes out raw where people look.

That is the log, in both formats, the metrics, and every problem that is answered with. What a guest wrote itself is
answered as exactly its JSON, and shown safely by the command line.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.guests.component import actor
from tests.guests.imports import LOG
from tests.runtime.stage import Workshop
from tests.server.players import Players, peopled_server
from tests.server.process import PATIENCE_S
from theater.errors import InvalidInput
from theater.server.tokens import add_token
from theater.store import DataDir

pytestmark = pytest.mark.slow

# What a terminal or a reader could be fooled by; a newline in a message of ours is the only one of them that we print.
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
LINE = "FORGED"
"""No line of a log begins with it: it stands behind each kind of line end in what is sent."""

EVIL = f"[red]\x1b[31m\x1b]0;title\x07\u202egnol\u2066\u2028{LINE}\x9b2J\x7f\r{LINE}\n{LINE}[/red]"
EVIL_NAMES: dict[str, str | bytes] = {
    "escapes": EVIL,
    "NUL": "a\0b",
    "dots": "..",
    "a slash": "a/../../etc/passwd",
    "an overlong slash": b"\xc0\xaf",
    "no UTF-8": b"\xff\xfe",
    "a surrogate": b"\xed\xa0\x80",
    "very long": "a" * 400,
    "markup": "[red]x[/red]",
    "an actor of all": "%",
    "nothing": " ",
    "a name in another script": "\N{CYRILLIC SMALL LETTER ES}ounter",
}
EVIL_WAT = "".join(f"\\{byte:02x}" for byte in EVIL.encode())

VILLAIN = actor(
    imports=[LOG],
    handle=f"""
    (call $log (i32.const 4) @"{EVIL_WAT}")
    (if (call $is (local.get $body) (local.get $body-len) @"\\"refuse\\"") (then (return (call $refuse @"{EVIL_WAT}"))))
    (if (call $is (local.get $body) (local.get $body-len) @"\\"trap\\"") (then unreachable))
    (if (call $is (local.get $body) (local.get $body-len) @"\\"not-json\\"")
      (then (return (call $ok @"{EVIL_WAT}" @"{EVIL_WAT}"))))
    (call $ok (local.get $body) (local.get $body-len) (local.get $body) (local.get $body-len))""",
)
"""It logs and refuses with hostile text, has it as its state, or answers with what it was told."""

REFUSES_INIT = actor(init=f'(call $refuse @"{EVIL_WAT}")', handle="unreachable")


REFUSED = (400, 403, 404, 405, 422)


class Looked:
    """A server whose every answer is looked at."""

    def __init__(self, players: Players) -> None:
        self.players = players
        self.server = players.server

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> int:
        """The status of an answer, once it has been seen that nothing in it is raw."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.server.request(method, path, body or None, headers=named)
        for name, value in answer.headers.items():
            assert not RAW.search(name + value), (name, value)
        if answer.headers.get("content-type") == "application/problem+json":
            text = answer.body.decode()
            assert not RAW.search(text), text
            assert json.loads(text)["status"] == answer.status
            assert answer.status < 500, text
        return answer.status

    def order(self, **order: object) -> int:
        """The status of a start."""
        return self.ask("POST", "/v1/actors", json.dumps(order).encode())

    def look(self, log_format: str) -> None:
        """At everything that the server has said of it, in the end."""
        metrics = self.server.get("/metrics").body.decode()
        assert not RAW.search(metrics), metrics
        assert LINE not in metrics
        families = text_string_to_metric_families(metrics)  # type: ignore[no-untyped-call]  # the library's own
        assert list(families)
        assert self.server.stop() == 0
        said = self.server.log
        assert "actor crashed" in said
        assert not RAW.search(said), RAW.findall(said)
        for line in said.splitlines():
            assert not line.startswith(LINE), line
            if log_format == "json":
                assert isinstance(json.loads(line), dict)
            else:
                assert re.match(r"20[0-9-]{8}T[0-9:.]{12}Z (info|warning|error  )", line), line
        assert "Traceback" not in said


@pytest.mark.parametrize("log_format", ["human", "json"])
def test_hostile_text_comes_out_raw_nowhere(workshop: Workshop, tmp_path: Path, log_format: str) -> None:
    texts = (VILLAIN, REFUSES_INIT)
    with peopled_server(workshop, tmp_path, "--log-format", log_format, texts=texts) as (_, players):
        looked = Looked(players)
        players.start(VILLAIN, "villain", params={"evil": EVIL})
        in_messages(looked)
        in_orders(looked)
        in_paths_and_queries(looked)
        in_headers(looked)
        in_files(looked)
        looked.look(log_format)


def in_messages(looked: Looked) -> None:
    """Of clients, and of the guest that answers them."""
    assert looked.ask("POST", "/v1/actors/villain/request", json.dumps(EVIL).encode()) == 200
    assert looked.ask("POST", "/v1/actors/villain/request", b'"refuse"') == 422
    for crash in (b'"trap"', b'"not-json"'):
        assert looked.ask("POST", "/v1/actors/villain/request", crash) == 424
        assert looked.ask("POST", "/v1/actors/villain/restart") == 200
    for body in (EVIL.encode(), b"\xff" + EVIL.encode(), b'"\\ud800"', b'{"a":' + EVIL.encode()):
        assert looked.ask("POST", "/v1/actors/villain/send", body) == 400
    assert looked.ask("POST", "/v1/actors/villain/channels", json.dumps(EVIL).encode()) == 409


def in_orders(looked: Looked) -> None:
    """To start an actor, and to do something with one."""
    players = looked.players
    manifest = 'name = "other"\ncomponent = "x.wasm"\n'
    good = {"manifest": manifest, "component": players.digest(VILLAIN)}
    assert looked.order(manifest=manifest, component=players.digest(REFUSES_INIT), rename=True) in REFUSED
    assert looked.order(**good, name=EVIL) in REFUSED
    assert looked.order(**good, settings={EVIL: EVIL}) in (201, *REFUSED)
    assert looked.order(**good, rename=True, arguments=[EVIL]) in (201, *REFUSED)
    assert looked.order(**good, allowance=EVIL) in REFUSED
    assert looked.order(**good, **{EVIL: 1}) in REFUSED
    assert looked.order(**{**good, "component": EVIL}) in REFUSED
    toml = json.dumps(EVIL)
    for text in (
        EVIL,
        f"name = {toml}\ncomponent = 'x.wasm'",
        f"{manifest}{toml} = 1",
        f"{manifest}[capabilities.{toml}]",
        f"{manifest}[limits]\nmemory = {toml}",
        f"{manifest}[capabilities.http-client]\nallow = [{toml}]",
        f"{manifest}[supervision]\nstrategy = {toml}",
        f"{manifest}params = {{ a = '${{{EVIL}}}' }}",
    ):
        assert looked.order(manifest=text, component=players.digest(VILLAIN)) in REFUSED, text
    assert looked.order(manifest=f"name = 'a'\ncomponent = {toml}") in REFUSED
    for verb, order in (("stop", {EVIL: 1}), ("restart", {"from_init": EVIL}), ("upgrade", {"component": EVIL})):
        assert looked.ask("POST", f"/v1/actors/villain/{verb}", json.dumps(order).encode()) in REFUSED


def in_paths_and_queries(looked: Looked) -> None:
    """As names of actors, channels and parameters, and as their values."""
    for name in EVIL_NAMES.values():
        part = quote(name if isinstance(name, bytes) else name.encode(), safe="")
        for method, path in (
            ("GET", f"/v1/actors/{part}"),
            ("GET", f"/v1/actors/{part}/state"),
            ("POST", f"/v1/actors/{part}/pause"),
            ("DELETE", f"/v1/actors/{part}"),
            ("GET", f"/v1/channels/{part}/messages"),
            ("GET", f"/v1/blobs/{part}"),
            ("GET", f"/{part}"),
        ):
            assert looked.ask(method, path) in REFUSED, path
        for query in (f"{part}=1", f"status={part}", f"parent={part}", f"after={part}", f"limit={part}"):
            assert looked.ask("GET", f"/v1/actors?{query}") in REFUSED, query
    assert looked.ask("GET", "/v1/actors/%2e%2e/%2e%2e/etc/passwd") == 404
    assert looked.ask("GET", "/v1/actors/%zz") in REFUSED


def in_headers(looked: Looked) -> None:
    """Those that the server reads, those that it might, and one that breaks its line."""
    latin = "[red]\x9b2J\x85\xad\xff[/red]"
    assert looked.ask("GET", "/v1/node", User_Agent=latin, X_Request_Id=latin, Accept=latin, Cookie=latin) == 200
    assert looked.ask("POST", "/v1/actors/villain/send", b"1", Idempotency_Key=latin) == 400
    assert looked.ask("POST", "/v1/actors/villain/send", b"1", Content_Type=latin) == 415
    assert looked.ask("POST", "/v1/actors/villain/send", b"1", Content_Encoding=latin) == 415
    assert looked.ask("GET", "/v1/events", Last_Event_ID=latin) == 400
    assert looked.ask("GET", "/v1/node", Host=latin) == 421
    for value in (latin, f"Bearer {latin}", "Bearer", "Basic eA==", "Bearer a b"):
        answer = looked.server.request("GET", "/v1/node", headers={"authorization": value}, token=None)
        assert answer.status == 401
        assert not RAW.search(answer.body.decode())
    for sent in (b"G\x1bT / HTTP/1.1\r\n", b"GET /\x1b[31m HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX: a\x1b\x07\x00b\r\n"):
        with socket.create_connection(looked.server.address, timeout=PATIENCE_S) as connection:
            connection.sendall(sent + b"Host: localhost\r\n\r\n")
            said = connection.recv(2**16)
        assert said.startswith(b"HTTP/1.1 40"), said
        assert not RAW.search(said.decode().replace("\r\n", "\n"))


def in_files(looked: Looked) -> None:
    """Bundles that are none, and components that are none."""
    for files in (
        {EVIL: b"x"},
        {"../../evil": b"x", "manifest.toml": EVIL.encode()},
        {"chain.jsonl": EVIL.encode(), "head.json": EVIL.encode(), "manifest.toml": EVIL.encode()},
        {"chain.jsonl": b"0" * 50_000_000, "bomb": b"0" * 50_000_000},
    ):
        assert looked.ask("POST", "/v1/bundles", zipped(files), Content_Type="application/zip") in REFUSED
    assert looked.ask("POST", "/v1/bundles", EVIL.encode(), Content_Type="application/zip") in REFUSED
    data = EVIL.encode()
    path = f"/v1/blobs/{hashlib.sha256(data).hexdigest()}"
    assert looked.ask("PUT", path, data, Content_Type="application/octet-stream") == 422


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip file of these."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


@pytest.mark.parametrize("name", [EVIL, "local", "", "a" * 64, "A", "../x", "http", "a\nb"])
def test_a_token_cannot_have_a_name_that_could_mislead(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput):
        add_token(DataDir(tmp_path), name, "read")
