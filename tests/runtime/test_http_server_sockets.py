"""WebSockets of actors, over a real loopback: what clients say is a step each, and no end is lost."""

from __future__ import annotations

from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.guests import puppet
from tests.runtime.served import GRANT, HOST, ID, PATIENCE_S, log_of, play, serve, wait_until
from tests.runtime.stage import Stage
from theater.testing.harness import Actor

WELCOME = puppet.log(puppet.ABOUT) + puppet.send_websocket(puppet.ABOUT, "welcome")


def enter(port: int, path: str = "/ws", protocols: tuple[str, ...] = ()) -> ClientConnection:
    return connect(
        f"ws://{HOST}:{port}{path}",
        subprotocols=[Subprotocol(each) for each in protocols] or None,
        open_timeout=PATIENCE_S,
        close_timeout=PATIENCE_S,
        compression=None,
        proxy=None,
    )


def end_of(client: ClientConnection) -> tuple[int, str]:
    """The code and the reason with which the other side closes it."""
    with suppress(ConnectionClosedError):
        for _ in client:
            pass
    assert client.close_code is not None
    return client.close_code, client.close_reason or ""


def told(actor: Actor, program: str) -> object:
    return actor.request(program + puppet.reply(puppet.FULL_ANSWER))


def test_both_sides_say_something(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))

    with enter(port) as client:
        assert client.recv(PATIENCE_S) == "welcome"
        client.send(puppet.send_websocket(puppet.ABOUT, "heard") + puppet.log("said"))
        assert client.recv(PATIENCE_S) == "heard"
        client.send(b"\x00\xff")
        client.send(b"plain")
        wait_until(lambda: len(log_of(actor)) == 4)
        told(actor, puppet.send_websocket(puppet.LAST, "nobody"))
        connection, *rest = log_of(actor)
        assert told(actor, puppet.send_websocket(connection, "again")) == "ok"
        assert client.recv(PATIENCE_S) == "again"
        listed = told(actor, puppet.call("http-server.list-websockets"))
        assert isinstance(listed, str)
        assert listed.startswith(connection)

    wait_until(lambda: len(log_of(actor)) == 5)
    assert rest == ["said", "binary/AP8=", "binary/plain"]
    assert log_of(actor)[-1] == "closed/1000"
    assert told(actor, puppet.send_websocket(connection, "late")) == f"err:unknown-connection:{connection}"
    assert told(actor, puppet.call("http-server.list-websockets")) == ""
    assert stage.runtime.live.services(actor.id) == [f"listens on http://{HOST}:{port} (1 route)"]
    assert actor.verify().ok


def test_an_actor_can_refuse_a_connection(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, puppet.add_websocket(ID, "/ws", puppet.refuse("not you")))

    with pytest.raises(InvalidStatus) as caught:
        enter(port)

    assert caught.value.response.status_code == 403
    wait_until(lambda: not [each for each in stage.runtime.store.entries(actor.id, "service") if "socket" in each.key])
    assert log_of(actor) == []


def test_a_path_without_a_route_is_404_and_too_many_503(stage: Stage) -> None:
    actor = play(stage, {**GRANT, "connections": 1})
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))
    with pytest.raises(InvalidStatus) as caught:
        enter(port, "/elsewhere")
    assert caught.value.response.status_code == 404

    with enter(port):
        with pytest.raises(InvalidStatus) as caught:
            enter(port)
        assert caught.value.response.status_code == 503


def test_the_first_subprotocol_that_both_know_is_chosen(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME, ["v2", "v1"]))

    with enter(port, protocols=("v1", "v2")) as client:
        assert client.subprotocol == "v2"
    with enter(port, protocols=("v0",)) as client:
        assert client.subprotocol is None


def test_middleware_looks_at_connections_too(stage: Stage) -> None:
    actor = play(stage)
    port = serve(
        actor,
        puppet.add_websocket(ID, "/ws/{room}", WELCOME),
        puppet.add_middleware(ID, "/ws/locked", puppet.reply("401 who are you")),
        puppet.add_middleware(ID, "/ws/open", puppet.log("seen") + puppet.defer()),
    )

    with pytest.raises(InvalidStatus) as caught:
        enter(port, "/ws/locked")
    assert caught.value.response.status_code == 401
    with enter(port, "/ws/open") as client:
        assert client.recv(PATIENCE_S) == "welcome"
    assert log_of(actor)[0] == "seen"


def test_an_actor_closes_a_connection_behind_what_it_said(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))
    with enter(port) as client:
        assert client.recv(PATIENCE_S) == "welcome"
        client.send(puppet.send_websocket(puppet.ABOUT, "bye") + puppet.close_websocket(puppet.ABOUT, 4001, "enough"))

        assert client.recv(PATIENCE_S) == "bye"
        assert end_of(client) == (4001, "enough")

    assert len(log_of(actor)) == 1
    stage.reopen()
    assert len(log_of(stage.actor("actor", allowed=["http-server"]))) == 1


