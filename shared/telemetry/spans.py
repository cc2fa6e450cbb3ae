"""A span in the making, and the only attributes that it may carry."""

from __future__ import annotations

import re
from collections.abc import Mapping

from opentelemetry.trace import Span, StatusCode

from shared.telemetry.carrier import Carrier

# The only attributes that leave the process. Personal data has no key here, so it cannot be recorded by mistake.
ATTRIBUTES = frozenset(
    {
        "amends.event.id",
        "amends.event.type",
        "complaint.id",
        "complaint.severity",
        "decision.rule_id",
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "link.kind",
        "messaging.batch.message_count",
        "messaging.consumer.group.name",
        "messaging.destination.name",
        "messaging.destination.partition.id",
        "messaging.kafka.offset",
        "messaging.message.conversation_id",
        "messaging.message.id",
        "messaging.operation.name",
        "messaging.operation.type",
        "messaging.system",
        "policy.id",
        "policy.version",
        "sla.kind",
        "timer.due_at",
        "timer.lag_s",
        "timer.name",
        "url.scheme",
    }
)

Value = str | int | float | bool
_ERROR_KIND = re.compile(r"[\w. -]{1,64}", re.ASCII).fullmatch


class ProcessSpan:
    """One piece of work. `carrier` is its own context: what the work emits hangs under it. End it exactly once."""

    __slots__ = ("_span", "carrier")

    def __init__(self, carrier: Carrier, span: Span | None = None) -> None:
        self.carrier = carrier
        self._span = span

    @property
    def recorded(self) -> bool:
        """False when `set` and `event` would do nothing: then working out their values can be spared."""
        return self._span is not None

    def set(self, key: str, value: Value) -> None:
        """Add an attribute. A key outside ATTRIBUTES is left out."""
        if self._span is not None and key in ATTRIBUTES:
            self._span.set_attribute(key, value)

    def event(self, name: str, attributes: Mapping[str, Value]) -> None:
        """Add an event, such as one decision of a policy. Keys outside ATTRIBUTES are left out."""
        if self._span is not None:
            self._span.add_event(name, allowed(attributes))

    def end(self, error: str | None = None, *, name: str | None = None) -> None:
        """`error` is the kind of error (a class name), never its text. `name` renames the span."""
        span = self._span
        if span is None:
            return
        if name is not None:
            span.update_name(name)
        if error is not None:
            span.set_attribute("error.type", error if _ERROR_KIND(error) else "other")
            span.set_status(StatusCode.ERROR)
        span.end()


def allowed(attributes: Mapping[str, Value]) -> dict[str, Value]:
    """Those of `attributes` whose key is in ATTRIBUTES."""
    return {key: value for key, value in attributes.items() if key in ATTRIBUTES}
