"""An event on one line: what says most has room, on a narrow terminal too."""

import pytest

from theater.cli.salient import event_summary
from theater.model.wire import EventRow


def row(name: str, payload: bytes = b'{"by":"local"}', kind: str = "lifecycle") -> EventRow:
    """An event of that name; nothing else of it matters."""
    return EventRow(
        seq=7,
        kind=kind,
        name=name,
        time="2026-11-20T19:00:54.495495Z",
        hash="0" * 64,
        prev="0" * 64,
        payload=payload,  # type: ignore[arg-type]  # the JSON text, as msgspec.Raw has it
        actor="0" * 32,
        commit="0" * 64,
        size=1,
        salt=None,
    )


def test_a_wide_line_has_the_whole_time_and_name() -> None:
    assert event_summary(row("stopped"), 110) == "    7  2026-11-20T19:00:54.495495Z  lifecycle  stopped  by local"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("stopped", "stopped"),
        ("theater:actor/actor#handle", "handle"),
        ("theater:actor/messaging#send", "messaging#send"),
        ("wasi:clocks/wall-clock@0.2.9#now", "wall-clock#now"),
        ("wasi:io/streams@0.2.9#[method]output-stream.write", "streams#[method]output-stream.write"),
        ("", ""),
        ("#", "#"),
        ("a/b/c@1@2#d#e", "c#d#e"),
    ],
)
def test_a_narrow_line_has_what_tells_events_apart(name: str, short: str) -> None:
    assert event_summary(row(name), 109) == f"    7  11-20 19:00:54  lifecycle  {short}  by local"


def test_an_exchange_is_read_at_80_columns() -> None:
    asked = row(
        "theater:actor/actor#handle", b'{"fuel":1,"state":"{\\"count\\":3}","reply":"{\\"count\\":3}"}', "state"
    )

    line = event_summary(asked, 80)

    assert len(line) <= 80
    assert line.endswith('handle  reply {"count":3}  state {"count":3}')


REQUEST = b'{"method":"POST","url":"https://a.example/","headers":[],"body":null}'


@pytest.mark.parametrize(
    ("kind", "payload", "shown"),
    [
        (
            "intent",
            b'{"arguments":[[1]],"about":{"requests":[' + REQUEST + b"," + REQUEST + b"]}}",
            "POST https://a.example/  POST https://a.example/",
        ),
        ("intent", b'{"arguments":[[1]],"about":"odd"}', "[[1]]"),
        (
            "host",
            b'{"answer":[0],"read":[{"ok":{"status":204}},{"err":{"connection-refused":null}},null]}',
            '-> 204  {"connection-refused":null}  none yet',
        ),
        (
            "host",
            b'{"answer":[0],"arguments":[[1]],"about":{"requests":[' + REQUEST + b']},"read":[{"ok":{"status":200}}]}',
            "POST https://a.example/  -> 200",
        ),
        (
            "host",
            b'{"answer":{"err":{"HTTP-request-denied":null}},"read":' + REQUEST + b"}",
            '-> {"err":{"HTTP-request-denied":null}}  POST https://a.example/',
        ),
        ("host", b'{"answer":[0],"read":[]}', "-> [0]"),
        ("host", b'{"answer":[0],"read":[5]}', "-> [0]"),
    ],
)
def test_what_a_program_asked_of_the_web_is_shown_with_what_came(kind: str, payload: bytes, shown: str) -> None:
    assert event_summary(row("wasi:io/poll#poll", payload, kind), 110).partition("poll#poll")[2].strip() == shown
