"""Files below one directory, by the kernel's own means and part by part: there is no way out."""

import errno
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from theater.capabilities import file_root
from theater.capabilities.file_root import FileRoot, Parts, open_below, open_by_parts, open_in_one

SECRET = b"secret"

Opener = Callable[[int, Parts, int], int]


@pytest.fixture(params=[open_below, open_in_one, open_by_parts])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> FileRoot:
    """An empty directory, beside a file that nobody may see."""
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "beside").mkdir()
    opener: Opener = request.param
    return FileRoot(str(tmp_path / "root"), opener)


def folder(root: FileRoot) -> Path:
    return Path(root.path)


def number_of(action: Callable[[], object]) -> int | None:
    """The number of the ``OSError`` that this ends with."""
    with pytest.raises(OSError, match=r".") as caught:
        action()
    return caught.value.errno


# -- what it is for ----------------------------------------------------------------------------------------------------


def test_files_are_made_read_changed_and_removed(root: FileRoot) -> None:
    root.create(("a",), b"0123")
    root.append(("a",), b"45", make=False)
    root.write(("a",), 1, b"xy")
    assert root.read(("a",), 0, 99) == b"0xy345"
    assert root.read(("a",), 4, 1) == b"4"
    assert root.read(("a",), 99, 1) == b""
    root.set_size(("a",), 2)
    root.replace(("b",), b"new")
    root.replace(("a",), b"newer")
    root.copy(root, ("a",), ("c",), is_over=lambda: False)
    root.rename(("b",), ("a",))
    root.make_directory(("d", "e"), parents=True)
    root.make_directory(("d", "e"), parents=True)

    assert root.entries((), after=None, most=9) == [
        ("a", "regular-file"),
        ("c", "regular-file"),
        ("d", "directory"),
    ]
    assert root.entries((), after="a", most=1) == [("c", "regular-file")]
    assert root.read(("a",), 0, 9) == b"new"
    assert root.size_bytes() == len(b"new") + len(b"newer")
    assert number_of(lambda: root.remove_directory(("d",), recursive=False)) == errno.ENOTEMPTY
    root.remove_directory(("d",), recursive=True)
    root.remove_file(("a",))
    root.unlink(("c",))
    assert list(folder(root).iterdir()) == []


def test_what_is_not_there_or_is_already_says_so(root: FileRoot) -> None:
    root.create(("a",), b"")

    assert number_of(lambda: root.create(("a",), b"")) == errno.EEXIST
    assert number_of(lambda: root.make_file(("a",), is_new=True)) == errno.EEXIST
    assert number_of(lambda: root.read(("b",), 0, 1)) == errno.ENOENT
    assert number_of(lambda: root.write(("b",), 0, b"")) == errno.ENOENT
    assert number_of(lambda: root.append(("b",), b"", make=False)) == errno.ENOENT
    assert number_of(lambda: root.facts(("a", "b"))) == errno.ENOTDIR
    assert number_of(lambda: root.make_directory(("a",), parents=False)) == errno.EEXIST
    assert number_of(lambda: root.make_directory(("a",), parents=True)) == errno.EEXIST
    assert number_of(lambda: root.make_directory(("b", "c"), parents=False)) == errno.ENOENT
    assert number_of(lambda: root.read((), 0, 1)) == errno.EISDIR
    assert number_of(lambda: root.remove_directory(("a",), recursive=True)) == errno.ENOTDIR


def test_the_directory_itself_stays_where_it_is(root: FileRoot) -> None:
    for action in (
        lambda: root.remove_directory((), recursive=True),
        lambda: root.remove_directory((), recursive=False),
        lambda: root.rename((), ("b",)),
        lambda: root.unlink(()),
        lambda: root.make_directory((), parents=False),
    ):
        assert number_of(action) == errno.EBUSY


def test_a_file_is_replaced_as_a_whole_and_keeps_who_may_read_it(root: FileRoot) -> None:
    root.create(("a",), b"old")
    (folder(root) / "a").chmod(0o600)
    with (folder(root) / "a").open("rb") as reader:
        root.replace(("a",), b"new")

        assert reader.read() == b"old"

    assert (folder(root) / "a").read_bytes() == b"new"
    assert (folder(root) / "a").stat().st_mode & 0o777 == 0o600


