"""Whom a command asks, and that it is told the same by a server and by the store."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from tests.cli.conftest import Theater
from tests.client.answering import answer, answering
from tests.server.process import RunningServer
from theater.cli.reading import Reading
from theater.cli.session import Session
from theater.client import Client
from theater.errors import InvalidInput, NoServer, NotFound, TheaterError
from theater.model.json_text import NESTING_MAX
from theater.runtime.server_files import ServerFile, hold_server_lock, write_server_file
from theater.store import DataDir


def session(
    folder: Path, environ: Mapping[str, str] | None = None, *, server: str | None = None, data_dir: Path | None = None
) -> Session:
    given = {"HOME": str(folder), "THEATER_DATA_DIR": str(folder / "data"), **(environ or {})}
    return Session(given, server=server, data_dir=str(data_dir) if data_dir else None)


def said(reading: Reading, call: str, id: str) -> tuple[str, str]:
    """The code and the message with which a look ends."""
    with pytest.raises(TheaterError) as caught:
        getattr(reading, call)(id)
    return caught.value.code, caught.value.message


@pytest.fixture
def depth() -> Iterator[None]:
    """The interpreter's limit is as it was, afterwards."""
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)


def test_where_there_is_nothing_there_are_no_actors_and_looking_makes_nothing(tmp_path: Path) -> None:
    with session(tmp_path).reading() as reading:
        assert list(reading.actors()) == []
        for call in ("actor", "state", "events"):
            assert said(reading, call, "x")[0] == "not-found"
            assert "run an actor first" in said(reading, call, "x")[1]
    assert not (tmp_path / "data").exists()


def test_a_data_directory_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")

    with pytest.raises(InvalidInput, match="is not a folder"), session(tmp_path).reading():
        pass


def test_without_a_server_there_is_no_client(tmp_path: Path) -> None:
    assert not session(tmp_path).has_server()
    with pytest.raises(NoServer, match="no server holds"):
        session(tmp_path).client()


def test_a_server_that_is_named_is_asked_and_not_the_store(tmp_path: Path) -> None:
    page = answer(b'{"actors":[],"next":null}')
    with answering(page, page) as server:
        for named in (session(tmp_path, server=server.url), session(tmp_path, {"THEATER_SERVER": server.url})):
            assert named.has_server()
            with named.reading() as reading:
                assert isinstance(reading, Client)
                assert list(reading.actors()) == []
        assert [asked.target for asked in server.asked] == ["/v1/actors", "/v1/actors"]


def test_a_data_directory_that_is_named_is_read_though_a_server_is_configured(tmp_path: Path) -> None:
    found = session(tmp_path, {"THEATER_SERVER": "http://127.0.0.1:1"}, data_dir=tmp_path / "other")

    assert not found.has_server()
    with found.reading() as reading:
        assert list(reading.actors()) == []


def test_the_server_of_the_data_directory_is_asked(tmp_path: Path) -> None:
    folder = DataDir(tmp_path / "data")
    folder.hold("a test")
    with answering(answer(b'{"actors":[],"next":null}')) as server, hold_server_lock(folder):
        write_server_file(folder, ServerFile(url=server.url, token="t", pid=1, version="0", started="now"))
        assert session(tmp_path).has_server()
        with session(tmp_path).reading() as reading:
            assert list(reading.actors()) == []
        assert server.asked[0].headers["authorization"] == "Bearer t"
    folder.release()


@pytest.mark.usefixtures("depth")
def test_a_value_as_deep_as_any_can_be_is_read(tmp_path: Path) -> None:
    value = b"[" * NESTING_MAX + b"]" * NESTING_MAX
    document = answer(b'{"id":"%b","seq":1,"state":%b}' % (b"a" * 32, value))
    with answering(document) as server, session(tmp_path, server=server.url).client() as client:
        assert bytes(client.state("a").state) == value


@pytest.mark.parametrize(
    ("environ", "config", "is_json"),
    [
        ({}, "", False),
        ({"THEATER_OUTPUT": "json"}, "", True),
        ({}, 'output = "json"\n', True),
        ({"THEATER_OUTPUT": "human"}, 'output = "json"\n', False),
        ({"THEATER_OUTPUT": "json"}, "broken", True),
        ({}, "broken", False),
        ({"THEATER_OUTPUT": "loud"}, "", False),
    ],
)
def test_output_can_be_json_without_an_option(
    tmp_path: Path, environ: dict[str, str], config: str, *, is_json: bool
) -> None:
    file = tmp_path / ".config" / "theater" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(config)

    assert session(tmp_path, environ).wants_json() is is_json


def test_a_command_that_needs_a_server_ends_with_four_where_there_is_none(theater: Theater) -> None:
    done = theater("stop", "counter")
    assert done.code == 4
    assert "start one with: theater server" in done.err
    done = theater("list", "--server", "http://127.0.0.1:1", "--json")
    assert done.code == 4
    assert msgspec.json.decode(done.out)["error"]["code"] == "no-server"
    assert theater("list", "--server", "nonsense").code == 2


@pytest.mark.slow
def test_a_server_and_the_store_say_the_same(counter: str, place: Path) -> None:
    def seen(reading: Reading) -> list[object]:
        (row,) = reading.actors()
        detail = reading.actor("counter")
        rows = [row, detail.actor]
        for number, found in enumerate(rows):
            rows[number] = msgspec.structs.replace(found, steps=None)
        return [
            *rows,
            msgspec.json.encode(msgspec.structs.replace(detail, actor=rows[1])),
            [msgspec.json.encode(event) for event in reading.events(counter[:6])],
            [event.seq for event in reading.events("counter", 2, "message", 1)],
            msgspec.json.encode(reading.state("counter")),
            msgspec.json.encode(reading.state("counter", 3)),
            list(reading.actors(status="crashed")),
            list(reading.actors(parent=counter)),
            *(said(reading, call, "countre") for call in ("actor", "state", "events", "actors")[:3]),
            *(said(reading, call, "0") for call in ("actor", "state", "events")),
            _nobody(reading),
        ]

    with session(place).reading() as store:
        expected = seen(store)
    assert ("not-found", "no actor 'countre'; did you mean 'counter'?") in expected
    with RunningServer(place, data_dir=place / "data") as server:
        here = Session(server.environ)
        with here.reading() as client:
            assert isinstance(client, Client)
            assert seen(client) == expected


def _nobody(reading: Reading) -> tuple[str, str]:
    with pytest.raises(NotFound) as caught:
        list(reading.actors(parent="nobody"))
    return caught.value.code, caught.value.message
