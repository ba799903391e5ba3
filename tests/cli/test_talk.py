"""``send``, ``request`` and ``channel``, as they ask a server."""

import io
import json
import os
import sys

import msgspec
import pytest

from tests.cli.conftest import Theater
from tests.cli.fake_client import FakeClient
from tests.cli.test_hostile import EVIL, EVIL_JSON, FAKE_LINES, looked_at
from theater.cli.input_lines import InputLines
from theater.errors import (
    ChannelClosed,
    Crashed,
    IdempotencyMismatch,
    InvalidInput,
    MailboxFull,
    NoChannels,
    NotFound,
    Refused,
    TheaterError,
    TimedOut,
)
from theater.model import wire


def messages(*texts: str, closed: str | None = None) -> wire.ChannelMessages:
    return wire.ChannelMessages(messages=[msgspec.Raw(text.encode()) for text in texts], closed=closed)


# -- send and request ------------------------------------------------------------------------------------------------


def test_send_prints_the_messages_id(theater: Theater, client: FakeClient) -> None:
    plain = theater("send", "counter", '{"by":1e2}', "--idempotency-key", "k 1")
    document = theater("send", "counter", "-", "--json", stdin=b' {"by":2}\n')

    assert (plain.code, plain.out, plain.err) == (0, f"message {'c' * 32}\n", "")
    assert document.table == {"id": "c" * 32, "receipt": None}
    assert client.asked == [("send", "counter", '{"by":1e2}', "k 1"), ("send", "counter", '{"by":2}', None)]


def test_request_prints_the_reply_alone(theater: Theater, client: FakeClient) -> None:
    client.reply = msgspec.Raw(b'{"a":1e400,"a":' + b"7" * 5000 + b"}")

    plain = theater("request", "counter", "1", "--timeout", "5s", "--idempotency-key", "k")
    document = theater("request", "counter", "1", "--json")

    assert plain.code == 0
    assert plain.out == bytes(client.reply).decode() + "\n"
    assert plain.err == ""
    assert document.out == f'{{"reply":{bytes(client.reply).decode()},"receipt":{{"seq":9,"hash":"{"d" * 64}"}}}}\n'
    assert client.asked == [("request", "counter", "1", 5.0, "k"), ("request", "counter", "1", 120.0, None)]


def test_a_request_without_a_reply_says_so(theater: Theater, client: FakeClient) -> None:
    client.reply = None
    null = theater("request", "counter", "1")
    client.has_reply = False
    plain = theater("request", "counter", "1")

    assert (null.code, null.out, null.err) == (0, "null\n", "")
    assert (plain.code, plain.out, plain.err) == (0, "", "no reply: the actor gave none\n")
    assert theater("request", "counter", "1", "--json").table["reply"] is None


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (Refused("not today"), "refused: not today\n"),
        (Crashed("the step crashed: trap: one\ntwo"), "crashed: trap: one\n    two\n"),
        (TimedOut("no answer within 5 s; the step goes on"), "error: no answer within 5 s; the step goes on\n"),
        (IdempotencyMismatch("another message"), "error: another message\n"),
        (MailboxFull("it is full"), "error: it is full\n"),
    ],
)
def test_what_a_request_fails_with_is_on_stderr(
    theater: Theater, client: FakeClient, failure: TheaterError, said: str
) -> None:
    client.errors["request"] = [failure, failure]

    plain = theater("request", "counter", "1")
    document = theater("request", "counter", "1", "--json")

    assert (plain.code, plain.out, plain.err) == (1, "", said)
    assert (document.code, document.table) == (1, {"error": {"code": failure.code, "message": failure.message}})


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "counter"),
        ("send", "counter", "{"),
        ("send", "counter", "1", "--idempotency-key", ""),
        ("send", "counter", "1", "--idempotency-key", "ü"),
        ("send", "counter", "1", "--idempotency-key", "k" * 256),
        ("request", "counter", "NaN"),
        ("request", "counter", "1", "--timeout", "soon"),
        ("request", "counter", "1", "--idempotency-key", "a\nb"),
        ("channel", "counter", "--open", "{"),
        ("channel", "counter", "--open", "-"),
    ],
)
def test_wrong_usage_exits_2_before_anything_is_asked(
    theater: Theater, client: FakeClient, arguments: tuple[str, ...]
) -> None:
    assert theater(*arguments).code == 2
    assert theater(*arguments, "--json").code == 2
    assert client.asked == []


