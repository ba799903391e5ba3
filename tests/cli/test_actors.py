"""``start``, ``stop``, ``restart``, ``pause``, ``resume``, ``upgrade``, ``rm``, as they ask a server."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Result, Theater
from tests.cli.fake_client import FakeClient, row
from tests.cli.test_hostile import EVIL, looked_at
from tests.guests import wat
from theater.errors import Crashed, Denied, NameTaken, NotFound, NotStopped, Refused
from theater.runtime.allowances import Allowance, take_allowance
from theater.store import DataDir

MANIFEST = 'name = "counter"\ncomponent = "counter.wasm"\nparams = { start = 3 }\n'
ASKING = MANIFEST + '[capabilities.environment]\nallow = ["LANG"]\n'
BEYOND = ["[capabilities.environment]", 'allow = ["LANG"]']


def row_of(done: Result) -> dict[str, object]:
    assert set(done.table) == {"id", "name", "status", "parent", "seq", "head"}
    return done.table


# -- start -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_start_sends_the_component_and_prints_the_grants_and_the_id(
    theater: Theater, place: Path, client: FakeClient
) -> None:
    (place / "theater.toml").write_text(MANIFEST)
    client.grants = {"runtime": {"log": "64KiB"}}

    done = theater("start", "theater.toml")

    assert (done.code, done.out) == (0, f"id {'a' * 32}\n")
    assert done.err == 'grant  runtime  log = "64KiB"\n'
    data = (place / "counter.wasm").read_bytes()
    assert client.blobs == {hashlib.sha256(data).hexdigest(): data}
    (order,) = client.orders
    assert (order.manifest, order.component) == (MANIFEST, hashlib.sha256(data).hexdigest())
    assert (order.name, order.rename, order.allowance) == (None, True, None)


def test_start_sends_no_component_that_the_server_has(theater: Theater, place: Path, client: FakeClient) -> None:
    data = (place / "counter.wasm").read_bytes()
    client.blobs[hashlib.sha256(data).hexdigest()] = data

    assert theater("start", "counter.wasm").code == 0
    assert "put_blob" not in [verb for verb, *_ in client.asked]


@pytest.mark.slow
def test_start_assembles_a_text(theater: Theater, place: Path, client: FakeClient) -> None:
    (place / "own.wat").write_text(wat.COUNTER)

    assert theater("start", "own.wat").code == 0
    assert next(iter(client.blobs.values())).startswith(b"\0asm")


def test_start_sends_params_settings_and_arguments(theater: Theater, place: Path, client: FakeClient) -> None:
    (place / "theater.toml").write_text(MANIFEST.replace("3", '"${FROM}"'))

    done = theater("start", ".", "--params", '{"start": 1e2}', "--set", "FROM=4", "--name", "other", "--", "a", "--b")

    assert done.code == 0
    (order,) = client.orders
    assert bytes(order.params) == b'{"start": 1e2}'  # type: ignore[arg-type]  # set
    assert (order.settings, order.arguments) == ({"FROM": 4}, ["a", "--b"])
    assert (order.name, order.rename) == ("other", False)


def test_start_with_id_only_prints_nothing_else(theater: Theater, client: FakeClient) -> None:
    client.grants = {"runtime": {}}
    client.rows["counter"] = row("counter-2")

    done = theater("start", "counter.wasm", "--id-only")

    assert done.out == "a" * 32 + "\n"
    assert done.err == "grant  runtime\nit is called 'counter-2': a living actor is called 'counter' already\n"


def test_start_json_is_a_row(theater: Theater, client: FakeClient) -> None:
    done = theater("start", "counter.wasm", "--json")

    assert row_of(done)["id"] == "a" * 32
    assert client.orders


def test_start_says_what_to_do_where_the_name_is_taken(theater: Theater, client: FakeClient) -> None:
    client.errors["start"] = [NameTaken("a living actor is called 'x' already; choose another name")]

    done = theater("start", "counter.wasm", "--name", "x")

    assert done.code == 1
    assert "without --name it would be numbered" in done.err


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (Refused("not today", actor="a" * 32), "refused: not today\n"),
        (Crashed("the step crashed: trap", actor="a" * 32), "crashed: trap\n"),
    ],
)
def test_an_init_that_fails_exits_1_and_shows_the_id(
    theater: Theater, client: FakeClient, failure: Refused | Crashed, said: str
) -> None:
    client.rows["a" * 32] = row(status="crashed")
    client.errors["start"] = [failure, failure]

    plain = theater("start", "counter.wasm")
    document = theater("start", "counter.wasm", "--json")

    assert (plain.code, plain.out, plain.err) == (1, f"id {'a' * 32}\n", said)
    assert document.code == 1
    assert document.table["id"] == "a" * 32
    assert document.table["error"] == {"code": failure.code, "message": failure.message}


def test_start_with_subscribe_follows_from_the_first_event(theater: Theater, client: FakeClient) -> None:
    done = theater("start", "counter.wasm", "--subscribe")

    assert done.code == 0
    assert client.asked[-1] == ("follow", "a" * 32, 0)


def test_what_goes_beyond_the_ceiling_is_allowed_by_a_file_of_the_owner(
    theater: Theater, place: Path, client: FakeClient, own: DataDir
) -> None:
    (place / "theater.toml").write_text(ASKING)

    assert theater("start", ".", "--allow", "environment=LANG").code == 0

    (order,) = client.orders
    assert order.allowance is not None
    assert take_allowance(own, order.allowance, manifest=ASKING).allowed == ("environment=LANG",)


@pytest.mark.parametrize("more", [(), ("--allow", "filesystem=write:out")])
def test_a_server_of_ones_own_hears_in_which_folder_a_manifest_with_paths_lies(
    theater: Theater, place: Path, client: FakeClient, own: DataDir, more: tuple[str, ...]
) -> None:
    (place / "theater.toml").write_text(MANIFEST + '[capabilities.filesystem]\nread = ["data"]\n')

    assert theater("start", ".", *more).code == 0

    (order,) = client.orders
    assert order.allowance is not None
    found = take_allowance(own, order.allowance, manifest=order.manifest)
    assert found == Allowance(more[1:], str(place.resolve()))


def test_a_server_hears_of_no_folder_where_there_is_no_path(
    theater: Theater, place: Path, client: FakeClient, own: DataDir
) -> None:
    (place / "theater.toml").write_text(MANIFEST + "[capabilities.timing]\n")

    assert theater("start", ".").code == 0

    assert client.orders[0].allowance is None
    assert not own.allowances.exists()


def test_a_server_elsewhere_hears_of_no_folder(theater: Theater, place: Path, client: FakeClient) -> None:
    (place / "theater.toml").write_text(MANIFEST + '[capabilities.filesystem]\nread = ["data"]\n')

    assert theater("start", ".").code == 0

    assert client.orders[0].allowance is None


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 1)])
@pytest.mark.usefixtures("own")
def test_the_owner_is_asked_once_on_a_terminal(
    theater: Theater, place: Path, client: FakeClient, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    (place / "theater.toml").write_text(ASKING)
    monkeypatch.setattr("theater.cli.output.Output.is_interactive", property(lambda _: True))
    client.errors["start"] = [Denied("the manifest asks for more", asked=BEYOND)]

    done = theater("start", ".", stdin=answer.encode())

    assert done.code == code
    assert done.err.count("[y/N]") == 1
    assert 'allow = ["LANG"]' in done.err
    assert [order.allowance is not None for order in client.orders] == ([False, True] if code == 0 else [False])


@pytest.mark.usefixtures("own")
def test_in_a_pipe_the_owner_is_told_the_lines_and_the_flag(theater: Theater, place: Path, client: FakeClient) -> None:
    (place / "theater.toml").write_text(ASKING)
    client.errors["start"] = [Denied("too much\nallow it once with --allow environment", asked=BEYOND)]

    done = theater("start", ".", "--json")

    assert done.code == 1
    assert "--allow environment" in done.err


def test_whoever_does_not_own_the_servers_data_directory_allows_nothing(
    theater: Theater, place: Path, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "theater.toml").write_text(ASKING)
    monkeypatch.setattr("theater.cli.output.Output.is_interactive", property(lambda _: True))
    client.errors["start"] = [Denied("the manifest asks for more", asked=BEYOND)]

    flagged = theater("start", ".", "--allow", "environment")
    asked = theater("start", ".")

    assert (flagged.code, asked.code) == (1, 1)
    assert "--allow is for the owner of the server's data directory" in flagged.err
    assert len(client.orders) == 1
    assert "[y/N]" not in asked.err
    for text in (*BEYOND, "config.toml"):
        assert text in asked.err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("counter.wasm", "--id-only", "--json"),
        ("counter.wasm", "--id-only", "--subscribe"),
        ("counter.wasm", "--name", "Not A Name"),
        ("counter.wasm", "--params", "{"),
        ("counter.wasm", "--set", "novalue"),
        ("counter.wasm", "--allow", "=x"),
    ],
)
def test_start_exits_2_before_anything_is_asked(
    theater: Theater, client: FakeClient, arguments: tuple[str, ...]
) -> None:
    assert theater("start", *arguments).code == 2
    assert client.asked == []


def test_start_of_what_is_not_there_exits_5(theater: Theater, client: FakeClient) -> None:
    assert theater("start", "nowhere.toml").code == 5
    assert client.orders == []


# -- stop, restart, pause, resume ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "asked", "status"),
    [
        (("stop", "counter"), ("stop", "counter", False), "stopped"),
        (("stop", "counter", "--now"), ("stop", "counter", True), "stopped"),
        (("restart", "counter"), ("restart", "counter", False), "running"),
        (("restart", "counter", "--from-init"), ("restart", "counter", True), "running"),
        (("pause", "counter"), ("pause", "counter"), "paused"),
        (("resume", "counter"), ("resume", "counter"), "running"),
    ],
)
def test_each_says_what_it_came_to(
    theater: Theater, client: FakeClient, arguments: tuple[str, ...], asked: tuple[object, ...], status: str
) -> None:
    plain = theater(*arguments)
    document = theater(*arguments, "--json")

    assert client.asked == [asked, asked]
    assert (plain.code, plain.out, plain.err) == (0, f"{'a' * 32}  counter  {status}\n", "")
    assert row_of(document)["status"] == status


def test_several_at_once_are_an_array_and_one_that_fails_stops_no_other(theater: Theater, client: FakeClient) -> None:
    client.errors["stop"] = [NotFound("no actor 'nobody'")]
    plain = theater("stop", "nobody", "counter", "other")
    client.errors["stop"] = [NotFound("no actor 'nobody'")]
    document = theater("stop", "nobody", "counter", "other", "--json")

    assert (plain.code, document.code) == (5, 5)
    assert [line.split()[1] for line in plain.out.splitlines()] == ["counter", "other"]
    assert plain.err == "error: no actor 'nobody'\n"
    assert document.rows[0] == {"error": {"code": "not-found", "message": "no actor 'nobody'"}}
    assert [item["name"] for item in document.rows[1:]] == ["counter", "other"]


def test_one_that_fails_is_an_error_like_any_other(theater: Theater, client: FakeClient) -> None:
    client.errors["pause"] = [NotFound("no actor 'nobody'")]

    done = theater("pause", "nobody", "--json")

    assert done.code == 5
    assert done.table == {"error": {"code": "not-found", "message": "no actor 'nobody'"}}


def test_a_restart_beyond_the_ceiling_says_what_can_be_done(theater: Theater, client: FakeClient) -> None:
    client.errors["restart"] = [Denied("allow it once with --allow environment", asked=BEYOND)]

    done = theater("restart", "counter")
    flagged = theater("restart", "counter", "--allow", "environment")

    assert (done.code, flagged.code) == (1, 1)
    for text in (*BEYOND, "config.toml", "--allow"):
        assert text in done.err
    assert "--allow is for the owner of the server's data directory" in flagged.err
    assert client.allowances == [None]


def test_what_a_restart_is_allowed_is_allowed_by_a_file_of_the_owner(
    theater: Theater, client: FakeClient, own: DataDir
) -> None:
    client.manifest = ASKING

    assert theater("restart", "counter", "--allow", "environment=LANG").code == 0

    (allowance,) = client.allowances
    assert allowance is not None
    assert take_allowance(own, allowance, manifest=ASKING).allowed == ("environment=LANG",)


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
@pytest.mark.usefixtures("own")
def test_the_owner_is_asked_about_a_restart_on_a_terminal(
    theater: Theater, client: FakeClient, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("theater.cli.output.Output.is_interactive", property(lambda _: True))
    client.errors["restart"] = [Denied("the manifest asks for more", asked=BEYOND)]

    done = theater("restart", "counter", stdin=answer.encode())

    assert done.code == code
    assert done.err.count("[y/N]") == 1
    assert [allowance is not None for allowance in client.allowances] == ([False, True] if code == 0 else [False])


@pytest.mark.usefixtures("own")
def test_nothing_is_allowed_to_one_whose_manifest_nobody_knows(theater: Theater, client: FakeClient) -> None:
    client.manifest = None

    done = theater("restart", "counter", "--allow", "environment")

    assert done.code == 1
    assert "withheld" in done.err
    assert client.allowances == []


# -- upgrade ---------------------------------------------------------------------------------------------------------


def test_upgrade_takes_a_file_a_project_a_manifest_and_a_digest(
    theater: Theater, place: Path, client: FakeClient
) -> None:
    (place / "theater.toml").write_text(MANIFEST)
    digest = hashlib.sha256((place / "counter.wasm").read_bytes()).hexdigest()

    for named in ("counter.wasm", ".", "theater.toml", f"sha256:{digest}"):
        done = theater("upgrade", "counter", named)
        assert done.code == 0
        assert done.out.endswith(f"  sha256:{digest}\n")

    assert [one for one in client.asked if one[0] == "upgrade"] == [("upgrade", "counter", digest)] * 4
    assert len([one for one in client.asked if one[0] == "put_blob"]) == 1
    assert theater("upgrade", "counter", ".", "--json").table["component"] == digest


@pytest.mark.parametrize(("named", "code"), [("nowhere.wasm", 5), ("sha256:zz", 1), ("theater.toml", 5)])
def test_upgrade_to_what_is_no_component_asks_for_nothing(
    theater: Theater, client: FakeClient, named: str, code: int
) -> None:
    assert theater("upgrade", "counter", named).code == code
    assert client.asked == []


# -- rm --------------------------------------------------------------------------------------------------------------


def test_rm_needs_a_word_where_nobody_can_be_asked(theater: Theater, client: FakeClient) -> None:
    refused = theater("rm", "counter")
    done = theater("rm", "counter", "--yes", "--tree")

    assert refused.code == 2
    assert "--yes" in refused.err
    assert (done.code, done.out) == (0, f"removed {'a' * 32}\n")
    assert client.asked == [("remove", "counter", True)]


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_rm_asks_a_person_and_names_the_actors(
    theater: Theater, client: FakeClient, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("theater.cli.output.Output.is_interactive", property(lambda _: True))

    done = theater("rm", "counter", "other", stdin=answer.encode())

    assert done.code == code
    assert done.err.count("[y/N]") == 1
    assert f"{'a' * 32}  counter  running" in done.err
    assert [one for one in client.asked if one[0] == "remove"] == (
        [("remove", "counter", False), ("remove", "other", False)] if code == 0 else []
    )


def test_rm_json_is_what_was_removed(theater: Theater, client: FakeClient) -> None:
    client.errors["remove"] = [NotStopped("it runs")]
    failed = theater("rm", "counter", "other", "--yes", "--json")
    done = theater("rm", "counter", "--yes", "--json")

    assert (failed.code, done.code) == (1, 0)
    assert failed.rows == [{"error": {"code": "not-stopped", "message": "it runs"}}, {"removed": ["a" * 32]}]
    assert done.table == {"removed": ["a" * 32]}


# -- hostile texts ---------------------------------------------------------------------------------------------------

COMMANDS = [
    ("start", "counter.wasm"),
    ("start", "counter.wasm", "--id-only"),
    ("stop", "counter"),
    ("stop", "counter", EVIL),
    ("restart", "counter"),
    ("pause", "counter"),
    ("resume", "counter"),
    ("upgrade", "counter", "counter.wasm"),
    ("upgrade", "counter", f"sha256:{EVIL}"),
    ("upgrade", "counter", EVIL),
    ("fork", "counter", "--at", "4"),
    ("fork", "counter", "--at", "4", "--component", EVIL),
    ("fork", EVIL, "--at", "4", "--name", EVIL),
    ("rm", "counter", "--yes"),
    ("start", f"{EVIL}.wasm"),
]


@pytest.mark.parametrize("arguments", COMMANDS)
@pytest.mark.slow
def test_what_a_server_says_is_shown_safely(theater: Theater, client: FakeClient, arguments: tuple[str, ...]) -> None:
    client.rows["counter"] = row(EVIL)
    client.grants = {EVIL: {EVIL: [EVIL]}}
    looked_at(theater(*arguments))
    if "--id-only" not in arguments:
        looked_at(theater(*arguments, "--json"))
    for verb in ("start", "stop", "restart", "pause", "resume", "upgrade", "fork", "remove"):
        client.errors[verb] = [NotFound(EVIL), Refused(EVIL, actor=EVIL), NameTaken(EVIL), Denied(EVIL, asked=[EVIL])]
    for _ in range(4):
        done = looked_at(theater(*arguments))
        assert not any(line.startswith("id 0") for line in done.err.splitlines())


def test_documents_of_hostile_texts_stay_json(theater: Theater, client: FakeClient) -> None:
    client.rows["counter"] = row(EVIL)

    assert json.loads(theater("stop", "counter", "--json").out)["name"] == EVIL
