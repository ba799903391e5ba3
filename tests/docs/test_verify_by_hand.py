"""The code of docs/verify-by-hand.md, as a reader would run it: sound chains pass, and each tampered one fails."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from theater.chain.lines import encode_line
from theater.model.event import Event
from theater.testing.chains import ChainMaker, chain_of

PAGE = Path(__file__).parents[2] / "docs" / "verify-by-hand.md"

CHAIN = chain_of(3)
LINES = [encode_line(event) for event in CHAIN.events]
PLACE = 4  # the event that is tampered with: a host call

Check = Callable[..., str]
Tamper = Callable[[list[bytes]], None]


def code() -> str:
    found = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(found) == 1
    return str(found[0])


@pytest.fixture(scope="module")
def check() -> Check:
    names: dict[str, Check] = {}
    exec(compile(code(), str(PAGE), "exec"), names)
    return names["check"]


def written(folder: Path, lines: list[bytes]) -> str:
    path = folder / "chain.jsonl"
    path.write_bytes(b"".join(lines))
    return str(path)


def in_part(part: str, old: str, new: str) -> Tamper:
    """Change the header, salt or payload of one event, and write the line as it should be written."""

    def tamper(lines: list[bytes]) -> None:
        fields = json.loads(lines[PLACE])
        assert old in fields[part]
        fields[part] = fields[part].replace(old, new, 1)
        lines[PLACE] = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    return tamper


def flip_salt(lines: list[bytes]) -> None:
    salt = json.loads(lines[PLACE])["salt"]
    in_part("salt", salt, format(int(salt, 16) ^ 1, "032x"))(lines)


def drop(lines: list[bytes]) -> None:
    del lines[PLACE]


def insert(lines: list[bytes]) -> None:
    lines.insert(PLACE, lines[PLACE])


def swap(lines: list[bytes]) -> None:
    lines[PLACE], lines[PLACE + 1] = lines[PLACE + 1], lines[PLACE]


def space(lines: list[bytes]) -> None:
    lines[PLACE] = lines[PLACE].replace(b',"salt"', b', "salt"')


def from_another_chain(lines: list[bytes]) -> None:
    lines[PLACE:] = [encode_line(event) for event in chain_of(3, number=1).events[PLACE:]]


TAMPERED = [
    pytest.param(in_part("header", '"kind":"host"', '"kind":"gost"'), PLACE + 1, "does not follow", id="header"),
    pytest.param(in_part("header", '"size":', '"size": '), PLACE, "header, written again", id="header with a space"),
    pytest.param(in_part("header", '"v":1', '"v":2'), PLACE, "header, written again", id="header of another version"),
    pytest.param(in_part("header", '"seq":4', '"seq":9'), PLACE, "does not follow", id="header with another seq"),
    pytest.param(in_part("header", "2026-", "2025-"), PLACE, "its time or actor", id="header with an earlier time"),
    pytest.param(in_part("payload", "200", "201"), PLACE, "not its payload", id="payload"),
    pytest.param(in_part("payload", "}", " }"), PLACE, "not its payload", id="payload with a space"),
    pytest.param(flip_salt, PLACE, "not its payload", id="salt"),
    pytest.param(drop, PLACE, "does not follow", id="dropped"),
    pytest.param(insert, PLACE + 1, "does not follow", id="inserted"),
    pytest.param(swap, PLACE, "does not follow", id="swapped"),
    pytest.param(space, PLACE, "line, written again", id="line with a space"),
    pytest.param(from_another_chain, PLACE, "does not follow", id="another chain's"),
]


def test_a_sound_chain_passes(check: Check, tmp_path: Path) -> None:
    path = written(tmp_path, LINES)

    assert check(path) == CHAIN.head.hash
    assert check(path, CHAIN.head.hash) == CHAIN.head.hash


@pytest.mark.parametrize(("tamper", "seq", "reason"), TAMPERED)
def test_a_tampered_chain_fails_and_the_event_is_named(
    check: Check, tmp_path: Path, tamper: Tamper, seq: int, reason: str
) -> None:
    lines = list(LINES)
    tamper(lines)

    with pytest.raises(AssertionError, match=f"event {seq}: .*{reason}"):
        check(written(tmp_path, lines))


@pytest.mark.slow
def test_every_flipped_byte_fails(check: Check, tmp_path: Path) -> None:
    line = LINES[PLACE]
    for position in range(len(line)):
        lines = list(LINES)
        lines[PLACE] = line[:position] + bytes([line[position] ^ 1]) + line[position + 1 :]
        with pytest.raises((AssertionError, ValueError, KeyError)):
            check(written(tmp_path, lines), CHAIN.head.hash)


@pytest.mark.parametrize("kept", [1, PLACE, len(LINES) - 1])
def test_a_cut_tail_fails_with_the_head_alone(check: Check, tmp_path: Path, kept: int) -> None:
    path = written(tmp_path, LINES[:kept])

    assert check(path) == CHAIN.events[kept - 1].hash
    with pytest.raises(AssertionError, match="its tail was cut"):
        check(path, CHAIN.head.hash)


def test_withheld_payloads_do_not_break_the_chain(check: Check, tmp_path: Path) -> None:
    event = CHAIN.events[PLACE]
    lines = list(LINES)
    lines[PLACE] = encode_line(Event(event.header, event.header_bytes, event.hash, None, None))

    assert check(written(tmp_path, lines), CHAIN.head.hash) == CHAIN.head.hash


def test_large_and_unusual_payloads_pass(check: Check, tmp_path: Path) -> None:
    maker = ChainMaker()
    for payload in ("{}", '"' + "é" * 70_000 + '"', '"\u2028\x7f😀\\u0000"', '["\\ud83d\\ude00", 1e400]'):
        maker.add("lifecycle" if maker.events else "genesis", "x", payload.encode())

    assert check(written(tmp_path, [encode_line(event) for event in maker.events])) == maker.head.hash


def test_nothing_is_no_chain(check: Check, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="there is no event"):
        check(written(tmp_path, []))


def test_the_code_is_about_twenty_lines_of_the_standard_library() -> None:
    body = code()[code().index("def sha256") : code().index("if __name__")]

    assert len([line for line in body.splitlines() if line.strip()]) <= 25
    assert re.findall(r"^(?:import|from) .*", code(), re.MULTILINE) == ["import hashlib, json, sys"]


@pytest.mark.slow
def test_the_page_works_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text(code())
    path = written(tmp_path, LINES)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", "check.py", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    sound = run(path, CHAIN.head.hash)
    assert (sound.returncode, sound.stdout) == (0, f"sound, with the head {CHAIN.head.hash}\n")
    cut = run(path, "0" * 64)
    assert cut.returncode == 1
    assert "its tail was cut" in cut.stderr
