"""The data dir: one holder at a time, who says what it is."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.store.opened_store import die, in_child
from theater.errors import DataDirLocked, InvalidInput
from theater.store import DataDir


def test_a_second_holder_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    first, second = DataDir(tmp_path), DataDir(tmp_path)
    first.hold("theater run")
    with pytest.raises(DataDirLocked) as caught:
        second.hold("theater verify")

    holder = str(caught.value.data["holder"])
    assert re.fullmatch(rf"theater run \(process {os.getpid()}, since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ\)", holder)
    assert holder in caught.value.message
    assert (first.is_held, second.is_held) == (True, False)
    assert second.holder() == holder
    first.release()
    second.hold("theater verify")
    assert second.holder().startswith("theater verify (")
    second.release()
    assert second.holder() == ""


def test_a_process_that_dies_lets_go(tmp_path: Path) -> None:
    def hold_and_die() -> None:
        DataDir(tmp_path).hold("the one that died, and whose purpose was a long one")
        die()

    assert in_child(hold_and_die) == signal.SIGKILL
    data_dir = DataDir(tmp_path)
    assert "the one that died" in data_dir.holder()
    data_dir.hold("next")
    assert data_dir.holder().startswith("next (process ")
    data_dir.release()


def test_the_lock_is_not_inherited(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    data_dir.hold("test")
    assert data_dir._descriptor is not None
    assert not os.get_inheritable(data_dir._descriptor)
    data_dir.release()
    data_dir.release()


def test_nothing_is_made_before_it_is_held(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "data")
    assert data_dir.holder() == ""
    assert not data_dir.root.exists()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    data_dir = DataDir(tmp_path)
    with pytest.raises(InvalidInput, match="symbolic"):
        data_dir.hold("test")
    assert not data_dir.is_held
    assert (tmp_path / "elsewhere").read_text() == "precious"


def test_a_place_where_no_folder_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be the data directory"):
        DataDir(tmp_path / "file" / "data").hold("test")
