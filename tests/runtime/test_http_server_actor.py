"""Actors that serve HTTP over a real loopback."""

from __future__ import annotations

import http.client
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.guests import puppet
from tests.runtime.served import (
    GRANT,
    HOST,
    ID,
    PATIENCE_S,
    SERVER,
    Page,
    answering,
    ask,
    free_port,
    is_refused,
    log_of,
    occupied,
    play,
    serve,
    wait_until,
)
from tests.runtime.stage import Gate, Stage, Workshop
from tests.server.test_serving import certificate
from theater.errors import Denied, NotRunning, StoreError
from theater.model.payload import Message


def test_a_request_is_a_step_and_its_reply_the_answer(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, answering("/hello/{name}", puppet.reply(puppet.SENDER)))

    page = ask(port, "/hello/world")

    assert (page.status, page.body) == (200, '"/hello/world"')
    assert page.headers["content-type"] == "text/plain; charset=utf-8"
    assert actor.verify().ok


def test_a_body_and_a_query_get_to_the_handler(stage: Stage) -> None:
    actor = play(stage)
    program = puppet.reply(puppet.join(puppet.ABOUT, " ", puppet.BODY))
    port = serve(actor, answering("/", program, ["POST"]))

    assert ask(port, "/?a=b%20c", method="POST", body="hello").body == '"a=b%20c hello"'


def test_what_no_route_takes_is_404_and_another_method_405(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, answering("/a", puppet.reply("a"), ["GET", "PUT"]))
    steps = actor.kinds().count("message")

    assert ask(port, "/b").status == 404
    refused = ask(port, "/a", method="DELETE")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, PUT")
    assert ask(port, "/a", method="HEAD") == Page(200, "", {**ask(port, "/a", method="HEAD").headers})
    assert ask(port, "/%2e%2e/a").status == 400
    assert ask(port, "//a").status == 400
    assert actor.kinds().count("message") == steps + 2


def test_a_body_over_the_limit_is_413_and_no_step(stage: Stage) -> None:
    actor = play(stage, {**GRANT, "request": "1KiB"})
    port = serve(actor, answering("/all", puppet.reply("ok")), answering("/few", puppet.reply("ok"), body_max=3))

    assert ask(port, "/all", method="POST", body=b"x" * 1024).status == 200
    assert ask(port, "/all", method="POST", body=b"x" * 1025).status == 413
    assert ask(port, "/few", method="POST", body=b"xxx").status == 200
    assert ask(port, "/few", method="POST", body=b"xxxx").status == 413


def test_a_refusal_is_500_and_its_text_stays_in_the_chain(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, answering("/", puppet.refuse("a secret of the house")))

    page = ask(port, "/")

    assert page.status == 500
    assert "secret" not in page.body
    assert "a secret of the house" in str(actor.payloads("refused"))


def test_a_crash_is_500_and_after_it_503_until_the_actor_runs_again(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, answering("/", puppet.reply("here")), answering("/trap", puppet.trap()))

    assert ask(port, "/trap").status == 500
    assert ask(port, "/").status == 503
    actor.restart()
    assert ask(port, "/").body == '"here"'
    assert actor.verify().ok


def test_a_stopped_actor_is_503(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, answering("/", puppet.reply("here")))

    actor.stop()

    assert ask(port, "/").status == 503


def test_an_answer_may_have_any_status_that_is_one(stage: Stage) -> None:
    actor = play(stage)
    port = serve(
        actor,
        answering("/teapot", puppet.reply("418 short and stout")),
        answering("/odd", puppet.reply("999 what")),
        answering("/low", puppet.reply("199 what")),
    )

    assert ask(port, "/teapot").status == 418
    assert ask(port, "/odd").status == 500
    assert ask(port, "/low").status == 500
    assert actor.status == "running"


def test_a_request_can_be_answered_in_a_later_step(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, answering("/", puppet.remember()))
    with ThreadPoolExecutor(1) as others:
        page = others.submit(ask, port, "/")
        wait_until(lambda: len(log_of(actor)) == 1)

        respond = puppet.respond(puppet.LAST, "at last", 201, [("X-Kind", "late")])
        assert actor.request(respond + puppet.reply(puppet.ANSWER)) == "ok"

        assert page.result() == Page(201, "at last", {**page.result().headers})
        assert page.result().headers["x-kind"] == "late"
    assert actor.request(respond + puppet.reply(puppet.ANSWER)) == "err:unknown-request"
    assert actor.verify().ok


