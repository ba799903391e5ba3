"""Who the actor is, its log, its end."""

import pytest

from theater.capabilities.runtime import (
    CAPABILITY,
    LOG_MAX_BYTES,
    RuntimeGrant,
    component,
    end,
    log,
    name,
    parent,
    parse,
    self_id,
    shutdown,
)
from theater.errors import InvalidManifest
from theater.model.effects import Shutdown
from theater.model.ids import ActorId
from theater.model.limits import Limits
from theater.testing.step_context import ACTOR, COMPONENT, FakeStepContext, Written

GRANT = RuntimeGrant()


def test_an_actor_knows_itself() -> None:
    ctx = FakeStepContext(name="counter", parent=ActorId("b" * 32))

    assert self_id(ctx, GRANT) == ACTOR
    assert name(ctx, GRANT) == "counter"
    assert parent(ctx, GRANT) == "b" * 32
    assert component(ctx, GRANT) == COMPONENT


def test_a_root_actor_has_no_parent() -> None:
    assert parent(FakeStepContext(), GRANT) is None


def test_it_is_there_without_being_asked_for() -> None:
    assert CAPABILITY.ungranted == GRANT


# -- log -------------------------------------------------------------------------------------------------------------


def test_an_entry_of_the_log_has_its_level_and_its_text() -> None:
    ctx = FakeStepContext()

    log(ctx, GRANT, "warn", "zwölf\n")

    assert ctx.written == [Written("log", "zwölf\n".encode(), "warn")]


@pytest.mark.parametrize("text", ["x" * LOG_MAX_BYTES, "ü" * (LOG_MAX_BYTES // 2)])
def test_an_entry_of_the_longest_length_is_written_whole(text: str) -> None:
    ctx = FakeStepContext()

    log(ctx, GRANT, "info", text)

    assert ctx.written[0].data == text.encode()


@pytest.mark.parametrize("character", ["x", "ü", "€", "🎭"])
def test_a_longer_entry_is_cut_at_a_character_and_says_so(character: str) -> None:
    ctx = FakeStepContext()
    text = character * (LOG_MAX_BYTES + 1)

    log(ctx, GRANT, "info", text)

    data = ctx.written[0].data
    kept, mark = data.decode().split(" … ")
    assert LOG_MAX_BYTES - len(character.encode()) < len(data) <= LOG_MAX_BYTES
    assert text.startswith(kept)
    assert mark == f"(cut: {len(text.encode())} bytes)"


def test_a_grant_may_make_the_longest_entry_shorter() -> None:
    ctx = FakeStepContext()

    log(ctx, parse({"log": "1KiB"}), "info", "x" * 1025)

    assert len(ctx.written[0].data) == 1024


# -- shutdown --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "null", '{"done":true}'])
def test_an_actor_ends_with_a_value_or_without(value: str | None) -> None:
    ctx = FakeStepContext()

    answer = shutdown(ctx, GRANT, value)
    end(ctx, answer, value)

    assert answer == ("ok", None)
    assert ctx.effects == [Shutdown(value)]


def test_a_value_that_is_not_json_ends_nothing() -> None:
    ctx = FakeStepContext()

    answer = shutdown(ctx, GRANT, "{")
    end(ctx, answer, "{")

    assert isinstance(answer, tuple)
    assert answer[0] == "err"
    assert answer[1][0] == "not-json"
    assert ctx.effects == []


def test_a_value_may_be_as_large_as_a_reply_and_no_larger() -> None:
    ctx = FakeStepContext(limits=Limits(reply_bytes=10))

    assert shutdown(ctx, GRANT, '"' + "ü" * 4 + '"') == ("ok", None)
    assert shutdown(ctx, GRANT, '"' + "ü" * 4 + 'x"') == ("err", ("too-large", 10))
    assert ctx.effects == [], "it only decides"


# -- the grant -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"logs": "1KiB"}, r"\[capabilities.runtime\] has no key 'logs' \(it has log\); did you mean 'log'\?"),
        ({"log": "much"}, r"\[capabilities.runtime\] log: "),
        ({"log": "65537B"}, r"\[capabilities.runtime\] log: write 256 to 64KiB"),
        ({"log": 0}, r"\[capabilities.runtime\] log: write 256 to 64KiB"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(table: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        parse(table)


def test_asking_for_no_more_than_is_always_there_needs_no_ceiling() -> None:
    assert RuntimeGrant().lines(None) == []
    assert RuntimeGrant().narrowed(None) == RuntimeGrant()
    assert RuntimeGrant().lines(RuntimeGrant(1024)) == ['log = "64KiB"']
