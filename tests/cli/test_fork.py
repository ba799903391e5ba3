"""``theater fork``: on the store itself, as a server is asked, and through one."""

import hashlib
from pathlib import Path

import pytest

from tests.cli.conftest import Result, Theater
from tests.cli.fake_client import FakeClient
from tests.guests import puppet
from tests.guests.puppet import VERSION, puppet_manifest, puppet_wat
from tests.server.process import RunningServer
from theater.errors import Crashed, Denied, NameTaken
from theater.model.wire import ForkOrder
from theater.runtime.allowances import take_allowance
from theater.store import DataDir

ASKING = 'name = "counter"\ncomponent = "counter.wasm"\n[capabilities.environment]\nallow = ["LANG"]\n'
BEYOND = ["[capabilities.environment]", 'allow = ["LANG"]']
MODEST = {"messaging": "", "supervisor": "", "timing": ""}


def state(theater: Theater, name: str) -> str:
    return theater("state", name).out.strip()


def puppets(place: Path) -> None:
    """A puppet's manifest, and components of later versions: one that keeps the state, and two that migrate it."""
    (place / "puppet.wat").write_text(puppet_wat())
    (place / "kept.wat").write_text(puppet_wat(version="2"))
    (place / "ok.wat").write_text(puppet_wat(version="3", migrate="ok"))
    (place / "refuse.wat").write_text(puppet_wat(version="4", migrate="refuse"))
    (place / "trap.wat").write_text(puppet_wat(version="5", migrate="trap"))
    manifest = puppet_manifest("0" * 64, "anna", capabilities=MODEST)
    (place / "puppet.toml").write_text(manifest.replace(f"sha256:{'0' * 64}", "puppet.wat"))


# -- on the store itself ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_fork_of_a_stored_actor_goes_on_from_the_state_before_the_event(theater: Theater, counter: str) -> None:
    first = theater("fork", counter, "--at", "6")
    second = theater("fork", "counter", "--at", "8", "--json")
    third = theater("fork", "counter", "--at", "4", "--name", "mine", "--json")

    assert (first.code, second.code, third.code) == (0, 0, 0)
    id, name, status = first.out.split()
    assert (len(id), name, status) == (32, "counter-fork", "running")
    assert first.err.startswith("grant  runtime")
    assert set(second.table) == {"id", "name", "status", "parent", "seq", "head"}
    assert (second.table["name"], second.table["seq"], third.table["name"]) == ("counter-fork-2", 1, "mine")
    states = [state(theater, name) for name in ("counter", "counter-fork", "counter-fork-2", "mine")]
    assert states == ['{"count":5}', '{"count":2}', '{"count":5}', '{"count":0}']
    assert theater("run", "--id", "counter-fork", "--request", '{"by":1}').out.startswith('{"count":3}\n')
    assert theater("verify", "counter-fork").code == 0
    assert f'"actor":"{counter}","seq":5' in theater("events", "counter-fork", "--full", "--json").out.replace(
        " ", ""
    ).replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("counter",), 2),
        (("counter", "--at", "0"), 2),
        (("counter", "--at", "-1"), 2),
        (("counter", "--at", "x"), 2),
        (("counter", "--at", str(2**60)), 2),
        (("counter", "--at", "4", "--name", "No Name"), 2),
        (("counter", "--at", "4", "--allow", "=x"), 2),
        (("counter", "--at", "3"), 1),
        (("counter", "--at", "4", "--component", "command.wasm"), 1),
        (("counter", "--at", "4", "--component", "sha256:zz"), 1),
        (("counter", "--at", "4", "--component", f"sha256:{'0' * 64}"), 5),
        (("counter", "--at", "4", "--component", "nowhere.wasm"), 5),
        (("counter", "--at", "9"), 5),
        (("nobody", "--at", "4"), 5),
    ],
)
@pytest.mark.usefixtures("counter")
def test_what_cannot_be_forked_makes_nothing(theater: Theater, arguments: tuple[str, ...], code: int) -> None:
    assert theater("fork", *arguments).code == code
    assert len(theater("list", "--json").rows) == 1


@pytest.mark.parametrize(
    ("arguments", "code"), [(("--data-dir", "nowhere"), 5), (("--server", "http://127.0.0.1:1"), 4)]
)
def test_where_there_is_no_store_or_no_server_there_is_nothing_to_fork(
    theater: Theater, place: Path, arguments: tuple[str, ...], code: int
) -> None:
    assert theater(*arguments, "fork", "counter", "--at", "4").code == code
    assert not (place / "nowhere").exists()


def test_a_name_that_is_given_and_taken_is_refused(theater: Theater, counter: str) -> None:
    done = theater("fork", counter, "--at", "4", "--name", "counter")

    assert done.code == 1
    assert "'counter'" in done.err


def test_what_was_removed_cannot_be_forked(theater: Theater) -> None:
    theater("run", "trap-init.wasm")
    id = str(theater("list", "--json").rows[0]["id"])
    theater("rm", id, "--yes")

    done = theater("fork", id, "--at", "2")

    assert done.code == 5
    assert "erased" in done.err


