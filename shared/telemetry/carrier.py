"""Where a piece of work stands in its trace: W3C trace context as plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

VALID = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
SAMPLED_DIGITS = frozenset("13579bdf")
MAX_TRACESTATE = 512
_LATER_VERSION = re.compile(r"(?!ff|00)[0-9a-f]{2}-([0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})(?:-.*)?").fullmatch
_TRACESTATE = re.compile(r"[\x20-\x7e]*").fullmatch


class Carrier(NamedTuple):
    """Where a piece of work stands in its trace, as the two W3C headers."""

    traceparent: str
    tracestate: str = ""


_current: ContextVar[Carrier | None] = ContextVar("amends_carrier", default=None)


def parse(traceparent: str | None, tracestate: str = "") -> Carrier | None:
    """What came from outside, checked; None when it is absent or malformed. Never an error."""
    if traceparent is None:
        return None
    if VALID(traceparent) is None:
        later = _LATER_VERSION(traceparent)
        if later is None or VALID(f"00-{later[1]}") is None:
            return None
        traceparent = f"00-{later[1]}"
    if len(tracestate) > MAX_TRACESTATE or _TRACESTATE(tracestate) is None:
        tracestate = ""
    return Carrier(traceparent, tracestate)


def trace_id_of(carrier: Carrier | None) -> str:
    """The trace id, 32 hex digits; "" when there is none."""
    return carrier.traceparent[3:35] if carrier is not None and VALID(carrier.traceparent) else ""


def span_id_of(carrier: Carrier | None) -> str:
    """The span id, 16 hex digits; "" when there is none."""
    return carrier.traceparent[36:52] if carrier is not None and VALID(carrier.traceparent) else ""


def is_sampled(carrier: Carrier | None) -> bool:
    """True when the trace is being recorded somewhere."""
    return carrier is not None and carrier.traceparent[-1:] in SAMPLED_DIGITS


def current() -> Carrier | None:
    """What `use` has set: the piece of work that runs now. Logs take their trace id from it."""
    return _current.get()


@contextmanager
def use(carrier: Carrier | None) -> Iterator[None]:
    """Make `carrier` the current one inside the block."""
    token = _current.set(carrier)
    try:
        yield
    finally:
        _current.reset(token)