def test_a_replacement_that_fails_leaves_nothing(root: FileRoot) -> None:
    root.create(("a",), b"old")

    assert number_of(lambda: root.copy(root, ("a",), ("b",), is_over=lambda: True)) == errno.ECANCELED

    assert [path.name for path in folder(root).iterdir()] == ["a"]


def test_names_that_are_not_utf_8_are_left_out(root: FileRoot) -> None:
    (folder(root) / "a").write_bytes(b"")
    with open(os.fsencode(folder(root)) + b"/\xff", "wb"):  # noqa: PTH123 - a path of bytes
        pass

    assert root.entries((), after=None, most=9) == [("a", "regular-file")]


def test_a_directory_of_too_many_entries_is_not_looked_through(root: FileRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_root, "SCAN_MAX", 2)
    root.create(("a",), b"")
    root.create(("b",), b"")
    assert len(root.entries((), after=None, most=9)) == 2
    assert root.size_bytes() == 0

    root.create(("c",), b"")

    assert number_of(lambda: root.entries((), after=None, most=9)) == errno.EOVERFLOW
    assert number_of(root.size_bytes) == errno.EOVERFLOW


# -- no way out --------------------------------------------------------------------------------------------------------

WAYS: dict[str, Callable[[FileRoot, Parts], object]] = {
    "read": lambda root, parts: root.read(parts, 0, 99),
    "write": lambda root, parts: root.write(parts, 0, b"x"),
    "append": lambda root, parts: root.append(parts, b"x", make=True),
    "replace": lambda root, parts: root.replace(parts, b"x"),
    "set-size": lambda root, parts: root.set_size(parts, 0),
    "set-times": lambda root, parts: root.set_times(parts, accessed_ns=1, modified_ns=1),
    "copy": lambda root, parts: root.copy(root, parts, ("copy",), is_over=lambda: False),
    "copy-to": lambda root, parts: root.copy(root, ("own",), parts, is_over=lambda: False),
    "remove": lambda root, parts: root.remove_file(parts),
    "remove-tree": lambda root, parts: root.remove_directory(parts, recursive=True),
    "rename": lambda root, parts: root.rename(parts, ("renamed",)),
    "rename-to": lambda root, parts: root.rename(("own",), parts),
}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("target", ["secret", "/etc/passwd", "missing"])
def test_a_link_to_a_file_is_not_followed(root: FileRoot, name: str, target: str) -> None:
    outside = folder(root).parent / target
    before = outside.read_bytes() if outside.exists() else None
    root.create(("own",), b"own")
    (folder(root) / "link").symlink_to(outside)

    assert number_of(lambda: WAYS[name](root, ("link",))) == errno.ELOOP

    assert (outside.read_bytes() if outside.exists() else None) == before
    assert (folder(root) / "link").is_symlink()


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("target", ["..", "../beside", "/", "."])
def test_a_link_to_a_directory_is_not_followed_on_the_way(root: FileRoot, name: str, target: str) -> None:
    root.create(("own",), b"own")
    (folder(root) / "link").symlink_to(target)

    assert number_of(lambda: WAYS[name](root, ("link", "secret"))) == errno.ELOOP

    assert (folder(root).parent / "secret").read_bytes() == SECRET


def test_a_link_to_a_directory_is_not_listed_made_or_looked_into(root: FileRoot) -> None:
    (folder(root) / "link").symlink_to("..")

    assert root.facts(("link",)).type == "symbolic-link"
    assert root.facts(("link",)).size_bytes == 0
    assert root.entries((), after=None, most=9) == [("link", "symbolic-link")]
    assert number_of(lambda: root.entries(("link",), after=None, most=9)) == errno.ELOOP
    assert number_of(lambda: root.facts(("link", "secret"))) == errno.ELOOP
    assert number_of(lambda: root.make_directory(("link", "d"), parents=True)) == errno.EEXIST
    assert number_of(lambda: root.make_directory(("link", "d"), parents=False)) == errno.ELOOP
    assert root.size_bytes() == 0
    root.unlink(("link",))
    assert (folder(root).parent / "secret").exists()


