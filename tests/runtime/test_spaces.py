"""Spaces for blobs on a stage: with the commit or not at all, shared or not, recorded, and gone with their actor."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.guests import puppet
from tests.guests.puppet import ANSWER, FULL_ANSWER, puppet_wat
from tests.runtime.camera import Camera, developed
from tests.runtime.stage import Gate, Stage, Workshop
from tests.runtime.test_death import live
from tests.runtime.test_resuming import woken
from tests.runtime.troupe import Troupe
from theater.capabilities.store import digest_of
from theater.errors import Crashed, Refused, StoreError
from theater.model.blob_space import BlobIndex, BlobSpace
from theater.model.ids import ActorId
from theater.model.payload import HostCall
from theater.store.faults import FAULT_POINTS, FaultPoint
from theater.testing.harness import Actor

TEXT = puppet_wat(imports=("messaging", "supervisor", "timing", "runtime", "store"))
TEXT_ALONE = puppet_wat(imports=("timing", "store"))
ABC = digest_of(b"abc")
SHARED: dict[str, object] = {"space": ["self", "tree", "pool"], "quota": 10}


def put(text: str, space: str = "self") -> str:
    return puppet.call("store.put", space, ("text", text))


def put_at(label: str, text: str, space: str = "self") -> str:
    return puppet.call("store.put-at-label", space, label, ("text", text))


def remove(text: str, space: str = "self") -> str:
    return puppet.call("store.remove", space, digest_of(text.encode()))


def set_label(label: str, text: str, space: str = "self") -> str:
    return puppet.call("store.set-label", space, label, digest_of(text.encode()))


def remove_label(label: str, space: str = "self") -> str:
    return puppet.call("store.remove-label", space, label)


def get(text: str, space: str = "self") -> str:
    return puppet.call("store.get", space, digest_of(text.encode()), "automatic")


def usage(space: str = "self") -> str:
    return puppet.call("store.usage-of", space)


def player(stage: Stage, name: str = "anna", /, **grant: object) -> Actor:
    capabilities: dict[str, dict[str, object]] = {
        "store": grant,
        "messaging": {"to": ["any"]},
        "supervisor": {},
        "timing": {},
    }
    allowed = ("store", "messaging", "supervisor", "timing")
    return stage.play(TEXT, name=name, capabilities=capabilities, allowed=allowed)


def find(stage: Stage, name: str = "anna") -> Actor:
    return stage.actor(name, allowed=("store", "messaging", "supervisor", "timing"))


def ask(actor: Actor, program: str) -> str:
    """What the last call of a program was answered."""
    return str(actor.request(program + puppet.reply(FULL_ANSWER)))


def stored(stage: Stage, space: BlobSpace) -> tuple[dict[str, str], dict[str, str]]:
    """What lies in the store: blobs by their text, and labels with what they name."""
    found: list[BlobIndex] = []
    store = stage.runtime.store
    store.read_space(space, found.append)
    texts = {digest: (store.blob(space, digest, offset=0, size_bytes=100) or b"").decode() for digest in found[0].blobs}
    assert all(digest_of(text.encode()) == digest for digest, text in texts.items())
    assert {digest: len(text) for digest, text in texts.items()} == found[0].blobs
    return dict(sorted((text, digest) for digest, text in texts.items())), {
        label: texts[digest] for label, digest in found[0].labels.items()
    }


def texts(stage: Stage, space: BlobSpace) -> tuple[set[str], dict[str, str]]:
    blobs, labels = stored(stage, space)
    return set(blobs), labels


def own(actor: Actor) -> BlobSpace:
    return BlobSpace("self", actor.id)


POOL = BlobSpace("name", "pool")


# -- steps -------------------------------------------------------------------------------------------------------------


def test_what_a_step_puts_is_there_in_the_next_one_and_after_a_restart_of_the_process(stage: Stage) -> None:
    anna = player(stage)

    assert ask(anna, put_at("a", "abc")) == ABC
    assert ask(anna, get("abc")) == "text:abc"
    stage.reopen()
    anna = find(stage)
    assert ask(anna, puppet.call("store.list-labels", "self", "", None, 10)) == f"a/{ABC}"
    assert ask(anna, puppet.call("store.list-blobs", "self", None, 10)) == f"{ABC}/3"
    assert ask(anna, get("abc")) == "text:abc"
    assert ask(anna, usage()) == f"3/{64 * 2**20}/1/1"
    assert anna.verify().ok


def test_a_step_sees_what_it_has_changed_itself(stage: Stage) -> None:
    anna = player(stage)
    ask(anna, put_at("a", "abc") + put("old"))

    seen = anna.request(
        put("new") + get("new") + puppet.log(ANSWER) + remove("old") + get("old") + puppet.log(ANSWER) + usage()
        + puppet.log(ANSWER) + remove_label("a") + puppet.call("store.get-label", "self", "a") + puppet.reply(ANSWER)
    )  # fmt: skip
    assert seen == "none"
    assert puppet.log_of(anna.state or "")[1:] == ["err:not-found", "6/67108864/2/1"]
    assert texts(stage, own(anna)) == ({"abc", "new"}, {})
    assert anna.verify().ok


@pytest.mark.parametrize(("end", "error"), [(puppet.refuse("no"), Refused), (puppet.trap(), Crashed)])
def test_a_step_that_fails_leaves_nothing(stage: Stage, end: str, error: type[Exception]) -> None:
    anna = player(stage, quota=10)
    ask(anna, put_at("a", "abc") + put("old"))
    before = texts(stage, own(anna))

    with pytest.raises(error):
        anna.request(put("12") + put_at("a", "34") + remove("old") + remove_label("a") + set_label("b", "12") + end)
    if anna.status == "crashed":
        anna.restart()
    assert ask(anna, usage()) == "6/10/2/1"
    assert texts(stage, own(anna)) == before
    assert ask(anna, put("1234")) == digest_of(b"1234")  # nothing is reserved any more
    assert anna.verify().ok


def test_steps_see_what_those_before_them_put_before_that_is_durable(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate) as stage:
        anna = player(stage, quota=6, space=["self", "pool"])
        ask(anna, put("abc", "pool") + put("abc"))
        with gate.held():
            programs = [
                remove("abc", space) + put_at("a", "123", space) + put("456", space) + puppet.reply(ANSWER)
                for space in ("self", "pool")
            ]
            programs.append(get("123") + puppet.log(FULL_ANSWER) + get("123", "pool") + puppet.reply(FULL_ANSWER))
            pending = [anna.start_request(json.dumps(program)) for program in programs]
        assert [each.result().text for each in pending] == [f'"{digest_of(b"456")}"'] * 2 + ['"text:123"']
        assert texts(stage, own(anna)) == texts(stage, POOL) == ({"123", "456"}, {"a": "123"})
        assert anna.verify().ok


def test_a_step_on_a_full_disk_leaves_nothing_in_memory_either(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate) as stage:
        anna = player(stage, space=["self", "pool"], quota=10)
        ask(anna, put("abc") + put("abc", "pool"))
        gate.is_full = True
        with pytest.raises(StoreError):
            anna.request(put("1234") + put("1234", "pool") + remove("abc") + remove("abc", "pool"))
        gate.is_full = False
        stage.rest()

        anna = find(stage)
        assert ask(anna, usage()) == ask(anna, usage("pool")) == "3/10/1/0"
        assert texts(stage, own(anna)) == texts(stage, POOL) == ({"abc"}, {})
        assert ask(anna, put("7654321") + put("7654321", "pool")) == digest_of(b"7654321")
        assert anna.verify().ok


# -- shared spaces -----------------------------------------------------------------------------------------------------


def test_a_named_space_is_shared_by_those_who_were_granted_it(stage: Stage) -> None:
    anna, bert = player(stage, "anna", **SHARED), player(stage, "bert", **SHARED)
    reader = player(stage, "carl", read=["pool"])

    ask(anna, put_at("a", "abc", "pool") + put("own"))
    assert ask(bert, get("abc", "pool")) == ask(reader, get("abc", "pool")) == "text:abc"
    assert ask(bert, get("own")) == f"err:not-found:{digest_of(b'own')}"
    assert ask(reader, put("x", "pool")).startswith("err:denied:")
    assert ask(bert, set_label("a", "abc", "pool") + remove_label("a", "pool") + remove("abc", "pool")) == "ok"
    assert ask(anna, usage("pool")) == "0/10/0/0"
    assert ask(player(stage, "dora"), get("abc", "pool")).startswith("err:denied:")


def test_a_tree_has_one_space_and_each_of_its_actors_its_own(stage: Stage) -> None:
    anna, other = player(stage, "anna", **SHARED), player(stage, "other", **SHARED)
    digest = stage.runtime.blobs.put(stage.workshop.file(TEXT).read_bytes())
    tables = {"store": 'space = ["self", "tree"]\nquota = 10', "messaging": "", "supervisor": "", "timing": ""}
    text = puppet.puppet_manifest(digest, "kurt", capabilities=tables)
    ask(anna, puppet.spawn(puppet.child(text)))
    stage.rest()
    kurt = find(stage, "kurt")

    ask(kurt, put("abc", "tree") + put("own"))
    assert ask(anna, get("abc", "tree")) == "text:abc"
    assert ask(anna, get("own")) == f"err:not-found:{digest_of(b'own')}"
    assert ask(other, get("abc", "tree")) == f"err:not-found:{ABC}"
    assert ask(kurt, get("abc", "pool")).startswith("err:denied:")
    assert ask(anna, put("12345678", "tree")) == "err:quota:10"
    assert texts(stage, BlobSpace("tree", anna.id)) == ({"abc"}, {})


def test_nobody_takes_the_room_that_a_step_under_way_has_taken(stage: Stage) -> None:
    anna, bert = player(stage, "anna", **SHARED), player(stage, "bert", **SHARED)
    timers = len(stage.clock.timers)

    pending = anna.start_request(json.dumps(put("12345678", "pool") + puppet.sleep(1) + puppet.refuse("no")))
    stage.clock.wait_for_timers(timers + 1)
    assert ask(bert, put("abc", "pool")) == "err:quota:10"
    assert ask(bert, usage("pool")) == "0/10/0/0"
    stage.clock.advance(0.001)
    with pytest.raises(Refused):
        pending.result()
    assert ask(bert, put("abc", "pool")) == ABC


# -- recorded ----------------------------------------------------------------------------------------------------------


def test_every_call_is_recorded_and_a_replay_asks_no_space(stage: Stage) -> None:
    anna = player(stage, quota=10)
    calls = put_at("a", "abc") + get("abc") + put("too much, really") + puppet.call("store.exists", "tree", ABC)
    ask(anna, calls)
    ask(anna, remove_label("a") + remove("abc"))
    ask(anna, get("abc"))

    recorded = [event.header.name for event in anna.events() if event.header.kind == "host"]
    assert recorded == [
        f"theater:actor/store#{name}"
        for name in ("put-at-label", "get", "put", "exists", "remove-label", "remove", "get")
    ]
    first = anna.payloads("host")[0]
    assert isinstance(first, HostCall)
    assert (first.arguments, first.answer) == (["self", "a", {"text": "abc"}], {"ok": ABC})
    stage.reopen()
    assert find(stage).verify().ok  # of what it puts and gets, nothing is there any more


# -- the ends of spaces ------------------------------------------------------------------------------------------------


def test_a_space_ends_with_its_actor(stage: Stage) -> None:
    anna, bert = player(stage, "anna", **SHARED), player(stage, "bert", **SHARED)
    ask(anna, put("own") + put("tree", "tree") + put("pool", "pool") + set_label("a", "own"))
    ask(bert, put("own"))
    anna.stop()
    stage.run(stage.runtime.remove("anna", tree=False, by="test"))
    stage.rest()

    assert texts(stage, own(anna)) == texts(stage, BlobSpace("tree", anna.id)) == (set(), {})
    assert texts(stage, own(bert)) == ({"own"}, {})
    assert ask(bert, get("pool", "pool")) == "text:pool"


def test_a_fork_begins_with_a_space_of_its_own_that_is_empty(stage: Stage) -> None:
    anna = stage.play(TEXT_ALONE, name="anna", capabilities={"store": {}, "timing": {}})
    ask(anna, put("abc"))

    twin = Actor(stage, stage.run(stage.runtime.fork("anna", at=anna.head.seq + 1, name="twin")))
    assert ask(twin, usage()) == f"0/{64 * 2**20}/0/0"
    assert ask(anna, get("abc")) == "text:abc"
    assert twin.verify().ok


# -- death -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_in_the_middle_of_a_step_it_is_made_once_by_the_one_that_is_run_again(
    workshop: Workshop, tmp_path: Path
) -> None:
    table = '[capabilities.store]\nspace = ["self"]\nquota = 6\n[capabilities.timing]\n'
    path = tmp_path / "theater.toml"
    path.write_text(f'name = "actor"\ncomponent = "{workshop.file(TEXT_ALONE)}"\n{table}')
    program = put_at("a", "123") + puppet.sleep(5) + put("456") + put("7") + puppet.log(ANSWER)

    said = live(workshop, tmp_path, manifest=str(path), bodies=[json.dumps(program)])

    assert said[-1] == "hit wait"
    with Stage(workshop, tmp_path) as stage:
        record = stage.runtime.store.records()[0]
        space = BlobSpace("self", ActorId(record.id))
        assert texts(stage, space) == (set(), {})
        actor = woken(stage)
        assert texts(stage, space) == ({"123", "456"}, {"a": "123"})
        assert puppet.log_of(actor.state or "") == ["err:quota"]
        assert ask(actor, usage()) == "6/6/2/1"
        assert actor.verify().ok


@pytest.mark.slow
@pytest.mark.parametrize("point", [point for point in FAULT_POINTS if point != "closing"])
def test_killed_at_each_place_of_the_commit_there_is_the_step_with_its_blob_or_neither(
    workshop: Workshop, tmp_path: Path, point: FaultPoint
) -> None:
    path = tmp_path / "theater.toml"
    path.write_text(f'name = "actor"\ncomponent = "{workshop.file(TEXT_ALONE)}"\n[capabilities.store]\n')
    path.write_text(path.read_text() + "[capabilities.timing]\n")
    program = put_at("a", "123") + puppet.log("put")

    said = live(
        workshop, tmp_path, manifest=str(path), bodies=[json.dumps(program)], point=point, nth=1, behind_init=True
    )

    assert said[-1] == f"hit {point}"
    with Stage(workshop, tmp_path) as stage:
        actor = stage.actor("actor")
        stage.rest()
        is_done = actor.state != "0"
        assert texts(stage, own(actor)) == (({"123"}, {"a": "123"}) if is_done else (set(), {}))
        assert is_done or point != "after-commit"
        assert actor.verify().ok


@pytest.mark.slow
def test_behind_each_commit_there_is_what_the_steps_before_it_came_to(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "true").mkdir()
    (tmp_path / "pictures").mkdir()
    camera = Camera(tmp_path / "true" / "data", tmp_path / "pictures")
    with Stage(workshop, tmp_path / "true", fault=camera) as stage:
        anna = player(stage, **SHARED)
        anna.pause()
        for space in ("self", "pool"):
            anna.send(put_at("a", "1", space) + puppet.log("1"))
            anna.send(put_at("a", "22", space) + remove("1", space) + puppet.log("22"))
            anna.send(put("333", space) + puppet.log("333"))
            anna.send(remove_label("a", space) + remove("22", space) + puppet.log("none"))
        camera.is_on = True
        anna.resume()
        stage.rest()
        camera.is_on = False

    seen = 0
    for troupe in developed(workshop, tmp_path / "pictures"):
        seen += 1
        stage = troupe.stage
        anna = find(stage)
        assert puppet.log_of(anna.state or "") == ["1", "22", "333", "none"] * 2
        assert texts(stage, own(anna)) == texts(stage, POOL) == ({"333"}, {})
    assert seen


# -- against a model ---------------------------------------------------------------------------------------------------

WORDS = ("a", "bb", "ccc")
LABELS = ("x", "y")
CALLS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(WORDS)),
    st.tuples(st.just("remove"), st.sampled_from(WORDS)),
    st.tuples(st.just("remove_label"), st.sampled_from(LABELS)),
    st.tuples(st.sampled_from(["put_at", "set_label"]), st.sampled_from(LABELS), st.sampled_from(WORDS)),
)
STEPS = st.tuples(st.sampled_from(["commit", "commit", "refuse", "crash", "reopen"]), st.lists(CALLS, max_size=6))
QUOTA = 4
PROGRAMS: dict[str, Callable[..., str]] = {
    "put": put,
    "remove": remove,
    "remove_label": remove_label,
    "put_at": put_at,
    "set_label": set_label,
}


class Model:
    """A space as a pair of dicts."""

    def __init__(self, blobs: set[str], labels: dict[str, str]) -> None:
        self.blobs = set(blobs)
        self.labels = dict(labels)

    def call(self, name: str, *args: str) -> str:
        """What it is answered."""
        match name, args:
            case "put", (text,):
                return self.put(text)
            case "put_at", (label, text):
                answer = self.put(text)
                if not answer.startswith("err"):
                    self.labels[label] = text
                return answer
            case "remove", (text,):
                if text not in self.blobs:
                    return "err:not-found"
                if text in self.labels.values():
                    return "err:labelled"
                self.blobs.remove(text)
            case "set_label", (label, text):
                if text not in self.blobs:
                    return "err:not-found"
                self.labels[label] = text
            case "remove_label", (label,):
                if self.labels.pop(label, None) is None:
                    return "err:unknown-label"
        return "ok"

    def put(self, text: str) -> str:
        if sum(map(len, self.blobs | {text})) > QUOTA:
            return "err:quota"
        self.blobs.add(text)
        return str(digest_of(text.encode()))


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=1, max_size=8))
def test_it_does_as_a_dict_does(workshop: Workshop, steps: list[tuple[str, list[tuple[str, ...]]]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Stage(workshop, Path(folder)) as stage:
        anna = player(stage, quota=QUOTA)
        model = Model(set(), {})
        for end, calls in steps:
            if end == "reopen":
                stage.reopen()
                anna = find(stage)
            tried = Model(model.blobs, model.labels)
            answers = [tried.call(*call) for call in calls]
            program = "".join(PROGRAMS[name](*args) + puppet.log(ANSWER) for name, *args in calls)
            last = {"refuse": puppet.refuse("no"), "crash": puppet.trap()}.get(end, "")
            with contextlib.suppress(Refused, Crashed):
                anna.request(puppet.keep("0") + program + last)
            if end == "crash":
                anna.restart()
            elif end != "refuse":
                assert puppet.log_of(anna.state or "0") == answers
                model = tried
            assert texts(stage, own(anna)) == (model.blobs, model.labels)
        Troupe(stage).verify()