@pytest.mark.slow
def test_what_goes_beyond_the_ceiling_is_allowed_again(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text(ASKING)
    theater("run", ".", "--allow", "environment")

    denied = theater("fork", "counter", "--at", "4")
    allowed = theater("fork", "counter", "--at", "4", "--allow", "environment=LANG")

    assert (denied.code, allowed.code) == (1, 0)
    for text in (*BEYOND, "--allow environment"):
        assert text in denied.err
    assert 'grant  environment  allow = ["LANG"]' in allowed.err
    assert theater("verify", "counter-fork").code == 0


@pytest.mark.slow
def test_another_component_goes_on_with_the_state(theater: Theater, place: Path) -> None:
    puppets(place)
    assert theater("run", "puppet.toml", "--request", f'"{puppet.count()}"').code == 0

    def forked(component: str) -> Result:
        return theater("fork", "anna", "--at", "6", "--name", component, "--component", f"{component}.wat")

    kept, ok, refused, trapped = (forked(component) for component in ("kept", "ok", "refuse", "trap"))

    assert [done.code for done in (kept, ok, refused, trapped)] == [0, 0, 1, 1]
    assert "the new one refused: " in refused.err
    assert "crashed: " in trapped.err
    assert refused.out.split()[1:] == ["refuse", "running"]
    versions = [
        theater("run", "--id", name, "--request", f'"{puppet.reply(VERSION)}"').out.splitlines()[0]
        for name in ("kept", "ok", "refuse", "trap")
    ]
    assert versions == ['"2"', '"3"', '"1"', '"1"']
    assert [state(theater, name) for name in ("kept", "ok", "refuse")] == ["1", '"migrated:1"', "1"]
    assert all(theater("verify", name).code == 0 for name in ("kept", "ok", "refuse", "trap"))


# -- as a server is asked --------------------------------------------------------------------------------------------


def test_a_server_is_sent_the_component_and_asked(theater: Theater, place: Path, client: FakeClient) -> None:
    digest = hashlib.sha256((place / "echo.wasm").read_bytes()).hexdigest()

    plain = theater("fork", "counter", "--at", "6")
    named = theater("fork", "counter", "--at", "6", "--name", "mine", "--component", "echo.wasm", "--json")

    assert (plain.code, plain.out) == (0, f"{'a' * 32}  counter  running\n")
    assert (named.code, named.table["id"]) == (0, "a" * 32)
    assert client.forks == [
        ForkOrder(at=6, rename=True),
        ForkOrder(at=6, name="mine", component=digest),
    ]
    assert digest in client.blobs


def test_what_a_server_denies_is_allowed_by_a_file_of_the_owner(
    theater: Theater, client: FakeClient, own: DataDir
) -> None:
    client.manifest = ASKING

    assert theater("fork", "counter", "--at", "6", "--allow", "environment").code == 0

    (order,) = client.forks
    assert order.allowance is not None
    assert take_allowance(own, order.allowance, manifest=ASKING).allowed == ("environment",)


def test_elsewhere_the_lines_are_shown_and_nothing_is_allowed(theater: Theater, client: FakeClient) -> None:
    client.errors["fork"] = [Denied("too much", asked=BEYOND)]

    denied = theater("fork", "counter", "--at", "6")
    flagged = theater("fork", "counter", "--at", "6", "--allow", "environment")

    assert (denied.code, flagged.code) == (1, 1)
    for text in (*BEYOND, "config.toml"):
        assert text in denied.err
    assert "owner of the server's data directory" in flagged.err
    assert len(client.forks) == 1


def test_a_state_that_was_not_taken_over_leaves_a_fork_to_look_at(theater: Theater, client: FakeClient) -> None:
    client.errors["fork"] = [Crashed("the step crashed: trap", actor="counter")] * 2

    plain = theater("fork", "counter", "--at", "6")
    document = theater("fork", "counter", "--at", "6", "--json")

    assert (plain.code, document.code) == (1, 1)
    assert plain.out == f"{'a' * 32}  counter  running\n"
    assert "it goes on with the component of the other: crashed: trap" in plain.err
    assert document.table["error"] == {"code": "crashed", "message": "the step crashed: trap"}


def test_what_a_server_refuses_is_an_error_like_any_other(theater: Theater, client: FakeClient) -> None:
    client.errors["fork"] = [NameTaken("a living actor is called 'mine' already")]

    done = theater("fork", "counter", "--at", "6", "--name", "mine", "--json")

    assert done.code == 1
    assert done.table == {"error": {"code": "name-taken", "message": "a living actor is called 'mine' already"}}


# -- through a server ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_fork_on_a_server_lives_there(theater: Theater, place: Path) -> None:
    puppets(place)
    with RunningServer(place):
        theater("start", "counter.wasm")
        theater("request", "counter", '{"by":2}')
        theater("start", "puppet.toml")

        done = theater("fork", "counter", "--at", "6")
        migrated = theater("fork", "anna", "--at", "4", "--component", "ok.wat", "--json")
        late = theater("fork", "counter", "--at", "60")

        assert (done.code, migrated.code, late.code) == (0, 0, 5)
        assert theater("request", "counter-fork", '{"by":2}').out == '{"count":4}\n'
        assert state(theater, "anna-fork") == '"migrated:0"'
        assert theater("verify", "anna-fork").code == 0
        assert theater("export", "counter-fork", "-o", "f.theater").code == 0
    assert theater("--data-dir", "other", "import", "f.theater").code == 0
    assert theater("--data-dir", "other", "fork", "counter-fork", "--at", "2").code == 0
    assert state(theater, "counter-fork") == '{"count":4}'
