"""Services of ``wasi:http`` behind a real listener: asked on the addresses of their grants, from their birth on."""

from __future__ import annotations

import pytest

from tests.guests.web import SERVICE
from tests.runtime.served import HOST, ask, is_refused, occupied, wait_until
from tests.runtime.stage import Stage
from theater.errors import InvalidInput
from theater.testing.harness import Actor


def play(stage: Stage, **grant: object) -> Actor:
    table = {"listen": [f"{HOST}:0"], **grant}
    return stage.play(SERVICE, capabilities={"http-server": table}, allowed=["http-server"])


def port_of(stage: Stage, actor: Actor) -> int:
    (line,) = stage.runtime.live.services(actor.id)
    assert line.startswith(f"listens on http://{HOST}:"), line
    return int(line.rpartition(":")[2])


def test_every_request_goes_to_it_whatever_its_path(stage: Stage) -> None:
    actor = play(stage)
    port = port_of(stage, actor)

    page = ask(port, "/a/../b?c", method="POST", body="hello")

    assert page.status == 200
    assert page.body.startswith("/a/../b?c")
    assert page.body.endswith("hello")
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
