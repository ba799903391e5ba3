"""``grants suggest``."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Theater
from tests.cli.test_prove import rewrite
from theater.runtime.suggestion import Suggestion

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")


def test_the_manifest_is_printed_and_what_is_said_about_it_goes_to_stderr(theater: Theater, counter: str) -> None:
    done = theater("grants", "suggest", "counter")
    manifest = tomllib.loads(done.out)

    assert done.code == 0
    assert manifest["name"] == "counter"
    assert manifest["limits"]["state"] == "1KiB"
    assert done.err.splitlines()[-1].startswith("1 history, 3 steps: passes under this manifest (")
    assert counter


def test_what_is_printed_can_be_validated_and_started(theater: Theater, counter: str, place: Path) -> None:
    done = theater("grants", "suggest", counter, "-o", "least.toml")

    assert (done.code, done.out) == (0, "")
    assert "written into least.toml" in done.err
    assert theater("validate", "least.toml").code == 0
    assert theater("run", "least.toml", "--name", "again", "--request", '{"by":1}').out.splitlines()[0] == '{"count":1}'
    assert (place / "least.toml").read_text().startswith("# The least that 1 history, 3 steps, passed under.\n")


def test_a_file_that_is_there_is_not_replaced_unless_that_is_said(theater: Theater, counter: str, place: Path) -> None:
    (place / "least.toml").write_text("mine")

    refused = theater("grants", "suggest", counter, "-o", "least.toml")
    forced = theater("grants", "suggest", counter, "-o", "least.toml", "--force")

    assert (refused.code, forced.code) == (1, 0)
    assert "--force" in refused.err
    assert (place / "least.toml").read_text() != "mine"


def test_the_document_has_the_fields_of_the_reference(theater: Theater, counter: str) -> None:
    document = theater("grants", "suggest", counter, "--json").table
    described = REFERENCE.partition("### `theater grants suggest")[2].partition("\n### ")[0]

    assert tuple(document) == Suggestion.__struct_fields__
    assert all(f'"{name}"' in described for name in document)
    assert (document["proven"], document["histories"], document["steps"]) == (True, 1, 3)


@pytest.mark.slow
def test_chains_bundles_and_actors_are_asked_together(theater: Theater, counter: str, place: Path) -> None:
    theater("export", counter, "-o", "it.theater")
    theater("export", counter, "-o", "it.jsonl")

    component = place / "counter.wasm"
    every = theater("grants", "suggest", "it.theater", "it.jsonl", counter, "--chain-component", component)
    lacking = theater("grants", "suggest", "it.jsonl")

    assert every.code == 0
    assert "3 histories, 9 steps: all pass under this manifest" in every.err
    assert lacking.code == 1
    assert "--chain-component FILE" in lacking.err


@pytest.mark.slow
def test_a_history_that_does_not_replay_is_shown_as_a_divergence(theater: Theater, counter: str, place: Path) -> None:
    theater("export", counter, "-o", "it.jsonl")
    rewrite(place / "it.jsonl", 7, b'{\\"count\\":5}', b'{\\"count\\":6}')

    done = theater("grants", "suggest", "it.jsonl", "--chain-component", "counter.wasm")

    assert done.code == 3
    assert done.out.startswith("diverged: ")
    assert "nothing can be said of what it needs" in done.err


def test_histories_that_no_manifest_holds_end_with_3_and_without_a_manifest(theater: Theater, place: Path) -> None:
    for name, fuel in (("one", 20_000), ("other", 30_000)):
        text = f'name = "{name}"\ncomponent = "moody.wasm"\n[limits]\nfuel = {fuel}\n'
        (place / f"{name}.toml").write_text(text)
        theater("run", f"{name}.toml", "--request", '"loop"')

    done = theater("grants", "suggest", "one", "other")
    document = theater("grants", "suggest", "one", "other", "--json")

    assert (done.code, document.code) == (3, 3)
    assert done.out.startswith("diverged: ")
    assert "nothing is suggested" in done.err
    assert document.table["manifest"] is None
    assert document.table["failed"] == "one"


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["nobody"], 5, "nobody"),
        (["no/such/file"], 5, "there is no file no/such/file"),
        ([], 2, "Missing argument"),
        (["counter", "--margin", "0.5"], 2, "--margin"),
        (["counter", "--margin", "nan"], 2, "--margin"),
        (["counter", "-o", "."], 1, "is no file"),
        (["counter", "--max-memory", "1KiB"], 1, "nothing can be said"),
    ],
)
def test_what_cannot_be_done_is_said(theater: Theater, counter: str, arguments: list[str], code: int, why: str) -> None:
    done = theater("grants", "suggest", *arguments)

    assert (done.code, why in done.err) == (code, True), done.err
    assert counter


def test_a_new_component_asks_for_more_and_for_less(theater: Theater, place: Path) -> None:
    (place / "x.toml").write_text('name = "x"\ncomponent = "counter.wasm"\n[capabilities.store]\n')
    theater("run", "x.toml")

    done = theater("grants", "suggest", "x", "--component", "sleeper.wasm")
    same = theater("grants", "suggest", "x", "--component", "counter.wasm", "--json")
    stranger = theater("grants", "suggest", "x", "--component", "stranger.wasm")

    assert done.out.splitlines() == [
        "+ [capabilities.timing]  (imports theater:actor/timing#sleep)",
        "- [capabilities.store]  (imports nothing of it)",
    ]
    assert json.loads(same.out) == {"needed": {}, "unused": ["store"], "refused": []}
    assert stranger.out.splitlines()[-1].startswith("! this component imports ")


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_through_a_server_the_bundle_is_fetched_and_asked_here(theater: Theater) -> None:
    theater("start", "counter.wasm")
    theater("request", "counter", '{"by":2}')

    done = theater("grants", "suggest", "counter")
    added = theater("grants", "suggest", "counter", "--component", "sleeper.wasm")

    assert done.code == 0
    assert "1 history, 2 steps" in done.err
    assert added.out == "+ [capabilities.timing]  (imports theater:actor/timing#sleep)\n"
