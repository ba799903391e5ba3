"""WASI's files: the granted directories, by descriptors and streams that are paths and nothing open."""

import os
from pathlib import Path

import pytest

from tests.capabilities.acting import answered, given_again
from theater.capabilities import wasi_filesystem as wasi
from theater.capabilities.filesystem import LIST_MAX
from theater.capabilities.filesystem_grant import FilesystemGrant
from theater.capabilities.wasi_file import CALL_MAX_BYTES
from theater.capabilities.wasi_io import blocking_write_and_flush, check_write, skip, splice, to_debug_string, write
from theater.capabilities.wasi_io import read as read_stream
from theater.capabilities.wasi_world import EMPTY_WORLD
from theater.model.act import Look
from theater.model.capability import Denied, Wait
from theater.testing.step_context import FakeStepContext

OK = ("ok", None)
CLOSED = ("err", ("closed", None))
NONE: frozenset[str] = frozenset()
READ = frozenset({"read"})
WRITE = frozenset({"read", "write"})
CREATE = frozenset({"create"})
FOLLOW = frozenset({"symlink-follow"})


class Guest:
    """A step that holds the granted directories ``data`` (to read) and ``out`` (to write)."""

    def __init__(self, folder: Path, *, quota_bytes: int = 2**20) -> None:
        self.data = folder / "data"
        self.out = folder / "out"
        for directory in (self.data, self.out):
            directory.mkdir()
        self.ctx = FakeStepContext()
        grant = FilesystemGrant((str(self.data),), (str(self.out),), quota_bytes=quota_bytes)
        found = wasi.get_directories(self.ctx, grant)
        self.names = [name for _, name in found]
        self.data_number, self.out_number = (number for number, _ in found)

    def open(
        self,
        path: str,
        *,
        at: int | None = None,
        how: frozenset[str] = NONE,
        flags: frozenset[str] = READ,
    ) -> object:
        number = self.data_number if at is None else at
        return answered(wasi.open_at(self.ctx, EMPTY_WORLD, number, FOLLOW, path, how, flags))

    def opened(
        self, path: str, *, at: int | None = None, how: frozenset[str] = NONE, flags: frozenset[str] = READ
    ) -> int:
        answer = self.open(path, at=at, how=how, flags=flags)
        assert isinstance(answer, tuple)
        assert answer[0] == "ok", answer
        number = answer[1]
        assert isinstance(number, int)
        return number

    def stream(self, answer: object) -> int:
        assert isinstance(answer, tuple)
        assert answer[0] == "ok", answer
        assert isinstance(answer[1], int)
        return answer[1]


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path)


# -- without a grant ---------------------------------------------------------------------------------------------------


def test_without_a_grant_no_directory_is_open() -> None:
    assert wasi.get_directories(FakeStepContext(), EMPTY_WORLD) == []


# -- descriptors -------------------------------------------------------------------------------------------------------


def test_every_granted_directory_is_open_under_its_name(guest: Guest) -> None:
    assert guest.names == ["/data", "/out"]
    assert wasi.get_type(guest.ctx, EMPTY_WORLD, guest.data_number) == ("ok", "directory")
    assert wasi.get_flags(guest.ctx, EMPTY_WORLD, guest.data_number) == ("ok", {"read"})
    assert wasi.get_flags(guest.ctx, EMPTY_WORLD, guest.out_number) == ("ok", {"read", "mutate-directory"})


def test_a_descriptor_is_the_same_as_another_one_of_its_path(guest: Guest) -> None:
    (guest.data / "a").write_text("x")

    assert wasi.is_same_object(guest.ctx, EMPTY_WORLD, guest.opened("a"), guest.opened("./a"))
    assert not wasi.is_same_object(guest.ctx, EMPTY_WORLD, guest.opened("a"), guest.data_number)


def test_a_file_is_read_by_a_stream_from_anywhere_on_until_it_is_closed(guest: Guest) -> None:
    (guest.data / "a").write_bytes(b"0123456789")
    stream = guest.stream(wasi.read_via_stream(guest.ctx, EMPTY_WORLD, guest.opened("a"), 2))

    assert answered(read_stream(guest.ctx, EMPTY_WORLD, stream, 3)) == ("ok", b"234")
    assert answered(skip(guest.ctx, EMPTY_WORLD, stream, 2)) == ("ok", 2)
    assert answered(read_stream(guest.ctx, EMPTY_WORLD, stream, 2**64 - 1)) == ("ok", b"789")
    assert answered(read_stream(guest.ctx, EMPTY_WORLD, stream, 9)) == CLOSED
    assert read_stream(guest.ctx, EMPTY_WORLD, stream, 9) == CLOSED, "which needs no look any more"


