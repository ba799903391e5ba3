"""Messages and requests: to whom, how large, and what a step leaves behind of them."""

import pytest

from tests.capabilities.neighbours import (
    CHILD,
    GRANDCHILD,
    LEDGER,
    NOBODY,
    PARENT,
    SIBLING,
    Neighbours,
    ask,
    call,
    error_of,
    is_ok,
    step,
)
from theater.capabilities.messaging import REASON_MAX_BYTES, check_request, send, whereis
from theater.capabilities.messaging_grant import MessagingGrant, parse
from theater.errors import InvalidManifest
from theater.model.actor_system import PendingRequest
from theater.model.capability import Denied, Wait
from theater.model.effects import Cancel, Reply, Request, Send
from theater.model.ids import derived_id
from theater.model.limits import Limits
from theater.testing.step_context import ACTOR

GRANT = MessagingGrant()
ANYBODY = MessagingGrant(("any",))
NOW_US = 1_700_000_000_000_000
LAST_US = 253_402_300_799_999_999
DENIED = ("err", ("denied", 'only to = ["children", "parent"] is granted'))

REACHED = {
    "children": {ACTOR, CHILD},
    "parent": {ACTOR, PARENT},
    "siblings": {ACTOR, SIBLING},
    "descendants": {ACTOR, CHILD, GRANDCHILD},
    "name:ledger": {ACTOR, LEDGER},
    "name:nobody": {ACTOR},
    "any": {ACTOR, PARENT, CHILD, SIBLING, GRANDCHILD, LEDGER},
}


# -- whom --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", REACHED)
def test_a_word_of_the_grant_reaches_those_whom_it_names_and_the_actor_itself(word: str) -> None:
    grant = MessagingGrant((word,))

    for other in REACHED["any"]:
        sent = call("messaging#send", step(), grant, other, "1")
        asked = ask("messaging#request", step(), grant, other, "1", None)
        opened = ask("messaging#open-channel", step(), grant, other, "1", None)

        reached = [sent == ("ok", derived_id(ACTOR, "1" * 32, 0)), isinstance(asked, Wait), isinstance(opened, Wait)]
        assert reached == [other in REACHED[word]] * 3, other


def test_without_any_word_an_actor_speaks_to_itself_alone() -> None:
    for other in REACHED["any"]:
        assert is_ok(call("messaging#send", step(), MessagingGrant(()), other, "1")) == (other == ACTOR)


@pytest.mark.parametrize("to", [LEDGER, NOBODY, "", "ledger", "5" * 31, "A" * 32, "5" * 32 + "\n"])
def test_beyond_the_grant_the_answer_is_the_same_whether_the_actor_exists_or_not(to: str) -> None:
    neighbours = Neighbours(problem=("not-running", to))

    assert call("messaging#send", step(neighbours), GRANT, to, "1") == DENIED
    assert ask("messaging#request", step(neighbours), GRANT, to, "1", None) == DENIED
    assert ask("messaging#open-channel", step(neighbours), GRANT, to, "1", None) == DENIED
    assert neighbours.asked == []


@pytest.mark.parametrize("to", [NOBODY, "", "ledger", "A" * 32])
def test_who_may_speak_to_anybody_learns_that_there_is_nobody(to: str) -> None:
    missing = ("err", ("not-found", to))

    assert call("messaging#send", step(), ANYBODY, to, "1") == missing
    assert ask("messaging#request", step(), ANYBODY, to, "1", None) == missing
    assert ask("messaging#open-channel", step(), ANYBODY, to, "1", None) == missing


def test_a_call_beyond_the_grant_is_told_apart_from_one_that_failed() -> None:
    assert send(step(), GRANT, LEDGER, "1") == Denied(DENIED)
    assert check_request(step(), GRANT, LEDGER, "1", None) == Denied(DENIED)
    assert isinstance(whereis(step(), GRANT, "ledger"), Denied)
    assert send(step(), ANYBODY, NOBODY, "1") == ("err", ("not-found", NOBODY))