def test_only_codes_of_applications_close(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))
    with enter(port):
        wait_until(lambda: len(log_of(actor)) == 1)
        for code, reason in ((1001, ""), (999, ""), (5000, ""), (0, ""), (1000, "x" * 124)):
            assert told(actor, puppet.close_websocket(puppet.LAST, code, reason)) == "err:invalid-close"


def test_what_a_failed_step_said_is_not_sent(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))
    with enter(port) as client:
        assert client.recv(PATIENCE_S) == "welcome"
        client.send(puppet.send_websocket(puppet.ABOUT, "not said") + puppet.refuse("no"))
        client.send(puppet.send_websocket(puppet.ABOUT, "said"))

        assert client.recv(PATIENCE_S) == "said"


def test_a_crash_on_a_message_closes_it_and_the_others(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))
    with enter(port) as first, enter(port) as second:
        first.send(puppet.trap())

        assert end_of(first)[0] == 1011
        assert end_of(second)[0] == 1001
    actor.restart()

    wait_until(lambda: len(log_of(actor)) == 4)
    assert sorted(log_of(actor)[2:]) == ["closed/1001", "closed/1011"]
    assert actor.verify().ok


def test_a_message_over_the_limit_closes_it(stage: Stage) -> None:
    actor = play(stage, {**GRANT, "message": "1KiB"})
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))
    with enter(port) as client:
        client.send(b"x" * 1024)
        wait_until(lambda: len(log_of(actor)) == 2)
        client.send(b"x" * 1025)

        assert end_of(client)[0] == 1009

    wait_until(lambda: len(log_of(actor)) == 3)
    assert log_of(actor)[-1] == "closed/1009"


def test_what_an_actor_says_is_bounded(stage: Stage) -> None:
    size = 256 * 1024
    actor = play(stage, {**GRANT, "message": size})
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))
    with enter(port):
        wait_until(lambda: len(log_of(actor)) == 1)
        large = puppet.send_websocket(puppet.LAST, "x" * (size + 1))
        assert told(actor, large) == f"err:too-large:{size}"
        much = puppet.repeat(4, puppet.send_websocket(puppet.LAST, "x" * (size - 16)))
        assert told(actor, much + puppet.send_websocket(puppet.LAST, "x" * 100)) == "err:output-full:1048576"


def test_an_opening_that_nobody_waits_for_any_more_is_told_to_have_ended(stage: Stage) -> None:
    actor = play(stage, {**GRANT, "response-timeout": "100ms"})
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME), puppet.add_websocket(ID, "/no", puppet.refuse("no")))
    actor.pause()
    for path in ("/ws", "/no"):
        with pytest.raises(InvalidStatus) as caught:
            enter(port, path)
        assert caught.value.response.status_code == 504

    actor.resume()

    wait_until(lambda: len(log_of(actor)) == 2)
    assert log_of(actor)[1] == "closed/1006"
    wait_until(lambda: not [each for each in stage.runtime.store.entries(actor.id, "service") if "socket" in each.key])
    assert told(actor, puppet.call("http-server.list-websockets")) == ""


def test_messages_of_a_client_wait_for_one_another(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))
    with enter(port) as client:
        for number in range(40):
            client.send(puppet.log(str(number)))
        wait_until(lambda: len(log_of(actor)) == 41)
    assert log_of(actor)[1:41] == [str(number) for number in range(40)]


def test_a_client_with_too_much_to_say_for_a_full_mailbox_is_sent_away(stage: Stage) -> None:
    actor = play(stage, limits={"mailbox": 1})
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))
    with enter(port) as client:
        assert client.recv(PATIENCE_S) == "welcome"
        actor.pause()
        actor.send(puppet.log("one"))
        client.send(puppet.log("two"))

        assert end_of(client)[0] == 1013
    actor.resume()
    wait_until(lambda: log_of(actor)[1:] == ["one", "closed/1013"])


def test_after_a_restart_of_the_node_every_open_connection_is_told_to_have_ended(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))
    with enter(port), enter(port):
        wait_until(lambda: len(log_of(actor)) == 2)

        stage.reopen()

    again = stage.actor("actor", allowed=["http-server"])
    wait_until(lambda: len(log_of(again)) == 4)
    assert log_of(again)[2:] == ["closed/1006", "closed/1006"]
    assert told(again, puppet.call("http-server.list-websockets")) == ""
    with enter(port) as client:
        assert client.recv(PATIENCE_S) == "welcome"
    stage.reopen()
    assert again.verify().ok


def test_a_server_that_closes_takes_its_connections_along_and_nobody_is_told(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, puppet.add_websocket(ID, "/ws", WELCOME))
    with enter(port) as client:
        wait_until(lambda: len(log_of(actor)) == 1)
        told(actor, puppet.call("http-server.close-server", ID))

        assert end_of(client)[0] == 1001

    wait_until(lambda: stage.runtime.store.entries(actor.id, "service") == [])
    assert len(log_of(actor)) == 1
