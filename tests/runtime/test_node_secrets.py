"""Where a node's secrets lie: looked at each time, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from theater.errors import InvalidInput
from theater.runtime.node_secrets import FILE_MAX_BYTES, SECRETS_MAX, NodeSecrets, check_sources


def test_a_secret_is_read_where_it_lies_each_time(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first\n")
    environ = {"VARIABLE": "of the process"}
    secrets = NodeSecrets({"A": f"file:{file}", "B": "env:VARIABLE", "C": "env:OTHER"}, environ)

    assert (secrets.value("A"), secrets.value("B"), secrets.value("C")) == ("first", "of the process", None)
    file.write_text("second\r\n")
    assert secrets.value("A") == "second"
    assert secrets.value("VARIABLE") is None


def test_a_file_that_is_none_that_is_no_text_or_that_is_too_large_is_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "key"
    secrets = NodeSecrets({"A": f"file:{file}"}, {})

    assert secrets.value("A") is None
    file.write_bytes(b"\xff\xfe")
    assert secrets.value("A") is None
    file.write_bytes(b"x" * FILE_MAX_BYTES)
    assert secrets.value("A") == "x" * FILE_MAX_BYTES
    file.write_bytes(b"x" * (FILE_MAX_BYTES + 1))
    assert secrets.value("A") is None
    assert NodeSecrets({"A": f"file:{tmp_path}"}, {}).value("A") is None


def test_what_stands_in_a_sources_place_is_not_repeated_since_it_may_be_the_secret() -> None:
    for odd in ("hunter2", "env:", "file:key", 5, ["env:A"]):
        with pytest.raises(InvalidInput, match=r"secrets\.KEY") as caught:
            check_sources({"KEY": odd})
        assert "hunter2" not in caught.value.message
    with pytest.raises(InvalidInput, match="256"):
        check_sources({f"K{number}": "env:A" for number in range(SECRETS_MAX + 1)})
    assert check_sources({"KEY": "env:A", "B": "file:/x"}) == {"KEY": "env:A", "B": "file:/x"}
