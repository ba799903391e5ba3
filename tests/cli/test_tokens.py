"""Tokens are made, listed and taken back by the owner of the data directory, with or without a server."""

import stat
from pathlib import Path

from tests.cli.conftest import Theater
from theater.runtime.server_files import make_or_read_token
from theater.server.token import Token
from theater.server.tokens import TokenStore
from theater.store import DataDir


def test_a_token_is_made_listed_and_taken_back(theater: Theater, place: Path) -> None:
    folder = DataDir(place / "data")
    made = theater("config", "token", "add", "deploy", "--scope", "operate")
    assert made.code == 0
    text = made.out.strip()
    assert TokenStore(folder).find(text) == Token("deploy", "operate")
    assert stat.S_IMODE(folder.tokens.stat().st_mode) == 0o600

    listed = theater("config", "token", "list")
    assert listed.out.split()[:5] == ["NAME", "SCOPE", "CREATED", "deploy", "operate"]
    assert text not in listed.out

    removed = theater("config", "token", "rm", "deploy")
    assert removed.code == 0
    assert "deploy" in removed.err
    assert TokenStore(folder).find(text) is None


def test_a_token_may_read_unless_it_is_said_otherwise(theater: Theater) -> None:
    made = theater("config", "token", "add", "watcher", "--json")

    assert made.table["name"] == "watcher"
    assert made.table["scope"] == "read"
    assert len(str(made.table["token"])) == 43
    rows = theater("config", "token", "list", "--json").rows
    assert [(row["name"], row["scope"]) for row in rows] == [("watcher", "read")]
    assert str(rows[0]["created"]).endswith("Z")


def test_the_default_token_is_listed_when_there_is_one(theater: Theater, place: Path) -> None:
    assert theater("config", "token", "list", "--json").rows == []
    text = make_or_read_token(DataDir(place / "data"))

    listed = theater("config", "token", "list", "--json")

    assert listed.rows == [{"name": "local", "scope": "operate", "created": None}]
    assert text not in listed.out


def test_a_token_cannot_have_a_name_that_is_taken_reserved_or_none(theater: Theater) -> None:
    theater("config", "token", "add", "deploy")

    for name in ("deploy", "local", "runtime", "No", "a b", ""):
        assert theater("config", "token", "add", name).code == 1
    assert len(theater("config", "token", "list", "--json").rows) == 1


def test_a_scope_that_is_none_is_wrong_usage(theater: Theater) -> None:
    assert theater("config", "token", "add", "deploy", "--scope", "all").code == 2


def test_taking_back_what_is_not_there_names_the_nearest(theater: Theater) -> None:
    theater("config", "token", "add", "deploy")

    refused = theater("config", "token", "rm", "depoly")

    assert refused.code == 5
    assert "did you mean 'deploy'" in refused.err


def test_a_name_that_is_hostile_comes_out_as_what_it_is(theater: Theater) -> None:
    refused = theater("config", "token", "rm", "\x1b[31m\u202e")

    assert refused.code == 5
    assert "\x1b" not in refused.err
    assert "\u202e" not in refused.err