def test_one_read_has_at_most_32_kib(guest: Guest) -> None:
    (guest.data / "a").write_bytes(b"x" * (CALL_MAX_BYTES + 1))
    file = guest.opened("a")
    stream = guest.stream(wasi.read_via_stream(guest.ctx, EMPTY_WORLD, file, 0))

    assert answered(read_stream(guest.ctx, EMPTY_WORLD, stream, 2**64 - 1)) == ("ok", b"x" * CALL_MAX_BYTES)
    assert answered(read_stream(guest.ctx, EMPTY_WORLD, stream, 2**64 - 1)) == ("ok", b"x")
    assert answered(wasi.read(guest.ctx, EMPTY_WORLD, file, 2**63, 1)) == ("ok", (b"x" * CALL_MAX_BYTES, False))
    assert answered(wasi.read(guest.ctx, EMPTY_WORLD, file, 9, 2**20)) == ("ok", (b"", True))


def test_a_replay_gives_the_same_descriptors_and_bytes_and_looks_at_nothing(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_arguments: object, **_more: object) -> object:
        raise AssertionError("a replay touches nothing")

    for name in ("open", "stat", "scandir", "mkdir", "unlink", "rename"):
        monkeypatch.setattr(os, name, forbidden)
    opening = wasi.open_at(guest.ctx, EMPTY_WORLD, guest.data_number, FOLLOW, "gone", NONE, READ)
    answer = given_again(opening, ("ok", 77), "regular-file")
    stream = guest.stream(wasi.read_via_stream(guest.ctx, EMPTY_WORLD, guest.stream(answer), 0))
    reading = read_stream(guest.ctx, EMPTY_WORLD, stream, 5)
    assert given_again(reading, ("ok", b"abc")) == ("ok", b"abc")
    writing = wasi.open_at(guest.ctx, EMPTY_WORLD, guest.out_number, FOLLOW, "new", CREATE, WRITE)
    number = guest.stream(given_again(writing, ("ok", 78), "regular-file"))
    output = guest.stream(wasi.append_via_stream(guest.ctx, EMPTY_WORLD, number))
    check_write(guest.ctx, EMPTY_WORLD, output)
    assert given_again(write(guest.ctx, EMPTY_WORLD, output, b"x"), OK) == OK
    listing = given_again(
        wasi.read_directory(guest.ctx, EMPTY_WORLD, guest.data_number), ("ok", 79), [["a", "directory"]]
    )
    entries = guest.stream(listing)
    assert wasi.read_directory_entry(guest.ctx, EMPTY_WORLD, entries) == ("ok", {"type": "directory", "name": "a"})
    assert wasi.read_directory_entry(guest.ctx, EMPTY_WORLD, entries) == OK


@pytest.mark.parametrize("note", [None, "fifo", 5, ["regular-file"]])
def test_a_record_that_says_nothing_sensible_of_what_was_opened_is_refused(guest: Guest, note: object) -> None:
    opening = wasi.open_at(guest.ctx, EMPTY_WORLD, guest.data_number, FOLLOW, "a", NONE, READ)

    with pytest.raises(TypeError):
        given_again(opening, ("ok", 1), note)


# -- writing -----------------------------------------------------------------------------------------------------------


def test_a_file_is_made_and_written_by_streams(guest: Guest) -> None:
    file = guest.opened("a", at=guest.out_number, how=CREATE, flags=WRITE)
    stream = guest.stream(wasi.write_via_stream(guest.ctx, EMPTY_WORLD, file, 0))

    assert check_write(guest.ctx, EMPTY_WORLD, stream) == ("ok", CALL_MAX_BYTES)
    assert answered(write(guest.ctx, EMPTY_WORLD, stream, b"one ")) == OK
    assert answered(blocking_write_and_flush(guest.ctx, EMPTY_WORLD, stream, b"two")) == OK
    end = guest.stream(wasi.append_via_stream(guest.ctx, EMPTY_WORLD, file))
    assert answered(blocking_write_and_flush(guest.ctx, EMPTY_WORLD, end, b"!")) == OK

    assert (guest.out / "a").read_bytes() == b"one two!"
    assert guest.ctx.written == []