# -- send --------------------------------------------------------------------------------------------------------------


def test_a_message_has_a_derived_id_and_a_reserved_place() -> None:
    neighbours = Neighbours()
    ctx = step(neighbours)

    first = call("messaging#send", ctx, GRANT, CHILD, '"ü"')
    second = call("messaging#send", ctx, GRANT, PARENT, "2")

    ids = [derived_id(ACTOR, ctx.message_id, index) for index in (0, 1)]
    assert [first, second] == [("ok", ids[0]), ("ok", ids[1])]
    assert neighbours.asked == [("reserve", CHILD, 4), ("reserve", PARENT, 1)]
    assert ctx.effects == [Send(ids[0], CHILD, '"ü"'), Send(ids[1], PARENT, "2")]


@pytest.mark.parametrize("problem", [("not-running", CHILD), ("mailbox-full", 5), ("too-large", 7)])
def test_a_message_that_cannot_be_sent_leaves_nothing_behind_and_takes_an_id_all_the_same(
    problem: tuple[str, object],
) -> None:
    ctx = step(Neighbours(problem=problem))

    assert call("messaging#send", ctx, GRANT, CHILD, "1") == ("err", problem)
    ctx.system = Neighbours()
    assert call("messaging#send", ctx, GRANT, CHILD, "1") == ("ok", derived_id(ACTOR, ctx.message_id, 1))
    assert len(ctx.effects) == 1


def test_a_body_may_be_as_large_as_the_limit_and_no_larger() -> None:
    neighbours = Neighbours()
    ctx = step(neighbours, limits=Limits(message_bytes=10))
    fits, larger = '"' + "ü" * 4 + '"', '"' + "ü" * 4 + 'x"'

    assert is_ok(call("messaging#send", ctx, GRANT, CHILD, fits))
    assert isinstance(ask("messaging#request", ctx, GRANT, CHILD, fits, None), Wait)
    asked = list(neighbours.asked)
    assert call("messaging#send", ctx, GRANT, CHILD, larger) == ("err", ("too-large", 10))
    assert ask("messaging#request", ctx, GRANT, CHILD, larger, None) == ("err", ("too-large", 10))
    assert ask("messaging#open-channel", ctx, GRANT, CHILD, larger, None) == ("err", ("too-large", 10))
    assert neighbours.asked == asked


@pytest.mark.parametrize("body", ["", "{", "NaN", "1 2"])
def test_a_body_that_is_not_json_goes_nowhere(body: str) -> None:
    neighbours = Neighbours()

    for answer in (
        call("messaging#send", step(neighbours), GRANT, CHILD, body),
        ask("messaging#request", step(neighbours), GRANT, CHILD, body, None),
        ask("messaging#open-channel", step(neighbours), GRANT, CHILD, body, None),
    ):
        assert error_of(answer) == "not-json"
    assert neighbours.asked == []


# -- request -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeout_ms", "until_us"),
    [
        (None, NOW_US + 30_000_000),
        (0, NOW_US),
        (250, NOW_US + 250_000),
        (2**64 - 1, LAST_US),
    ],
)
def test_a_request_waits_for_the_reply_as_long_as_it_says(timeout_ms: int | None, until_us: int) -> None:
    neighbours = Neighbours()
    ctx = step(neighbours, now_us=NOW_US)

    wait = ask("messaging#request", ctx, GRANT, CHILD, "1", timeout_ms)

    assert isinstance(wait, Wait)
    assert wait.until_us == until_us
    assert wait.effect == Request(derived_id(ACTOR, ctx.message_id, 0), CHILD, "1", until_us)
    assert neighbours.asked == [("may_request", CHILD, 1)]
    assert ctx.effects == []


