"""The formula of random bytes, as the documentation has it, against what a step gets."""

import re
from pathlib import Path
from typing import get_args

from theater.model.randomness import SEED_BYTES, RandomStream, Stream

PAGE = (Path(__file__).parents[2] / "docs" / "capabilities" / "random.md").read_text(encoding="utf-8")


def test_the_documented_formula_makes_the_bytes() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "random.md", "exec"), names)
    block = names["block"]
    assert callable(block)
    seed = bytes(range(SEED_BYTES))

    for stream in get_args(Stream):
        assert f"`{stream}`" in PAGE
        taken = RandomStream(stream, seed)
        parts = taken.take(8), taken.take(100), taken.take(20)
        assert b"".join(parts) == (block(stream, seed, 0) + block(stream, seed, 1))[:128]
