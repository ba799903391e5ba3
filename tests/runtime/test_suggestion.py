"""The least manifest of recorded histories: found by looking at every call, and proven by replaying under it."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.capabilities.web import Page, serving
from tests.forgery import Forger
from tests.guests import puppet, wat
from tests.guests.component import Import, actor
from tests.runtime.stage import Stage, Workshop
from tests.runtime.test_http_recorded import ASK, DENIED
from tests.runtime.troupe import text_of
from theater.capabilities.registry import Registry, built_in
from theater.capabilities.timing import TimingGrant
from theater.errors import Crashed, InvalidInput, NotFound, Refused
from theater.model.capability import Grant
from theater.model.limits import Limits
from theater.model.narrowing import Least
from theater.runtime import sightings
from theater.runtime.bundle import write_bundle_of
from theater.runtime.claims import Caps
from theater.runtime.examination import examine_actor, suggest_for_actors, suggest_for_files
from theater.runtime.suggestion import Suggestion, suggest
from theater.runtime.trials import History
from theater.runtime.verification import Laboratory
from theater.testing.harness import Actor

GET_ENVIRONMENT = Import(
    "wasi:cli/environment@0.2.0", "get-environment", "(result (list (tuple string string)))", "(param i32)"
)
NEEDY = actor(
    imports=[GET_ENVIRONMENT],
    handle="""(local $at i32) (local $left i32)
    (call $get-environment (i32.const 64))
    (local.set $at (i32.load (i32.const 64))) (local.set $left (i32.load (i32.const 68)))
    (call $begin) (call $put @"\\"")
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $left)))
      (if (i32.eq (i32.load8_u (i32.load (local.get $at))) (i32.const 78))
        (then (call $put (i32.load offset=8 (local.get $at)) (i32.load offset=12 (local.get $at)))))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br $next)))
    (call $put @"\\"")
    (call $ok (local.get $body) (local.get $body-len) (global.get $out) (global.get $out-len))""",
)
"""Gets all variables, and answers with the values of those whose name begins with N."""

VARIABLES = {f"{letter}_{number}": f"{letter}{number}" for letter in "ABN" for number in (1, 2)}


@pytest.fixture
def stage(workshop: Workshop, tmp_path: Path) -> Iterator[Stage]:
    with Stage(workshop, tmp_path, environ=VARIABLES) as made:
        yield made


def laboratory(stage: Stage, registry: Registry | None = None) -> Laboratory:
    node = stage.runtime.node
    return Laboratory(node.engine, registry or node.registry, node.blobs, Caps())


def history(actor: Actor) -> History:
    events = actor.events()
    return History(actor.ref.record.name, lambda: iter(events))


def suggested(stage: Stage, *actors: Actor, **options: float) -> Suggestion:
    return suggest([history(each) for each in actors], laboratory(stage), margin=options.get("margin", 1.0))


def table_of(suggestion: Suggestion) -> Mapping[str, Mapping[str, object]]:
    """The capabilities of a proven manifest, as its text has them."""
    assert suggestion.proven, suggestion.fault
    assert suggestion.manifest is not None
    found: Mapping[str, Mapping[str, object]] = tomllib.loads(suggestion.manifest).get("capabilities", {})
    return found


# -- grants ------------------------------------------------------------------------------------------------------------


def test_hosts_methods_and_folders_are_those_that_were_asked(stage: Stage) -> None:
    with serving() as web:
        web.pages["/v1/a/b"] = web.pages["/v1/a/c"] = web.pages["/v1/post"] = Page(b"hello")
        table: dict[str, object] = {
            "allow": [f"* {web.url}/v1/", "GET https://unused.example.com/"],
            "private": ["127.0.0.0/8", "unused.example.com"],
            "secrets": ["UNUSED"],
        }
        asker = stage.play(ASK, capabilities={"http-client": table}, allowed=["http-client"])
        for method, path in (("GET", "v1/a/b"), ("GET", "v1/a/c"), ("POST", "v1/post")):
            assert asker.request(f"{method} {web.url}/{path}") == "200 hello"
        assert asker.request(f"GET {web.url}/v2") == f"error {DENIED}"

    found = suggested(stage, asker)

    assert table_of(found) == {
        "http-client": {
            "allow": [f"GET {web.url}/v1/a/", f"POST {web.url}/v1/"],
            "private": [f"127.0.0.1:{web.port}"],
            "request-size": "1KiB",
            "response-size": "1KiB",
        }
    }
    assert found.manifest is not None
    assert f'"GET {web.url}/v1/a/",  # 2 calls' in found.manifest
    assert "[capabilities.http-client]  # 4 calls: send 4" in found.manifest


def test_what_was_never_used_is_left_out_and_what_is_imported_is_granted_empty(stage: Stage) -> None:
    unused = {"http-client": {"allow": ["GET https://example.com/"]}, "store": {}, "random": {}}
    one = stage.play(text_of(), capabilities={**puppet_grants(), **unused}, allowed=["http-client"])
    one.request(puppet.reply("hello"))

    found = suggested(stage, one)

    assert found.left_out == ["http-client", "random", "store"]
    assert table_of(found)["messaging"] == {"to": []}
    assert table_of(found)["supervisor"] == {}
    assert table_of(found)["timing"]["schedule"] == "0s"


def test_variables_that_make_no_difference_are_found_by_leaving_them_out(stage: Stage) -> None:
    needy = stage.play(NEEDY, capabilities={"environment": {"allow": ["*"]}}, allowed=["environment"])
    assert needy.request(None) == "N1N2"

    found = suggested(stage, needy)

    assert table_of(found) == {"environment": {"allow": ["N_1", "N_2"]}}


def test_variables_of_which_none_is_needed_are_not_granted_at_all(stage: Stage) -> None:
    needy = stage.play(NEEDY, capabilities={"environment": {"allow": ["A*", "B*"]}}, allowed=["environment"])
    assert needy.request(None) == ""

    found = suggested(stage, needy)

    assert found.left_out == ["environment"]
    assert found.replays <= 12


def test_an_actor_may_go_on_speaking_to_those_to_whom_it_spoke(stage: Stage) -> None:
    parent = stage.play(text_of(), capabilities=puppet_grants(messaging={"to": ["any"]}), allowed=["messaging"])
    parent.request(puppet.spawn(puppet.child(child_manifest(stage))) + puppet.log(puppet.ANSWER))
    parent.request(puppet.send(puppet.FIRST, puppet.Json("null")))
    stage.rest()

    found = suggested(stage, parent)

    assert table_of(found)["messaging"] == {"to": ["children"]}


def test_what_children_asked_for_stays_with_their_parent(stage: Stage) -> None:
    grants = puppet_grants(store={"quota": "8MiB"}, random={})
    parent = stage.play(text_of(), capabilities=grants)
    child = child_manifest(stage, '[capabilities.store]\nquota = "1MiB"\n')
    parent.request(puppet.spawn(puppet.child(child)))
    stage.rest()

    found = suggested(stage, parent)

    assert table_of(found)["store"] == {"quota": "8MiB"}
    assert found.left_out == ["random"]
    assert found.notes == ["[capabilities.store] stays as it was granted: children were started that ask for it"]


def test_a_grant_that_a_guest_saw_the_end_of_stays(stage: Stage) -> None:
    hexer = stage.play(wat.RANDOM_HEX, capabilities={"random": {"bytes": "2KiB"}})
    hexer.request({"size": 16})
    assert table_of(suggested(stage, hexer)) == {"random": {"bytes": "1KiB"}}

    with pytest.raises(Refused):
        hexer.request({"size": 5000})

    assert table_of(suggested(stage, hexer)) == {"random": {"bytes": "2KiB"}}


def test_what_a_history_does_not_pass_under_stays_as_it_was_granted(stage: Stage) -> None:
    capabilities = built_in().capabilities
    mistaken: Least[Grant] = Least(needs=lambda _call: (), grant=lambda _granted, _needs: TimingGrant(sleep_ms=0))
    timing = replace(capabilities["timing"], least=mistaken)
    registry = Registry([*(each for name, each in capabilities.items() if name != "timing"), timing])
    sleeper = stage.play(text_of(), capabilities=puppet_grants(random={}))
    sleep = sleeper.start_request(f'"{puppet.sleep(1000)}"')
    while not sleep.is_done:
        stage.clock.advance(1.0)
    sleep.result()

    found = suggest([history(sleeper)], laboratory(stage, registry))

    assert table_of(found)["timing"] == {}
    assert found.left_out == ["random"]
    assert found.notes == ["[capabilities.timing] stays as it was granted: under less a history comes out otherwise"]


def test_of_more_needs_than_are_kept_a_grant_stays_as_it_was(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightings, "NEEDS_MAX", 1)
    one = stage.play(text_of(), capabilities=puppet_grants(timing={"sleep": "9s"}))
    one.request(puppet.schedule(1000, puppet.Json("null")) + puppet.schedule(2000, puppet.Json("null"), 5000))

    found = suggested(stage, one)

    assert table_of(found)["timing"] == {"sleep": "9s"}


def test_histories_of_which_none_had_all_are_refused(stage: Stage) -> None:
    one = stage.play(text_of(), capabilities=puppet_grants(messaging={"to": ["parent"]}))
    other = stage.play(text_of(), capabilities=puppet_grants(messaging={"to": ["children"]}))

    with pytest.raises(InvalidInput, match=r"messaging.*none of them holds the others"):
        suggested(stage, one, other)


# -- limits ------------------------------------------------------------------------------------------------------------


def test_limits_are_those_that_the_steps_came_to_and_memory_is_found_by_replay(stage: Stage) -> None:
    counter = stage.play(wat.COUNTER)
    counter.request({"by": 2})

    found = suggested(stage, counter)

    assert found.proven
    limits = Limits(
        **{
            f"{key}_bytes" if key in {"memory", "state", "message", "reply"} else key.replace("-", "_"): value
            for key, value in found.limits.items()
        }
    )
    assert limits.memory_bytes == 128 * 1024
    assert (limits.state_bytes, limits.message_bytes, limits.reply_bytes) == (1024, 1024, 1024)
    assert 500 < limits.fuel < 1000
    assert (limits.events_per_step, limits.bytes_per_step) == (1, 1024)


def test_a_margin_is_put_on_limits(stage: Stage) -> None:
    counter = stage.play(wat.COUNTER)
    counter.request({"by": 2})

    once, thrice = suggested(stage, counter), suggested(stage, counter, margin=3)

    assert thrice.proven
    assert 2.8 < thrice.limits["fuel"] / once.limits["fuel"] < 3.2


@pytest.mark.parametrize(
    ("text", "limits", "key"),
    [
        (wat.LOOP, {"fuel": 20_000}, "fuel"),
        (wat.LOG_BOMB, {"events-per-step": 9}, "events-per-step"),
        (wat.LOG_BOMB, {"bytes-per-step": "2000"}, "bytes-per-step"),
    ],
)
def test_a_limit_that_struck_stays(stage: Stage, text: str, limits: Mapping[str, object], key: str) -> None:
    grown = stage.play(text, limits=limits)
    with pytest.raises(Crashed):
        grown.request(None)

    found = suggested(stage, grown)

    assert found.proven
    assert key not in found.limits
    assert tomllib.loads(found.manifest or "")["limits"][key] == limits[key]


def test_a_limit_beyond_its_default_is_written_down_though_it_stays(stage: Stage) -> None:
    counter = stage.play(wat.COUNTER, limits={"mailbox": 7, "wait": "90s"})
    counter.request({"by": 2})

    limits = tomllib.loads(suggested(stage, counter).manifest or "")["limits"]

    assert (limits["mailbox"], limits["wait"]) == (7, "90s")


def test_a_text_that_is_not_seen_is_printed_as_what_it_is(stage: Stage) -> None:
    hostile = 'a\u2028[capabilities.process]\u2028allow = ["sh"]\u202e\x85\x9b\U000e0001"'
    manifest = stage.manifest(wat.COUNTER)
    params = f"params = {{ note = {json.dumps(hostile, ensure_ascii=False)} }}"
    manifest.write_text(f"{params}\n{manifest.read_text()}")
    counter = stage.spawn(manifest)

    found = suggested(stage, counter)

    assert found.manifest is not None
    assert found.manifest.replace("\n", "").isprintable()
    assert tomllib.loads(found.manifest)["params"] == {"note": hostile}


# -- the proof ---------------------------------------------------------------------------------------------------------


def test_the_manifest_can_be_started_and_has_the_component_of_the_history(stage: Stage, tmp_path: Path) -> None:
    counter = stage.play(wat.COUNTER)
    counter.request({"by": 2})
    manifest = tmp_path / "least.toml"
    manifest.write_text(suggested(stage, counter).manifest or "")

    again = stage.spawn(manifest, name="again")

    assert again.request({"by": 2}) == {"count": 2}
    assert again.ref.record.program == counter.ref.record.program


def test_several_histories_have_to_pass_all(stage: Stage) -> None:
    one, other = (
        stage.play(text_of(), capabilities=puppet_grants()),
        stage.play(text_of(), capabilities=puppet_grants()),
    )
    other.request(puppet.schedule(5000, puppet.Json("null")))

    found = suggested(stage, one, other)

    assert (found.histories, found.steps) == (2, 3)
    assert table_of(found)["timing"]["schedule"] == "5s"


def test_histories_that_no_manifest_holds_are_not_called_proven(stage: Stage) -> None:
    starved = stage.play(wat.LOOP, limits={"fuel": 20_000}, name="starved")
    other = stage.play(wat.LOOP, limits={"fuel": 30_000}, name="other")
    for each in (starved, other):
        with pytest.raises(Crashed):
            each.request(None)

    found = suggested(stage, starved, other)

    assert not found.proven
    assert found.manifest is None
    assert found.unproven is not None
    assert (found.failed, found.fault is not None and found.fault.is_divergence) == ("starved", True)


def test_of_a_history_that_does_not_replay_nothing_is_said(stage: Stage) -> None:
    counter = stage.play(wat.COUNTER)
    counter.request({"by": 2})
    forged = Forger(counter.events())
    forged.change(forged.find("state", -1), reply='{"count":99}')

    found = suggest([History("forged", lambda: iter(forged.sealed()))], laboratory(stage))

    assert (found.proven, found.manifest, found.unproven, found.failed) == (False, None, None, "forged")
    assert found.fault is not None
    assert found.fault.is_divergence


def test_a_step_that_was_not_closed_is_not_counted_and_that_is_said(stage: Stage) -> None:
    counter = stage.play(wat.COUNTER, name="counter")
    counter.request({"by": 2})
    events = counter.events()[:-1]

    found = suggest([History("counter", lambda: iter(events))], laboratory(stage))

    assert (found.proven, found.steps) == (True, 1)
    assert found.notes == ["counter ends in the middle of a step: what that did is not counted"]


def test_looking_at_calls_changes_nothing_about_a_replay(stage: Stage) -> None:
    one = stage.play(text_of(), capabilities=puppet_grants(), instance="warm")
    for _ in range(3):
        one.request(puppet.now() + puppet.schedule(1000, puppet.Json("null")))

    report = examine_actor(stage.runtime.node, one.id)
    watched = suggested(stage, one)

    assert report.ok
    assert watched.proven
    assert watched.steps == report.steps
    assert "now 3, schedule 3" in (watched.manifest or "")


# -- from files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(stage: Stage, tmp_path: Path) -> tuple[Actor, Path]:
    counter = stage.play(wat.COUNTER, name="counter")
    counter.request({"by": 2})
    path = tmp_path / "counter.theater"
    with path.open("wb") as file:
        write_bundle_of(file, stage.runtime.store, stage.runtime.blobs, counter.id, counter.head)
    return counter, path


@pytest.mark.slow
def test_a_strangers_file_is_asked_in_a_child_and_comes_to_the_same(stage: Stage, bundle: tuple[Actor, Path]) -> None:
    counter, path = bundle
    said: list[str] = []

    own = suggest_for_actors(stage.runtime.node, [("counter", counter.id)])
    other = suggest_for_files([("counter", path)], on_trial=said.append)

    assert own.proven
    assert other == own
    assert (said[0], said[-1]) == ("replaying: counter", "proving: counter")


@pytest.mark.slow
def test_a_file_whose_name_is_no_text_can_be_asked(bundle: tuple[Actor, Path]) -> None:
    _, path = bundle
    odd = path.with_name(os.fsdecode(b"odd-\xff.theater"))
    path.rename(odd)

    assert suggest_for_files([(odd.name, odd)]).proven


@pytest.mark.slow
def test_a_file_is_held_to_the_callers_caps(bundle: tuple[Actor, Path]) -> None:
    _, path = bundle

    found = suggest_for_files([("it", path)], caps=Caps(memory_bytes=2**20))

    assert not found.proven
    assert found.fault is not None
    assert "raise it with --max-memory" in found.fault.why


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b'{"no":"event"}\n'])
def test_a_file_that_is_no_history_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken"
    path.write_bytes(content)

    said = ""
    try:
        found = suggest_for_files([("broken", path)])
        said = found.fault.why if found.fault is not None else ""
    except InvalidInput as error:
        said = error.message

    assert said


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        suggest_for_files([("x", tmp_path / "x.theater")])


def child_manifest(stage: Stage, more: str = "") -> str:
    """A child that counts."""
    digest = stage.runtime.blobs.put(stage.workshop.file(wat.COUNTER).read_bytes())
    return f'name = "child"\ncomponent = "sha256:{digest}"\n{more}'


def puppet_grants(**more: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    """What a puppet imports."""
    return {"messaging": {}, "supervisor": {}, "timing": {}, **more}
