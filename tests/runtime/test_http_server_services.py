"""Services of ``wasi:http`` behind a real listener: asked on the addresses of their grants, from their birth on."""

from __future__ import annotations

import gc
from collections.abc import Mapping

import pytest

from tests.guests import puppet
from tests.guests.puppet import puppet_manifest
from tests.guests.web import SERVICE
from tests.runtime.served import HOST, ask, free_port, is_refused, occupied, wait_until
from tests.runtime.stage import Stage
from theater.capabilities.wasi_http_requests import IncomingRequest
from theater.errors import InvalidInput
from theater.model.ids import ActorId
from theater.testing.harness import Actor

PARENT = puppet.puppet_wat(imports=("runtime", "messaging", "supervisor"), handlers=["supervisor"])
POWERS: Mapping[str, Mapping[str, object]] = {
    "http-server": {"listen": [f"{HOST}:*"]},
    "messaging": {},
    "supervisor": {},
}


def play(stage: Stage, **grant: object) -> Actor:
    table = {"listen": [f"{HOST}:0"], **grant}
    return stage.play(SERVICE, capabilities={"http-server": table}, allowed=["http-server"])


def port_of(stage: Stage, actor: Actor) -> int:
    (line,) = stage.runtime.live.services(actor.id)
    assert line.startswith(f"listens on http://{HOST}:"), line
    return int(line.rpartition(":")[2])


def spawned(parent: Actor, like: Actor, port: int) -> str:
    """A child of the same component that listens there."""
    manifest = puppet_manifest(
        like.ref.record.program, "child", capabilities={"http-server": f'listen = ["{HOST}:{port}"]'}
    )
    child = parent.request(puppet.spawn(puppet.child(manifest, name="child")) + puppet.reply(puppet.ANSWER))
    assert isinstance(child, str)
    return child


def test_every_request_goes_to_it_whatever_its_path(stage: Stage) -> None:
    actor = play(stage)
    port = port_of(stage, actor)

    page = ask(port, "/a/../b?c", method="POST", body="hello")

    assert page.status == 200
    assert page.body.startswith("/a/../b?c")
    assert page.body.endswith("hello")
    assert "content-type" not in page.headers  # it said none
    assert actor.verify().ok


@pytest.mark.parametrize("path", ["/none", "/error", "/trap"])
def test_what_is_no_answer_is_500(stage: Stage, path: str) -> None:
    actor = play(stage)
    port = port_of(stage, actor)

    assert ask(port, path).status == 500


def test_a_body_over_the_limit_is_413(stage: Stage) -> None:
    port = port_of(stage, play(stage, request="1KiB"))

    assert ask(port, "/", method="POST", body=b"x" * 1024).status == 200
    assert ask(port, "/", method="POST", body=b"x" * 1025).status == 413


def test_an_address_in_use_is_an_error_of_the_start_and_leaves_nothing(stage: Stage) -> None:
    port = port_of(stage, play(stage))
    for _ in range(2):
        with pytest.raises(InvalidInput, match=f"cannot listen on {HOST}:{port}: it is in use"):
            play(stage, listen=[f"{HOST}:0", f"{HOST}:{port}"])
    assert len(stage.runtime.store.records()) == 1


def test_without_an_address_it_is_told_what_to_write(stage: Stage) -> None:
    with pytest.raises(InvalidInput, match="nothing says where"):
        play(stage, listen=[])
    with pytest.raises(InvalidInput, match="nothing says where"):
        stage.play(SERVICE)


def test_it_is_asked_again_after_a_restart_of_the_node(stage: Stage) -> None:
    port = port_of(stage, play(stage))

    stage.reopen()

    assert ask(port, "/again").status == 200


def test_stopped_it_is_503_and_removed_it_is_gone(stage: Stage) -> None:
    actor = play(stage)
    port = port_of(stage, actor)
    actor.stop()
    assert ask(port, "/").status == 503

    stage.run(stage.runtime.remove(actor.id, by="local"))

    wait_until(lambda: is_refused(port))
    with occupied(port):
        pass


def test_a_warm_service_that_keeps_its_requests_keeps_nothing_of_the_host(stage: Stage) -> None:
    actor = stage.play(
        SERVICE,
        instance="warm",
        capabilities={"http-server": {"listen": [f"{HOST}:0"]}},
        allowed=["http-server"],
    )
    port = port_of(stage, actor)

    for _ in range(3):
        assert ask(port, "/none", method="POST", body=b"x" * 100_000).status == 500

    kept = [item for item in gc.get_objects() if type(item) is IncomingRequest]
    assert len(kept) >= 3
    assert not any(item.held_bytes or item.body for item in kept)
    assert actor.verify().ok


def test_a_child_that_is_a_service_is_asked_from_its_birth_until_it_is_removed(stage: Stage) -> None:
    port = free_port()
    parent = stage.play(PARENT, name="parent", capabilities=POWERS, allowed=[*POWERS])

    child = spawned(parent, play(stage), port)

    wait_until(lambda: not is_refused(port))
    assert ask(port, "/from/a/child").body.startswith("/from/a/child")
    stage.reopen()
    assert ask(port, "/again").status == 200
    parent = stage.actor("parent", allowed=[*POWERS])
    parent.request(puppet.stop(child) + puppet.reply(puppet.ANSWER))
    wait_until(lambda: ask(port, "/").status == 503)
    assert parent.request(puppet.remove(child) + puppet.reply(puppet.ANSWER)) == "ok"
    assert ask(port, "/").status == 503  # it is nobody's child any more, and still an actor
    stage.run(stage.runtime.remove(ActorId(child), by="local"))
    wait_until(lambda: is_refused(port))
    assert parent.verify().ok


def test_a_child_that_is_a_service_is_born_where_its_address_is_in_use_and_shown_as_failed(stage: Stage) -> None:
    parent = stage.play(PARENT, name="parent", capabilities=POWERS, allowed=[*POWERS])
    other = play(stage)
    port = port_of(stage, other)

    child = spawned(parent, other, port)

    wait_until(lambda: "cannot listen" in "".join(stage.runtime.live.services(ActorId(child))))
    assert ask(port, "/").status == 200
