"""Theater's own files: paths below the granted directories, read at once, written behind an intent."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.capabilities.acting import answered
from theater.capabilities import filesystem as fs
from theater.capabilities.file_root import FileRoot
from theater.capabilities.filesystem_grant import (
    CALL_DEFAULT_BYTES,
    CALL_MAX_BYTES,
    QUOTA_DEFAULT_BYTES,
    Directory,
    FilesystemGrant,
    parse,
)
from theater.capabilities.filesystem_usage import QuotaExceededError, Usage
from theater.capabilities.registry import built_in
from theater.errors import Denied as NotAllowed
from theater.errors import InvalidManifest
from theater.model.capability import Denied, Wait
from theater.runtime.permissions import decide, default_ceiling
from theater.testing.step_context import FakeStepContext

OK = ("ok", None)
REGISTRY = built_in()
CTX = FakeStepContext()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.fixture
def grant(folder: Path) -> FilesystemGrant:
    """``data`` to read, ``out`` to write; few bytes a call."""
    return FilesystemGrant((str(folder / "data"),), (str(folder / "out"),), call_bytes=8, quota_bytes=64)


def one(
    folder: Path, *, call_bytes: int = CALL_DEFAULT_BYTES, quota_bytes: int = QUOTA_DEFAULT_BYTES
) -> FilesystemGrant:
    """``out`` alone."""
    return FilesystemGrant((), (str(folder / "out"),), call_bytes, quota_bytes)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- granted -----------------------------------------------------------------------------------------------------------


def test_a_file_is_written_and_read_in_every_form(folder: Path, grant: FilesystemGrant) -> None:
    assert answered(fs.write(CTX, grant, "out/a", ("text", "grün"), "replace")) == OK
    assert (folder / "out" / "a").read_text() == "grün"
    assert fs.read(CTX, grant, "out/a", "automatic") == ("ok", ("text", "grün"))
    assert fs.read(CTX, grant, "out/a", "base64") == ("ok", ("base64", "Z3LDvG4="))
    assert fs.read(CTX, grant, "out/a", "bytes") == ("ok", ("bytes", "grün".encode()))
    assert answered(fs.write(CTX, grant, "out/a", ("base64", "/w=="), "append")) == OK
    assert fs.read(CTX, grant, "out/a", "automatic") == ("ok", ("base64", "Z3LDvG7/"))
    assert fs.read(CTX, grant, "out/a", "text") == ("err", ("not-text", None))
    assert answered(fs.write(CTX, grant, "out/a", ("bytes", b"x"), "create-new")) == ("err", ("already-exists", None))
    assert answered(fs.write_range(CTX, grant, "out/a", 8, ("bytes", b"x"))) == OK
    assert fs.read_range(CTX, grant, "out/a", 5, 9, "bytes") == ("ok", ("bytes", b"\xff\0\0x"))
    assert fs.read_range(CTX, grant, "out/a", 2**64 - 1, 2**64 - 1, "text") == ("ok", ("text", ""))
    assert answered(fs.set_size(CTX, grant, "out/a", 2)) == OK
    assert fs.read(CTX, grant, "out/a", "text") == ("ok", ("text", "gr"))


def test_directories_are_made_listed_and_removed(folder: Path) -> None:
    grant = one(folder)
    assert answered(fs.create_directory(CTX, grant, "d/e", False)) == ("err", ("not-found", None))
    assert answered(fs.create_directory(CTX, grant, "d/e", True)) == OK
    assert answered(fs.write(CTX, grant, "d/a", ("text", ""), "create-new")) == OK
    assert fs.list_directory(CTX, grant, "d", None, 99) == (
        "ok",
        [{"name": "a", "file-type": "file"}, {"name": "e", "file-type": "directory"}],
    )
    assert fs.list_directory(CTX, grant, "d", "a", 99) == ("ok", [{"name": "e", "file-type": "directory"}])
    assert fs.list_directory(CTX, grant, "d", None, 0) == ("ok", [])
    assert answered(fs.rename(CTX, grant, "d/a", "b")) == OK
    assert answered(fs.copy(CTX, grant, "b", "c")) == OK
    assert answered(fs.remove_file(CTX, grant, "b")) == OK
    assert answered(fs.remove_directory(CTX, grant, "d", False)) == ("err", ("not-empty", None))
    assert answered(fs.remove_directory(CTX, grant, "d", True)) == OK
    assert names_in(folder / "out") == ["c"]


def test_what_is_known_of_a_path_is_said(folder: Path, grant: FilesystemGrant) -> None:
    (folder / "data" / "a").write_bytes(b"abc")
    (folder / "data" / "link").symlink_to("a")
    os.mkfifo(folder / "data" / "pipe")
    os.utime(folder / "data" / "a", ns=(0, 7_000_001_999))

    assert fs.stat(CTX, grant, "data/a") == (
        "ok",
        {"file-type": "file", "size-bytes": 3, "modified": {"seconds": 7, "nanoseconds": 1000}},
    )
    for path, kind in (("data", "directory"), ("data/link", "symlink"), ("data/pipe", "other"), ("", "directory")):
        found = fs.stat(CTX, grant, path)
        assert isinstance(found, tuple)
        assert found[1]["file-type"] == kind
    assert fs.exists(CTX, grant, "data/a") == ("ok", True)
    assert fs.exists(CTX, grant, "") == ("ok", True)
    assert fs.exists(CTX, grant, "data/b") == ("ok", False)
    assert fs.exists(CTX, grant, "data/a/b") == ("ok", False)


def test_above_several_directories_there_is_their_list(grant: FilesystemGrant) -> None:
    assert fs.list_directory(CTX, grant, "", None, 9) == (
        "ok",
        [{"name": "data", "file-type": "directory"}, {"name": "out", "file-type": "directory"}],
    )
    assert fs.list_directory(CTX, grant, "", "data", 9) == ("ok", [{"name": "out", "file-type": "directory"}])
    assert fs.read(CTX, grant, "", "text") == ("err", ("is-directory", None))


def test_a_single_directory_is_where_paths_begin(folder: Path) -> None:
    (folder / "out" / "a").write_text("x")

    assert fs.read(CTX, one(folder), "a", "text") == ("ok", ("text", "x"))
    assert fs.list_directory(CTX, one(folder), "", None, 9) == ("ok", [{"name": "a", "file-type": "file"}])


def test_a_write_says_where_it_is_and_that_nobody_knows_what_came_of_it(folder: Path) -> None:
    wait = fs.write(CTX, one(folder), "a", ("text", "x"), "replace")

    assert isinstance(wait, Wait)
    assert wait.act is not None
    assert wait.act.under == str(folder / "out")
    assert not wait.act.is_safe
    assert wait.act.unknown() == wait.answer() == ("err", ("outcome-unknown", None))
    assert not (folder / "out" / "a").exists(), "nothing is done before the intent is durable"


# -- denied ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["../secret", "a/../../secret", "/etc/passwd", "./a", "a/.", "a//b", "a/", "a\\b", "a\0b", "x/" * 2048 + "x"],
)
def test_a_path_that_is_none_is_denied_everywhere(folder: Path, path: str) -> None:
    grant = one(folder)
    content = ("text", "x")
    for answer in (
        fs.read(CTX, grant, path, "text"),
        fs.read_range(CTX, grant, path, 0, 1, "text"),
        fs.stat(CTX, grant, path),
        fs.exists(CTX, grant, path),
        fs.list_directory(CTX, grant, path, None, 1),
        fs.write(CTX, grant, path, content, "replace"),
        fs.write_range(CTX, grant, path, 0, content),
        fs.set_size(CTX, grant, path, 0),
        fs.create_directory(CTX, grant, path, True),
        fs.remove_file(CTX, grant, path),
        fs.remove_directory(CTX, grant, path, True),
        fs.rename(CTX, grant, path, "b"),
        fs.rename(CTX, grant, "b", path),
        fs.copy(CTX, grant, path, "b"),
        fs.copy(CTX, grant, "b", path),
    ):
        assert isinstance(answer, Denied)
        assert isinstance(answer.answer, tuple)
        assert answer.answer[1][0] == "invalid-path"


def test_a_link_is_denied_and_a_directory_that_was_not_granted_as_well(folder: Path, grant: FilesystemGrant) -> None:
    (folder / "secret").write_text("secret")
    (folder / "data" / "link").symlink_to(folder / "secret")
    (folder / "out" / "up").symlink_to(folder)

    for answer in (
        fs.read(CTX, grant, "data/link", "text"),
        fs.read(CTX, grant, "out/up/secret", "text"),
        answered(fs.write(CTX, grant, "out/up/secret", ("text", "x"), "replace")),
        answered(fs.remove_file(CTX, grant, "out/up")),
        answered(fs.rename(CTX, grant, "out/up", "out/down")),
        answered(fs.remove_directory(CTX, grant, "out/up", True)),
        answered(fs.copy(CTX, grant, "data/link", "out/copy")),
        answered(fs.read(CTX, grant, "secret", "text")),
    ):
        assert isinstance(answer, tuple)
        assert answer[1][0] == "denied"
    assert (folder / "secret").read_text() == "secret"


def test_read_only_is_read_only(folder: Path, grant: FilesystemGrant) -> None:
    (folder / "data" / "a").write_text("x")
    denied = Denied(("err", ("read-only", None)))
    content = ("text", "x")

    assert fs.write(CTX, grant, "data/a", content, "append") == denied
    assert fs.write_range(CTX, grant, "data/a", 0, content) == denied
    assert fs.set_size(CTX, grant, "data/a", 0) == denied
    assert fs.create_directory(CTX, grant, "data/d", False) == denied
    assert fs.remove_file(CTX, grant, "data/a") == denied
    assert fs.remove_directory(CTX, grant, "data", True) == denied
    assert fs.rename(CTX, grant, "data/a", "data/b") == denied
    assert fs.copy(CTX, grant, "out/a", "data/b") == denied
    for answer in (fs.rename(CTX, grant, "out/a", "data/b"), fs.write(CTX, grant, "", content, "replace")):
        assert isinstance(answer, Denied)
        assert isinstance(answer.answer, tuple)
        assert answer.answer[1][0] == "denied"
    assert answered(fs.copy(CTX, grant, "data/a", "out/a")) == OK
    assert [path.name for path in (folder / "data").iterdir()] == ["a"]


def test_without_a_directory_everything_is_denied() -> None:
    answer = fs.read(CTX, FilesystemGrant(), "a", "text")

    assert answer == Denied(("err", ("denied", 'no directory is granted: write for example read = ["data"]')))


# -- at a limit, and over it -------------------------------------------------------------------------------------------


def test_a_call_has_as_many_bytes_as_granted_and_no_more(folder: Path) -> None:
    grant = one(folder, call_bytes=4)

    assert answered(fs.write(CTX, grant, "a", ("text", "abcd"), "replace")) == OK
    assert answered(fs.write(CTX, grant, "b", ("base64", "YWJjZA=="), "replace")) == OK
    assert fs.read(CTX, grant, "a", "text") == ("ok", ("text", "abcd"))
    for content in (("text", "abcde"), ("bytes", b"abcde"), ("base64", "YWJjZGU="), ("base64", "A" * 4000)):
        answer = fs.write(CTX, grant, "a", content, "replace")
        assert answer == Denied(("err", ("too-large", 4)))
        assert fs.write_range(CTX, grant, "a", 0, content) == answer
    (folder / "out" / "a").write_text("abcde")
    assert fs.read(CTX, grant, "a", "text") == ("err", ("too-large", 4))
    assert fs.read_range(CTX, grant, "a", 0, 5, "text") == ("err", ("too-large", 4))
    assert fs.read_range(CTX, grant, "a", 1, 2**64 - 1, "text") == ("ok", ("text", "bcde"))
    assert answered(fs.copy(CTX, grant, "a", "c")) == OK, "its bytes do not pass through the guest"


@pytest.mark.parametrize("text", ["abc", "YQ", "YQ==\n", "Y-_=", "ü==="])
def test_what_is_not_base64_is_refused(folder: Path, text: str) -> None:
    assert fs.write(CTX, one(folder), "a", ("base64", text), "replace") == Denied(("err", ("invalid-content", None)))


def test_a_directory_is_filled_up_to_its_quota_and_no_further(folder: Path) -> None:
    grant = one(folder, quota_bytes=10)
    usage = Usage()
    full = ("err", ("quota", 10))

    assert answered(fs.write(CTX, grant, "a", ("text", "x" * 10), "replace"), usage=usage) == OK
    assert answered(fs.write(CTX, grant, "a", ("text", "y" * 10), "replace"), usage=usage) == OK
    for wait in (
        fs.write(CTX, grant, "b", ("text", "x"), "create-new"),
        fs.write(CTX, grant, "a", ("text", "x"), "append"),
        fs.write_range(CTX, grant, "a", 2**63, ("text", "x")),
        fs.set_size(CTX, grant, "a", 11),
        fs.copy(CTX, grant, "a", "b"),
    ):
        assert answered(wait, usage=usage) == full
    assert answered(fs.set_size(CTX, grant, "a", 9), usage=usage) == OK
    assert answered(fs.write(CTX, grant, "b", ("text", "x"), "append"), usage=usage) == OK
    assert names_in(folder / "out") == ["a", "b"]


def test_a_directory_is_added_up_once_and_again_when_it_seems_full(tmp_path: Path) -> None:
    measured: list[int] = []
    root = FileRoot(str(tmp_path))

    def measure(_root: FileRoot) -> int:
        measured.append(5)
        return 5

    usage = Usage(measure)
    usage.take(root, 5, 20)
    usage.take(root, 5, 20)
    usage.take(root, 0, 0)
    assert measured == [5]
    usage.take(root, 6, 20)
    assert measured == [5, 5]
    with pytest.raises(QuotaExceededError):
        usage.take(root, 16, 20)


def test_an_answer_has_at_most_so_many_entries(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fs.LIST_MAX == 10_000
    monkeypatch.setattr(fs, "LIST_MAX", 1)
    for name in "ab":
        (folder / "out" / name).write_text("")

    assert fs.list_directory(CTX, one(folder), "", None, 2**32 - 1) == ("ok", [{"name": "a", "file-type": "file"}])


def test_a_copy_that_nobody_waits_for_ends(folder: Path) -> None:
    (folder / "out" / "a").write_text("x")

    answer = answered(fs.copy(CTX, one(folder), "a", "b"), is_wanted=True)

    assert isinstance(answer, tuple)
    assert answer[1][0] == "io"
    assert names_in(folder / "out") == ["a"]


# -- the grant ---------------------------------------------------------------------------------------------------------


def test_a_table_says_which_directories_and_how_much() -> None:
    grant = parse({"read": ["/b/", "/a//x"], "write": ["/c/./d"], "call": "1KiB", "quota": 5})

    assert grant == FilesystemGrant(("/a/x", "/b"), ("/c/d",), 1024, 5)
    assert parse({}) == FilesystemGrant((), (), CALL_DEFAULT_BYTES, QUOTA_DEFAULT_BYTES)
    assert parse({"allow": ["read:/a", "write:/b"]}) == FilesystemGrant(("/a",), ("/b",))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"raed": []}, r"has no key 'raed' \(it has read, write, call, quota, allow\); did you mean 'read'\?"),
        ({"read": "data"}, r"read = 'data': write a list of texts"),
        ({"read": ["../data"]}, r"read: '../data' is no path without '..'"),
        ({"write": [""]}, r"write: '' is no path"),
        ({"write": ["a\0b"]}, r"is no path"),
        ({"read": ["/" + "x" * 4096]}, r"is no path"),
        ({"read": [f"/{number}" for number in range(257)]}, r"256 items are the most"),
        ({"allow": ["/data"]}, r'write "read:PATH" or "write:PATH"'),
        ({"call": "65MiB"}, r"call: 64MiB is the most"),
        ({"quota": "1025TiB"}, r"quota: 1024TiB is the most"),
        ({"quota": "much"}, r"quota: 'much' is not a size"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(table: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        parse(table)


def test_the_most_that_can_be_granted_is() -> None:
    assert parse({"call": CALL_MAX_BYTES}).call_bytes == CALL_MAX_BYTES


def test_a_directory_is_called_by_its_last_part_and_the_second_of_a_name_by_a_number() -> None:
    grant = FilesystemGrant(("/a/x", "/"), ("/b/x",))

    assert grant.directories == (
        Directory("root", "/", can_write=False),
        Directory("x", "/b/x", can_write=True),
    )
    assert [directory.name for directory in FilesystemGrant(("/a/x", "/b/x", "/c/x")).directories] == [
        "x",
        "x-2",
        "x-3",
    ]


def test_a_directory_within_another_one_is_part_of_it_unless_it_allows_more() -> None:
    assert FilesystemGrant(("/a", "/a/b"), ("/a/c", "/a/c/d")) == FilesystemGrant(("/a",), ("/a/c",))
    assert FilesystemGrant(("/a/b",), ("/a",)) == FilesystemGrant((), ("/a",))


def test_narrowing_what_may_be_written_by_what_may_be_read_leaves_that() -> None:
    narrowed = FilesystemGrant(write=("/a/b",)).narrowed(FilesystemGrant(read=("/a",)))

    assert narrowed == FilesystemGrant(read=("/a/b",))


# -- where relative paths lead -----------------------------------------------------------------------------------------

CEILING = default_ceiling(REGISTRY)
Table = Mapping[str, object]


def effective(table: Table, *, folder: str | None, allowed: tuple[str, ...] = ()) -> object:
    permissions = decide(REGISTRY, {"filesystem": table}, ceiling=CEILING, allowed=allowed, folder=folder)
    return permissions.effective["filesystem"]


def test_reading_inside_the_folder_of_the_manifest_is_allowed_and_absolute_from_then_on() -> None:
    assert effective({"read": ["data", "."]}, folder="/home/me") == FilesystemGrant(("/home/me",))
    assert effective({"read": ["data"]}, folder="/home/me") == FilesystemGrant(("/home/me/data",))
    assert effective({"read": ["/home/me/data"]}, folder="/home/me") == FilesystemGrant(("/home/me/data",))


@pytest.mark.parametrize(
    ("table", "lines"),
    [
        ({"write": ["out"]}, ['write = ["/home/me/out"]']),
        ({"read": ["/home"]}, ['read = ["/home"]']),
        ({"read": ["/home/me-too"]}, ['read = ["/home/me-too"]']),
        ({"read": ["data"], "quota": "2GiB"}, ['quota = "2GiB"']),
    ],
)
def test_what_goes_beyond_that_is_refused_with_its_lines(table: Table, lines: list[str]) -> None:
    with pytest.raises(NotAllowed) as caught:
        effective(table, folder="/home/me")

    assert caught.value.data["asked"] == ["[capabilities.filesystem]", *lines]


def test_a_person_allows_one_directory_or_all_of_them() -> None:
    table = {"read": ["data"], "write": ["out"]}
    whole = FilesystemGrant(("/home/me/data",), ("/home/me/out",))

    assert effective(table, folder="/home/me", allowed=("filesystem",)) == whole
    assert effective(table, folder="/home/me", allowed=("filesystem=write:out",)) == whole
    assert effective(table, folder="/home/me", allowed=("filesystem=write:/home/me/out",)) == whole
    with pytest.raises(NotAllowed):
        effective(table, folder="/home/me", allowed=("filesystem=write:other",))


def test_a_manifest_without_a_folder_has_no_relative_paths_and_no_directory_of_its_own() -> None:
    with pytest.raises(InvalidManifest, match=r"\[capabilities.filesystem\] has a relative path, and this manifest"):
        effective({"read": ["data"]}, folder=None)
    with pytest.raises(NotAllowed):
        effective({"read": ["/home/me/data"]}, folder=None)
    assert effective({}, folder=None) == FilesystemGrant()


PATHS = st.from_regex(r"(?:/?[ab]{1,2}){1,3}|\.|/", fullmatch=True)
GRANTS = st.builds(
    lambda read, write: FilesystemGrant(tuple(read), tuple(write)),
    st.lists(PATHS, max_size=3),
    st.lists(PATHS, max_size=3),
)


@given(GRANTS, GRANTS, st.sampled_from(["/", "/a", "/a/b"]))
def test_what_is_within_another_grant_still_is_once_both_are_located(
    asked: FilesystemGrant, ceiling: FilesystemGrant, folder: str
) -> None:
    located = asked.narrowed(ceiling).located(folder)

    assert located.lines(ceiling.located(folder)) == []
    assert not located.is_relative
    assert located.located(None) == located


@given(GRANTS, GRANTS, st.lists(st.sampled_from("ab"), min_size=1, max_size=4))
def test_a_path_is_writable_under_the_narrowed_grant_only_where_it_is_under_both(
    asked: FilesystemGrant, ceiling: FilesystemGrant, parts: list[str]
) -> None:
    asked, ceiling = asked.located("/"), ceiling.located("/")
    path = "/" + "/".join(parts)

    def can(grant: FilesystemGrant, mode: str) -> bool:
        wanted = FilesystemGrant(read=(path,)) if mode == "read" else FilesystemGrant(write=(path,))
        return wanted.lines(FilesystemGrant(grant.read, grant.write)) == []

    for mode in ("read", "write"):
        assert can(asked.narrowed(ceiling), mode) == (can(asked, mode) and can(ceiling, mode))
