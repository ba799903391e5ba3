"""A server as a process: how it comes up, what it withstands, how it goes down."""

import hashlib
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.guests import wat
from tests.runtime.stage import Workshop
from tests.server.process import COMMAND, PATIENCE_S, Answer, RunningServer, read_all
from theater.runtime.server_files import is_served, read_server_file
from theater.server.tokens import add_token, remove_token
from theater.store import DataDir

pytestmark = pytest.mark.slow

Starting = Callable[..., RunningServer]


@pytest.fixture
def starting(workshop: Workshop, tmp_path: Path) -> Iterator[Starting]:
    """Servers on data directories whose guests are compiled already."""
    made: list[RunningServer] = []

    def start(*options: str, name: str = "data", **more: object) -> RunningServer:
        for text in (wat.COUNTER, wat.SLEEPER):
            workshop.file(text)
        data_dir = tmp_path / name
        if not data_dir.exists():
            data_dir.mkdir(mode=0o700)
            shutil.copytree(workshop.cache, data_dir / "cache")
        server = RunningServer(tmp_path, *options, data_dir=data_dir, **more)  # type: ignore[arg-type]  # passed on
        made.append(server)
        server.start()
        return server

    yield start
    for server in made:
        server.kill()


def start_actor(server: RunningServer, workshop: Workshop, text: str, name: str, more: str = "") -> None:
    data = workshop.file(text).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    put = server.request("PUT", f"/v1/blobs/{digest}", data, headers={"Content-Type": "application/octet-stream"})
    assert put.status in (200, 201), put
    manifest = f'name = "{name}"\ncomponent = "x.wasm"\n{more}'
    started = server.post("/v1/actors", {"manifest": manifest, "component": digest})
    assert started.status == 201, started


SLEEPS = "[capabilities.timing]\n"


def count(server: RunningServer, by: int = 1) -> object:
    answer = server.post("/v1/actors/counter/request", {"by": by})
    assert answer.status == 200, answer
    return answer.document["reply"]


