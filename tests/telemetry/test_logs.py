"""Logs: one JSON object a line whatever is logged, with the trace, and without anybody's words in error texts."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StartRefused
from shared.telemetry import logs, tracing


class Sink(io.StringIO):
    def lines(self) -> list[dict[str, Any]]:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return [json.loads(line) for line in text.splitlines()]

    def line(self) -> dict[str, Any]:
        (only,) = self.lines()
        return only


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Logs of everything, read back as JSON."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    sink = Sink()
    logs.setup("intake", "info", stream=sink)
    yield sink
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(False)


log = structlog.get_logger("shared.test")


def test_our_logs_and_the_libraries_have_one_form(sink: Sink) -> None:
    log.info("saved", events=3)
    logging.getLogger("aiokafka.cluster").warning("Topic %s is not available", "complaints")
    ours, theirs = sink.lines()
    assert ours.keys() == {"ts", "level", "logger", "event", "service", "events"}
    assert (ours["level"], ours["logger"], ours["event"], ours["service"]) == ("info", "shared.test", "saved", "intake")
    assert (theirs["level"], theirs["logger"]) == ("warning", "aiokafka.cluster")
    assert theirs["event"] == "Topic complaints is not available"
    assert theirs["service"] == "intake"


def test_a_library_that_brought_its_own_handler_prints_once_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    import faststream  # noqa: F401 - installs a coloured handler at import

    sink = Sink()
    logs.setup("intake", "info", stream=sink)
    logging.getLogger("faststream").info("started")
    assert sink.line()["event"] == "started"
    assert "started" not in "".join(capsys.readouterr())


@given(st.text(), st.text())
def test_whatever_is_logged_stays_one_line_of_printable_ascii(event: str, value: str) -> None:
    sink = Sink()
    logs.setup("intake", "info", stream=sink)
    log.info("%s", event, value=value)
    logging.getLogger("aiokafka").warning("%s", value)
    text = sink.getvalue()
    assert text.count("\n") == 2
    assert all(0x20 <= ord(char) < 0x7F or char == "\n" for char in text)
    first = sink.lines()[0]
    assert (first["event"], first["value"]) == (event, value)


def test_ansi_and_newlines_cannot_forge_a_line(sink: Sink) -> None:
    log.info('x\n{"level": "critical"}\x1b[2J\x9b31m\u2028')
    assert sink.line()["level"] == "info"


def test_the_trace_and_the_complaint_are_on_every_line(sink: Sink) -> None:
    carrier = tracing.creation(None, "x", event_type="", event_id="", complaint_id="")
    with tracing.use(carrier):
        logs.bind(complaint_id="c-1")
        logging.getLogger("asyncpg").warning("slow")
        logs.unbind()
    log.info("after")
    inside, after = sink.lines()
    assert inside["trace_id"] == tracing.trace_id_of(carrier)
    assert inside["span_id"] == tracing.span_id_of(carrier)
    assert inside["complaint_id"] == "c-1"
    assert not {"trace_id", "complaint_id"} & after.keys()


def raise_chain() -> None:
    try:
        raise ValueError("Ann Smith")
    except ValueError as error:
        raise asyncpg.UniqueViolationError("Key (email)=(ann@example.org) already exists") from error


def test_of_a_foreign_error_only_the_types_are_logged(sink: Sink) -> None:
    try:
        raise_chain()
    except asyncpg.UniqueViolationError as error:
        log.exception("not saved")
        logging.getLogger("faststream").exception(f"{error!r} and {error}\nTraceback")
    for line in sink.lines():
        text = json.dumps(line)
        assert "ann" not in text.lower()
        assert line["error_type"] == "asyncpg.exceptions.UniqueViolationError"
        assert line["caused_by"] == ["ValueError"]
        assert any("raise_chain" in frame for frame in line["stack"])
        assert "Traceback" not in text


def test_the_text_of_our_own_errors_and_the_systems_is_logged(sink: Sink) -> None:
    for error in (StartRefused("AMENDS_ID_KEY is not hexadecimal"), ConnectionRefusedError(111, "Connection refused")):
        log.error("cannot start", exc_info=error)
        assert sink.line()["error"] == str(error)


def test_an_object_shows_its_type_only(sink: Sink) -> None:
    class Customer:
        def __repr__(self) -> str:
            return "Ann Smith"

    log.info("x", customer=Customer(), error=ValueError("Ann Smith"), many=[Customer()])
    line = sink.line()
    assert "Ann" not in json.dumps(line)
    assert line["customer"] == "<Customer>"


def test_the_level_holds_and_a_wrong_one_is_refused(sink: Sink) -> None:
    log.debug("no")
    logging.getLogger("aiokafka").debug("no")
    assert sink.lines() == []
    with pytest.raises(ValueError, match="debug, info, warning, error"):
        logs.setup("intake", "loud")


def test_a_library_that_repeats_itself_is_heard_now_and_then(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(logs.clock, "monotonic", lambda: now)
    library, ours = logging.getLogger("aiokafka.client"), logging.getLogger("shared.kafka")
    for node in range(50):
        library.error("Unable to connect to node with id %s", node)
        ours.warning("cannot reach Kafka")
    library.error("something else")
    said = [line["event"] for line in sink.lines()]
    assert said.count("Unable to connect to node with id 0") == 1
    assert len([event for event in said if event.startswith("Unable")]) == 1
    assert said.count("cannot reach Kafka") == 50
    assert "something else" in said
    now += logs.REPEAT_EVERY_S
    library.error("Unable to connect to node with id %s", 7)
    assert sink.line()["event"] == "Unable to connect to node with id 7"
