"""Services (``wasi:http/incoming-handler``): one step a request, recorded as a value and replayed as resources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from queue import SimpleQueue

import pytest

from tests.guests.web import ASK, SERVICE, answering
from tests.runtime.court import assert_found, truth
from tests.runtime.inside import dispatcher_of
from tests.runtime.stage import Stage, Workshop
from theater.errors import Crashed, InvalidComponent, InvalidInput, NotRunning, Refused, TheaterError
from theater.model.news import Handled, News
from theater.model.payload import Message, RefusedPayload, State
from theater.runtime.exports import HANDLE, INIT, SERVE
from theater.runtime.office import Office
from theater.testing.harness import Actor

PATIENCE_S = 20.0


def play(
    stage: Stage, text: str = SERVICE, *, instance: str = "fresh", limits: Mapping[str, object] | None = None
) -> Actor:
    """A service that listens somewhere."""
    capabilities = {"http-server": {"listen": ["127.0.0.1:*"]}}
    return stage.play(text, instance=instance, limits=limits, capabilities=capabilities, allowed=["http-server"])


def request(path: str, body: str = "", **changes: object) -> dict[str, object]:
    """An ``http-request``, as a listener makes it."""
    asked: dict[str, object] = {
        "id": "a" * 32,
        "server": "b" * 32,
        "tag": "",
        "method": "POST",
        "authority": "a.example:8080",
        "path": path,
        "query": None,
        "parameters": [],
        "headers": [("host", "a.example:8080"), ("x-one", "\u00e4")],
        "body": ("text", body),
        "peer": "127.0.0.1:5",
    }
    return asked | changes


class Clients:
    """Asks a service, and hears what comes of it."""

    def __init__(self, stage: Stage) -> None:
        self._counter = Office(dispatcher_of(stage).surroundings).counter("test")
        self._asked = 0

    def ask(self, actor: Actor, asked: Mapping[str, object]) -> Handled | TheaterError:
        """What came of one request."""
        heard: SimpleQueue[Handled | TheaterError] = SimpleQueue()
        self._asked += 1
        self._counter.bring(actor.id, News(f"{self._asked:032x}", "http-server", SERVE, (asked,)), heard.put)
        return heard.get(timeout=PATIENCE_S)

    def page(self, actor: Actor, asked: Mapping[str, object]) -> dict[str, object]:
        """The response."""
        handled = self.ask(actor, asked)
        assert isinstance(handled, Handled), handled
        assert handled.reply is not None
        found: dict[str, object] = json.loads(handled.reply)
        return found


@pytest.fixture
def clients(stage: Stage) -> Clients:
    return Clients(stage)


def test_a_request_is_a_step_and_its_response_the_reply(stage: Stage, clients: Clients) -> None:
    actor = play(stage)
    assert (actor.status, actor.kinds(), actor.state) == ("running", ["genesis", "started"], None)

    page = clients.page(actor, request("/hello", "w\u00f6rds", query="x=1"))

    assert page == {"status": 200, "headers": [["x-by", "service"]], "body": {"text": "/hello?x=1w\u00f6rds"}}
    assert actor.kinds() == ["genesis", "started", "message", "state"]
    [message], [state] = actor.payloads("message"), actor.payloads("state")
    assert isinstance(message, Message)
    assert isinstance(state, State)
    assert (message.export, message.state, state.state) == (SERVE, None, None)
    assert message.arguments == [{**request("/hello", query="x=1"), "body": {"text": "w\u00f6rds"}, "headers": [
        ["host", "a.example:8080"], ["x-one", "\u00e4"]]}]  # fmt: skip
    assert json.loads(state.reply or "") == page
    assert actor.verify().ok
    assert actor.state is None


def test_a_body_that_is_no_text_comes_and_goes_in_base64(stage: Stage, clients: Clients) -> None:
    actor = play(stage)

    page = clients.page(actor, request("/") | {"body": ("base64", "/wA=")})

    assert page["body"] == {"base64": "L/8A"}
    assert clients.page(actor, request("/empty"))["body"] is None
    assert actor.verify().ok


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/none", "the service gave no response"),
        ("/error", 'the service answered with an error: {"loop-detected":null}'),
        ("/open", "the service did not finish the body of its response"),
        ("/early", "the service gave a response with the status 103"),
    ],
)
def test_a_request_without_a_response_is_refused_and_the_service_lives(
    stage: Stage, clients: Clients, path: str, text: str
) -> None:
    actor = play(stage)

    refused = clients.ask(actor, request(path))

    assert isinstance(refused, Refused)
    assert str(refused) == text
    [payload] = actor.payloads("refused")
    assert isinstance(payload, RefusedPayload)
    assert payload.text == text
    assert clients.page(actor, request("/hello"))["status"] == 200
    assert actor.verify().ok


def test_a_trap_ends_one_request_and_not_the_service(stage: Stage, clients: Clients) -> None:
    actor = play(stage)

    assert isinstance(clients.ask(actor, request("/trap")), Crashed)

    assert actor.status == "running"
    assert clients.page(actor, request("/hello"))["status"] == 200
    assert actor.kinds() == ["genesis", "started", "message", "crashed", "message", "state"]
    assert actor.verify().ok


def test_a_service_that_was_stopped_waits_for_requests_again_after_a_restart(stage: Stage, clients: Clients) -> None:
    actor = play(stage)

    actor.stop()
    assert isinstance(clients.ask(actor, request("/hello")), NotRunning)
    actor.restart()

    assert clients.page(actor, request("/hello"))["status"] == 200
    assert actor.verify().ok


def test_a_service_that_is_woken_up_waits_for_requests(stage: Stage) -> None:
    actor = play(stage)
    Clients(stage).page(actor, request("/hello"))

    stage.reopen()
    again = stage.actor("actor", allowed=["http-server"])
    stage.rest()

    assert again.kinds()[-1] == "state"
    assert Clients(stage).page(again, request("/hello"))["status"] == 200
    assert again.verify().ok


def test_a_warm_service_keeps_its_instance_and_nothing_of_its_responses(stage: Stage, clients: Clients) -> None:
    actor = play(stage, instance="warm", limits={"memory": "256KiB"})
    for _ in range(30):  # together they would be more than the host keeps for a guest
        assert clients.page(actor, request("/", "x" * 20_000))["status"] == 200

    assert {message.nth for message in actor.payloads("message") if isinstance(message, Message)} == set(range(30))
    assert actor.verify().ok
    stage.rest()
    assert "hidden-state" not in actor.kinds()


def test_a_response_at_the_limit_is_given_and_one_beyond_it_is_not(stage: Stage, clients: Clients) -> None:
    actor = play(stage, limits={"reply": 1000})
    around = len(json.dumps(clients.page(actor, request("/")), separators=(",", ":")))

    assert clients.page(actor, request("/", "x" * (1000 - around)))["status"] == 200
    assert isinstance(clients.ask(actor, request("/", "x" * (1001 - around))), Crashed)
    assert actor.verify().ok


def test_a_body_larger_than_a_reply_cannot_be_written(stage: Stage, clients: Clients) -> None:
    actor = play(stage, limits={"reply": 1000})

    refused = clients.ask(actor, request("/", "x" * 2000))  # the guest does not look at its errors, and finishes

    assert isinstance(refused, Handled | Refused | Crashed)
    assert actor.verify().ok


def test_a_service_takes_no_messages(stage: Stage) -> None:
    actor = play(stage)

    with pytest.raises(InvalidInput, match="is a service: it answers HTTP requests and takes no messages"):
        actor.request({})


def test_a_component_that_is_a_command_as_well_is_a_service(stage: Stage, clients: Clients) -> None:
    run = '(func (export "run") (result i32) (i32.const 0))'
    export = """
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command))
"""
    actor = play(stage, answering("0.2.12", more=run).removesuffix(")\n") + export + ")\n")

    assert actor.ref.role == "service"
    assert clients.page(actor, request("/hello"))["status"] == 200


def test_what_takes_messages_takes_no_requests(stage: Stage, clients: Clients) -> None:
    actor = stage.play(ASK)

    assert isinstance(clients.ask(actor, request("/")), InvalidComponent)


def test_a_service_can_be_upgraded_to_another_one(stage: Stage, clients: Clients, workshop: Workshop) -> None:
    actor = play(stage)
    clients.page(actor, request("/hello"))

    actor.upgrade(workshop.file(answering("0.2.9")))

    assert clients.page(actor, request("/hello"))["status"] == 200
    assert actor.verify().ok
    with pytest.raises(InvalidComponent, match="role"):
        actor.upgrade(workshop.file(ASK))


# -- what a forger may say -------------------------------------------------------------------------------------------


def test_a_response_that_was_not_given_is_found(stage: Stage, clients: Clients) -> None:
    actor = play(stage)
    clients.page(actor, request("/hello"))
    forger = truth(actor)

    forger.change(3, reply='{"status":200,"headers":[["x-by","service"]],"body":{"text":"other"}}')

    assert_found(stage, forger, at=3, why="the step came to something other")


def test_a_request_that_was_not_made_is_found(stage: Stage, clients: Clients) -> None:
    actor = play(stage)
    clients.page(actor, request("/hello"))
    forger = truth(actor)

    forger.edit(2, lambda message: message["arguments"][0].update(path="/other"))

    assert_found(stage, forger, at=3, why="the step came to something other")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [{}],
        ["text"],
        [{**request("/"), "headers": [], "body": {"text": "a"}, "status": 5}],
        [{**request("/"), "headers": [["a"]], "body": {"text": "a"}}],
        [{**request("/"), "headers": [], "body": None}],
    ],
)
def test_arguments_that_are_no_request_are_found(stage: Stage, clients: Clients, arguments: list[object]) -> None:
    actor = play(stage)
    clients.page(actor, request("/hello"))
    forger = truth(actor)

    forger.change(2, arguments=arguments)

    assert_found(stage, forger, at=2, why=f"its arguments are not those of {SERVE}")


def test_a_body_that_is_not_base64_is_found(stage: Stage, clients: Clients) -> None:
    actor = play(stage)
    clients.page(actor, request("/hello"))
    forger = truth(actor)

    forger.edit(2, lambda message: message["arguments"][0].update(body={"base64": "%"}))

    assert_found(stage, forger, at=2, why="the body is not base64")


def test_a_service_that_begins_a_step_as_an_actor_does_is_found(stage: Stage, clients: Clients) -> None:
    actor = play(stage)
    clients.page(actor, request("/hello"))
    forger = truth(actor)
    forger.change(2, export=INIT, arguments=["{}"])
    for seq in (2, 3):
        forger.at(seq).name = INIT

    assert_found(stage, forger, at=2, why="and the component is a service")


def test_an_actor_that_begins_a_step_as_a_service_does_is_found(stage: Stage) -> None:
    actor = stage.play(ASK)
    actor.request("GET a.example /")
    forger = truth(actor)
    asked = {**request("/"), "headers": [], "body": {"text": "a"}}
    seq, *_, closing = (event.header.seq for event in actor.events() if event.header.name == HANDLE)
    forger.change(seq, export=SERVE, arguments=[asked])
    for changed in (seq, closing):
        forger.at(changed).name = SERVE

    assert_found(stage, forger, at=seq, why="and the component is an actor")
