"""Children from disk: whatever a guest names, and wherever links lead, nothing outside the granted folders is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guests import puppet
from tests.guests.puppet import FULL_ANSWER
from tests.runtime.stage import Stage
from tests.runtime.troupe import Troupe, text_of
from theater.testing.harness import Actor


@pytest.fixture
def troupe(stage: Stage) -> Troupe:
    return Troupe(stage)


def project(troupe: Troupe, folder: Path, component: str = "child.wasm") -> Path:
    """A folder with a child in it."""
    folder.mkdir(parents=True)
    (folder / "child.wasm").write_bytes(troupe.stage.workshop.file(text_of()).read_bytes())
    tables = "".join(f"[capabilities.{name}]\n" for name in ("messaging", "supervisor", "timing"))
    (folder / "theater.toml").write_text(f'name = "anna"\ncomponent = "{component}"\n{tables}')
    return folder


def boss_of(troupe: Troupe, granted: Path) -> Actor:
    capabilities = {"messaging": "", "supervisor": f'directories = ["{granted}"]', "timing": ""}
    return troupe.player("boss", capabilities=capabilities)


def spawned_from(boss: Actor, folder: Path) -> str:
    order = puppet.child(str(folder), is_directory=True)
    return str(boss.request(puppet.spawn(order) + puppet.reply(FULL_ANSWER)))


def test_a_child_in_a_granted_folder_is_spawned(troupe: Troupe, tmp_path: Path) -> None:
    folder = project(troupe, tmp_path / "granted" / "anna")
    boss = boss_of(troupe, tmp_path / "granted")

    child = spawned_from(boss, folder)
    troupe.rest()

    assert troupe.find(child).status == "running"
    troupe.verify()


def test_a_folder_that_is_not_granted_is_denied(troupe: Troupe, tmp_path: Path) -> None:
    (tmp_path / "granted").mkdir()
    boss = boss_of(troupe, tmp_path / "granted")

    assert spawned_from(boss, project(troupe, tmp_path / "elsewhere")).startswith("err:denied:")


def test_a_link_out_of_the_granted_folder_is_denied(troupe: Troupe, tmp_path: Path) -> None:
    (tmp_path / "granted").mkdir()
    (tmp_path / "granted" / "anna").symlink_to(project(troupe, tmp_path / "elsewhere"))
    boss = boss_of(troupe, tmp_path / "granted")

    assert spawned_from(boss, tmp_path / "granted" / "anna").startswith("err:denied:")


def test_a_component_outside_the_granted_folder_is_denied(troupe: Troupe, tmp_path: Path) -> None:
    project(troupe, tmp_path / "elsewhere")
    folder = project(troupe, tmp_path / "granted" / "anna", component="../../elsewhere/child.wasm")
    boss = boss_of(troupe, tmp_path / "granted")

    assert spawned_from(boss, folder).startswith("err:denied:")