@pytest.mark.parametrize("arguments", [("send", "x", "1"), ("request", "x", "1"), ("channel", "x")])
def test_an_actor_that_is_not_there_exits_5(theater: Theater, client: FakeClient, arguments: tuple[str, ...]) -> None:
    for verb in ("send", "request", "open_channel"):
        client.errors[verb] = [NotFound("no actor 'x'")]

    assert theater(*arguments).code == 5


# -- channel ---------------------------------------------------------------------------------------------------------


def test_a_channel_says_each_line_and_prints_what_it_hears(theater: Theater, client: FakeClient) -> None:
    client.heard = [messages(), messages('{"n":1}', "2", closed="the channel is closed: the actor closed it")]

    done = theater("channel", "counter", "--open", '{"to":"you"}', stdin=b'{"a":1}\n\n "last"')

    assert (done.code, done.err) == (0, "closed: the actor closed it\n")
    assert done.out == '{"count":1}\n{"n":1}\n2\n'
    assert client.said == ['{"a":1}', '"last"']
    assert client.asked[0] == ("open_channel", "counter", '{"to":"you"}')
    assert client.asked[-1] == ("close_channel", "e" * 32)


def test_a_channel_in_json_is_a_document_a_line(theater: Theater, client: FakeClient) -> None:
    client.heard = [messages('"one"', closed="the channel is closed: enough")]

    done = theater("channel", "counter", "--json")

    assert [json.loads(line) for line in done.out.splitlines()] == [
        {"channel": "e" * 32, "actor": "a" * 32, "reply": {"count": 1}},
        {"message": "one"},
        {"closed": "enough"},
    ]


