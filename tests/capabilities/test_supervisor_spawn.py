"""Starting children: from what, with which checks, and what a step leaves behind of it."""

import pytest

from tests.capabilities.neighbours import Neighbours, ask, call, error_of, function_of, is_ok, step
from tests.capabilities.test_child_order import BARE, DIGEST, FULL, varied
from theater.capabilities.supervisor_grant import SupervisorGrant
from theater.capabilities.supervisor_spawn import PARAMS_MAX_BYTES
from theater.model.capability import Denied, Noted, Wait
from theater.model.effects import ChildOrder, Spawn, SpawnAndWait
from theater.model.ids import ActorId, derived_id
from theater.model.limits import Limits
from theater.testing.step_context import ACTOR

GRANT = SupervisorGrant()
FOLDERS = SupervisorGrant(("/srv/children",))
MANIFEST = f'name = "worker"\ncomponent = "sha256:{DIGEST}"\n'
FOUND = ChildOrder(manifest='name = "worker"\ncomponent = "worker.wasm"\n', component=DIGEST)
THERE = varied(FULL, source=("directory", "/srv/children/worker"))


def own_id(index: int = 0) -> ActorId:
    return ActorId(derived_id(ACTOR, "1" * 32, index))


def test_a_child_has_a_derived_id_and_is_checked_at_once() -> None:
    neighbours = Neighbours()
    ctx = step(neighbours)

    assert call("supervisor#spawn", ctx, GRANT, FULL) == ("ok", own_id())
    assert call("supervisor#spawn", ctx, GRANT, BARE) == ("ok", own_id(1))
    assert [effect for effect in ctx.effects if isinstance(effect, Spawn)] == ctx.effects
    assert neighbours.asked == [("may_spawn", effect.id, effect.order) for effect in ctx.effects]  # type: ignore[union-attr]  # just seen
    assert ctx.effects[1] == Spawn(own_id(1), ChildOrder(manifest="text"))


@pytest.mark.parametrize(
    "problem",
    [
        ("invalid-manifest", "why"),
        ("grants-exceeded", ["[capabilities.environment]"]),
        ("component-not-found", DIGEST),
        ("component-refused", "why"),
        ("name-taken", "worker"),
        ("too-many", 100),
        ("too-deep", 16),
    ],
)
def test_a_child_that_cannot_be_leaves_nothing_behind(problem: tuple[str, object]) -> None:
    ctx = step(Neighbours(problem=problem))

    assert call("supervisor#spawn", ctx, GRANT, FULL) == ("err", problem)
    assert call("supervisor#resume", ctx, GRANT, FULL, "1") == ("err", problem)
    assert ask("supervisor#spawn-and-wait", ctx, GRANT, FULL, None) == ("err", problem)
    assert ctx.effects == []


def test_what_is_wrong_in_a_specification_is_said_before_anybody_is_asked() -> None:
    neighbours = Neighbours()
    wrong = varied(FULL, name="Worker")

    assert error_of(call("supervisor#spawn", step(neighbours), GRANT, wrong)) == "invalid-manifest"
    assert error_of(call("supervisor#resume", step(neighbours), GRANT, wrong, "1")) == "invalid-manifest"
    assert error_of(ask("supervisor#spawn-and-wait", step(neighbours), GRANT, wrong, None)) == "invalid-manifest"
    assert neighbours.asked == []


def test_parameters_may_have_a_mebibyte_and_no_more() -> None:
    largest = '"' + "x" * (PARAMS_MAX_BYTES - 2) + '"'

    assert is_ok(call("supervisor#spawn", step(), GRANT, varied(BARE, params=largest)))
    answer = call("supervisor#spawn", step(), GRANT, varied(BARE, params=largest + " "))
    assert answer == ("err", ("too-large", PARAMS_MAX_BYTES))
    assert error_of(call("supervisor#spawn", step(), GRANT, varied(BARE, params="{"))) == "not-json"


# -- from a directory --------------------------------------------------------------------------------------------------


def test_a_child_in_a_granted_folder_is_read_once_and_recorded() -> None:
    neighbours = Neighbours(folders={"/srv/children/worker": FOUND})
    ctx = step(neighbours)

    answer = call("supervisor#spawn", ctx, FOLDERS, THERE)

    (spawned,) = ctx.effects
    assert isinstance(spawned, Spawn)
    assert answer == ("ok", spawned.id)
    assert (spawned.order.manifest, spawned.order.component) == (FOUND.manifest, DIGEST)
    assert (spawned.order.name, spawned.order.restart) == ("worker", "transient")
    assert neighbours.asked == [("read_child", "/srv/children/worker"), ("may_spawn", spawned.id, spawned.order)]


def test_what_was_read_is_noted_even_where_it_cannot_be_started() -> None:
    ctx = step(Neighbours(problem=("name-taken", "worker"), folders={"/srv/children/worker": FOUND}))
    ctx.begin_id()

    outcome = function_of("supervisor#spawn").run(ctx, FOLDERS, THERE)

    expected = {"manifest": FOUND.manifest, "component": DIGEST}
    assert outcome == Noted(("err", ("name-taken", "worker")), expected)


@pytest.mark.parametrize("problem", [("invalid-manifest", "why"), ("other", "not-found: no such folder")])
def test_a_folder_without_a_child_starts_none(problem: tuple[str, object]) -> None:
    ctx = step(Neighbours(folders={"/srv/children/worker": problem}))

    assert call("supervisor#spawn", ctx, FOLDERS, THERE) == ("err", problem)


