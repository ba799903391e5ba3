"""``export``, ``import``, ``config``, ``version``."""

import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Theater
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


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
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
    assert settings == {
        "data-dir": {"value": f"{place}/filed", "origin": "file"},
        "durability": {"value": "power", "origin": "file"},
    }
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
    for module in ("main", "keep"):
        monkeypatch.setattr(f"theater.cli.{module}.is_supported_platform", lambda: False)
    untested = theater("version")
    assert "(not tested)" in untested.out
    assert untested.err.count("\n") == 1
