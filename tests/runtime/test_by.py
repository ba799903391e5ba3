"""Who did something stands in the chain: the name of whoever was let in."""

from __future__ import annotations

import pytest

from tests.guests import puppet
from tests.runtime.troupe import Troupe
from theater.model.manifest import parse_manifest
from theater.model.payload import Lifecycle, Message
from theater.runtime.python_values import to_json
from theater.runtime.runtime import ActorRef
from theater.runtime.sources import Source
from theater.testing.harness import Actor

NAMES = ["alice", "a", "x" * 63, "ci-7"]
"""As tokens may be called."""


def sources(actor: Actor) -> list[tuple[str, str]]:
    return [
        (message.export.partition("#")[2], message.source)
        for message in actor.payloads("message")
        if isinstance(message, Message)
    ]


def deeds(actor: Actor) -> list[tuple[str, str]]:
    """What became of it, and who wanted it."""
    events = [event for event in actor.events() if event.header.kind == "lifecycle"]
    payloads = [payload for payload in actor.payloads("lifecycle") if isinstance(payload, Lifecycle)]
    return [(event.header.name, payload.by) for event, payload in zip(events, payloads, strict=True)]


@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_done_through_a_reference_is_done_by_its_holder(company: Troupe, name: str) -> None:
    stage = company.stage
    text = company.manifest("anna", handlers=("channels",))
    source = Source(parse_manifest(text), stage.folder)
    digest = company.digest(handlers=("channels",), migrate="ok", version="2")

    async def act() -> ActorRef:
        ref = await stage.runtime.spawn(source, allowed=("messaging", "supervisor", "timing"), by=name)
        await ref.request(puppet.count() + puppet.reply("ok"))
        await ref.request_json(to_json(puppet.reply("ok")), key="k")
        await ref.send(puppet.count())
        await ref.send_and_wait_json(to_json(puppet.count()))
        channel = await ref.open_channel(puppet.reply("welcome"))
        await channel.send(puppet.count())
        await ref.pause()
        await ref.resume()
        await ref.upgrade(f"sha256:{digest}")
        await ref.stop()
        await ref.restart()
        return ref

    anna = Actor(stage, stage.run(act()))
    company.rest()

    assert {by for _, by in sources(anna)} == {name}
    assert [export for export, _ in sources(anna)].count("handle") == 4
    assert {"init", "opened", "message", "migrate"} <= {export for export, _ in sources(anna)}
    assert deeds(anna) == [
        (verb, name) for verb in ("started", "paused", "resumed", "upgraded", "stopped", "restarted")
    ]


def test_what_is_done_from_inside_the_program_is_done_by_local(company: Troupe) -> None:
    anna = company.player("anna")
    anna.request(puppet.reply("ok"))
    anna.stop()

    assert sources(anna) == [("init", "local"), ("handle", "local")]
    assert deeds(anna) == [("started", "local"), ("stopped", "local")]


def test_two_holders_of_one_actor_are_told_apart(company: Troupe) -> None:
    anna = company.player("anna")
    runtime = company.stage.runtime

    async def act() -> None:
        for name in ("alice", "bob"):
            ref = await runtime.reach("anna", by=name)
            await ref.send_and_wait_json(to_json(puppet.count()))
        await (await runtime.reach("anna", by="bob")).stop()
        again = await runtime.actor("anna", allowed=("messaging", "supervisor", "timing"), by="alice")
        await again.restart()

    company.stage.run(act())
    assert sources(anna) == [("init", "local"), ("handle", "alice"), ("handle", "bob")]
    assert deeds(anna) == [("started", "local"), ("stopped", "bob"), ("restarted", "alice")]


def test_a_child_is_started_by_the_runtime(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "kid")

    assert deeds(child)[0] == ("started", "runtime")
    assert sources(child)[0] == ("init", "runtime")


def test_a_terminated_actor_says_who_did_it(company: Troupe) -> None:
    anna = company.player("anna")

    async def act() -> None:
        await (await company.stage.runtime.reach("anna", by="carol")).terminate()

    company.stage.run(act())
    assert deeds(anna)[-1] == ("stopped", "carol")
