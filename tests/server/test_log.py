"""What is logged is one line, ours, and shown as what it is."""

import io
import json
import logging

import pytest

from theater.server.log import FIELD_MAX, Log, LogFormat
from theater.server.trace import Trace

HOSTILE = 'a\x1b[31m\nforged level=error \u202e\u2028\ud800"=\\'


def logged(log_format: LogFormat, message: str = "said", **fields: object) -> str:
    stream = io.StringIO()
    with Log(stream, log_format) as log:
        log.info(message, **fields)
    return stream.getvalue()


def test_a_line_for_people_has_a_time_a_level_a_message_and_fields() -> None:
    line = logged("human", actor="4f", seq=3, note="two words", empty="")

    time, _, rest = line.partition(" ")
    assert time.endswith("Z")
    assert rest == 'info    said actor=4f seq=3 note="two words" empty=""\n'


def test_a_json_line_is_one_object() -> None:
    line = logged("json", actor="4f", seq=3, level="forged", time="forged")

    document = json.loads(line)
    assert document.pop("time").endswith("Z")
    assert document == {"level": "info", "message": "said", "actor": "4f", "seq": 3}


@pytest.mark.parametrize("log_format", ["human", "json"])
@pytest.mark.parametrize("place", ["message", "field", "name"])
def test_nothing_hostile_comes_out_raw(log_format: LogFormat, place: str) -> None:
    line = {
        "message": lambda: logged(log_format, HOSTILE),
        "field": lambda: logged(log_format, note=HOSTILE),
        "name": lambda: logged(log_format, "said", **{HOSTILE: "1"}),
    }[place]()

    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert not set(line[:-1]) & set("\x1b\r\n\u202e\u2028\ud800")


@pytest.mark.parametrize("log_format", ["human", "json"])
def test_a_text_is_cut(log_format: LogFormat) -> None:
    assert len(logged(log_format, note="x" * 10_000_000)) < FIELD_MAX + 200


@pytest.mark.parametrize("log_format", ["human", "json"])
def test_a_traceback_is_indented_or_one_text(log_format: LogFormat) -> None:
    stream = io.StringIO()
    with Log(stream, log_format) as log:
        try:
            raise RuntimeError(HOSTILE)
        except RuntimeError as error:
            log.failure(Trace("GET"), error)

    lines = stream.getvalue().splitlines()
    assert "error" in lines[0]
    assert "\x1b" not in stream.getvalue()
    if log_format == "json":
        assert "RuntimeError" in json.loads(lines[0])["traceback"]
        assert len(lines) == 1
    else:
        assert all(line.startswith("    ") for line in lines[1:])
        assert any("RuntimeError" in line for line in lines)


def test_uvicorn_and_asyncio_go_the_same_way_and_the_root_logger_is_left_alone() -> None:
    before = list(logging.getLogger().handlers)
    stream = io.StringIO()

    with Log(stream):
        logging.getLogger("uvicorn.error").warning("from uvicorn %s", "\x1b")
        logging.getLogger("uvicorn.error").info("chatter")
        logging.getLogger("asyncio").error("from asyncio")
        logging.getLogger("somebody.else").warning("not ours")
        assert logging.getLogger().handlers == before
    logging.getLogger("uvicorn.error").warning("afterwards")

    assert [line[25:] for line in stream.getvalue().splitlines()] == [
        "warning from uvicorn \\u{1b}",
        "error   from asyncio",
    ]


def test_a_stream_that_is_gone_ends_nothing() -> None:
    stream = io.StringIO()
    with Log(stream) as log:
        stream.close()
        log.info("to nobody")
