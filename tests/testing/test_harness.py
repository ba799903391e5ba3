"""The harness, as a user has it: a folder, a manifest, no workshop."""

from pathlib import Path

import pytest

from tests.guests import wat
from theater.errors import NotFound, Refused
from theater.testing.harness import Harness

pytestmark = pytest.mark.slow  # components are compiled as in use, in a process of their own


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a manifest and a component."""
    (tmp_path / "moody.wat").write_text(wat.MOODY)
    (tmp_path / "theater.toml").write_text('name = "moody"\ncomponent = "moody.wat"\n')
    return tmp_path


def test_a_test_of_an_actor(project: Path) -> None:
    with Harness() as theater:
        actor = theater.spawn(project)

        assert actor.request({"by": 2}) == {"count": 2}
        with pytest.raises(Refused, match="not today"):
            actor.request("refuse")
        assert actor.kinds()[-2:] == ["message", "refused"]
        assert actor.verify().ok


def test_two_runs_with_the_same_seed_ask_with_the_same_ids_and_seeds(project: Path) -> None:
    def messages() -> list[object]:
        with Harness(seed=3) as theater:
            actor = theater.spawn(project)
            actor.request({"by": 2})
            return [event.payload for event in actor.events() if event.header.kind == "message"]

    assert messages() == messages()


def test_an_actor_is_found_again_when_the_runtime_is_reopened(project: Path) -> None:
    with Harness() as theater:
        theater.spawn(project).request({"by": 2})
        theater.reopen()

        assert theater.actor("moody").request({"by": 1}) == {"count": 3}
        with pytest.raises(NotFound):
            theater.actor("nobody")


def test_its_folder_ends_with_it_unless_it_was_given(tmp_path: Path) -> None:
    with Harness() as theater:
        made = theater.runtime.config.data_dir.value
    assert not Path(made).exists()

    with Harness(data_dir=tmp_path / "kept"):
        pass
    assert (tmp_path / "kept" / "events.db").exists()
