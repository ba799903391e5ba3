"""What the server says of itself, on stderr: for people, or one JSON object a line.

It goes through ``logging``, under loggers of its own and uvicorn's; the root logger, which is the embedding program's,
stays as it is. Every text passes the one sanitiser, whoever wrote it: a line begins with ours and is one line, and
nothing in it moves a cursor.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal, Self, TextIO, get_args

import msgspec

from theater.model.safe_text import encodable, safe, safe_json
from theater.server.trace import Trace

LogFormat = Literal["human", "json"]
LOG_FORMATS: Final[tuple[LogFormat, ...]] = get_args(LogFormat)

FIELD_MAX: Final = 1000
"""Characters of one text: a guest's message can be megabytes long, and the chain has all of it."""

TRACEBACK_MAX: Final = 20_000

_OURS: Final = "theater.server"
_LOGGERS: Final = (_OURS, "uvicorn.error", "asyncio")
_FIELDS: Final = "theater_fields"

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:{}@+,*-]+\Z")
"""A text that needs neither quotes nor a second look: most of them."""

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Log:
    """In force from entering it to leaving it. Any thread may write."""

    def __init__(self, stream: TextIO, log_format: LogFormat = "human") -> None:
        self._logger = logging.getLogger(_OURS)
        self._handler = _Handler(stream)
        self._handler.setFormatter(_JsonLines() if log_format == "json" else _Lines())
        self._before: dict[str, tuple[list[logging.Handler], bool, int]] = {}

    def __enter__(self) -> Self:
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            self._before[name] = logger.handlers, logger.propagate, logger.level
            logger.handlers, logger.propagate = [self._handler], False
            logger.setLevel(logging.INFO if name == _OURS else logging.WARNING)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, (handlers, propagate, level) in self._before.items():
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)

    def info(self, message: str, **fields: object) -> None:
        """Something that is as it should be."""
        self._say(logging.INFO, message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Something that somebody should look at."""
        self._say(logging.WARNING, message, fields)

    def access(self, trace: Trace, took_s: float) -> None:
        """A request has been answered. Its target is not told: it may hold anything, and the template says enough."""
        self._say(logging.INFO, "request", {**trace.fields(), "ms": round(took_s * 1000, 3)})

    def failure(self, trace: Trace, error: BaseException) -> None:
        """A request failed in a way that whoever runs the server has to look into."""
        self._say(logging.ERROR, "a request failed", trace.fields(), error)

    def error(self, message: str, error: BaseException | None) -> None:
        """Something failed that nobody asked for."""
        self._say(logging.ERROR, message, {}, error)

    def _say(self, level: int, message: str, fields: Mapping[str, object], error: BaseException | None = None) -> None:
        # Not Logger.log, which looks for the line that it was called from: a third of the cost, and nobody asks for it.
        trouble = (type(error), error, error.__traceback__) if error is not None else None
        record = logging.LogRecord(_OURS, level, "", 0, message, (), trouble)
        setattr(record, _FIELDS, fields)
        self._logger.handle(record)


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Do nothing: the stream is gone, and there is no other place to say so. Serving goes on."""


class _Lines(logging.Formatter):
    """``TIME LEVEL MESSAGE name=value …``; of a traceback, further lines, indented."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [_time(record), f"{record.levelname.lower():7}", safe(_cut(record.getMessage(), FIELD_MAX))]
        parts += [f"{_shown_name(name)}={_shown(value)}" for name, value in _fields(record).items()]
        line = " ".join(parts)
        text = _traceback(record)
        return line if not text else line + "\n    " + safe(text, keep="\n").replace("\n", "\n    ")


class _JsonLines(logging.Formatter):
    """One object a line: ``time``, ``level``, ``message``, the fields, and ``traceback`` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "message": encodable(_cut(record.getMessage(), FIELD_MAX)),
        }
        for name, value in _fields(record).items():
            document.setdefault(encodable(name), encodable(_cut(value, FIELD_MAX)) if isinstance(value, str) else value)
        text = _traceback(record)
        if text:
            document["traceback"] = encodable(text)
        return safe_json(_encode(document).decode())


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields: object = getattr(record, _FIELDS, {})
    return fields if isinstance(fields, dict) else {}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _shown_name(name: str) -> str:
    return name if _PLAIN.match(name) else safe(name)


def _shown(value: object) -> str:
    if not isinstance(value, str):
        return safe(str(value))
    if len(value) <= FIELD_MAX and _PLAIN.match(value):
        return value
    return safe_json(_encode(encodable(_cut(value, FIELD_MAX))).decode())


def _traceback(record: logging.LogRecord) -> str:
    if record.exc_info is None or record.exc_info[1] is None:
        return ""
    text = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
    return text[-TRACEBACK_MAX:]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"
