"""Placeholders of a stranger's manifest: their search may not take longer than the text is long."""

from __future__ import annotations

import pytest

from theater.model.manifest import parse_manifest


@pytest.mark.parametrize("unit", ["${A:-", "${A:-x", "${AAAA", "$", "${"])
def test_a_text_of_unclosed_placeholders_is_read_at_once(unit: str) -> None:
    text = unit * (200_000 // len(unit))  # took two minutes, when a default could have braces in it

    manifest = parse_manifest(f'name = "a"\ncomponent = "x.wasm"\nparams = {{ a = "{text}" }}\n')

    assert manifest.params == f'{{"a":"{text}"}}'


def test_a_default_ends_at_its_brace() -> None:
    manifest = parse_manifest('name = "a"\ncomponent = "x.wasm"\nparams = { a = "${B:-one} ${C:-}" }\n')

    assert manifest.params == '{"a":"one "}'