def test_a_file_is_written_at_a_place_cut_emptied_and_moved(guest: Guest) -> None:
    file = guest.opened("a", at=guest.out_number, how=CREATE, flags=WRITE)

    assert answered(wasi.write(guest.ctx, EMPTY_WORLD, file, b"abc", 2)) == ("ok", 3)
    assert (guest.out / "a").read_bytes() == b"\0\0abc"
    assert answered(wasi.set_size(guest.ctx, EMPTY_WORLD, file, 3)) == OK
    assert (guest.out / "a").read_bytes() == b"\0\0a"
    when = ("timestamp", {"seconds": 5, "nanoseconds": 6})
    assert answered(wasi.set_times(guest.ctx, EMPTY_WORLD, file, ("no-change", None), when)) == OK
    assert (guest.out / "a").stat().st_mtime_ns == 5_000_000_006
    assert answered(wasi.rename_at(guest.ctx, EMPTY_WORLD, guest.out_number, "a", guest.out_number, "b")) == OK
    guest.opened("b", at=guest.out_number, how=frozenset({"truncate"}), flags=WRITE)
    assert (guest.out / "b").read_bytes() == b""
    assert answered(wasi.unlink_file_at(guest.ctx, EMPTY_WORLD, guest.out_number, "b")) == OK
    assert answered(wasi.create_directory_at(guest.ctx, EMPTY_WORLD, guest.out_number, "d")) == OK
    assert answered(wasi.remove_directory_at(guest.ctx, EMPTY_WORLD, guest.out_number, "d/")) == OK
    assert list(guest.out.iterdir()) == []


def test_making_a_file_that_must_be_new_fails_where_there_is_one(guest: Guest) -> None:
    how = frozenset({"create", "exclusive"})
    guest.opened("a", at=guest.out_number, how=how, flags=WRITE)

    assert guest.open("a", at=guest.out_number, how=how, flags=WRITE) == ("err", "exist")


def test_writes_say_under_which_directory_they_are_and_that_nobody_knows_what_came_of_them(guest: Guest) -> None:
    file = guest.opened("a", at=guest.out_number, how=CREATE, flags=WRITE)
    writing = wasi.write(guest.ctx, EMPTY_WORLD, file, b"x", 0)
    assert isinstance(writing, Wait)
    assert writing.act is not None
    assert (writing.act.under, writing.act.service) == (str(guest.out), "filesystem")
    assert writing.act.unknown() == ("err", "io")

    stream = guest.stream(wasi.append_via_stream(guest.ctx, EMPTY_WORLD, file))
    streaming = blocking_write_and_flush(guest.ctx, EMPTY_WORLD, stream, b"x")
    assert isinstance(streaming, Wait)
    assert streaming.act is not None
    failed = given_again(streaming, streaming.act.unknown())
    assert isinstance(failed, tuple)
    error = failed[1][1]
    assert wasi.filesystem_error_code(guest.ctx, EMPTY_WORLD, error) == "io"
    assert blocking_write_and_flush(guest.ctx, EMPTY_WORLD, stream, b"y") == CLOSED


def test_a_stream_that_fails_says_why_and_is_closed_from_then_on(tmp_path: Path) -> None:
    guest = Guest(tmp_path, quota_bytes=3)
    file = guest.opened("a", at=guest.out_number, how=CREATE, flags=WRITE)
    stream = guest.stream(wasi.append_via_stream(guest.ctx, EMPTY_WORLD, file))
    assert answered(blocking_write_and_flush(guest.ctx, EMPTY_WORLD, stream, b"abc")) == OK

    failed = answered(blocking_write_and_flush(guest.ctx, EMPTY_WORLD, stream, b"d"))

    assert isinstance(failed, tuple)
    assert failed[1][0] == "last-operation-failed"
    assert wasi.filesystem_error_code(guest.ctx, EMPTY_WORLD, failed[1][1]) == "quota"
    assert to_debug_string(guest.ctx, EMPTY_WORLD, failed[1][1]) == "quota"
    assert check_write(guest.ctx, EMPTY_WORLD, stream) == CLOSED
    assert (guest.out / "a").read_bytes() == b"abc"


def test_a_file_cannot_be_spliced(guest: Guest) -> None:
    (guest.data / "a").write_bytes(b"x")
    source = guest.stream(wasi.read_via_stream(guest.ctx, EMPTY_WORLD, guest.opened("a"), 0))
    answer = splice(guest.ctx, EMPTY_WORLD, source, source, 1)

    assert isinstance(answer, tuple)
    assert wasi.filesystem_error_code(guest.ctx, EMPTY_WORLD, answer[1][1]) == "unsupported"


# -- directories and facts ---------------------------------------------------------------------------------------------


