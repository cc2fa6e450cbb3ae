"""Logs as JSON lines on stderr, ours and the libraries' alike, each with service and trace id.

    {"ts": "...", "level": "info", "logger": "shared.postgres.relay", "event": "...", "service": "intake", ...}

Text from outside cannot break out of its line (all control characters are escaped), and an error's own text is only
shown where it is known to hold no personal data: that of Amends' errors, of the operating system and of Kafka. Of any
other error there is only the type.
"""

from __future__ import annotations

import json
import logging
import sys
import time as clock
import traceback
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

import structlog
from structlog.typing import EventDict, Processor

from shared.telemetry import carrier as trace

LEVELS = ("debug", "info", "warning", "error")
MAX_TEXT = 2_000
# The least level of loggers that say something for each request or record, or that outsiders can make speak at will.
_QUIETER = {
    "aiokafka": logging.INFO,  # at debug it prints whole records
    "aiokafka.consumer.fetcher": logging.WARNING,
    "asyncio": logging.WARNING,
    "httpcore2": logging.WARNING,
    "httpx2": logging.WARNING,
    "urllib3": logging.WARNING,
    "uvicorn.error": logging.ERROR,
}
# While Kafka is away aiokafka tries ten times a second, in several tasks, and says so each time.
REPEATING = "aiokafka"
REPEAT_EVERY_S = 5.0
_SAFE_MODULES = ("shared.", "services.", "deploy.", "aiokafka.")


def setup(service: str, level: str, *, stream: TextIO | None = None) -> None:
    """Send every log of this process through one formatter. `level`: one of LEVELS. Call once, before any work.

    `stream` replaces stderr (for tests). Raises ValueError for a level that does not exist.
    """
    if level not in LEVELS:
        raise ValueError(f"log level {level!r} does not exist; use one of {', '.join(LEVELS)}")
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper("iso", utc=True, key="ts"),
        _trace_ids,
        _Errors(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_first_line, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _Line(service)],
            keep_exc_info=False,
            keep_stack_info=False,
        )
    )
    handler.addFilter(_Seldom())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name, logger in logging.root.manager.loggerDict.items():
        # Libraries that came with a handler of their own (FastStream, uvicorn) would print a second time, as text.
        if isinstance(logger, logging.Logger):
            logger.handlers, logger.propagate = [], True
            if name.startswith(("faststream", "uvicorn", "aiokafka", "asyncpg")):
                logger.setLevel(logging.NOTSET)
    for name, least in _QUIETER.items():
        logging.getLogger(name).setLevel(max(number, least))
    logging.captureWarnings(True)


def bind(*, complaint_id: str) -> None:
    """Put `complaint_id` on every later line of this task; `unbind` takes it off."""
    structlog.contextvars.bind_contextvars(complaint_id=complaint_id)


def unbind() -> None:
    """Take off what `bind` put on."""
    structlog.contextvars.unbind_contextvars("complaint_id")


def _trace_ids(_: Any, __: str, event: EventDict) -> EventDict:
    current = trace.current()
    if current is not None and (trace_id := trace.trace_id_of(current)):
        event.setdefault("trace_id", trace_id)
        event.setdefault("span_id", trace.span_id_of(current))
    return event


def _first_line(_: Any, __: str, event: EventDict) -> EventDict:
    """Of a library's message only its first line, and not the text of the error that it reports."""
    message = str(event.get("event", ""))
    record = event.get("_record")
    error = record.exc_info[1] if isinstance(record, logging.LogRecord) and record.exc_info else None
    if error is not None and not _is_safe(error):
        for text in (repr(error), str(error)):
            if text:
                message = message.replace(text, type(error).__name__)
    event["event"] = message.split("\n", 1)[0].strip()
    return event


class _Seldom(logging.Filter):
    """Of what a library says again and again, one line every REPEAT_EVERY_S seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(REPEATING):
            return True
        now, what = clock.monotonic(), (record.name, str(record.msg))  # the template, without its arguments
        if now - self._said.get(what, float("-inf")) < REPEAT_EVERY_S:
            return False
        if len(self._said) > 1_000:
            self._said.clear()
        self._said[what] = now
        return True


class _Errors:
    """Turns `exc_info` into `error_type`, `error` (where its text is safe), `caused_by`, and `stack` (places, no values)."""

    def __call__(self, _: Any, __: str, event: EventDict) -> EventDict:
        info = event.pop("exc_info", None)
        event.pop("stack_info", None)
        error = info if isinstance(info, BaseException) else None
        if info is True:
            error = sys.exc_info()[1]
        elif isinstance(info, tuple):
            error = info[1]
        if error is None:
            return event
        event["error_type"] = _type_name(error)
        if _is_safe(error):
            event["error"] = str(error)[:MAX_TEXT]
        if causes := _causes(error):
            event["caused_by"] = causes
        frames = traceback.extract_tb(error.__traceback__)
        event["stack"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return event


class _Line:
    """The last step: the JSON text of one line."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _: Any, __: str, event: EventDict) -> str:
        line = {"ts": event.pop("ts", None), "level": event.pop("level", None), "logger": event.pop("logger", None)}
        line["event"] = _short(event.pop("event", ""))
        line["service"] = event.pop("service", self._service)
        line |= {key: _short(value) for key, value in event.items()}
        # ASCII only: json escapes every control character, C1 codes and line separators included.
        return json.dumps(line, ensure_ascii=True, default=_plain).replace("\x7f", "\\u007f")


def _short(value: Any) -> Any:
    return f"{value[:MAX_TEXT]}..." if isinstance(value, str) and len(value) > MAX_TEXT else value


def _plain(value: object) -> Any:
    """A value that JSON does not know. Of an unknown object only its type: its text may hold anything."""
    if isinstance(value, UUID | Decimal | Path | timedelta):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, BaseException):
        return _type_name(value)
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return f"<{type(value).__name__}>"


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _causes(error: BaseException) -> Sequence[str]:
    causes: list[str] = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and len(causes) < 5:
        causes.append(_type_name(cause))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return causes


def _is_safe(error: BaseException) -> bool:
    return isinstance(error, OSError) or type(error).__module__.startswith(_SAFE_MODULES)