@pytest.mark.parametrize(
    "directory",
    [
        "/srv",
        "/srv/childrens",
        "/srv/children/../secrets",
        "/srv/children/..",
        "srv/children",
        "",
        ".",
        "/srv/children/\0",
        "/etc",
        "/srv/children/" + "x" * 4096,
    ],
)
def test_a_folder_beyond_the_grant_is_denied_and_never_looked_at(directory: str) -> None:
    neighbours = Neighbours()
    spec = varied(BARE, source=("directory", directory))

    assert error_of(call("supervisor#spawn", step(neighbours), FOLDERS, spec)) == "denied"
    assert error_of(call("supervisor#resume", step(neighbours), FOLDERS, spec, "1")) == "denied"
    assert neighbours.asked == []


def test_a_denied_folder_says_what_is_missing() -> None:
    spec = varied(BARE, source=("directory", "//etc/./children/"))
    expected = Denied(("err", ("denied", 'directories = ["/etc/children"] is not granted')))

    assert function_of("supervisor#spawn").run(step(), FOLDERS, spec) == expected


@pytest.mark.parametrize("directory", ["/srv/children", "/srv//children/./worker/", "//srv/children/worker"])
def test_a_folder_is_looked_for_under_its_plain_path(directory: str) -> None:
    plain = directory.replace("//", "/").replace("/./", "/").rstrip("/")
    neighbours = Neighbours(folders={plain: FOUND})

    answer = call("supervisor#spawn", step(neighbours), FOLDERS, varied(BARE, source=("directory", directory)))

    assert is_ok(answer)


# -- resume ------------------------------------------------------------------------------------------------------------


def test_a_child_may_begin_with_a_state() -> None:
    ctx = step(Neighbours(folders={"/srv/children/worker": FOUND}))

    assert call("supervisor#resume", ctx, FOLDERS, BARE, '{"n":1}') == ("ok", own_id())
    assert call("supervisor#resume", ctx, FOLDERS, THERE, "2") == ("ok", own_id(1))
    states = [effect.state for effect in ctx.effects if isinstance(effect, Spawn)]
    assert states == ['{"n":1}', "2"]
    assert ctx.effects[0] == Spawn(own_id(), ChildOrder(manifest="text"), '{"n":1}')


def test_a_state_may_be_as_large_as_the_child_allows_and_no_larger() -> None:
    neighbours = Neighbours()
    ctx = step(neighbours, limits=Limits(state_bytes=2))
    spec = varied(BARE, source=("manifest", MANIFEST + "[limits]\nstate = 4\n"))

    assert is_ok(call("supervisor#resume", ctx, GRANT, spec, '"ü"'))
    assert call("supervisor#resume", ctx, GRANT, spec, '"üx"') == ("err", ("too-large", 4))
    assert error_of(call("supervisor#resume", ctx, GRANT, spec, "{")) == "not-json"
    assert len(neighbours.asked) == 1


def test_the_limit_of_a_child_may_come_from_its_parameters() -> None:
    manifest = f'name = "worker"\ncomponent = "sha256:{DIGEST}"\n[limits]\nstate = "${{STATE}}"\n'
    spec = varied(BARE, source=("manifest", manifest), params='{"STATE":3}')

    assert is_ok(call("supervisor#resume", step(), GRANT, spec, '"x"'))
    assert call("supervisor#resume", step(), GRANT, spec, '"xx"') == ("err", ("too-large", 3))


def test_with_a_wrong_manifest_the_own_limit_holds_for_the_state() -> None:
    ctx = step(Neighbours(problem=("invalid-manifest", "why")), limits=Limits(state_bytes=3))

    assert call("supervisor#resume", ctx, GRANT, BARE, '"xx"') == ("err", ("too-large", 3))
    assert call("supervisor#resume", ctx, GRANT, BARE, '"x"') == ("err", ("invalid-manifest", "why"))


# -- spawn-and-wait ----------------------------------------------------------------------------------------------------


def test_a_child_that_is_waited_for_is_temporary_whatever_its_specification_says() -> None:
    neighbours = Neighbours()
    ctx = step(neighbours)

    wait = ask("supervisor#spawn-and-wait", ctx, GRANT, FULL, 1500)

    expected = ChildOrder(manifest="text", name="worker", params='{"n":1}', restart="temporary", shutdown=250)
    assert isinstance(wait, Wait)
    assert wait.effect == SpawnAndWait(own_id(), expected, ctx.now_us + 1_500_000)
    assert neighbours.asked == [("may_spawn", own_id(), expected)]
    assert ctx.effects == []


@pytest.mark.parametrize(("timeout_ms", "seconds"), [(None, 30), (0, 0), (2000, 2)])
def test_waiting_for_an_end_has_its_timeout_and_its_limit(timeout_ms: int | None, seconds: int) -> None:
    ctx = step()

    wait = ask("supervisor#spawn-and-wait", ctx, GRANT, BARE, timeout_ms)

    assert isinstance(wait, Wait)
    assert wait.until_us == ctx.now_us + seconds * 1_000_000
    ctx.now_us = wait.until_us
    assert wait.answer() == ("err", ("timeout", None))
    ctx.now_us -= 1
    assert wait.answer() == ("err", ("wait-exhausted", None))


def test_a_directory_is_not_waited_for_even_where_it_is_granted() -> None:
    neighbours = Neighbours(folders={"/srv/children/worker": FOUND})

    assert error_of(ask("supervisor#spawn-and-wait", step(neighbours), FOLDERS, THERE, None)) == "denied"
    assert neighbours.asked == []
