"""How a server and its clients on one machine find each other, and whom they do not trust."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from theater.errors import Damaged, InvalidInput, NameTaken
from theater.runtime.allowances import ALLOWANCE_MAX_AGE_S, Allowance, take_allowance, write_allowance
from theater.runtime.server_files import (
    RESERVED_NAMES,
    TOKENS_MAX,
    NamedToken,
    ServerFile,
    check_token_name,
    hold_server_lock,
    is_served,
    load_tokens,
    make_or_read_token,
    new_token,
    read_server_file,
    read_token,
    save_tokens,
    token_sha256,
    write_server_file,
)
from theater.store import DataDir

SERVER = ServerFile(url="http://127.0.0.1:2823", token="t" * 43, pid=1, version="0", started="now")
MANIFEST = 'name = "a"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataDir]:
    """A data directory that this process holds."""
    folder = DataDir(tmp_path / "data")
    folder.hold("a test")
    yield folder
    folder.release()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def named(name: str) -> NamedToken:
    return NamedToken(name=name, scope="read", sha256=token_sha256(name), created="2026-01-01T00:00:00.000000Z")


# -- the server ------------------------------------------------------------------------------------------------------


def test_a_folder_is_served_for_as_long_as_the_lock_is_held(folder: DataDir) -> None:
    assert not is_served(folder)
    with hold_server_lock(folder):
        assert is_served(folder)
        assert is_served(DataDir(folder.root))
    assert not is_served(folder)


def test_looking_makes_nothing(tmp_path: Path) -> None:
    assert not is_served(DataDir(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_folder_that_is_a_file_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    assert not is_served(DataDir(tmp_path / "file"))


def test_who_looks_keeps_no_server_from_starting(folder: DataDir) -> None:
    folder.server_lock.touch(mode=0o600)
    has_begun, is_over = threading.Event(), threading.Event()

    def look() -> None:
        while not is_over.is_set():
            is_served(folder)
            has_begun.set()

    thread = threading.Thread(target=look)
    thread.start()
    assert has_begun.wait(5)
    for _ in range(50):
        with hold_server_lock(folder):
            assert is_served(folder)
    is_over.set()
    thread.join()


def test_what_a_server_says_of_itself_is_its_owners_alone(folder: DataDir) -> None:
    with hold_server_lock(folder):
        assert read_server_file(folder) is None

        write_server_file(folder, SERVER)

        assert read_server_file(folder) == SERVER
        assert mode_of(folder.server_file) == 0o600


def test_what_a_dead_server_said_is_gone_before_another_holds_the_lock(folder: DataDir) -> None:
    write_server_file(folder, SERVER)

    with hold_server_lock(folder):
        assert read_server_file(folder) is None


def test_what_a_server_said_is_gone_when_it_ends(folder: DataDir) -> None:
    with hold_server_lock(folder):
        write_server_file(folder, SERVER)

    assert not folder.server_file.exists()


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o666])
def test_a_server_file_that_others_can_touch_is_refused_with_what_to_do(folder: DataDir, mode: int) -> None:
    write_server_file(folder, SERVER)
    folder.server_file.chmod(mode)

    with pytest.raises(Damaged, match=r"others can read .*server\.json: chmod 600 it, or remove it"):
        read_server_file(folder)


def test_a_server_file_of_another_user_is_refused(folder: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    write_server_file(folder, SERVER)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)

    with pytest.raises(Damaged, match="another user's"):
        read_server_file(folder)


@pytest.mark.parametrize("text", ["", "{}", "[]", "{", '{"url":1}', "\xff"])
def test_a_server_file_with_something_else_in_it_is_damaged(folder: DataDir, text: str) -> None:
    folder.server_file.write_text(text, encoding="latin-1")
    folder.server_file.chmod(0o600)

    with pytest.raises(Damaged, match="start the server again"):
        read_server_file(folder)


def test_links_and_pipes_are_not_read(folder: DataDir, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(msgspec.json.encode(SERVER))
    elsewhere.chmod(0o600)
    folder.server_file.symlink_to(elsewhere)
    os.mkfifo(folder.token, 0o600)

    with pytest.raises(Damaged, match="cannot be read"):
        read_server_file(folder)
    folder.tokens.mkdir()
    with pytest.raises(Damaged, match=f"{folder.token} is no file"):
        read_token(folder)
    with pytest.raises(Damaged, match=f"{folder.tokens} is no file"):
        load_tokens(folder)


def test_a_link_that_is_planted_is_not_written_through(folder: DataDir, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    folder.server_file.symlink_to(victim)

    write_server_file(folder, SERVER)

    assert victim.read_text() == "untouched"
    assert read_server_file(folder) == SERVER


# -- tokens ----------------------------------------------------------------------------------------------------------


def test_the_default_token_is_made_once(folder: DataDir) -> None:
    token = make_or_read_token(folder)

    assert len(token) == 43
    assert mode_of(folder.token) == 0o600
    assert folder.token.read_text() == token
    assert make_or_read_token(folder) == read_token(folder) == token
    assert new_token() != token


def test_there_is_no_default_token_before_one_is_made(folder: DataDir) -> None:
    with pytest.raises(FileNotFoundError):
        read_token(folder)


def test_a_token_that_others_can_read_is_refused(folder: DataDir) -> None:
    make_or_read_token(folder)
    folder.token.chmod(0o644)

    with pytest.raises(Damaged, match="chmod 600"):
        make_or_read_token(folder)


@pytest.mark.parametrize("text", ["", "short", "t" * 44, "t" * 42 + " ", "\u00e9" * 43])
def test_a_token_that_nobody_made_is_refused(folder: DataDir, text: str) -> None:
    folder.token.write_text(text, encoding="utf-8")
    folder.token.chmod(0o600)

    with pytest.raises(Damaged, match="holds no token: remove it"):
        make_or_read_token(folder)


def test_an_end_of_line_behind_a_token_is_no_part_of_it(folder: DataDir) -> None:
    token = make_or_read_token(folder)
    folder.token.write_text(token + "\n")

    assert read_token(folder) == token


def test_named_tokens_are_kept_by_their_hash_in_their_order(folder: DataDir) -> None:
    assert load_tokens(folder) == ()
    tokens = (named("ci"), named("alice"))

    save_tokens(folder, tokens)

    assert load_tokens(folder) == tokens
    assert mode_of(folder.tokens) == 0o600
    save_tokens(folder, tokens[1:])
    assert load_tokens(folder) == tokens[1:]


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a" * 64, "\u00e9", *sorted(RESERVED_NAMES)])
def test_a_token_cannot_have_a_name_that_says_somebody_else(folder: DataDir, name: str) -> None:
    with pytest.raises(InvalidInput, match="token name"):
        check_token_name(name)
    with pytest.raises(InvalidInput):
        save_tokens(folder, [named(name)])
    assert not folder.tokens.exists()


def test_two_tokens_have_two_names(folder: DataDir) -> None:
    with pytest.raises(NameTaken, match="remove it first"):
        save_tokens(folder, [named("ci"), named("ci")])


def test_there_is_an_end_to_tokens(folder: DataDir) -> None:
    most = [named(f"t{number}") for number in range(TOKENS_MAX)]
    save_tokens(folder, most)

    assert load_tokens(folder) == tuple(most)
    with pytest.raises(InvalidInput, match="at most"):
        save_tokens(folder, [*most, named("one-more")])


@pytest.mark.parametrize(
    "text", ["", "[]", '{"tokens":[{}]}', '{"tokens":[{"name":"ci","scope":"all","sha256":"","created":""}]}']
)
def test_a_list_of_tokens_that_is_none_is_damaged(folder: DataDir, text: str) -> None:
    folder.tokens.write_text(text)
    folder.tokens.chmod(0o600)

    with pytest.raises(Damaged, match="mend or remove it"):
        load_tokens(folder)


def test_a_list_of_tokens_that_others_can_write_is_refused(folder: DataDir) -> None:
    save_tokens(folder, [named("ci")])
    folder.tokens.chmod(0o662)

    with pytest.raises(Damaged, match="chmod 600"):
        load_tokens(folder)


# -- allowances ------------------------------------------------------------------------------------------------------


def test_what_is_allowed_is_allowed_once(folder: DataDir) -> None:
    name = write_allowance(folder, ["a", "b"], manifest=MANIFEST)

    assert mode_of(folder.allowances) == 0o700
    assert [mode_of(file) for file in folder.allowances.iterdir()] == [0o600]
    assert take_allowance(folder, name, manifest=MANIFEST).allowed == ("a", "b")
    assert list(folder.allowances.iterdir()) == []
    with pytest.raises(InvalidInput, match="allow it again"):
        take_allowance(folder, name, manifest=MANIFEST)


def test_what_is_allowed_is_allowed_for_one_manifest_and_is_used_up_by_another(folder: DataDir) -> None:
    name = write_allowance(folder, ["a"], manifest=MANIFEST)

    with pytest.raises(InvalidInput, match="another manifest"):
        take_allowance(folder, name, manifest=MANIFEST + "#")
    with pytest.raises(InvalidInput, match="nothing is allowed"):
        take_allowance(folder, name, manifest=MANIFEST)


def test_where_the_manifest_lies_comes_with_what_is_allowed(folder: DataDir) -> None:
    name = write_allowance(folder, [], manifest=MANIFEST, manifest_folder="/srv/a")

    assert take_allowance(folder, name, manifest=MANIFEST) == Allowance((), "/srv/a")


def test_a_folder_that_is_no_whole_path_is_none(folder: DataDir) -> None:
    name = write_allowance(folder, ["a"], manifest=MANIFEST, manifest_folder="srv/a")

    with pytest.raises(Damaged, match="without its whole path"):
        take_allowance(folder, name, manifest=MANIFEST)


@pytest.mark.parametrize("name", ["", ".", "..", "../token", "a" * 32 + "/../x", "A" * 32, "a" * 32 + "\n", "a" * 32])
def test_a_name_that_nobody_was_given_allows_nothing(folder: DataDir, name: str) -> None:
    write_allowance(folder, ["a"], manifest=MANIFEST)

    with pytest.raises(InvalidInput, match="nothing is allowed"):
        take_allowance(folder, name, manifest=MANIFEST)


def test_without_a_folder_nothing_is_allowed(folder: DataDir) -> None:
    with pytest.raises(InvalidInput, match="nothing is allowed"):
        take_allowance(folder, "a" * 32, manifest=MANIFEST)


@pytest.mark.parametrize("moved_s", [-ALLOWANCE_MAX_AGE_S - 5, ALLOWANCE_MAX_AGE_S + 5])
def test_what_was_not_used_in_time_is_gone(folder: DataDir, moved_s: int) -> None:
    name = write_allowance(folder, ["a"], manifest=MANIFEST)
    file = folder.allowances / f"{name}.json"
    when = file.stat().st_mtime + moved_s
    os.utime(file, (when, when))

    with pytest.raises(InvalidInput, match="nothing is allowed"):
        take_allowance(folder, name, manifest=MANIFEST)
    assert not file.exists()


def test_allowing_removes_what_was_not_used_in_time(folder: DataDir) -> None:
    old, young = (write_allowance(folder, ["a"], manifest=MANIFEST) for _ in range(2))
    os.utime(folder.allowances / f"{old}.json", (0, 0))
    (folder.allowances / "folder").mkdir()
    os.utime(folder.allowances / "folder", (0, 0))

    new = write_allowance(folder, ["a"], manifest=MANIFEST)

    names = {file.name for file in folder.allowances.iterdir()}
    assert names == {f"{young}.json", f"{new}.json", "folder"}


def test_a_link_allows_nothing_and_is_removed(folder: DataDir, tmp_path: Path) -> None:
    name = write_allowance(folder, ["a"], manifest=MANIFEST)
    file = folder.allowances / f"{name}.json"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Damaged, match="cannot be read"):
        take_allowance(folder, name, manifest=MANIFEST)
    assert not file.is_symlink()


@pytest.mark.parametrize("mode", [0o660, 0o604])
def test_what_others_could_have_written_allows_nothing(folder: DataDir, mode: int) -> None:
    name = write_allowance(folder, ["a"], manifest=MANIFEST)
    (folder.allowances / f"{name}.json").chmod(mode)

    with pytest.raises(Damaged, match="others can read"):
        take_allowance(folder, name, manifest=MANIFEST)


def test_a_folder_that_others_can_write_to_allows_nothing(folder: DataDir) -> None:
    name = write_allowance(folder, ["a"], manifest=MANIFEST)
    folder.allowances.chmod(0o770)

    with pytest.raises(Damaged, match="chmod 700"):
        take_allowance(folder, name, manifest=MANIFEST)
    with pytest.raises(Damaged, match="chmod 700"):
        write_allowance(folder, ["a"], manifest=MANIFEST)


def test_a_folder_that_is_a_link_allows_nothing(folder: DataDir, tmp_path: Path) -> None:
    name = write_allowance(folder, ["a"], manifest=MANIFEST)
    folder.allowances.rename(tmp_path / "elsewhere")
    folder.allowances.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Damaged, match="remove it"):
        take_allowance(folder, name, manifest=MANIFEST)


def test_what_is_no_allowance_is_damaged_and_removed(folder: DataDir) -> None:
    name = write_allowance(folder, ["a"], manifest=MANIFEST)
    (folder.allowances / f"{name}.json").write_text("{}")

    with pytest.raises(Damaged, match="allow it again"):
        take_allowance(folder, name, manifest=MANIFEST)
    assert list(folder.allowances.iterdir()) == []


def test_of_two_that_take_an_allowance_one_has_it(folder: DataDir) -> None:
    for _ in range(20):
        name = write_allowance(folder, ["a"], manifest=MANIFEST)
        taken: list[tuple[str, ...]] = []
        barrier = threading.Barrier(4)

        def take(name: str = name, taken: list[tuple[str, ...]] = taken, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(5)
            with suppress(InvalidInput):
                taken.append(take_allowance(folder, name, manifest=MANIFEST).allowed)

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert taken == [("a",)]