def test_a_tree_is_removed_without_what_its_links_lead_to(root: FileRoot) -> None:
    root.make_directory(("d",), parents=False)
    (folder(root) / "d" / "link").symlink_to("../..")
    (folder(root) / "d" / "file").symlink_to("../../secret")

    root.remove_directory(("d",), recursive=True)

    assert (folder(root).parent / "secret").read_bytes() == SECRET
    assert (folder(root).parent / "beside").is_dir()


def test_a_root_behind_a_link_is_none(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")

    for path in ("link", "link/deep"):
        for opener in (open_in_one, open_by_parts):
            root = FileRoot(str(tmp_path / path), opener)
            assert number_of(partial(root.create, ("a",), b"")) == errno.ELOOP
    assert number_of(lambda: FileRoot(str(tmp_path / "missing")).facts(())) == errno.ENOENT


def test_devices_pipes_and_sockets_are_not_opened(root: FileRoot, tmp_path: Path) -> None:
    os.mkfifo(folder(root) / "pipe")
    with socket.socket(socket.AF_UNIX) as listening, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "root")  # the path of a socket is short
        listening.bind("socket")
        for name in ("pipe", "socket"):
            assert number_of(partial(root.read, (name,), 0, 1)) == errno.EACCES
            assert number_of(partial(root.write, (name,), 0, b"x")) == errno.EACCES
            assert number_of(partial(root.append, (name,), b"x", make=True)) == errno.EACCES
            assert number_of(partial(root.replace, (name,), b"x")) == errno.EACCES
            assert number_of(partial(root.remove_file, (name,))) == errno.EACCES
    assert root.facts(("pipe",)).type == "fifo"
    assert root.entries((), after=None, most=9) == [("pipe", "fifo"), ("socket", "socket")]
    devices = FileRoot("/dev")
    assert number_of(lambda: devices.read(("null",), 0, 1)) == errno.EACCES
    assert devices.facts(("null",)).type == "character-device"


def test_a_file_with_another_name_elsewhere_is_not_written_in_place(root: FileRoot) -> None:
    os.link(folder(root).parent / "secret", folder(root) / "hard")

    assert root.read(("hard",), 0, 99) == SECRET  # who could make the link could have made a copy
    for action in (
        lambda: root.write(("hard",), 0, b"x"),
        lambda: root.append(("hard",), b"x", make=True),
        lambda: root.set_size(("hard",), 0),
        lambda: root.check_writable(("hard",)),
    ):
        assert number_of(action) == errno.EMLINK
    root.replace(("hard",), b"own")
    root.write(("hard",), 0, b"x")
    assert (folder(root).parent / "secret").read_bytes() == SECRET


@pytest.mark.parametrize("part", ["..", "."])
def test_the_kernel_itself_lets_no_path_lead_out(tmp_path: Path, part: str) -> None:
    (tmp_path / "root").mkdir()
    top = os.open(tmp_path / "root", os.O_PATH)
    try:
        if part == "..":
            assert number_of(lambda: open_in_one(top, (part, "secret"), os.O_RDONLY)) == errno.EXDEV
        assert number_of(lambda: open_in_one(top, ("/etc/passwd",), os.O_RDONLY)) == errno.EXDEV
    finally:
        os.close(top)


