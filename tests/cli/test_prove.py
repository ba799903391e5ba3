"""``verify`` and ``replay``."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Theater
from theater.chain.lines import encode_line, read_lines
from theater.chain.sealing import seal
from theater.model.event import EMPTY, Head

REPORT_KEYS = {"ok", "events", "steps", "unreproducible", "open", "head", "fault"}


def flipped(path: Path, seq: int, old: str, new: str) -> Path:
    """A copy of the chain's lines in which one line differs."""
    lines = path.read_text().splitlines(keepends=True)
    assert old in lines[seq]
    lines[seq] = lines[seq].replace(old, new)
    copy = path.with_name("flipped.jsonl")
    copy.write_text("".join(lines))
    return copy


def rewrite(path: Path, seq: int, old: bytes, new: bytes) -> None:
    """Change what one event says and make every commitment and hash anew."""
    head = EMPTY
    lines: list[bytes] = []
    with path.open("rb") as file:
        for event in read_lines(file.readline):
            header, salt, payload = event.header, event.salt, event.payload
            assert salt is not None
            assert payload is not None
            if header.seq == seq:
                assert old in payload
                payload = payload.replace(old, new)
            sealed = seal(
                head,
                actor=header.actor,
                kind=header.kind,
                name=header.name,
                payload=payload,
                salt=salt,
                time_us=header.time_us,
            )
            head = Head(sealed.header.seq, sealed.hash)
            lines.append(encode_line(sealed))
    path.write_bytes(b"".join(lines))


def test_an_actor_of_this_node_is_sound(theater: Theater, counter: str) -> None:
    done = theater("verify", counter)
    document = theater("verify", "counter", "--json").table

    assert done.code == 0
    assert done.out.splitlines()[0] == "sound: 8 events, 3 steps run again"
    assert "head not vouched for" in done.err
    assert set(document) >= REPORT_KEYS
    assert (document["ok"], document["events"], document["steps"], document["fault"]) == (True, 8, 3, None)


def test_nothing_is_run_with_no_execute(theater: Theater, counter: str) -> None:
    done = theater("verify", counter, "--no-execute")

    assert done.code == 0
    assert "nothing was run again" in done.out
    assert theater("verify", counter, "--no-execute", "--json").table["steps"] == 0


def test_the_head_is_vouched_for(theater: Theater, counter: str) -> None:
    (row,) = theater("list", "--json").rows

    good = theater("verify", counter, "--head", str(row["head"]))
    bad = theater("verify", counter, "--head", "0" * 64, "--json")

    assert (good.code, bad.code) == (0, 1)
    assert "vouched" not in good.err
    fault = bad.table["fault"]
    assert isinstance(fault, dict)
    assert fault["seq"] == 7


def test_replay_is_identical_step_by_step(theater: Theater, counter: str) -> None:
    done = theater("replay", counter, "--step")

    *steps, last, _head = done.out.splitlines()
    assert done.code == 0
    assert [line.split()[0] for line in steps] == ["2", "4", "6"]
    assert all(line.endswith("identical") for line in steps)
    assert last == "identical: 8 events, 3 steps run again"


def test_replay_until_an_event(theater: Theater, counter: str) -> None:
    assert theater("replay", counter, "--until", "5", "--json").table["steps"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["c.theater", "c.jsonl"])
def test_a_file_is_verified_without_a_node(theater: Theater, counter: str, name: str) -> None:
    theater("export", counter, "-o", name)
    component = () if name.endswith(".theater") else ("--component", "counter.wasm")

    for command in ("verify", "replay"):
        done = theater("--data-dir", "nowhere", command, name, *component, "--json")
        assert done.code == 0
        assert done.table["steps"] == 3
    assert not Path("nowhere").exists()


@pytest.mark.slow
def test_a_flipped_byte_is_named(theater: Theater, counter: str, place: Path) -> None:
    theater("export", counter, "-o", "c.jsonl")
    copy = flipped(place / "c.jsonl", 5, r"{\\\"count\\\":2}", r"{\\\"count\\\":3}")

    for command in ("verify", "replay"):
        done = theater(command, copy)
        assert done.code == 1
        assert done.out.startswith("not sound: event 5: ")


@pytest.mark.slow
def test_a_step_that_comes_out_otherwise_diverges(theater: Theater, counter: str, place: Path) -> None:
    theater("export", counter, "-o", "c.jsonl")
    rewrite(place / "c.jsonl", 5, b'"reply":"{\\"count\\":2}"', b'"reply":"{\\"count\\":9}"')

    verified = theater("verify", "c.jsonl", "--component", "counter.wasm")
    replayed = theater("replay", "c.jsonl", "--component", "counter.wasm", "--json")
    structure = theater("verify", "c.jsonl", "--no-execute")

    assert (verified.code, replayed.code, structure.code) == (1, 3, 0)
    assert verified.out.startswith("diverged: event 5: ")
    expected, got = verified.out.splitlines()[1:3]
    assert "9" in expected
    assert "2" in got
    fault = replayed.table["fault"]
    assert isinstance(fault, dict)
    assert (fault["seq"], fault["is_divergence"]) == (5, True)


def test_caps_are_read_and_kept(theater: Theater, counter: str) -> None:
    done = theater("verify", counter, "--max-state", "1KiB", "--json")

    assert done.code == 1
    assert "needs 1048576, allowed 1024" in json.dumps(done.table["fault"])
    every = (
        *("--max-memory", "1GiB", "--max-fuel", "1000000000", "--max-deadline", "20s", "--max-state", "2MiB"),
        *(
            "--max-events-per-step",
            "10000",
            "--max-bytes-per-step",
            "16MiB",
            "--max-message",
            "1MiB",
            "--max-reply",
            "1MiB",
        ),
    )
    assert theater("replay", counter, *every).code == 0


def test_the_option_that_a_fault_names_exists(theater: Theater, counter: str) -> None:
    done = theater("verify", counter, "--max-reply", "1KiB")

    (option,) = re.findall(r"--max-[a-z-]+", done.out)
    assert theater("verify", counter, "--max-reply", "1KiB", option, "1MiB").code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("verify",), 2),
        (("verify", "counter", "--head", "abc"), 2),
        (("verify", "counter", "--max-memory", "much"), 2),
        (("verify", "counter", "--component", "counter.wasm"), 2),
        (("replay", "counter", "--until", "-1"), 2),
        (("verify", "nobody"), 5),
        (("verify", "nowhere.theater"), 5),
        (("replay", "./nowhere"), 5),
    ],
)
@pytest.mark.usefixtures("counter")
def test_wrong_usage_is_2_and_what_is_not_there_5(theater: Theater, arguments: tuple[str, ...], code: int) -> None:
    done = theater(*arguments, "--json")

    assert done.code == code
    assert set(done.table) == {"error"}


@pytest.mark.slow
def test_a_file_whose_name_is_no_text_is_verified(theater: Theater, place: Path, counter: str) -> None:
    theater("export", counter, "-o", "counter.theater")
    name = os.fsdecode(b"x\xff")
    (place / "counter.theater").rename(place / f"{name}.theater")
    (place / f"{name}.jsonl").write_bytes(b"junk\n")

    sound = theater("verify", f"{name}.theater")
    junk = theater("verify", f"{name}.jsonl", "--component", f"{name}.theater")

    assert (sound.code, junk.code) == (0, 1)
    assert sound.out.startswith("sound: ")
    assert junk.out.startswith("not sound: ")
