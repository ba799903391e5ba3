"""Both clients against a server: everything there is to ask, over the wire, and over the server's deaths."""

from __future__ import annotations

import asyncio
import hashlib
import io
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import islice, pairwise
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.guests import puppet, wat
from tests.runtime.troupe import text_of
from tests.server.process import RunningServer
from theater.client import AsyncClient, Client, find
from theater.engine import WasmtimeEngine
from theater.errors import (
    BadBundle,
    Busy,
    ChannelClosed,
    Crashed,
    Denied,
    Forbidden,
    IdempotencyMismatch,
    InvalidInput,
    InvalidJson,
    InvalidManifest,
    NameTaken,
    NoChannels,
    NoServer,
    NotFound,
    NotRunning,
    NotStopped,
    Refused,
    TheaterError,
    TimedOut,
    Unauthorized,
)
from theater.model import wire
from theater.server.tokens import add_token
from theater.store import DataDir

pytestmark = pytest.mark.slow

CEILING = '[ceiling.messaging]\nto = ["any"]\n[ceiling.timing]\n'


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The guests, by name."""
    texts = {"moody": wat.MOODY, "counter": wat.COUNTER, "echo": wat.ECHO, "puppet": text_of(("channels",))}
    engine = WasmtimeEngine(tmp_path_factory.mktemp("cache"))
    try:
        return {name: engine.assemble(text) for name, text in texts.items()}
    finally:
        engine.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all tests that only need one."""
    with configured(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client.at(find(server.environ)) as found:
        yield found


def configured(folder: Path) -> RunningServer:
    file = folder / "config" / "theater" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(CEILING)
    return RunningServer(folder)


def started(client: Client, name: str, component: bytes, manifest: str | None = None) -> str:
    """A new actor; its id."""
    digest = client.put_blob(component).digest
    text = manifest or f'name = "{name}"\ncomponent = "sha256:{digest}"\n'
    return client.start(wire.StartOrder(manifest=text, name=name)).actor.id


def talker(client: Client, name: str, component: bytes) -> str:
    digest = hashlib.sha256(component).hexdigest()
    return started(
        client,
        name,
        component,
        puppet.puppet_manifest(digest, name, capabilities=puppet.CAPABILITIES),
    )


def text(raw: msgspec.Raw | None) -> str:
    assert raw is not None
    return bytes(raw).decode()


def test_a_node_is_looked_at(client: Client, server: RunningServer) -> None:
    node = client.node()

    assert (node.token, node.scope, node.data_dir) == ("local", "operate", str(server.data_dir))
    assert client.health() == wire.Health()
    assert client.openapi()["openapi"] == "3.1.0"
    assert client.metrics().endswith("# EOF\n")
    assert client.url == server.url


def test_an_actor_lives_from_its_start_to_its_removal(client: Client, components: dict[str, bytes]) -> None:
    digest = client.put_blob(components["moody"]).digest
    assert client.put_blob(components["moody"]) == wire.Blob(digest=digest, size=len(components["moody"]))
    assert client.blob(digest) == components["moody"]
    assert (client.has_blob(digest), client.has_blob("0" * 64)) == (True, False)

    id = started(client, "moody", components["moody"])
    assert client.actor("moody").actor.id == id == client.actor(id[:8]).actor.id
    assert [row.name for row in client.actors(status="running") if row.id == id] == ["moody"]
    assert list(client.actors(parent=id)) == []
    with pytest.raises(NameTaken):
        started(client, "moody", components["moody"])
    assert text(client.request("moody", '{"by":2}').reply) == '{"count":2}'
    assert client.pause("moody").status == "paused"
    assert client.resume("moody").status == "running"
    assert client.upgrade("moody", client.put_blob(components["counter"]).digest).status == "running"
    assert client.actor(id).program == hashlib.sha256(components["counter"]).hexdigest()
    with pytest.raises(NotStopped):
        client.remove("moody")
    assert client.stop("moody").status == "stopped"
    with pytest.raises(NotRunning):
        client.send("moody", "1")
    assert client.restart("moody", from_init=True).status == "running"
    assert text(client.state("moody").state) == '{"count":0}'
    assert client.stop(id, now=True).status == "stopped"
    assert client.remove(id) == wire.Removed(removed=[id])
    with pytest.raises(NotFound):
        client.actor(id)
    assert client.collect().components >= 0


def test_messages_are_answered_as_they_were_and_errors_are_what_they_are(
    client: Client, components: dict[str, bytes]
) -> None:
    id = started(client, "temper", components["moody"])
    first = client.request(id, '{"by":2}', key="a", timeout_s=20)
    assert client.request(id, b'{"by":2}', key="a") == first
    assert first.receipt == wire.Receipt(seq=5, hash=client.actor(id).actor.head)
    sent = client.send(id, msgspec.Raw(b'{"by":3}'), key="b")
    assert (client.send(id, '{"by":3}', key="b"), sent.receipt) == (sent, None)
    done = client.send_and_wait(id, '{"by":1}')
    assert done.receipt is not None
    assert text(client.state(id, at=done.receipt.seq).state) == '{"count":6}'
    cases: list[tuple[Callable[[], object], type[TheaterError], str]] = [
        (lambda: client.request(id, '{"by":9}', key="a"), IdempotencyMismatch, "use a new one"),
        (lambda: client.request(id, '"refuse"'), Refused, "not today"),
        (lambda: client.request(id, "{"), InvalidJson, "JSON"),
        (lambda: client.request("tempe", "1"), NotFound, "did you mean 'temper'"),
        (lambda: client.state(id, at=10_000), NotFound, "event 10000"),
        (lambda: client.open_channel(id, "1"), NoChannels, "takes no channels"),
        (lambda: client.start(wire.StartOrder(manifest="name = 1")), InvalidManifest, "name"),
        (lambda: client.request(id, '"trap"'), Crashed, "unreachable"),
    ]
    for call, kind, said in cases:
        with pytest.raises(kind, match=said):
            call()


def test_a_request_that_is_too_slow_is_answered_when_it_is_asked_again(
    client: Client, components: dict[str, bytes]
) -> None:
    id = talker(client, "slow", components["puppet"])
    program = msgspec.json.encode(puppet.sleep(300) + puppet.reply("awake"))

    with pytest.raises(TimedOut):
        client.request(id, program, timeout_s=0.05, key="k")

    assert text(client.request(id, program, key="k").reply) == '"awake"'


@pytest.mark.parametrize("body", ['"\\ud83d\\ude00 \u00e9"', "1.0000", '{"a":1,"a":2}', " [ ] ", "[" * 300 + "]" * 300])
def test_json_comes_back_as_exactly_its_text(client: Client, components: dict[str, bytes], body: str) -> None:
    name = f"echo-{hashlib.sha256(body.encode()).hexdigest()[:8]}"
    started(client, name, components["echo"])

    assert text(client.request(name, body).reply) == body.strip()


def test_events_come_in_pages_and_as_they_are_in_the_chain(client: Client, components: dict[str, bytes]) -> None:
    id = started(client, "busy", components["counter"])
    for _ in range(600):
        client.send(id, '{"by":1}')
    client.request(id, '{"by":1}')
    rows = list(client.events(id))

    assert [row.seq for row in rows] == list(range(len(rows)))
    assert len(rows) > 1000  # more than one page
    assert all(later.prev == row.hash for row, later in pairwise(rows))
    assert [row.seq for row in client.events(id, 1001, limit=3)] == [1001, 1002, 1003]
    assert [row.seq for row in client.events(id, limit=1003)] == list(range(1003))
    assert {row.kind for row in client.events(id, kind="state")} == {"state"}
    assert list(client.events(id, 10**6)) == []
    indexes = [row.index for row in client.node_events(5, limit=1100)]
    assert indexes == list(range(5, 1105))
    with pytest.raises(NotFound):
        client.events("nobody")


def test_a_channel_is_talked_on(client: Client, components: dict[str, bytes]) -> None:
    talker(client, "anna", components["puppet"])
    opened = client.open_channel("anna", msgspec.json.encode(puppet.reply("welcome")))
    assert text(opened.reply) == '"welcome"'
    answer = puppet.send_on_channel(puppet.ABOUT, puppet.Json('{"a":1.0000,"a":2}'))
    client.say(opened.channel, msgspec.json.encode(answer))
    heard = client.hear(opened.channel, 30)
    assert ([text(message) for message in heard.messages], heard.closed) == (['{"a":1.0000,"a":2}'], None)
    assert client.hear(opened.channel, 0).messages == []
    client.close_channel(opened.channel)
    assert client.hear(opened.channel, 5).closed is not None
    with pytest.raises(ChannelClosed):
        client.say(opened.channel, "1")
    with pytest.raises(NotFound):
        client.hear("no-such-channel", 0)
    silent = client.open_channel("anna", '""')
    assert silent.reply is None


def test_an_actor_is_taken_out_of_a_node_and_into_another(
    client: Client, components: dict[str, bytes], tmp_path: Path
) -> None:
    id = started(client, "traveller", components["counter"])
    client.request(id, '{"by":2}')
    client.stop(id)
    file = tmp_path / "traveller.zip"
    with file.open("wb") as to:
        client.bundle(id, to)

    with configured(tmp_path) as other, Client.at(find(other.environ)) as there:
        imported = there.import_bundle(file)
        assert (imported.id, imported.head) == (id, client.actor(id).actor.head)
        assert [row.hash for row in there.events(id)] == [row.hash for row in client.events(id)]
        with pytest.raises(InvalidInput, match="here already"):
            there.import_bundle(file)
        (tmp_path / "none.zip").write_bytes(b"no")
        with pytest.raises(BadBundle):
            there.import_bundle(tmp_path / "none.zip")
    with pytest.raises(NotFound):
        client.bundle("nobody", io.BytesIO())


def test_a_token_does_what_its_scope_says_and_is_named_in_the_chain(
    client: Client, server: RunningServer, components: dict[str, bytes]
) -> None:
    folder = DataDir(server.data_dir)
    reader, worker = add_token(folder, "reader", "read"), add_token(folder, "worker", "operate")
    id = started(client, "guarded", components["counter"])

    with Client(server.url, reader) as found:
        assert (found.node().token, found.node().scope) == ("reader", "read")
        assert found.actor(id).actor.id == id
        with pytest.raises(Forbidden):
            found.send(id, '{"by":1}')
    with Client(server.url, worker) as found:
        receipt = found.request(id, '{"by":1}').receipt
    sources = [row.payload for row in client.events(id, receipt.seq - 1, kind="message")]
    assert [msgspec.json.decode(source or b"")["source"] for source in sources] == ["worker"]
    for wrong in (None, "x" * 43):
        with Client(server.url, wrong) as found:
            assert found.health() == wire.Health()
            with pytest.raises(Unauthorized):
                found.node()
            with pytest.raises(Unauthorized):
                found.has_blob("0" * 64)


def test_what_is_beyond_the_ceiling_needs_more_than_a_token(client: Client, components: dict[str, bytes]) -> None:
    digest = client.put_blob(components["counter"]).digest
    manifest = f'name = "greedy"\ncomponent = "sha256:{digest}"\n[capabilities.environment]\nallow = ["HOME"]\n'

    with pytest.raises(Denied):
        client.start(wire.StartOrder(manifest=manifest))


def test_events_are_followed_while_they_come(client: Client, components: dict[str, bytes]) -> None:
    id = started(client, "followed", components["counter"])
    place = client.node().events
    now, all_of_them = client.follow(id), client.follow(id, 0)
    node = client.follow_node()
    assert [row.seq for row in islice(all_of_them, 4)] == [0, 1, 2, 3]
    client.request(id, '{"by":2}')

    assert [row.seq for row in islice(now, 2)] == [4, 5]
    assert [row.seq for row in islice(all_of_them, 2)] == [4, 5]
    assert [row.index for row in islice(node, 2)] == [place, place + 1]
    client.stop(id)
    rest = threading.Thread(target=lambda: seen.extend(row.kind for row in all_of_them))
    seen: list[str] = []
    rest.start()
    client.remove(id)
    rest.join(10)
    assert seen[:1] == ["lifecycle"]
    assert not rest.is_alive()


def test_the_client_that_does_not_block_does_the_same(server: RunningServer, components: dict[str, bytes]) -> None:
    async def play() -> None:
        async with AsyncClient.at(find(server.environ)) as client:
            assert await client.health() == wire.Health()
            digest = (await client.put_blob(components["counter"])).digest
            assert await client.blob(digest) == components["counter"]
            manifest = f'name = "awaited"\ncomponent = "sha256:{digest}"\n'
            id = (await client.start(wire.StartOrder(manifest=manifest))).actor.id
            replies = await asyncio.gather(*(client.request(id, '{"by":1}') for _ in range(20)))
            assert {text(found.reply) for found in replies} == {f'{{"count":{count}}}' for count in range(1, 21)}
            assert id in [row.id async for row in client.actors()]
            events = [row async for row in client.events(id, limit=5)]
            assert [row.seq for row in events] == [0, 1, 2, 3, 4]
            followed: list[int] = []
            async for row in client.follow(id, 40, patience_s=0):
                followed.append(row.seq)
                if row.seq == 43:
                    await client.stop(id)
                    await client.remove(id)
            assert followed[:4] == [40, 41, 42, 43]
            to = io.BytesIO()
            with pytest.raises(NotFound):
                await client.bundle(id, to)
            with pytest.raises(NotFound):
                await client.actor(id)
            assert (await client.node()).token == "local"

    asyncio.run(play())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_following_goes_on_where_the_server_comes_back(
    tmp_path: Path, components: dict[str, bytes], number: signal.Signals
) -> None:
    with configured(tmp_path) as server, Client.at(find(server.environ)) as client:
        id = started(client, "survivor", components["counter"])
        broke = threading.Event()
        events = client.follow(id, 0, patience_s=60, on_break=lambda _: broke.set())
        rows = list(islice(events, 4))
        port = server.address[1]
        client.request(id, '{"by":2}')
        server.stop(number)
        reader = threading.Thread(target=lambda: rows.extend(islice(events, 6)))
        reader.start()
        assert broke.wait(30)
        server.start()
        with Client.at(find(server.environ)) as again:
            again.request(id, '{"by":3}')
            again.request(id, '{"by":4}')
            reader.join(60)
            assert not reader.is_alive()
            chain = list(again.events(id))
        assert [row.hash for row in rows] == [row.hash for row in chain[: len(rows)]]
        assert len(rows) == 10
        assert client.url == server.url
        assert port != server.address[1] or client.url.endswith(str(port))


def test_a_certificate_is_checked_before_anything_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = certificate(tmp_path)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with RunningServer(tmp_path, "--tls-cert", str(cert), "--tls-key", str(key)) as server:
        where = find(server.environ)
        assert where.url.startswith("https://127.0.0.1:")
        with Client.at(where) as client, pytest.raises(NoServer, match="SSL_CERT_FILE"):
            client.node()
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        with Client.at(where) as client:
            assert client.node().token == "local"
            events = client.follow_node(0)
            ended = threading.Thread(target=lambda: list(events))
            ended.start()
            client.close()
            ended.join(10)
            assert not ended.is_alive()


def certificate(folder: Path) -> tuple[Path, Path]:
    """One for 127.0.0.1 that vouches for itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "theater")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(Encoding.PEM))
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return cert, key


def test_a_server_that_is_gone_is_no_server(tmp_path: Path) -> None:
    with configured(tmp_path) as server:
        where = find(server.environ)
        server.stop()

        with pytest.raises(NoServer, match="no server holds"):
            find(server.environ)
        with Client.at(where) as client, pytest.raises(NoServer, match="start one with"):
            client.health()
        assert issubclass(NoServer, Busy)
