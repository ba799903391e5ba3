"""Nothing runs but what the grant names, and nothing that is said to it makes it something else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.capabilities.town import SHELL, SORT, Town, finished, shell, spec, status_of
from tests.capabilities.town import town as opened
from theater.capabilities.filesystem_grant import FilesystemGrant
from theater.capabilities.process_child import Nursery
from theater.capabilities.process_grant import MEMORY_MIN_BYTES, ProcessGrant, parse
from theater.capabilities.process_spec import WORDS_MAX_BYTES
from theater.errors import InvalidManifest


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with opened(tmp_path / "process") as made:
        yield made


def allow(town: Town, *paths: Path | str) -> None:
    town.grant = ProcessGrant(allow=tuple(map(str, paths)))


def tool(folder: Path, text: str | bytes | None = None, name: str = "tool") -> Path:
    """A program in a folder: a shell's copy, or what is said."""
    path = folder / name
    data = Path(SHELL).read_bytes() if text is None else text if isinstance(text, bytes) else text.encode()
    path.write_bytes(data)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "program",
    ["sort", "./sort", "../bin/sort", "/usr/bin/../bin/sort", "/usr/bin//sort", "/usr/bin/sort/", "/bin/sort", "",
     "/usr/bin/sor", "/usr/bin/sort\0", "cat ", "CAT", "cat=/usr/bin/cat", "/usr/bin/sort -o x"],
)  # fmt: skip
def test_a_program_goes_by_the_granted_words_alone(town: Town, program: str) -> None:
    match town.run(spec(program)):
        case ("err", ("denied", str(text))):
            assert text.startswith("allow = " if program.startswith("/") else f"no program {program!r} is granted")
        case other:
            pytest.fail(f"{other}")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"arguments": ["a\0b"]}, "an argument or variable with a zero character in it"),
        ({"environment": [("A", "a\0b")]}, "an argument or variable with a zero character in it"),
        ({"environment": [("A\0", "b")]}, "an argument or variable with a zero character in it"),
        ({"environment": [("", "b")]}, "a variable without a name, or with = in its name"),
        ({"environment": [("A=B", "b")]}, "a variable without a name, or with = in its name"),
        ({"environment": [("A", "1"), ("A", "2")]}, "a variable twice"),
        ({"arguments": ["x" * WORDS_MAX_BYTES]}, f"arguments and environment have more than {WORDS_MAX_BYTES} bytes"),
        ({"arguments": [""] * (WORDS_MAX_BYTES + 1)}, "arguments and environment have more than"),
        ({"arguments": ["é" * (WORDS_MAX_BYTES // 2)]}, "arguments and environment have more than"),
    ],
)
def test_what_cannot_be_passed_on_is_refused(town: Town, changes: Mapping[str, object], text: str) -> None:
    answer = town.run({**spec(SORT), **changes})  # type: ignore[typeddict-item]  # changes of a spec

    assert isinstance(answer, tuple)
    case, said = answer[1]
    assert case == "invalid-spec"
    assert said.startswith(text)


def test_as_many_arguments_as_may_be_are_passed_on(town: Town) -> None:
    longest = "x" * (WORDS_MAX_BYTES - len("-c") - len('printf %s "$0" | wc -c') - 3)

    assert town.run(spec(SHELL, "-c", 'printf %s "$0" | wc -c', longest)) == finished(f"{len(longest)}\n")
    many = [""] * (WORDS_MAX_BYTES - len("-c") - len("echo $#") - 2)
    assert town.run(spec(SHELL, "-c", "echo $#", *many)) == finished(f"{len(many) - 1}\n")


@pytest.mark.parametrize(
    ("mode", "size_bytes"), [("chunks", 0), ("chunks", 3), ("chunks", 65_537), ("chunks", 2**32 - 1)]
)
def test_chunks_have_a_size_that_can_be(town: Town, mode: str, size_bytes: int) -> None:
    answer = town.start(spec("cat"), mode, size_bytes)

    assert isinstance(answer, tuple)
    assert answer[1][0] == "invalid-spec"
    assert town.ear.entries == {}


def test_a_link_is_not_followed_whenever_it_was_put_there(town: Town, tmp_path: Path) -> None:
    path = tool(tmp_path)
    allow(town, path)
    assert town.run(spec(str(path), "-c", "echo here")) == finished("here\n")

    path.unlink()
    path.symlink_to("/usr/bin/env")

    refused = ("err", ("not-runnable", "a symbolic link is not followed: grant '/usr/bin/env'"))
    assert town.run(spec(str(path))) == refused
    folder = tmp_path / "folder"
    folder.symlink_to("/usr/bin")
    allow(town, folder / "env")
    assert town.run(spec(str(folder / "env"))) == refused


def test_what_was_checked_is_what_is_run(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tool(tmp_path)
    allow(town, path)
    hand_over = Nursery._hand_over

    def swapped(self: Nursery, order: bytes, program: int, directory: int, scratch: str | None) -> object:
        path.unlink()
        tool(tmp_path, "#!/usr/bin/dash\necho another\n")
        return hand_over(self, order, program, directory, scratch)

    monkeypatch.setattr(Nursery, "_hand_over", swapped)

    assert town.run(spec(str(path), "-c", "echo this one")) == finished("this one\n")


@pytest.mark.parametrize(
    ("bits", "reason"),
    [
        (stat.S_ISUID | 0o755, "it would run with the rights of its owner (setuid, setgid)"),
        (stat.S_ISGID | 0o755, "it would run with the rights of its owner (setuid, setgid)"),
        (0o644, "it is not executable"),
    ],
)
def test_rights_that_a_program_must_not_have(town: Town, tmp_path: Path, bits: int, reason: str) -> None:
    path = tool(tmp_path)
    path.chmod(bits)
    allow(town, path)

    assert town.run(spec(str(path))) == ("err", ("not-runnable", reason))


def test_what_is_no_program_is_not_run(town: Town, tmp_path: Path) -> None:
    def reason(path: Path) -> str:
        allow(town, path)
        match town.run(spec(str(path))):
            case ("err", ("not-runnable", str(text))):
                return text
            case other:
                pytest.fail(f"{other}")

    os.mkfifo(tmp_path / "pipe")
    assert reason(tmp_path) == "it is no file"
    assert reason(tmp_path / "pipe") == "it is no file"
    assert reason(Path("/dev/null")) == "it is no file"
    assert reason(tmp_path / "nothing").startswith("it is not there")
    assert reason(tool(tmp_path, name="file") / "below") == "it is not there"
    assert reason(tool(tmp_path, "echo no first line\n")).startswith("it is no program for this machine")
    assert reason(tool(tmp_path, "#!/nothing/of/the/kind\n")).startswith("it is not there, or what is to interpret it")
    assert reason(tool(tmp_path, b"\x7fELF" + bytes(200))).startswith("it is no program for this machine")


def test_a_script_is_run_by_what_its_first_line_names(town: Town, tmp_path: Path) -> None:
    path = tool(tmp_path, '#!/usr/bin/dash\necho "$1"; ls /proc/self/fd | wc -l\n')
    allow(town, path)

    answer = town.run(spec(str(path), "a b"))

    assert isinstance(answer, tuple)
    assert answer[1]["stdout"][1].startswith("a b\n")


def test_little_memory_is_a_reason_or_a_failure_of_the_program(tmp_path: Path) -> None:
    with opened(tmp_path, memory=MEMORY_MIN_BYTES) as town:
        assert town.run(shell("echo enough")) == finished("enough\n")


def test_it_gains_no_rights_by_what_it_starts(town: Town, tmp_path: Path) -> None:
    path = tool(tmp_path, Path("/usr/bin/id").read_bytes())
    path.chmod(stat.S_ISUID | 0o755)

    assert status_of(town.run(shell("grep -q 'NoNewPrivs:.1' /proc/self/status"))) == ("code", 0)


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "LD_ANYTHING",
        "DYLD_INSERT_LIBRARIES",
        "GCONV_PATH",
        "GLIBC_TUNABLES",
    ],
)
def test_no_grant_has_a_variable_that_changes_what_code_is_run(name: str) -> None:
    with pytest.raises(InvalidManifest, match="makes any program run other code"):
        parse({"environment": [name]})


@pytest.mark.parametrize("name", ["", "A*", "*", "A=B", "A B", "1A", "A\0", "É"])
def test_no_grant_has_what_is_no_name_of_a_variable(name: str) -> None:
    with pytest.raises(InvalidManifest, match="is no name of a variable"):
        parse({"environment": [name]})


@pytest.mark.parametrize(
    "item",
    ["sort", "", "bin/sort", "./sort", "/usr/bin/../bin/sort", "/usr//bin/sort", "//usr/bin/sort", "/", "/usr/bin/",
     "/usr/bin/.", "x=sort", "x=", "=/usr/bin/sort", "a b=/usr/bin/sort", "x=y=/usr/bin/sort", "/a\0b",
     "/" + "x" * 4096],
)  # fmt: skip
def test_no_grant_has_what_is_no_path_of_a_program(item: str) -> None:
    with pytest.raises(InvalidManifest, match="is no program: write its path"):
        parse({"allow": [item]})


def test_a_name_is_that_of_one_program() -> None:
    with pytest.raises(InvalidManifest, match="'x' is the name of two programs"):
        parse({"allow": ["x=/usr/bin/sort", "x=/usr/bin/env"]})


@pytest.mark.parametrize(
    "table",
    [{"processes": 65}, {"timeout": "366d"}, {"input": "65MiB"}, {"output": "65MiB"}, {"memory": "1MiB"},
     {"memory": "17TiB"}, {"cpu-time": 0}, {"files": 15}, {"files": 65_537}, {"file-size": "1025TiB"}],
)  # fmt: skip
def test_a_number_beyond_its_bound_is_refused(table: Mapping[str, object]) -> None:
    with pytest.raises(InvalidManifest, match=rf"\[capabilities.process\] {next(iter(table))}: .* is the most"):
        parse(table)


def test_the_lines_of_a_grant_say_what_is_more() -> None:
    asked = parse({"allow": ["/usr/bin/sort", "cat=/usr/bin/cat"], "environment": ["LANG"], "processes": 9})

    assert asked.lines(parse({"allow": ["/usr/bin/cat"]})) == [
        'allow = ["/usr/bin/sort"]',
        'allow = ["cat=/usr/bin/cat"]',
        'environment = ["LANG"]',
        "processes = 9",
    ]
    assert asked.narrowed(parse({"allow": ["/usr/bin/cat"]})) == parse({"allow": ["/usr/bin/cat"]})
    assert parse({"allow": ["/usr/bin/cat"]}).lines(parse({"allow": ["x=/usr/bin/cat"]})) == []
    assert parse({}).lines(None) == ["[capabilities.process]"]


@pytest.mark.parametrize(
    ("directory", "problem"),
    [
        ("..", "invalid-spec"),
        ("/etc", "invalid-spec"),
        ("a\0b", "invalid-spec"),
        ("nothing", "io"),
        ("link", "io"),
        ("file", "io"),
    ],
)
def test_no_directory_leads_out_of_those_granted(town: Town, tmp_path: Path, directory: str, problem: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to("/etc")
    (tmp_path / "data" / "file").write_text("x")
    town.context.grants["filesystem"] = FilesystemGrant(read=(str(tmp_path / "data"),))

    answer = town.run(shell("pwd", directory=directory))

    assert isinstance(answer, tuple)
    assert answer[1][0] == problem, answer
    assert town.run(shell("pwd", directory="")) == finished(f"{tmp_path}/data\n")
    town.context.grants.clear()
    assert town.run(shell("pwd", directory="")) == ("err", ("denied", "a directory needs [capabilities.filesystem]"))
