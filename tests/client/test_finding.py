"""Which server is asked, with which token, and who is told neither."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from theater.client import Where, find
from theater.client.finding import origin_of
from theater.errors import Damaged, InvalidInput, NoServer
from theater.runtime.server_files import ServerFile, hold_server_lock, write_server_file
from theater.store import DataDir

HERE = "http://127.0.0.1:2823"
ELSEWHERE = "https://theater.example"
TOKEN = "t" * 43


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "THEATER_DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[DataDir]:
    """The data directory, with a server that says that it listens at ``HERE``."""
    folder = DataDir(tmp_path / "data")
    folder.hold("a test")
    with hold_server_lock(folder):
        write_server_file(folder, ServerFile(url=HERE, token=TOKEN, pid=1, version="0", started="now"))
        yield folder
    folder.release()


def configure(tmp_path: Path, text: str) -> None:
    file = tmp_path / ".config" / "theater" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)


def test_without_a_name_and_a_server_there_is_none(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(NoServer, match=r"no server holds .*data; start one with: theater server"):
        find(environ)
    assert not (tmp_path / "data").exists()


def test_the_server_of_the_data_directory_is_found_with_its_token(environ: dict[str, str], served: DataDir) -> None:
    found = find(environ)

    assert found == Where(HERE, TOKEN, "data-dir")
    assert found.again is not None
    assert found.again() == found
    assert TOKEN not in repr(found)
    assert served.is_held


def test_a_server_that_does_not_listen_yet_is_said_to_begin(environ: dict[str, str], served: DataDir) -> None:
    served.server_file.unlink()

    with pytest.raises(NoServer, match="does not listen yet"):
        find(environ)


def test_what_a_dead_server_said_is_not_believed(environ: dict[str, str], tmp_path: Path) -> None:
    folder = DataDir(tmp_path / "data")
    folder.root.mkdir()
    write_server_file(folder, ServerFile(url=HERE, token=TOKEN, pid=1, version="0", started="now"))

    with pytest.raises(NoServer):
        find(environ)
    assert find(environ, server=HERE).token is None


def test_a_server_is_looked_for_where_the_nearest_word_says(
    environ: dict[str, str], served: DataDir, tmp_path: Path
) -> None:
    configure(tmp_path, 'server = "http://file:1"\n')
    assert find(environ) == Where("http://file:1", None, "file")
    environ["THEATER_SERVER"] = "http://environment:1"
    assert find(environ) == Where("http://environment:1", None, "environment")
    assert find(environ, server="http://argument:1") == Where("http://argument:1", None, "argument")
    assert find(environ, data_dir=str(served.root), server="http://argument:1").url == "http://argument:1"


def test_a_data_directory_that_is_named_for_one_command_goes_before_a_server_that_is_not(
    environ: dict[str, str], served: DataDir, tmp_path: Path
) -> None:
    environ["THEATER_SERVER"] = ELSEWHERE

    assert find(environ, data_dir=str(served.root)).url == HERE
    with pytest.raises(NoServer):
        find(environ, data_dir=str(tmp_path / "other"))


def test_the_token_of_the_data_directory_goes_to_its_own_server_only(environ: dict[str, str], served: DataDir) -> None:
    assert find(environ, server=HERE).token == TOKEN
    assert find(environ, server=HERE + "/").token == TOKEN
    for other in (
        "http://127.0.0.1:2824",
        "https://127.0.0.1:2823",
        "http://localhost:2823",
        "http://127.0.0.1",
        "http://127.0.0.1.example:2823",
        ELSEWHERE,
    ):
        assert find(environ, server=other).token is None, other
    assert served.is_held


def test_a_token_of_the_environment_is_for_whichever_server_is_named(environ: dict[str, str], served: DataDir) -> None:
    environ["THEATER_TOKEN"] = "mine"

    assert find(environ).token == "mine"
    assert find(environ, server=ELSEWHERE) == Where(ELSEWHERE, "mine", "argument")
    assert served.is_held


def test_a_server_file_that_others_can_read_is_not_used(environ: dict[str, str], served: DataDir) -> None:
    served.server_file.chmod(0o644)

    with pytest.raises(Damaged, match="chmod 600"):
        find(environ)
    assert find(environ, server=HERE).token is None


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        (HERE, HERE),
        (HERE + "/", HERE),
        ("HTTP://LocalHost:80", "http://localhost"),
        ("https://a:443/", "https://a"),
        ("https://a:80", "https://a:80"),
        ("http://[::1]:2823", "http://[::1]:2823"),
    ],
)
def test_an_origin_is_written_in_one_way(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:2823",
        "ftp://a",
        "file:///etc/passwd",
        "http://",
        "http://:80",
        "http://a:99999",
        "http://a:b",
        "http://a/v1",
        "http://a?x",
        "http://a#x",
        "http://user:secret@a",
        "http://a b",
        "http://a\n",
        "http://[::1",
        "http://\u0430",
    ],
)
def test_what_is_more_or_less_than_an_origin_is_refused(environ: dict[str, str], url: str) -> None:
    with pytest.raises(InvalidInput):
        origin_of(url)
    if url:
        with pytest.raises(InvalidInput):
            find(environ, server=url)
