"""Where requests really go: to addresses that were checked, over TLS with the name, and nowhere else."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.capabilities.web import (
    PATIENCE_S,
    VALUES,
    Names,
    Page,
    Web,
    begun,
    fetched,
    grant_for,
    local,
    ok,
    refusal,
    request,
    serving,
    waits,
)
from theater.capabilities.http_wire.service import HttpService
from theater.runtime.services import Interrupt

# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "[64:ff9b::7f00:1]", "0.0.0.0", "10.0.0.1"]
)
def test_a_private_address_is_refused_though_its_url_is_allowed(host: str) -> None:
    match refusal(grant_for(f"* http://{host}/"), request(f"http://{host}/")):
        case ("denied", str(line)):
            assert line.startswith('private = ["')
            return
    pytest.fail(host)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["2002:7f00:1::"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%eth0"],
        ["100.64.0.1"],
        ["8.8.8.8", "8.8.4.4", "1.1.1.1", "9.9.9.9", "10.0.0.1"],
    ],
)
def test_a_name_with_a_private_address_is_refused_and_the_address_is_not_told(
    web: Web, service: HttpService, names: Names, addresses: list[str]
) -> None:
    names.known["rebound.example"] = addresses
    url = f"http://rebound.example:{web.port}/"

    answer = fetched(service, grant_for(f"* {url}"), request(url))

    assert answer == ("err", ("denied", f'private = ["rebound.example:{web.port}"]'))
    assert web.asked == []


def test_a_name_is_looked_up_once_and_what_was_checked_is_what_is_connected_to(
    web: Web, service: HttpService, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def numeric_alone(host: str, port: int, **more: int) -> object:
        assert host == "127.0.0.1", "it looks the name up a second time"
        return real(host, port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", numeric_alone)

    ok(fetched(service, local(web), request(f"http://here.example:{web.port}/")))

    assert names.asked == ["here.example"]
    assert web.asked[0].headers["host"] == f"here.example:{web.port}"


def test_a_connection_is_never_used_for_another_request(web: Web, service: HttpService, names: Names) -> None:
    url = f"http://here.example:{web.port}/"
    ok(fetched(service, local(web), request(url)))
    names.known["here.example"] = ["10.0.0.1"]

    assert fetched(service, local(web), request(url)) == ("err", ("denied", f'private = ["here.example:{web.port}"]'))
    assert web.asked[0].headers["connection"] == "close"


def test_a_private_name_that_is_named_is_reached(web: Web, service: HttpService) -> None:
    grant = grant_for(f"GET http://here.example:{web.port}/", private=[f"here.example:{web.port}"])

    assert ok(fetched(service, grant, request(f"http://here.example:{web.port}/")))["status"] == 200


def test_a_name_that_nobody_knows_and_one_without_address_are_errors(service: HttpService, names: Names) -> None:
    names.known["empty.example"] = []
    for host in ("nowhere.example", "empty.example"):
        match fetched(service, grant_for(f"* http://{host}/"), request(f"http://{host}/")):
            case ("err", ("name-not-resolved", str())):
                continue
        pytest.fail(host)


def test_a_lookup_that_hangs_keeps_nobody_from_being_interrupted() -> None:
    release, arrived = threading.Event(), threading.Event()

    def hang(_host: str, _port: int) -> list[str]:
        arrived.set()
        release.wait(PATIENCE_S)
        return ["8.8.8.8"]

    service = HttpService(VALUES.get, look_up=hang)
    interrupt = Interrupt()
    outcome = begun(service, waits(grant_for("* http://a.b/"), request("http://a.b/")), interrupt)
    assert arrived.wait(PATIENCE_S)
    interrupt.want()

    assert outcome.result(PATIENCE_S) == ("err", ("outcome-unknown", None))
    release.set()
    service.close()


def test_the_next_address_is_tried_where_one_refuses(web: Web, service: HttpService, names: Names) -> None:
    names.known["here.example"] = ["127.0.0.9", "127.0.0.1"]

    assert ok(fetched(service, local(web), request(f"http://here.example:{web.port}/")))["status"] == 200


def test_nobody_there_is_an_error(service: HttpService) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        answer = fetched(service, grant_for(f"* {url}", private=["127.0.0.1"]), request(url))

    assert answer[0] == "err"  # type: ignore[index]  # a result
    assert answer[1][0] == "connection-failed"  # type: ignore[index]  # a variant


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no http\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nx: \x00\r\n\r\n",
    ],
)
def test_what_is_not_http_is_an_error(web: Web, service: HttpService, raw: bytes) -> None:
    web.pages["/"] = Page(raw=raw)

    match fetched(service, local(web), request(web.url)):
        case ("err", ("protocol", str())):
            return
    pytest.fail("it was taken")


# -- TLS -------------------------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> Path:
    """A certificate that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.mark.parametrize(("host", "error"), [("here.example", None), ("other.example", "tls-failed")])
def test_tls_is_with_the_name_and_not_with_the_address(
    tmp_path: Path, names: Names, host: str, error: str | None
) -> None:
    file = certificate(tmp_path, "here.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    service = HttpService(VALUES.get, look_up=names, trust=ssl.create_default_context(cafile=str(file)))
    try:
        with serving(context) as web:
            url = f"https://{host}:{web.port}/"
            answer = fetched(service, grant_for(f"GET {url}", private=["127.0.0.1"]), request(url))
    finally:
        service.close()

    if error is None:
        assert ok(answer)["status"] == 200
    else:
        assert answer[1][0] == error  # type: ignore[index]  # an error


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, service: HttpService) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path, "here.example"))
    with serving(context) as web:
        url = f"https://here.example:{web.port}/"
        answer = fetched(service, grant_for(f"GET {url}", private=["127.0.0.1"]), request(url))

    assert answer[1][0] == "tls-failed"  # type: ignore[index]  # an error
