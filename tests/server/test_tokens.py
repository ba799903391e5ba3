"""A change of the tokens is in force with the next request."""

from pathlib import Path

import pytest

from theater.errors import Damaged, InvalidInput, NameTaken, NotFound
from theater.runtime.server_files import load_tokens, make_or_read_token
from theater.server.token import Token
from theater.server.tokens import TokenStore, add_token, remove_token
from theater.store import DataDir


@pytest.fixture
def folder(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path)


def test_the_default_token_may_operate_and_is_local(folder: DataDir) -> None:
    text = make_or_read_token(folder)

    assert TokenStore(folder).find(text) == Token("local", "operate")
    assert folder.token.stat().st_mode & 0o777 == 0o600


def test_a_token_is_known_as_soon_as_it_is_added_and_unknown_as_soon_as_it_is_removed(folder: DataDir) -> None:
    tokens = TokenStore(folder)
    local = make_or_read_token(folder)
    for _ in range(3):
        text = add_token(folder, "reader", "read")
        assert tokens.find(text) == Token("reader", "read")
        assert tokens.find(local) is not None
        remove_token(folder, "reader")
        assert tokens.find(text) is None


def test_a_default_token_that_is_removed_is_nobodys(folder: DataDir) -> None:
    tokens = TokenStore(folder)
    text = make_or_read_token(folder)
    assert tokens.find(text) is not None

    folder.token.unlink()

    assert tokens.find(text) is None


@pytest.mark.parametrize("text", ["", "x", "x" * 43, "\udcff"])
def test_what_is_no_token_is_nobodys(folder: DataDir, text: str) -> None:
    make_or_read_token(folder)
    add_token(folder, "reader", "read")

    assert TokenStore(folder).find(text) is None


def test_the_hash_of_a_token_is_no_token(folder: DataDir) -> None:
    add_token(folder, "reader", "read")

    assert TokenStore(folder).find(load_tokens(folder)[0].sha256) is None


def test_only_the_hash_is_kept(folder: DataDir) -> None:
    text = add_token(folder, "reader", "read")

    assert text not in folder.tokens.read_text()
    assert folder.tokens.stat().st_mode & 0o777 == 0o600


def test_a_file_that_others_can_read_lets_nobody_in(folder: DataDir) -> None:
    tokens = TokenStore(folder)
    text = add_token(folder, "reader", "read")
    assert tokens.find(text) is not None
    folder.tokens.chmod(0o644)

    for _ in range(2):
        with pytest.raises(Damaged, match="others can read"):
            tokens.find(text)

    folder.tokens.chmod(0o600)
    assert tokens.find(text) is not None


def test_a_name_can_be_had_once_and_not_be_a_reserved_one(folder: DataDir) -> None:
    add_token(folder, "reader", "read")

    with pytest.raises(NameTaken):
        add_token(folder, "reader", "operate")
    for name in ("local", "runtime", "http", "No", "", "a b"):
        with pytest.raises(InvalidInput):
            add_token(folder, name, "read")
    assert [token.name for token in load_tokens(folder)] == ["reader"]


def test_removing_what_is_not_there_names_the_nearest(folder: DataDir) -> None:
    add_token(folder, "reader", "read")

    with pytest.raises(NotFound, match="did you mean 'reader'"):
        remove_token(folder, "raeder")


def test_who_may_operate_may_read_and_not_the_other_way_round() -> None:
    assert Token("a", "operate").may("read")
    assert Token("a", "operate").may("operate")
    assert Token("a", "read").may("read")
    assert not Token("a", "read").may("operate")