def refused(*options: str, environ: dict[str, str], expected: int = 1) -> str:
    done = subprocess.run(
        [*COMMAND, *options], env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == expected, done
    return done.stderr


# -- up --------------------------------------------------------------------------------------------------------------


def test_a_server_says_where_it_listens_to_its_owner_alone(starting: Starting) -> None:
    server = starting()
    folder = DataDir(server.data_dir)

    said = read_server_file(folder)
    assert said is not None
    assert (said.url, said.token, said.pid) == (server.url, server.token, server.process.pid)
    for path in (folder.server_file, folder.token):
        assert path.stat().st_mode & 0o777 == 0o600
    assert is_served(folder)
    assert server.get("/healthz", token=None).document == {"status": "ok"}

    assert server.stop() == 0
    assert not is_served(folder)
    assert not folder.server_file.exists()
    assert folder.token.exists()


def test_a_second_server_on_the_same_data_is_refused_and_told_who_holds_them(starting: Starting) -> None:
    server = starting()

    said = refused("--port", "0", environ=server.environ)

    assert f"theater server (process {server.process.pid}" in said
    assert server.get("/healthz").status == 200


def test_a_port_that_is_in_use_is_named_and_nothing_is_opened(starting: Starting, tmp_path: Path) -> None:
    server = starting()
    other = tmp_path / "other"

    said = refused("--port", str(server.address[1]), environ={**server.environ, "THEATER_DATA_DIR": str(other)})

    assert f"port {server.address[1]} on 127.0.0.1 is in use" in said
    assert not other.exists()


@pytest.mark.parametrize("name", ["token", "tokens.json"])
def test_damaged_tokens_are_told_before_it_listens(starting: Starting, name: str) -> None:
    server = starting()
    assert server.stop() == 0
    file = server.data_dir / name
    file.write_text("garbage")
    file.chmod(0o600)

    said = refused("--port", "0", environ=server.environ)

    assert said.startswith(f"error: {file} ")
    assert "listening" not in said


def test_a_public_address_needs_tls_or_a_word(tmp_path: Path) -> None:
    environ = RunningServer(tmp_path).environ

    assert "--insecure-behind-proxy" in refused("--host", "0.0.0.0", environ=environ)
    assert not (tmp_path / "data").exists()
    assert "both" in refused("--tls-cert", "x", environ=environ)
    assert "cannot be used" in refused("--tls-cert", "x", "--tls-key", "y", environ=environ)


def test_a_server_behind_a_proxy_answers_for_the_name_that_it_was_given(starting: Starting) -> None:
    server = starting("--host", "0.0.0.0", "--insecure-behind-proxy", "--allow-host", "theater.example")

    assert server.url.startswith("http://127.0.0.1:")
    assert server.get("/healthz", headers={"Host": "theater.example"}).status == 200
    assert server.get("/healthz", headers={"Host": "evil.example"}).status == 421


def test_the_log_can_be_json(starting: Starting) -> None:
    server = starting("--log-format", "json")
    server.get("/v1/node")
    assert server.stop() == 0

    lines = [json.loads(line) for line in server.log.splitlines()]
    assert lines[0]["message"] == f"listening on {server.url}"
    assert [line["route"] for line in lines if line["message"] == "request"] == ["/v1/node"]
    assert lines[-1]["message"] == "stopped"


def test_a_server_with_a_certificate_speaks_tls_and_nothing_else(starting: Starting, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    server = starting("--tls-cert", str(cert), "--tls-key", str(key))
    context = ssl.create_default_context(cafile=str(cert))

    assert server.url.startswith("https://127.0.0.1:")
    with server.connection() as plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")
    with server.connection() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" not in read_all(connection)
    assert server.stop() == 0


def certificate(folder: Path) -> tuple[Path, Path]:
    """One for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


# -- down ------------------------------------------------------------------------------------------------------------


def test_a_server_that_is_stopped_finishes_what_is_under_way(starting: Starting, workshop: Workshop) -> None:
    server = starting()
    start_actor(server, workshop, wat.SLEEPER, "sleeper", SLEEPS)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(server.post, "/v1/actors/sleeper/request", {"ms": 700})
        until_in_step(server)
        assert server.stop() == 0

    assert answer.result().status == 200, answer.result()
    assert "stopped" in server.log.splitlines()[-1]
    assert "Traceback" not in server.log


def until_in_step(server: RunningServer) -> None:
    """Return when the sleeper has begun its first step behind ``init``."""
    begun: object = []
    while not isinstance(begun, list) or len(begun) < 2:
        begun = server.get("/v1/actors/sleeper/events?kind=message").document["events"]


def test_a_stream_is_told_that_the_server_stops(starting: Starting) -> None:
    server = starting()
    head = f"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n"
    with server.connection() as stream, server.connection() as unread:
        stream.sendall(f"{head}Accept: text/event-stream\r\n\r\n".encode())
        unread.sendall(f"{head}Accept: text/event-stream\r\n\r\n".encode())
        assert b"text/event-stream" in stream.recv(10_000)
        assert server.stop() == 0
        said = read_all(stream)

    assert b"event: end" in said
    assert b'"stopping"' in said


def test_an_idle_connection_does_not_keep_a_server_from_stopping(starting: Starting) -> None:
    server = starting()
    with server.connection(), server.connection() as half:
        half.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert server.get("/healthz").status == 200
        assert server.stop(signal.SIGINT) == 0


def test_a_second_signal_does_not_wait_for_requests(starting: Starting, workshop: Workshop) -> None:
    server = starting()
    start_actor(server, workshop, wat.SLEEPER, "sleeper", SLEEPS)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ended, lambda: server.post("/v1/actors/sleeper/request", {"ms": 30_000}))
        until_in_step(server)
        server.process.send_signal(signal.SIGTERM)
        while "stopping" not in server.log:
            pass
        assert server.stop() == 0
        assert answer.result() is None
    assert "Traceback" not in server.log


def ended(ask: Callable[[], Answer]) -> Answer | None:
    try:
        return ask()
    except OSError:
        return None


def test_what_was_answered_survives_a_kill(starting: Starting, workshop: Workshop) -> None:
    server = starting()
    start_actor(server, workshop, wat.COUNTER, "counter")
    for number in range(1, 6):
        assert count(server) == {"count": number}
    os.kill(server.process.pid, signal.SIGKILL)
    server.wait()
    port = server.address[1]

    server.start(port=port)

    assert count(server) == {"count": 6}
    assert server.stop() == 0


def test_what_was_accepted_and_ordered_survives_a_kill(starting: Starting, workshop: Workshop) -> None:
    server = starting()
    start_actor(server, workshop, wat.COUNTER, "counter")
    start_actor(server, workshop, wat.COUNTER, "other")
    assert server.post("/v1/actors/other/stop", {}).status == 200
    for _ in range(5):
        assert server.post("/v1/actors/counter/send", {"by": 1}).status == 202
    os.kill(server.process.pid, signal.SIGKILL)
    server.wait()

    server.start()

    assert count(server) == {"count": 6}
    other = server.get("/v1/actors/other").document["actor"]
    assert isinstance(other, dict)
    assert other["status"] == "stopped"
    assert server.stop() == 0


# -- who asks --------------------------------------------------------------------------------------------------------


def test_a_foreign_host_and_any_origin_are_refused(starting: Starting) -> None:
    server = starting()

    assert server.get("/healthz", headers={"Host": "evil.example"}).status == 421
    assert server.get("/healthz", headers={"Origin": server.url}).status == 403


def test_tokens_are_in_force_and_taken_back_while_the_server_runs(starting: Starting) -> None:
    server = starting()
    folder = DataDir(server.data_dir)
    assert server.get("/v1/node", token=None).status == 401
    assert server.get("/v1/node", token="x" * 43).status == 401

    text = add_token(folder, "reader", "read")
    assert server.get("/v1/node", token=text).document["token"] == "reader"
    assert server.request("POST", "/v1/gc", token=text).status == 403
    remove_token(folder, "reader")
    assert server.get("/v1/node", token=text).status == 401


# -- what it withstands ----------------------------------------------------------------------------------------------


def test_a_head_without_end_is_answered_and_cut_off(starting: Starting) -> None:
    server = starting()
    with server.connection() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        said = flooded(connection, b"X-A: " + b"a" * 1000 + b"\r\n")

    assert b" 431 " in said.partition(b"\r\n")[0]
    assert server.get("/healthz").status == 200


def flooded(connection: socket.socket, piece: bytes) -> bytes:
    """What comes back while a million pieces are sent, until the other end does not take any more."""
    with ThreadPoolExecutor() as pool:
        said = pool.submit(read_all, connection)
        try:
            for _ in range(1_000_000):
                connection.sendall(piece)
        except OSError:
            pass
        return said.result()


def test_connections_that_say_nothing_are_closed_and_keep_nobody_out(starting: Starting) -> None:
    server = starting()
    with server.connection() as silent, server.connection() as slow:
        slow.sendall(b"GET / HT")
        assert server.get("/healthz").status == 200
        assert read_all(silent) == b""
        assert b" 408 " in read_all(slow).partition(b"\r\n")[0]


def test_an_oversized_body_is_answered_before_it_is_sent(starting: Starting) -> None:
    server = starting()
    head = f"POST /v1/bundles HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n"
    with server.connection() as connection:
        connection.sendall(f"{head}Content-Length: 999999999999\r\n\r\n".encode())
        said = flooded(connection, b"a" * 65_536)

    assert b" 413 " in said.partition(b"\r\n")[0]
    assert server.get("/healthz").status == 200


def test_a_body_of_a_stranger_is_not_kept(starting: Starting) -> None:
    server = starting()
    before = memory_bytes(server)
    with server.connection() as connection:
        connection.sendall(b"POST /v1/bundles HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        said = flooded(connection, b"10000\r\n" + b"a" * 65_536 + b"\r\n")

    assert b" 401 " in said.partition(b"\r\n")[0]
    assert memory_bytes(server) - before < 32 * 2**20


def memory_bytes(server: RunningServer) -> int:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_a_flood_of_connections_gets_a_clear_answer_and_passes(starting: Starting) -> None:
    server = starting("--max-connections", "50")
    opened = [server.connection() for _ in range(300)]
    try:
        last = read_all(opened[60])
        assert b" 503 " in last.partition(b"\r\n")[0]
        assert b'"busy"' in last
    finally:
        for connection in opened:
            connection.close()

    assert server.get("/v1/node").status == 200
    assert server.stop() == 0


def test_a_request_that_is_no_http_is_answered_with_a_problem(starting: Starting) -> None:
    server = starting()
    with server.connection() as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # a TLS greeting
        said = read_all(connection)

    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in said
