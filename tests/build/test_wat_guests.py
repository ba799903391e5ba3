"""The hand-written guests of the tests are components, and the well-behaved ones do what they say."""

import json
from pathlib import Path

import pytest
import wasmtime

from tests.build.sandbox import Sandbox
from tests.guests import wat

GUESTS = {name: text for name, text in vars(wat).items() if name.isupper() and not name.startswith("_") and text}


@pytest.mark.parametrize("name", [name for name, text in GUESTS.items() if isinstance(text, str)])
def test_every_guest_can_be_assembled(name: str) -> None:
    assert wasmtime.wat2wasm(GUESTS[name]).startswith(b"\0asm")


def sandbox(folder: Path, text: str) -> Sandbox:
    path = folder / "guest.wasm"
    path.write_bytes(wasmtime.wat2wasm(text))
    return Sandbox(path, folder)


def test_the_counter_counts(tmp_path: Path) -> None:
    counter = sandbox(tmp_path, wat.COUNTER)

    assert counter.init({"start": 5}).state == {"count": 5}
    ended = counter.handle({"by": -30})
    assert (ended.state, json.loads(ended.reply or "")) == ({"count": -30}, {"count": -30})


def test_the_moody_one_counts_until_it_is_told_otherwise(tmp_path: Path) -> None:
    moody = sandbox(tmp_path, wat.MOODY)

    assert moody.handle({"by": 2}).reply == '{"count":2}'
    assert moody.handle("refuse").refusal == "not today"
    assert moody.handle("not-json").trap is None
    assert moody.handle("defer").reply is None
    for mood in ("trap", "grow", "deep"):
        assert moody.handle(mood).trap


def test_others_do_what_they_say(tmp_path: Path) -> None:
    assert sandbox(tmp_path, wat.ECHO).handle({"a": "ü"}).reply == '{"a": "\\u00fc"}'
    assert sandbox(tmp_path, wat.BIG).handle({"size": 3_000_000}).reply == '"' + "x" * 2_999_998 + '"'
    assert sandbox(tmp_path, wat.LOGGER).handle({"times": 2}).logged == (("info", "2 to go"), ("info", "1 to go"))
    assert sandbox(tmp_path, wat.MYSELF).handle(1).reply == f'"{"ab" * 16}"'
    assert len(sandbox(tmp_path, wat.nested(1025)).handle_text("1").reply or "") == 2050
    assert sandbox(tmp_path, wat.HIDDEN).handle(1, times=3).reply == "3"
    assert sandbox(tmp_path, wat.COMMAND).run().exit_ok is True