def test_a_request_without_a_reply_says_whether_its_own_time_or_the_limit_of_the_step_ended_it() -> None:
    ctx = step(now_us=NOW_US)
    wait = ask("messaging#request", ctx, GRANT, CHILD, "1", 1000)
    assert isinstance(wait, Wait)

    ctx.now_us = wait.until_us
    assert wait.answer() == ("err", ("timeout", None))
    ctx.now_us = wait.until_us - 1
    assert wait.answer() == ("err", ("wait-exhausted", None))


@pytest.mark.parametrize("problem", [("not-started", CHILD), ("cycle", [ACTOR, CHILD]), ("too-many", 1000)])
def test_a_request_that_cannot_be_made_is_answered_at_once(problem: tuple[str, object]) -> None:
    assert ask("messaging#request", step(Neighbours(problem=problem)), GRANT, CHILD, "1", None) == ("err", problem)


# -- answering ---------------------------------------------------------------------------------------------------------

WAITING = [PendingRequest("a" * 32, LEDGER, NOW_US + 5), PendingRequest("b" * 32, None, NOW_US + 1_000_000)]


def test_the_requests_that_wait_are_shown_oldest_first_with_their_end() -> None:
    ctx = step(Neighbours(pending=WAITING))

    assert call("messaging#outstanding", ctx, MessagingGrant(())) == [
        {"id": "a" * 32, "sender": LEDGER, "expires": {"seconds": 1_700_000_000, "nanoseconds": 5000}},
        {"id": "b" * 32, "sender": None, "expires": {"seconds": 1_700_000_001, "nanoseconds": 0}},
    ]


def test_whoever_asked_can_be_answered_and_refused_without_any_grant() -> None:
    ctx = step(Neighbours(pending=WAITING))

    assert call("messaging#reply", ctx, MessagingGrant(()), "a" * 32, "1") == ("ok", None)
    assert call("messaging#cancel", ctx, MessagingGrant(()), "b" * 32, "busy") == ("ok", None)
    assert ctx.effects == [Reply("a" * 32, "1"), Cancel("b" * 32, "busy")]


@pytest.mark.parametrize("id", ["c" * 32, "", "A" * 32])
def test_a_request_that_does_not_wait_can_be_neither_answered_nor_refused(id: str) -> None:
    ctx = step(Neighbours(pending=WAITING))

    assert call("messaging#reply", ctx, GRANT, id, "1") == ("err", ("unknown-request", id))
    assert call("messaging#cancel", ctx, GRANT, id, "") == ("err", ("unknown-request", id))


def test_an_answer_may_be_as_large_as_a_reply_and_no_larger() -> None:
    ctx = step(Neighbours(pending=WAITING), limits=Limits(reply_bytes=4))

    assert call("messaging#reply", ctx, GRANT, "a" * 32, '"ü"') == ("ok", None)
    assert call("messaging#reply", ctx, GRANT, "a" * 32, '"üx"') == ("err", ("too-large", 4))
    assert error_of(call("messaging#reply", ctx, GRANT, "a" * 32, "{")) == "not-json"


@pytest.mark.parametrize("character", ["x", "ü", "€", "🎭"])
def test_a_long_reason_is_cut_at_a_character(character: str) -> None:
    ctx = step(Neighbours(pending=WAITING))

    assert call("messaging#cancel", ctx, GRANT, "a" * 32, "x" + character * REASON_MAX_BYTES) == ("ok", None)

    (effect,) = ctx.effects
    assert isinstance(effect, Cancel)
    assert set(effect.reason[1:]) == {character}
    assert REASON_MAX_BYTES - len(character.encode()) < len(effect.reason.encode()) <= REASON_MAX_BYTES