def test_a_directory_is_read_by_name_as_it_was(guest: Guest) -> None:
    for name in ("b", "a", "ü"):
        (guest.data / name).write_text("x")
    (guest.data / "link").symlink_to("a")
    stream = guest.stream(answered(wasi.read_directory(guest.ctx, EMPTY_WORLD, guest.data_number)))
    (guest.data / "b").unlink()

    entries = [wasi.read_directory_entry(guest.ctx, EMPTY_WORLD, stream) for _ in range(5)]

    assert entries == [
        ("ok", {"type": "regular-file", "name": "a"}),
        ("ok", {"type": "regular-file", "name": "b"}),
        ("ok", {"type": "symbolic-link", "name": "link"}),
        ("ok", {"type": "regular-file", "name": "ü"}),
        OK,
    ]


def test_a_directory_of_the_most_entries_is_read_and_one_of_more_is_not(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wasi, "LIST_MAX", 2)
    for name in ("a", "b"):
        (guest.data / name).write_text("x")
    assert LIST_MAX == 10_000
    assert isinstance(answered(wasi.read_directory(guest.ctx, EMPTY_WORLD, guest.data_number)), tuple)

    (guest.data / "c").write_text("x")

    assert answered(wasi.read_directory(guest.ctx, EMPTY_WORLD, guest.data_number)) == ("err", "overflow")


def test_facts_and_hashes_tell_files_apart(guest: Guest) -> None:
    (guest.data / "a").write_bytes(b"abc")
    (guest.data / "b").write_bytes(b"abc")
    os.utime(guest.data / "a", ns=(1, 2_000_000_003))

    found = answered(wasi.stat_at(guest.ctx, EMPTY_WORLD, guest.data_number, FOLLOW, "a"))

    assert isinstance(found, tuple)
    assert found[1]["type"] == "regular-file"
    assert (found[1]["size"], found[1]["link-count"]) == (3, 1)
    assert found[1]["data-modification-timestamp"] == {"seconds": 2, "nanoseconds": 3}
    assert answered(wasi.stat(guest.ctx, EMPTY_WORLD, guest.opened("a"))) == found
    hashes = [answered(wasi.metadata_hash_at(guest.ctx, EMPTY_WORLD, guest.data_number, NONE, name)) for name in "ab"]
    assert hashes[0] != hashes[1]
    assert answered(wasi.metadata_hash(guest.ctx, EMPTY_WORLD, guest.opened("a"))) == hashes[0]


# -- no way out --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../out/a", "not-permitted"),
        ("a/../../out", "not-permitted"),
        ("/etc/passwd", "not-permitted"),
        ("..", "not-permitted"),
        ("a\0b", "invalid"),
        ("", "no-entry"),
        ("x" * 5000, "name-too-long"),
    ],
)
def test_a_path_that_leads_out_is_denied_by_every_function(guest: Guest, path: str, code: str) -> None:
    ctx, number, other = guest.ctx, guest.data_number, guest.out_number
    denied = Denied(("err", code))
    now = ("now", None)

    assert wasi.open_at(ctx, EMPTY_WORLD, number, FOLLOW, path, NONE, READ) == denied
    assert wasi.open_at(ctx, EMPTY_WORLD, other, FOLLOW, path, CREATE, WRITE) == denied
    assert wasi.stat_at(ctx, EMPTY_WORLD, number, FOLLOW, path) == denied
    assert wasi.metadata_hash_at(ctx, EMPTY_WORLD, number, NONE, path) == denied
    assert wasi.set_times_at(ctx, EMPTY_WORLD, other, NONE, path, now, now) == denied
    assert wasi.create_directory_at(ctx, EMPTY_WORLD, other, path) == denied
    assert wasi.remove_directory_at(ctx, EMPTY_WORLD, other, path) == denied
    assert wasi.unlink_file_at(ctx, EMPTY_WORLD, other, path) == denied
    assert wasi.rename_at(ctx, EMPTY_WORLD, other, path, other, "b") == denied
    assert wasi.rename_at(ctx, EMPTY_WORLD, other, "b", other, path) == denied


