"""What ends while clients wait or are connected: actors, servers, handlers, and the clients themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import InvalidStatus

from tests.guests import puppet
from tests.runtime.served import GRANT, ID, PATIENCE_S, answering, ask, free_port, log_of, play, serve, wait_until
from tests.runtime.stage import Stage
from tests.runtime.test_http_server_sockets import WELCOME, end_of, enter

WITHOUT = puppet.puppet_wat(imports=("runtime", "messaging", "timing", "http-server"))


def test_an_actor_that_ends_with_a_message_closes_that_connection_too(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))
    with enter(port) as first, enter(port) as second:
        assert first.recv(PATIENCE_S) == second.recv(PATIENCE_S) == "welcome"

        first.send(puppet.send_websocket(puppet.ABOUT, "bye") + puppet.shutdown())

        assert first.recv(PATIENCE_S) == "bye"
        assert (end_of(first)[0], end_of(second)[0]) == (1001, 1001)
    actor.restart()
    wait_until(lambda: log_of(actor)[-2:] == ["closed/1001", "closed/1001"])


def test_an_actor_that_ends_as_it_takes_a_connection_closes_it(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME + puppet.shutdown()))

    with enter(port) as client:
        assert client.recv(PATIENCE_S) == "welcome"
        assert end_of(client)[0] == 1001


def test_who_waits_for_a_handler_that_an_upgrade_took_away_hears_so(stage: Stage) -> None:
    actor = play(stage)
    port = serve(
        actor,
        answering("/", puppet.reply("here")),
        puppet.add_websocket(ID, "/ws", WELCOME),
        puppet.add_middleware(ID, "/seen", puppet.defer()),
    )
    with enter(port) as client, ThreadPoolExecutor(3) as others:
        assert client.recv(PATIENCE_S) == "welcome"
        actor.pause()
        asked = [others.submit(ask, port, path) for path in ("/", "/seen")]
        entering = others.submit(enter, port)
        client.send("heard by nobody")
        wait_until(lambda: stage.runtime.live.waiting(actor.id) == 4)

        actor.upgrade(stage.workshop.file(WITHOUT))
        actor.resume()

        assert [page.result().status for page in asked] == [503, 503]
        with pytest.raises(InvalidStatus) as caught:
            entering.result()
        assert caught.value.response.status_code == 503
        assert end_of(client)[0] == 1001
    wait_until(lambda: not [each for each in stage.runtime.store.entries(actor.id, "service") if "socket" in each.key])
    assert actor.verify().ok


def test_a_request_whose_client_has_gone_before_its_turn_is_not_handled(stage: Stage) -> None:
    actor = play(stage, {**GRANT, "response-timeout": "100ms"}, limits={"mailbox": 1})
    port = serve(actor, answering("/", puppet.log("handled") + puppet.reply("here")))
    actor.pause()
    assert ask(port, "/").status == 504
    wait_until(lambda: stage.runtime.live.waiting(actor.id) == 0)
    assert ask(port, "/").status == 504  # there was room for it

    actor.resume()

    wait_until(lambda: ask(port, "/").status == 200)
    assert log_of(actor) == ["handled"]


def test_an_address_is_free_for_the_next_step_as_soon_as_its_server_is_closed(stage: Stage) -> None:
    actor = play(stage)
    port = free_port()
    for _ in range(20):
        assert serve(actor, port=port) == port
        assert ask(port, "/").status == 404
        actor.request(puppet.call("http-server.close-server", ID) + puppet.drop_first() + puppet.reply("closed"))
    assert stage.runtime.live.services(actor.id) == []
    assert actor.verify().ok


def test_a_server_that_is_opened_and_closed_in_one_step_never_was(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, answering("/", puppet.reply("here")), puppet.call("http-server.close-server", ID))

    wait_until(lambda: stage.runtime.store.entries(actor.id, "service") == [])
    with pytest.raises(ConnectionRefusedError):
        ask(port, "/")
    stage.reopen()
    assert stage.runtime.live.services(actor.id) == []
