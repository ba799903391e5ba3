"""``export``, ``import``, ``gc``, ``backup``, ``config``, ``version``; with a server, see ``test_served``."""

import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Theater
from tests.cli.test_hostile import EVIL, looked_at
from theater.store import DataDir


def test_export_writes_a_bundle_or_the_lines(theater: Theater, place: Path, counter: str) -> None:
    bundle = theater("export", counter, "-o", "c.theater")
    lines = theater("export", "counter", "--output", "c.jsonl", "--json")

    assert (bundle.code, lines.code) == (0, 0)
    with zipfile.ZipFile(place / "c.theater") as archive:
        assert {"bundle.json", "chain.jsonl", "manifest.toml"} < set(archive.namelist())
        assert archive.read("chain.jsonl") == (place / "c.jsonl").read_bytes()
    assert set(lines.table) == {"id", "file", "events", "head"}
    assert (lines.table["id"], lines.table["events"]) == (counter, 8)


def test_export_does_not_overwrite_unless_it_is_forced(theater: Theater, place: Path, counter: str) -> None:
    (place / "c.theater").write_text("mine")

    refused = theater("export", counter, "-o", "c.theater")

    assert refused.code == 1
    assert "--force" in refused.err
    assert (place / "c.theater").read_text() == "mine"
    assert theater("export", counter, "-o", "c.theater", "--force").code == 0
    assert zipfile.is_zipfile(place / "c.theater")


def test_an_export_that_fails_leaves_nothing(
    theater: Theater, place: Path, counter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_event: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("theater.cli.keep.encode_line", fail)
    before = set(place.iterdir())

    done = theater("export", counter, "-o", "c.jsonl")

    assert done.code == 1
    assert "No space left" in done.err
    assert set(place.iterdir()) == before


def test_import_brings_an_actor_to_another_node_stopped(theater: Theater, counter: str) -> None:
    theater("export", counter, "-o", "c.theater")

    done = theater("--data-dir", "other", "import", "c.theater", "--json")

    assert done.code == 0
    assert set(done.table) == {"id", "name", "events", "head"}
    (there,) = theater("--data-dir", "other", "list", "--json").rows
    (here,) = theater("list", "--json").rows
    assert there == here | {"status": "stopped"}
    assert theater("--data-dir", "other", "state", "counter").out == '{"count":5}\n'
    assert theater("--data-dir", "other", "export", "counter", "-o", "again.theater").code == 0
    assert Path("again.theater").read_bytes() == Path("c.theater").read_bytes()


@pytest.mark.slow
def test_an_imported_actor_can_be_gone_on_with(theater: Theater, counter: str) -> None:
    theater("export", counter, "-o", "c.theater")
    theater("--data-dir", "other", "import", "c.theater")

    done = theater("--data-dir", "other", "run", "--id", counter, "--request", '{"by":1}')

    assert done.out.splitlines()[0] == '{"count":6}'
    assert theater("--data-dir", "other", "verify", counter).code == 0


def test_import_refuses_an_actor_that_is_here(theater: Theater, counter: str) -> None:
    theater("export", counter, "-o", "c.theater")

    done = theater("import", "c.theater")

    assert done.code == 1
    assert "is here already" in done.err


def test_import_refuses_what_is_no_bundle(theater: Theater, place: Path) -> None:
    (place / "bad.theater").write_bytes(b"PK\x03\x04 not really")

    done = theater("--data-dir", "other", "import", "bad.theater", "--json")

    assert done.code == 1
    error = done.table["error"]
    assert isinstance(error, dict)
    assert error["code"] == "bad-bundle"
    assert theater("--data-dir", "other", "list", "--json").document == []


def test_import_needs_the_lock(theater: Theater, place: Path, counter: str) -> None:
    theater("export", counter, "-o", "c.theater")
    data_dir = DataDir(place / "data")
    data_dir.hold("somebody")
    try:
        done = theater("import", "c.theater", "--json")
    finally:
        data_dir.release()

    assert done.code == 1
    assert "somebody" in done.err


def test_gc_counts_what_it_removes_and_leaves_what_is_of_use(theater: Theater, counter: str) -> None:
    plain = theater("gc")
    document = theater("gc", "--json")

    assert (plain.code, document.code) == (0, 0)
    assert [line.split()[0] for line in plain.out.splitlines()] == ["components", "payloads", "cached", "bytes"]
    assert set(document.table) == {"components", "payloads", "cached", "bytes"}
    assert theater("run", "--id", counter, "--request", '{"by":1}').out.startswith('{"count":6}\n')


def test_gc_needs_the_lock(theater: Theater, place: Path) -> None:
    theater("run", "counter.wasm")
    data_dir = DataDir(place / "data")
    data_dir.hold("somebody")
    try:
        done = theater("gc")
    finally:
        data_dir.release()

    assert done.code == 1
    assert "somebody" in done.err


def test_a_backup_is_a_data_directory(theater: Theater, place: Path, counter: str) -> None:
    plain = theater("backup", "copy")
    document = theater("backup", "more", "--json")
    again = theater("backup", "copy")

    assert (plain.code, document.code, again.code) == (0, 0, 1)
    assert plain.out.startswith("copy: 8 events, 1 components, ")
    assert set(document.table) == {"folder", "events", "components", "bytes"}
    assert theater("--data-dir", "copy", "state", counter).out == '{"count":5}\n'
    (there,) = theater("--data-dir", "copy", "list", "--json").rows
    (here,) = theater("list", "--json").rows
    assert there == here
    assert (place / "more").is_dir()


def test_a_backup_of_a_server_elsewhere_is_refused(theater: Theater, place: Path, counter: str) -> None:
    done = theater("--server", "http://127.0.0.1:1", "backup", "copy")

    assert done.code == 1
    assert "on its machine" in done.err
    assert not (place / "copy").exists()
    assert counter


@pytest.mark.parametrize(
    "arguments",
    [
        ("gc", EVIL),
        ("backup", f"{EVIL}/x"),
        ("backup", EVIL),
        ("rm", EVIL, "--yes"),
        ("rm", EVIL),
        ("rm", "\udcff", "--yes"),
        ("--data-dir", EVIL, "gc"),
        ("--data-dir", EVIL, "backup", "copy"),
        ("export", EVIL, "-o", "x.theater"),
        ("--server", EVIL, "gc"),
    ],
)
def test_hostile_arguments_are_named_safely(theater: Theater, counter: str, arguments: tuple[str, ...]) -> None:
    assert counter
    looked_at(theater(*arguments))
    looked_at(theater("--json", *arguments))


@pytest.mark.slow
def test_rm_without_a_server_removes_from_the_store(theater: Theater, counter: str) -> None:
    living = theater("rm", counter, "--yes")
    theater("run", "trap-init.wasm")

    done = theater("rm", "trap-init", "--yes", "--json")

    assert living.code == 1
    assert "stop it first" in living.err
    assert done.code == 0
    assert isinstance(done.table["removed"], list)
    assert [row["name"] for row in theater("list", "--json").rows] == ["counter"]
    assert theater("rm", "trap-init", "--yes").code == 5


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--data-dir", "nowhere", "gc"), 5),
        (("--data-dir", "nowhere", "backup", "copy"), 5),
        (("--data-dir", "nowhere", "rm", "x", "--yes"), 5),
        (("--server", "http://127.0.0.1:1", "gc"), 4),
        (("--server", "http://127.0.0.1:1", "rm", "x", "--yes"), 4),
        (("--server", "http://127.0.0.1:1", "run", "counter.wasm"), 4),
        (("--server", "http://127.0.0.1:1", "export", "counter", "-o", "x.theater"), 4),
        (("backup",), 2),
        (("export", "counter"), 2),
        (("export", "nobody", "-o", "x.theater"), 5),
        (("export", "counter", "-o", "no/such/folder/x.theater"), 1),
        (("import",), 2),
        (("import", "nowhere.theater"), 5),
        (("config", "extra"), 2),
        (("version", "extra"), 2),
    ],
)
@pytest.mark.usefixtures("counter")
def test_exit_codes(theater: Theater, arguments: tuple[str, ...], code: int) -> None:
    done = theater(*arguments, "--json")

    assert done.code == code
    assert set(done.table) == {"error"}