def test_read_only_is_read_only(guest: Guest) -> None:
    (guest.data / "a").write_text("abc")
    ctx, number = guest.ctx, guest.data_number
    denied = Denied(("err", "read-only"))
    now = ("now", None)

    assert wasi.open_at(ctx, EMPTY_WORLD, number, FOLLOW, "a", NONE, WRITE) == denied
    assert wasi.open_at(ctx, EMPTY_WORLD, number, FOLLOW, "b", CREATE, READ) == denied
    assert wasi.open_at(ctx, EMPTY_WORLD, number, FOLLOW, "a", frozenset({"truncate"}), READ) == denied
    assert wasi.set_times_at(ctx, EMPTY_WORLD, number, NONE, "a", now, now) == denied
    assert wasi.set_times(ctx, EMPTY_WORLD, guest.opened("a"), now, now) == denied
    assert wasi.create_directory_at(ctx, EMPTY_WORLD, number, "d") == denied
    assert wasi.remove_directory_at(ctx, EMPTY_WORLD, number, "d") == denied
    assert wasi.unlink_file_at(ctx, EMPTY_WORLD, number, "a") == denied
    assert wasi.rename_at(ctx, EMPTY_WORLD, number, "a", number, "b") == denied
    assert wasi.rename_at(ctx, EMPTY_WORLD, guest.out_number, "a", number, "b") == Denied(("err", "cross-device"))
    for answer in (
        wasi.write(ctx, EMPTY_WORLD, guest.opened("a"), b"x", 0),
        wasi.set_size(ctx, EMPTY_WORLD, guest.opened("a"), 0),
        wasi.write_via_stream(ctx, EMPTY_WORLD, guest.opened("a"), 0),
        wasi.append_via_stream(ctx, EMPTY_WORLD, guest.opened("a")),
    ):
        assert answer == Denied(("err", "bad-descriptor"))


def test_links_are_not_followed_made_or_read(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (guest.data / "link").symlink_to(tmp_path / "secret")
    (guest.data / "up").symlink_to(tmp_path)

    assert guest.open("link") == ("err", "loop")
    assert guest.open("up/secret") == ("err", "loop")
    assert answered(wasi.stat_at(guest.ctx, EMPTY_WORLD, guest.data_number, FOLLOW, "link")) == ("err", "loop")
    found = answered(wasi.stat_at(guest.ctx, EMPTY_WORLD, guest.data_number, NONE, "link"))
    assert isinstance(found, tuple)
    assert found[1]["type"] == "symbolic-link"
    for answer in (wasi.unsupported(guest.ctx, EMPTY_WORLD, guest.data_number, "link"),):
        assert answer == Denied(("err", "unsupported"))


def test_what_is_no_file_is_not_opened_and_what_has_other_names_is_not_written(guest: Guest, tmp_path: Path) -> None:
    os.mkfifo(guest.data / "pipe")
    (tmp_path / "secret").write_text("secret")
    os.link(tmp_path / "secret", guest.out / "hard")

    assert guest.open("pipe") == ("err", "access")
    assert guest.open("hard", at=guest.out_number, flags=WRITE) == ("err", "not-permitted")
    truncate = frozenset({"truncate"})
    assert guest.open("hard", at=guest.out_number, how=truncate, flags=WRITE) == ("err", "not-permitted")
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_directory_is_no_file_and_a_file_no_directory(guest: Guest) -> None:
    (guest.out / "d").mkdir()
    (guest.out / "a").write_text("x")
    number = guest.opened("d", at=guest.out_number)
    file = guest.opened("a", at=guest.out_number)

    assert wasi.read(guest.ctx, EMPTY_WORLD, number, 1, 0) == Denied(("err", "is-directory"))
    assert wasi.read_via_stream(guest.ctx, EMPTY_WORLD, number, 0) == Denied(("err", "is-directory"))
    assert guest.open("d", at=guest.out_number, flags=WRITE) == ("err", "is-directory")
    assert guest.open("a", at=guest.out_number, how=frozenset({"directory"})) == ("err", "not-directory")
    assert guest.open("b", at=file) == ("err", "not-directory")
    assert wasi.read_directory(guest.ctx, EMPTY_WORLD, file) == Denied(("err", "not-directory"))


def test_a_slash_at_the_end_means_a_directory(guest: Guest) -> None:
    (guest.data / "a").write_text("x")
    (guest.data / "deep").mkdir()

    assert guest.open("a/") == ("err", "not-directory")
    assert answered(wasi.stat_at(guest.ctx, EMPTY_WORLD, guest.data_number, FOLLOW, "a/")) == ("err", "not-directory")
    assert wasi.get_type(guest.ctx, EMPTY_WORLD, guest.opened("deep/")) == ("ok", "directory")


@pytest.mark.parametrize("path", ["new", "new/"])
def test_a_directory_is_not_made_by_opening_it(guest: Guest, path: str) -> None:
    how = CREATE if path.endswith("/") else CREATE | {"directory"}

    assert guest.open(path, at=guest.out_number, how=how, flags=WRITE) == ("err", "invalid")
    assert list(guest.out.iterdir()) == []


def test_what_looks_is_only_done_when_it_is_asked_to(guest: Guest) -> None:
    assert isinstance(wasi.stat_at(guest.ctx, EMPTY_WORLD, guest.data_number, NONE, "missing"), Look)
    assert guest.open("missing") == ("err", "no-entry")
    assert wasi.nothing_to_do(guest.ctx, EMPTY_WORLD, guest.data_number, 0, 5, "normal") == OK
