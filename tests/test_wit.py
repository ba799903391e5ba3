"""The WIT package is frozen: its bytes, and the rules that its texts keep.

Only text is looked at, without a toolchain: one declaration to a line is a rule of the package, so lines are enough.
"""

import hashlib
import re
from pathlib import Path

import pytest

WIT = Path(__file__).parent.parent / "src" / "theater" / "wit"
FILES = sorted(WIT.glob("*.wit"))
INTERFACES = [path.stem for path in FILES if path.stem != "world"]

CLASSES = {"derived", "output", "read", "buffered", "waiting", "external"}
TYPES_ONLY = {"types", "values", "exits", "supervision", "process-types", "http-types"}
# An interface whose failures are all the guest's own refusals has no error of the host.
GUEST_SIDE = {
    "actor",
    "channel-handlers",
    "supervisor-handlers",
    "event-handlers",
    "process-handlers",
    "http-handlers",
    "middleware-handlers",
    "upgrade",
}
HOST = set(INTERFACES) - TYPES_ONLY - GUEST_SIDE

FUNCTION = re.compile(r"^    (%?[a-z][a-z0-9-]*): func\(")
DECLARATION = re.compile(r"^ *(?:interface|world|record|variant|enum|flags|type|resource) |^    \S+: func\(")
MEMBER = re.compile(r"^        [a-z][a-z0-9-]*(?:\(.*\)|: .*)?,$")


def text_of(name: str) -> str:
    return (WIT / f"{name}.wit").read_text(encoding="utf-8")


def frozen_digests() -> dict[str, str]:
    lines = (WIT / "FROZEN").read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def functions_of(name: str) -> dict[str, tuple[str, str]]:
    """The doc comment and the signature of each function."""
    found: dict[str, tuple[str, str]] = {}
    comment: list[str] = []
    lines = iter(text_of(name).splitlines())
    for line in lines:
        if line.lstrip().startswith("///"):
            comment.append(line.strip().removeprefix("///").strip())
            continue
        if match := FUNCTION.match(line):
            signature = line.strip()
            while not signature.endswith(";"):
                signature += " " + next(lines).strip()
            found[match[1].lstrip("%")] = (" ".join(comment), signature)
        comment = []
    return found


def error_cases_of(name: str) -> list[str]:
    body = re.search(r"^    variant error \{\n(.*?)^    \}", text_of(name), re.DOTALL | re.MULTILINE)
    assert body is not None
    return [line.strip().rstrip(",") for line in body[1].splitlines() if MEMBER.match(line)]


def test_every_file_has_the_bytes_that_were_frozen() -> None:
    actual = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES}
    assert actual == frozen_digests(), "a frozen interface changes only under a new version of the package"


@pytest.mark.parametrize("name", INTERFACES)
def test_a_file_holds_the_one_interface_it_is_named_after(name: str) -> None:
    assert re.findall(r"^interface (\S+) \{$", text_of(name), re.MULTILINE) == [name]


def test_the_package_has_one_world_that_imports_every_host_interface() -> None:
    worlds = [line for path in FILES for line in path.read_text("utf-8").splitlines() if line.startswith("world ")]
    assert worlds == ["world theater {"]
    imports = re.findall(r"^    import (\S+);$", text_of("world"), re.MULTILINE)
    assert sorted(imports) == sorted(HOST)
    assert re.findall(r"^    export (\S+);$", text_of("world"), re.MULTILINE) == ["actor"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_item_has_a_doc_comment(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("///") or lines[0] == "package theater:actor@0.1.0;"
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if (DECLARATION.match(line) or MEMBER.match(line)) and not before.lstrip().startswith("///")
    ]
    assert bare == []


@pytest.mark.parametrize("name", sorted(HOST))
def test_every_host_function_names_its_class_and_what_is_recorded(name: str) -> None:
    functions = functions_of(name)
    assert functions
    for function, (comment, _) in functions.items():
        classes = re.findall(r"Class: ([a-z]+)\. Recorded: ", comment)
        assert len(classes) == 1, function
        assert classes[0] in CLASSES, function


@pytest.mark.parametrize("name", sorted(HOST))
def test_a_host_interface_has_one_error_that_all_its_fallible_functions_give(name: str) -> None:
    assert text_of(name).count("variant error {") == 1
    fallible = [signature for _, signature in functions_of(name).values() if "result<" in signature]
    assert fallible
    assert [signature for signature in fallible if not signature.endswith(", error>;")] == []
    cases = error_cases_of(name)
    assert len(set(cases)) == len(cases)
    assert cases[-1] == "other(string)"


@pytest.mark.parametrize("name", sorted(HOST))
def test_calls_that_reach_outside_can_answer_that_their_outcome_is_unknown(name: str) -> None:
    comments = [comment for comment, _ in functions_of(name).values()]
    assert any("Class: external." in comment for comment in comments) == ("outcome-unknown" in error_cases_of(name))


@pytest.mark.parametrize("name", sorted(GUEST_SIDE))
def test_a_handler_takes_the_state_and_refuses_with_a_text(name: str) -> None:
    for function, (_, signature) in functions_of(name).items():
        assert signature.endswith(", string>;"), function
        assert function == "init" or "func(state: json, " in signature


@pytest.mark.parametrize("name", INTERFACES)
def test_types_come_only_from_interfaces_that_grant_nothing(name: str) -> None:
    used = set(re.findall(r"^    use ([a-z-]+)\.", text_of(name), re.MULTILINE))
    assert used <= TYPES_ONLY


@pytest.mark.parametrize("name", sorted(TYPES_ONLY))
def test_an_interface_of_types_has_no_functions(name: str) -> None:
    assert functions_of(name) == {}


@pytest.mark.parametrize("name", INTERFACES)
def test_byte_lists_appear_only_where_bytes_are_meant(name: str) -> None:
    count = text_of(name).count("list<u8>")
    assert count == {"values": 1, "random": 1}.get(name, 0)


@pytest.mark.parametrize("name", INTERFACES)
def test_no_interface_has_resources_since_instances_do_not_outlive_a_step(name: str) -> None:
    assert not re.search(r"^ *resource |\b(?:own|borrow|stream|future)<", text_of(name), re.MULTILINE)