def test_an_answer_that_could_break_the_head_is_refused_to_the_actor(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, answering("/", puppet.remember()))
    with ThreadPoolExecutor(1) as others:
        page = others.submit(ask, port, "/")
        wait_until(lambda: len(log_of(actor)) == 1)

        for status, name, value in (
            (200, "x", "a\r\nset-cookie: b"),
            (200, "x", "a\x00b"),
            (200, "x y", "a"),
            (200, "x:", "a"),
            (600, "x", "a"),
            (101, "x", "a"),
        ):
            bad = puppet.respond(puppet.LAST, "body", status, [(name, value)])
            assert actor.request(bad + puppet.reply(puppet.ANSWER)) == "err:invalid-response", (name, value)
        good = puppet.respond(puppet.LAST, "body", 200, [("Content-Length", "7"), ("Transfer-Encoding", "chunked")])
        assert actor.request(good + puppet.reply(puppet.ANSWER)) == "ok"

        assert page.result().body == "body"
        assert page.result().headers["content-length"] == "4"


def test_fields_may_come_several_times_and_have_any_letters(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, answering("/", puppet.remember()))
    with ThreadPoolExecutor(1) as others:
        page = others.submit(ask, port, "/", headers=[("X-Asked", "a  b")])
        wait_until(lambda: len(log_of(actor)) == 1)
        fields = [("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("content-type", "text/html"), ("x", "tab\t")]
        assert actor.request(puppet.respond(puppet.LAST, "<p>", 200, fields) + puppet.reply(puppet.ANSWER)) == "ok"

        headers = page.result().headers
    assert headers["content-type"] == "text/html"
    assert headers["set-cookie"] == "a=1, b=2"
    [asked] = [each for each in actor.payloads("message") if isinstance(each, Message) and "http" in each.export]
    assert ["x-asked", "a  b"] in asked.arguments[0]["headers"]  # type: ignore[index]  # it is a record


def test_what_is_not_answered_in_time_is_504(stage: Stage) -> None:
    actor = play(stage, {**GRANT, "response-timeout": "100ms"})
    port = serve(actor, answering("/", puppet.remember()))

    assert ask(port, "/").status == 504

    assert actor.request(puppet.respond(puppet.LAST, "late") + puppet.reply(puppet.ANSWER)) == "err:unknown-request"


def test_a_paused_actor_answers_when_it_goes_on(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, answering("/", puppet.reply("here")))
    actor.pause()
    with ThreadPoolExecutor(1) as others:
        page = others.submit(ask, port, "/")
        wait_until(lambda: stage.runtime.live.waiting(actor.id) == 1)
        assert not page.done()

        actor.resume()

        assert page.result().status == 200


def test_a_full_mailbox_is_503_with_a_time_to_come_again(stage: Stage) -> None:
    actor = play(stage, limits={"mailbox": 1})
    port = serve(actor, answering("/", puppet.reply("here")))
    actor.pause()
    with ThreadPoolExecutor(1) as others:
        first = others.submit(ask, port, "/")
        wait_until(lambda: stage.runtime.live.waiting(actor.id) == 1)

        refused = ask(port, "/")

        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        actor.resume()
        assert first.result().status == 200


def test_as_many_requests_can_be_put_off_as_the_actor_may(stage: Stage) -> None:
    actor = play(stage, limits={"outstanding": 1})
    port = serve(actor, answering("/", puppet.remember()))
    with ThreadPoolExecutor(1) as others:
        first = others.submit(ask, port, "/")
        wait_until(lambda: len(log_of(actor)) == 1)

        assert ask(port, "/").status == 503

        actor.request(puppet.respond(puppet.LAST, "first"))
        assert first.result().status == 200


def test_a_client_that_goes_away_is_forgotten(stage: Stage) -> None:
    actor = play(stage)
    port = serve(actor, answering("/", puppet.remember()))
    with pytest.raises(TimeoutError):
        ask(port, "/", patience_s=0.1)
    wait_until(lambda: len(log_of(actor)) == 1)

    wait_until(lambda: stage.runtime.live.deferred(actor.id) == 0)

    assert actor.request(puppet.respond(puppet.LAST, "late") + puppet.reply(puppet.ANSWER)) == "err:unknown-request"


class TestMiddleware:
    def test_it_can_answer_before_the_route(self, stage: Stage) -> None:
        actor = play(stage)
        port = serve(
            actor,
            answering("/a/b", puppet.log("route") + puppet.reply("route")),
            answering("/ab", puppet.reply("route")),
            puppet.add_middleware(ID, "/a", puppet.reply("401 who are you")),
        )

        assert ask(port, "/a/b").status == 401
        assert ask(port, "/ab").status == 200
        assert log_of(actor) == []
        assert actor.verify().ok

    def test_one_after_the_other_and_then_the_route(self, stage: Stage) -> None:
        actor = play(stage)
        port = serve(
            actor,
            answering("/a", puppet.log("route") + puppet.reply(puppet.SENDER)),
            puppet.add_middleware(ID, "/", puppet.log("first") + puppet.defer()),
            puppet.add_middleware(ID, "/a", puppet.log("second") + puppet.defer()),
        )

        assert ask(port, "/a").body == '"/a"'
        assert log_of(actor) == ["first", "second", "route"]

    def test_a_changed_path_chooses_the_route(self, stage: Stage) -> None:
        actor = play(stage)
        port = serve(
            actor,
            answering("/new/{name}", puppet.reply(puppet.SENDER)),
            puppet.add_middleware(ID, "/old", puppet.answer("/new/place") + puppet.defer()),
            puppet.add_middleware(ID, "/bad", puppet.answer("/../x") + puppet.defer()),
            puppet.add_middleware(ID, "/gone", puppet.answer("/nowhere") + puppet.defer()),
        )

        assert ask(port, "/old").body == '"/new/place"'
        assert ask(port, "/bad").status == 500
        assert ask(port, "/gone").status == 404

    def test_its_refusal_is_403_and_its_crash_500(self, stage: Stage) -> None:
        actor = play(stage)
        port = serve(
            actor,
            puppet.add_middleware(ID, "/no", puppet.refuse("the reason")),
            puppet.add_middleware(ID, "/trap", puppet.trap()),
        )

        refused = ask(port, "/no")

        assert refused.status == 403
        assert "reason" not in refused.body
        assert ask(port, "/trap").status == 500

    def test_it_cannot_answer_by_respond(self, stage: Stage) -> None:
        actor = play(stage)
        respond = puppet.respond(puppet.MESSAGE, "stolen") + puppet.log(puppet.ANSWER)
        port = serve(
            actor,
            answering("/", puppet.reply("route")),
            puppet.add_middleware(ID, "/", respond + puppet.defer()),
        )

        assert ask(port, "/").body == '"route"'
        assert log_of(actor) == ["err:unknown-request"]


class TestKeptApart:
    def test_the_request_of_a_client_is_none_of_messaging(self, stage: Stage) -> None:
        actor = play(stage)
        port = serve(actor, answering("/", puppet.remember()))
        with ThreadPoolExecutor(1) as others:
            page = others.submit(ask, port, "/")
            wait_until(lambda: len(log_of(actor)) == 1)

            outstanding = actor.request(puppet.outstanding() + puppet.reply(puppet.ANSWER))
            assert isinstance(outstanding, str)
            assert log_of(actor)[0] not in outstanding
            for program in (puppet.answer_request(puppet.LAST, "x"), puppet.cancel(puppet.LAST, "x")):
                assert actor.request(program + puppet.reply(puppet.ANSWER)) == "err:unknown-request"

            actor.request(puppet.respond(puppet.LAST, "mine"))
            assert page.result().body == "mine"

    def test_a_request_of_messaging_is_none_of_a_client(self, stage: Stage) -> None:
        actor = play(stage)
        waiting = actor.start_request(f'"{puppet.remember()}"')
        wait_until(lambda: puppet.log_of(actor.state or "0") != [])

        respond = puppet.respond(puppet.LAST, "x") + puppet.reply(puppet.ANSWER)
        assert actor.request(respond) == "err:unknown-request"

        actor.request(puppet.answer_request(puppet.LAST, "ok"))
        assert waiting.result().text == '"ok"'

    def test_nobody_answers_the_request_of_another(self, stage: Stage) -> None:
        actor, thief = play(stage), play(stage, name="thief")
        port = serve(actor, answering("/", puppet.remember()))
        with ThreadPoolExecutor(1) as others:
            page = others.submit(ask, port, "/")
            wait_until(lambda: len(log_of(actor)) == 1)
            request_id = log_of(actor)[0]

            steal = puppet.respond(request_id, "stolen") + puppet.reply(puppet.ANSWER)
            assert thief.request(steal) == "err:unknown-request"

            actor.request(puppet.respond(puppet.LAST, "mine"))
            assert page.result().body == "mine"


class TestServers:
    def test_a_failed_step_lets_go_of_the_address(self, stage: Stage) -> None:
        actor = play(stage)
        port = serve(actor)
        closed = puppet.call("http-server.close-server", ID)
        actor.request(closed)

        with pytest.raises(Exception, match="no"):
            actor.request(puppet.open_server(port=port) + puppet.refuse("no"))

        again = actor.request(puppet.open_server(port=port) + puppet.reply(puppet.FULL_ANSWER))
        assert str(again).split("/")[2] == str(port)

    def test_an_address_is_had_once(self, stage: Stage) -> None:
        actor, other = play(stage), play(stage, name="other")
        port = serve(actor)

        twice = puppet.open_server(port=port) + puppet.reply(puppet.ANSWER)

        assert actor.request(twice) == "err:address-in-use"
        assert other.request(twice) == "err:address-in-use"

    def test_a_server_that_is_closed_answers_nobody(self, stage: Stage) -> None:
        actor = play(stage)
        port = serve(actor, answering("/", puppet.reply("here")))
        assert ask(port, "/").status == 200

        actor.request(puppet.call("http-server.close-server", ID))

        wait_until(lambda: is_refused(port))
        assert actor.request(puppet.call("http-server.list-servers") + puppet.reply(puppet.ANSWER)) == ""

    def test_they_are_open_again_after_a_restart_of_the_node(self, stage: Stage) -> None:
        actor = play(stage)
        port = serve(
            actor,
            answering("/a", puppet.reply("a")),
            puppet.add_middleware(ID, "/b", puppet.reply("403 b")),
        )

        stage.reopen()

        assert ask(port, "/a").body == '"a"'
        assert ask(port, "/b").status == 403
        again = stage.actor("actor", allowed=["http-server"])
        shown = puppet.call("http-server.list-servers") + puppet.reply(puppet.FULL_ANSWER)
        assert str(again.request(shown)).endswith("/open")
        assert again.verify().ok

    @pytest.mark.slow
    def test_a_step_that_is_taken_up_by_another_process_opens_what_it_had_reserved(self, stage: Stage) -> None:
        actor = play(stage)
        port = serve(actor)
        actor.request(puppet.call("http-server.close-server", ID))
        wait_until(lambda: is_refused(port))
        opening = puppet.open_server(port=port) + puppet.keep("0") + puppet.log(puppet.HEAD)
        routing = answering("/", puppet.reply("here"))
        pending = actor.start_request(f'"{opening + puppet.sleep(1000) + routing}"')
        stage.clock.wait_for_timers()

        stage.reopen()
        with pytest.raises(NotRunning):
            pending.result()
        stage.actor("actor", allowed=["http-server"])
        stage.clock.wait_for_timers()
        assert is_refused(port)
        stage.clock.advance(1)

        wait_until(lambda: not is_refused(port))
        assert ask(port, "/").body == '"here"'
        assert stage.actor("actor", allowed=["http-server"]).verify().ok

    def test_what_the_disk_did_not_take_is_none_and_the_rest_goes_on(self, workshop: Workshop, tmp_path: Path) -> None:
        gate = Gate()
        with Stage(workshop, tmp_path, fault=gate) as stage:
            actor = play(stage)
            port = serve(actor, answering("/", puppet.reply("here")))
            free = free_port()

            gate.is_full = True
            assert ask(port, "/").status == 503
            gate.is_full = False
            wait_until(lambda: ask(port, "/").status == 200)
            gate.is_full = True
            with pytest.raises(StoreError):
                stage.actor("actor", allowed=["http-server"]).request(
                    puppet.open_server(port=free) + answering("/lost", puppet.reply("lost"))
                )
            gate.is_full = False

            wait_until(lambda: ask(port, "/").body == '"here"')
            wait_until(lambda: ask(port, "/lost").status == 404)
            assert is_refused(free)
            again = stage.actor("actor", allowed=["http-server"])
            assert again.request(puppet.open_server(port=free) + puppet.reply(puppet.ANSWER)) != "err:address-in-use"
            assert len(stage.runtime.live.services(again.id)) == 2
            assert again.verify().ok

    def test_one_whose_port_is_taken_meanwhile_has_failed(self, stage: Stage) -> None:
        actor = play(stage)
        port = serve(actor)
        stage.run(stage.runtime.__aexit__(None, None, None))
        with occupied(port):
            stage._open()
            again = stage.actor("actor", allowed=["http-server"])
            shown = puppet.call("http-server.list-servers") + puppet.reply(puppet.FULL_ANSWER)

            assert "failed:" in str(again.request(shown))

    def test_nothing_is_left_of_an_actor_that_is_removed(self, stage: Stage) -> None:
        actor = play(stage)
        port = serve(actor, answering("/", puppet.reply("here")))
        actor.stop()

        stage.run(stage.runtime.remove(actor.id, by="local"))

        wait_until(lambda: is_refused(port))
        assert stage.runtime.store.holders("service") == []


def test_a_node_allows_no_server_that_nobody_allowed(stage: Stage) -> None:
    with pytest.raises(Denied) as caught:
        stage.play(SERVER, capabilities={"http-server": {"listen": ["127.0.0.1:8080"]}, "messaging": {}, "timing": {}})

    assert caught.value.data["asked"] == ["[capabilities.http-server]", 'listen = ["127.0.0.1:8080"]']


def test_a_certificate_of_the_node_is_used_and_its_files_stay_its_own(workshop: Workshop, tmp_path: Path) -> None:
    chain, key = certificate(tmp_path)
    config = tmp_path / "config" / "theater" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'[tls.shop]\ncertificate = "{chain}"\nkey = "{key}"\n')
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    with Stage(workshop, tmp_path, environ=environ) as stage:
        actor = play(stage, {**GRANT, "tls": ["shop", "other"]})
        other = actor.request(puppet.open_server(tls="other") + puppet.reply(puppet.FULL_ANSWER))
        assert str(other).startswith("err:invalid-tls:this node has no certificate 'other'")
        port = serve(actor, answering("/", puppet.reply("here")), tls="shop")

        for _ in range(2):
            connection = http.client.HTTPSConnection(
                "localhost", port, timeout=PATIENCE_S, context=ssl.create_default_context(cafile=str(chain))
            )
            with closing(connection):
                connection.request("GET", "/")
                assert connection.getresponse().read() == b'"here"'
            stage.reopen()
        actor = stage.actor("actor", allowed=["http-server"])
        assert stage.runtime.live.services(actor.id) == [f"listens on https://{HOST}:{port} (1 route)"]
        assert str(chain) not in str(actor.payloads("host"))
        assert actor.verify().ok

        stage.run(stage.runtime.__aexit__(None, None, None))
        key.write_text("nothing")
        stage._open()
        (line,) = stage.runtime.live.services(actor.id)
        assert line == f"cannot listen on https://{HOST}:{port}: the certificate 'shop' cannot be used: see its files"


def test_a_replay_opens_no_server(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    actor = play(stage)
    port = serve(actor, answering("/", puppet.reply("here")))
    assert ask(port, "/").status == 200

    def forbidden(*_args: object) -> None:
        raise AssertionError("a replay opens a socket")

    monkeypatch.setattr(socket.socket, "bind", forbidden)

    assert actor.verify().ok