def test_at_the_end_of_stdin_a_channel_is_closed_once_it_is_quiet(
    theater: Theater, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("theater.cli.channel.QUIET_S", 0.05)
    client.heard = [messages("1")]
    client.reply = None

    done = theater("channel", "counter", stdin=b"1\n")

    assert (done.code, done.out, done.err) == (0, "1\n", "")
    assert client.asked[-1] == ("close_channel", "e" * 32)


def test_an_actor_that_never_stops_talking_is_left(
    theater: Theater, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("theater.cli.channel.LINGER_S", 0.0)
    client.heard = [messages("1")] * 1000

    assert theater("channel", "counter").code == 0
    assert client.asked[-1] == ("close_channel", "e" * 32)


def test_in_a_pipe_a_line_that_is_not_json_ends_the_channel(theater: Theater, client: FakeClient) -> None:
    done = theater("channel", "counter", stdin=b"1\nnope\n2\n")

    assert done.code == 2
    assert "line 2 of standard input" in done.err
    assert client.said == ["1"]
    assert client.asked[-1] == ("close_channel", "e" * 32)


def test_on_a_terminal_a_line_that_is_not_json_is_named_and_passed_over(
    theater: Theater, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("theater.cli.output.Output.is_interactive", property(lambda _: True))
    monkeypatch.setattr("theater.cli.channel.QUIET_S", 0.05)
    client.errors["say"] = [MailboxFull("it is full")]

    done = theater("channel", "counter", stdin=b"1\nnope\n2\n")

    assert done.code == 0
    assert done.err.splitlines()[0] == "error: it is full"
    assert done.err.splitlines()[1].startswith("error: not JSON")
    assert client.said == ["2"]


@pytest.mark.parametrize("failure", [MailboxFull("it is full"), NotFound("no channel")])
def test_what_cannot_be_said_in_a_pipe_ends_the_channel(
    theater: Theater, client: FakeClient, failure: TheaterError
) -> None:
    client.errors["say"] = [failure]

    assert theater("channel", "counter", stdin=b"1\n2\n").code in (1, 5)
    assert client.said == []
    assert client.asked[-1] == ("close_channel", "e" * 32)


def test_who_speaks_too_late_hears_why(theater: Theater, client: FakeClient) -> None:
    client.errors["say"] = [ChannelClosed("the channel is closed: gone")]
    client.errors["close_channel"] = [ChannelClosed("the channel is closed: gone")]
    client.heard = [messages(closed="the channel is closed: gone")]

    done = theater("channel", "counter", stdin=b"1\n2\n")

    assert (done.code, done.err) == (0, "closed: gone\n")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (NoChannels("it takes none"), "error: it takes none\n"),
        (Refused("not now"), "refused: not now\n"),
        (Crashed("the step crashed: fuel"), "crashed: fuel\n"),
    ],
)
def test_a_channel_that_is_not_opened_exits_1(
    theater: Theater, client: FakeClient, failure: TheaterError, said: str
) -> None:
    client.errors["open_channel"] = [failure]

    done = theater("channel", "counter", stdin=b"1\n")

    assert (done.code, done.out, done.err) == (1, "", said)


def test_what_is_heard_and_cannot_be_is_an_error(theater: Theater, client: FakeClient) -> None:
    client.errors["hear"] = [NotFound("no channel 'e'")]

    assert theater("channel", "counter").code == 5


def test_lines_are_whole_however_they_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr("sys.stdin", os.fdopen(reading))
    lines = InputLines(line_max_bytes=10)
    found = []
    for piece in (b"a", b"b\nc\n\nd", b"\n", b"e"):
        os.write(writing, piece)
        found.append(lines.read())
    os.close(writing)
    found.append(lines.read())
    sys.stdin.close()

    assert found == [[], [b"ab", b"c", b""], [b"d"], [], [b"e"]]
    assert lines.is_over
    assert lines.read() == []


def test_a_line_that_is_too_long_is_refused_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"1234567890\n12345678901")))

    with pytest.raises(InvalidInput, match="more than 10 bytes"):
        InputLines(line_max_bytes=10).read()


def test_closed_standard_input_is_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)

    assert InputLines(line_max_bytes=10).is_over


# -- hostile texts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("send", "counter", "1"), ("request", "counter", "1"), ("channel", "counter")])
def test_what_an_actor_says_is_shown_safely(theater: Theater, client: FakeClient, arguments: tuple[str, ...]) -> None:
    client.reply = msgspec.Raw(EVIL_JSON.encode())
    client.heard = [messages(EVIL_JSON, f"[1,\n{EVIL_JSON}\n]", closed=EVIL)] * 2
    looked_at(theater(*arguments))
    looked_at(theater(*arguments, "--json"))
    for failure in (Refused(EVIL), Crashed(EVIL), NotFound(FAKE_LINES), Refused(FAKE_LINES), Crashed(FAKE_LINES)):
        for verb in ("send", "request", "open_channel"):
            client.errors[verb] = [failure, failure]
        plain = looked_at(theater(*arguments))
        looked_at(theater(*arguments, "--json"))
        assert not any(line.startswith(("id 0", "error: nothing")) for line in plain.err.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", EVIL, "1"),
        ("send", "counter", EVIL),
        ("send", "counter", "1", "--idempotency-key", EVIL),
        ("request", "\udcff", "1"),
        ("request", "counter", "1", "--timeout", EVIL),
        ("channel", "counter", "--open", EVIL),
    ],
)
def test_hostile_arguments_are_named_safely(theater: Theater, client: FakeClient, arguments: tuple[str, ...]) -> None:
    client.heard = [messages(closed="x")] * 2
    looked_at(theater(*arguments))
    looked_at(theater("--json", *arguments))
