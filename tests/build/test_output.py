"""The stamp: nothing is built that is there already, and nothing is taken for it that is not."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from theater.build.output import digest_inputs, read_component, write_component


def test_a_component_is_read_back_for_the_same_inputs_alone(tmp_path: Path) -> None:
    path = tmp_path / "build" / "a.wasm"
    write_component(path, b"component", "inputs")

    assert read_component(path, "inputs") == b"component"
    assert read_component(path, "others") is None


def test_a_component_that_was_changed_or_is_gone_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wasm"
    assert read_component(path, "inputs") is None

    write_component(path, b"component", "inputs")
    path.write_bytes(b"Component")
    assert read_component(path, "inputs") is None

    path.unlink()
    assert read_component(path, "inputs") is None


def test_a_damaged_stamp_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.wasm"
    write_component(path, b"component", "inputs")
    for text in ("", "[", "[]", "[" * 100_000):
        (tmp_path / ".a.wasm.stamp").write_text(text)
        assert read_component(path, "inputs") is None


def test_writing_leaves_two_files_and_nothing_else(tmp_path: Path) -> None:
    for data in (b"one", b"two"):
        write_component(tmp_path / "a.wasm", data, "inputs")

    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.wasm.stamp", "a.wasm"]
    assert (tmp_path / "a.wasm").read_bytes() == b"two"


@settings(max_examples=30)
@given(st.dictionaries(st.text(), st.binary()), st.dictionaries(st.text(), st.binary()))
def test_other_inputs_have_another_digest(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert (digest_inputs(one) == digest_inputs(other)) == (one == other)