NAMES = st.sampled_from(["a", "b", "link", "up", "etc"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paths=st.lists(st.lists(NAMES, min_size=1, max_size=4).map(tuple), min_size=1, max_size=12),
    ways=st.lists(st.sampled_from(sorted(WAYS)), min_size=1, max_size=12),
    opener=st.sampled_from([open_in_one, open_by_parts]),
)
def test_whatever_is_done_below_it_nothing_outside_changes_or_is_seen(
    tmp_path_factory: pytest.TempPathFactory, paths: list[tuple[str, ...]], ways: list[str], opener: Opener
) -> None:
    home = tmp_path_factory.mktemp("home")
    inside, outside = home / "inside", home / "outside"
    (inside / "a" / "b").mkdir(parents=True)
    outside.mkdir()
    for name in ("a", "b", "secret"):
        (outside / name).write_bytes(SECRET)
    (inside / "link").symlink_to(outside)
    (inside / "up").symlink_to("..")
    (inside / "a" / "up").symlink_to("../../outside/secret")
    (inside / "etc").symlink_to("/etc")
    root = FileRoot(str(inside), opener)
    for parts, name in zip(paths, ways, strict=False):
        with suppress(OSError):
            found = WAYS[name](root, parts)
            assert found != SECRET
        with suppress(OSError):
            root.make_directory(parts, parents=True)

    assert sorted(path.name for path in outside.iterdir()) == ["a", "b", "secret"]
    assert {path.read_bytes() for path in outside.iterdir()} == {SECRET}
    assert sorted(path.name for path in home.iterdir()) == ["inside", "outside"]


@pytest.mark.slow
@pytest.mark.parametrize("opener", [open_in_one, open_by_parts])
def test_who_swaps_a_directory_for_a_link_meanwhile_leads_nobody_out(tmp_path: Path, opener: Opener) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "d").mkdir(parents=True)
    (inside / "d" / "a").write_bytes(b"own")
    outside.mkdir()
    (outside / "a").write_bytes(SECRET)
    (inside / "link").symlink_to(outside)
    is_over = threading.Event()

    def swap() -> None:
        while not is_over.is_set():
            for old, new in (("d", "kept"), ("link", "d"), ("d", "link"), ("kept", "d")):
                (inside / old).rename(inside / new)

    swapping = threading.Thread(target=swap)
    swapping.start()
    root = FileRoot(str(inside), opener)
    seen: set[bytes] = set()
    try:
        for _ in range(3000):
            with suppress(OSError):
                seen.add(root.read(("d", "a"), 0, 99))
            with suppress(OSError):
                root.append(("d", "a"), b"", make=False)
                root.write(("d", "a"), 0, b"own")
    finally:
        is_over.set()
        swapping.join()

    assert seen <= {b"own"}
    assert (outside / "a").read_bytes() == SECRET


@pytest.mark.slow
@pytest.mark.parametrize("opener", [open_in_one, open_by_parts])
def test_who_swaps_a_file_for_a_link_meanwhile_leads_nobody_out(tmp_path: Path, opener: Opener) -> None:
    inside, secret = tmp_path / "inside", tmp_path / "secret"
    inside.mkdir()
    secret.write_bytes(SECRET)
    (inside / "a").write_bytes(b"own")
    (inside / "link").symlink_to(secret)
    is_over = threading.Event()

    def swap() -> None:
        while not is_over.is_set():
            for old, new in (("a", "kept"), ("link", "a"), ("a", "link"), ("kept", "a")):
                (inside / old).rename(inside / new)

    swapping = threading.Thread(target=swap)
    swapping.start()
    root = FileRoot(str(inside), opener)
    seen: set[bytes] = set()
    try:
        for _ in range(3000):
            with suppress(OSError):
                seen.add(root.read(("a",), 0, 99))
            with suppress(OSError):
                root.write(("a",), 0, b"own")
            with suppress(OSError):
                root.set_times(("a",), accessed_ns=1, modified_ns=1)
    finally:
        is_over.set()
        swapping.join()

    assert seen <= {b"own"}
    assert secret.read_bytes() == SECRET
    assert secret.stat().st_mtime_ns != 1


def test_an_old_kernel_walks_part_by_part(root: FileRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    root.create(("a",), b"x")
    walked: list[Parts] = []

    def unknown(*_arguments: object) -> int:
        raise OSError(errno.ENOSYS, "unknown")

    def walk(folder: int, parts: Parts, flags: int) -> int:
        walked.append(parts)
        return open_by_parts(folder, parts, flags)

    monkeypatch.setattr(file_root, "open_in_one", unknown)
    monkeypatch.setattr(file_root, "open_by_parts", walk)

    assert FileRoot(root.path).read(("a",), 0, 9) == b"x"
    assert walked