def test_config_says_where_each_value_came_from(theater: Theater, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = place / "config" / "theater" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'data-dir = "{place}/filed"\ndurability = "power"\n[ceiling.environment]\nallow = ["LANG"]\n')

    origins = []
    for arguments in (("--data-dir", "given"), ()):
        settings = theater(*arguments, "config", "--json").table["settings"]
        assert isinstance(settings, dict)
        origins.append(settings["data-dir"]["origin"])
    monkeypatch.delenv("THEATER_DATA_DIR")
    document = theater("config", "--json").table
    settings, ceiling = document["settings"], document["ceiling"]
    assert isinstance(settings, dict)
    assert isinstance(ceiling, dict)

    assert origins == ["argument", "environment"]
    assert settings["data-dir"] == {"value": f"{place}/filed", "origin": "file"}
    assert settings["durability"] == {"value": "power", "origin": "file"}
    assert ceiling["origin"] == "file"
    assert ceiling["grants"]["environment"] == {"allow": ["LANG"]}
    plain = theater("config").out
    assert "[ceiling.environment]" in plain
    assert 'allow = ["LANG"]' in plain


def test_config_with_an_unknown_key_is_refused(theater: Theater, place: Path) -> None:
    file = place / "config" / "theater" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('durabilty = "power"\n')

    done = theater("config")

    assert done.code == 1
    assert "did you mean 'durability'?" in done.err


def test_version_names_the_parts(theater: Theater, monkeypatch: pytest.MonkeyPatch) -> None:
    document = theater("version", "--json").table

    assert set(document) == {"theater", "engine", "python", "platform", "supported"}
    assert document["supported"] is True
    assert "wasmtime" in theater("version").out
    for module in ("main", "version"):
        monkeypatch.setattr(f"theater.cli.{module}.is_supported_platform", lambda: False)
    untested = theater("version")
    assert "(not tested)" in untested.out
    assert untested.err.count("\n") == 1
