"""Placeholders of a stranger's manifest: their search may not take longer than the text is long."""

from __future__ import annotations

import pytest

from theater.errors import InvalidManifest
from theater.model.manifest import parse_manifest


@pytest.mark.parametrize("unit", ["${A:-", "${A:-x", "${AAAA", "$", "${"])
def test_a_text_of_unclosed_placeholders_is_read_at_once(unit: str) -> None:
    text = unit * (200_000 // len(unit))  # took two minutes, when a default could have braces in it

    manifest = parse_manifest(f'name = "a"\ncomponent = "x.wasm"\nparams = {{ a = "{text}" }}\n')

    assert manifest.params == f'{{"a":"{text}"}}'


def test_a_default_ends_at_its_brace() -> None:
    manifest = parse_manifest('name = "a"\ncomponent = "x.wasm"\nparams = { a = "${B:-one} ${C:-}" }\n')

    assert manifest.params == '{"a":"one "}'


@pytest.mark.parametrize(
    ("value", "text"),
    [("x" * 10_000, '"' + "${X}" * 60_000 + '"'), (["x" * 10_000], "[" + '"${X}",' * 30_000 + "]")],
    ids=["a text within a text", "a whole value"],
)
def test_a_value_named_often_does_not_become_a_text_of_any_size(value: object, text: str) -> None:
    with pytest.raises(InvalidManifest, match="its placeholders become more than 4194304 characters"):
        parse_manifest(f'name = "a"\ncomponent = "x.wasm"\nparams = {{ a = {text} }}', settings={"X": value})