def test_a_reason_of_the_longest_length_is_kept_whole() -> None:
    ctx = step(Neighbours(pending=WAITING))

    call("messaging#cancel", ctx, GRANT, "a" * 32, "ü" * (REASON_MAX_BYTES // 2))

    assert ctx.effects == [Cancel("a" * 32, "ü" * (REASON_MAX_BYTES // 2))]


# -- whereis -----------------------------------------------------------------------------------------------------------


def test_a_name_of_the_grant_is_looked_up() -> None:
    grant = MessagingGrant(("name:ledger", "name:missing"))

    assert call("messaging#whereis", step(), grant, "ledger") == ("ok", LEDGER)
    assert call("messaging#whereis", step(), grant, "missing") == ("ok", None)
    assert call("messaging#whereis", step(), ANYBODY, "child") == ("ok", CHILD)
    assert call("messaging#whereis", step(), ANYBODY, "No Name") == ("ok", None)


@pytest.mark.parametrize("name", ["ledger", "missing", "child", ""])
def test_another_name_is_denied_whether_an_actor_has_it_or_not(name: str) -> None:
    expected = ("err", ("denied", f'to = ["name:{name}"] is not granted'))

    assert call("messaging#whereis", step(), MessagingGrant(("name:ledge", "descendants")), name) == expected


# -- the grant ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "to"),
    [
        ({}, ("children", "parent")),
        ({"to": []}, ()),
        ({"to": ["any", "parent", "name:x"]}, ("any",)),
        ({"to": ["siblings", "descendants", "children", "siblings"]}, ("descendants", "siblings")),
        ({"allow": ["name:ledger"]}, ("name:ledger",)),
    ],
)
def test_a_table_says_to_whom(table: dict[str, object], to: tuple[str, ...]) -> None:
    assert parse(table) == MessagingGrant(to)
    assert parse(table).to == to


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"too": []}, r"\[capabilities.messaging\] has no key 'too' \(it has to, allow\); did you mean 'to'\?"),
        ({"to": "any"}, r"\[capabilities.messaging\] to = 'any': write a list of texts"),
        ({"to": ["parents"]}, r"to: 'parents' is none of .* and name:NAME; did you mean 'parent'\?"),
        ({"to": ["nam:ledger"]}, r"to: 'nam:ledger' is none of .*; did you mean 'name:ledger'\?"),
        ({"to": ["self"]}, r"to: 'self' is none of"),
        ({"to": ["name:Ledger"]}, r"to: 'name:Ledger' names no actor: 1 to 63 of a-z"),
        ({"to": ["name:"]}, r"to: 'name:' names no actor"),
        ({"to": [], "allow": []}, r"has to and allow, which is the same; write to alone"),
        ({"to": [f"name:n{n}" for n in range(257)]}, r"\[capabilities.messaging\] to: 256 items are the most"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(table: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        parse(table)


def test_256_items_may_be_granted() -> None:
    assert len(parse({"to": [f"name:n{n}" for n in range(256)]}).to) == 256


def test_what_goes_beyond_a_ceiling_is_named_in_manifest_lines() -> None:
    asked = MessagingGrant(("parent", "children", "name:ledger"))

    assert asked.lines(GRANT) == ['to = ["name:ledger"]']
    assert asked.lines(MessagingGrant(("descendants",))) == ['to = ["name:ledger"]', 'to = ["parent"]']
    assert asked.lines(ANYBODY) == []
    assert asked.lines(None) == ['to = ["children"]', 'to = ["name:ledger"]', 'to = ["parent"]']
    assert MessagingGrant(("descendants",)).lines(GRANT) == ['to = ["descendants"]']
    assert MessagingGrant(()).lines(None) == ["to = []"]
    assert MessagingGrant(()).lines(MessagingGrant(())) == []


def test_narrowing_keeps_what_both_allow() -> None:
    assert MessagingGrant(("descendants", "name:a", "parent")).narrowed(MessagingGrant(("children", "any"))).to == (
        "descendants",
        "name:a",
        "parent",
    )
    assert MessagingGrant(("descendants", "parent")).narrowed(MessagingGrant(("children", "siblings"))).to == (
        "children",
    )
