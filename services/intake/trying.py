"""What a file would become if a source sent it: the same steps as a delivery, with nothing stored before and nothing after."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from services.intake import domain, reading
from services.intake.adapters import ADAPTERS
from services.intake.domain import OUTCOMES, IntakeState
from services.intake.submissions import (
    ContactSubmission,
    Delivery,
    ReplySubmission,
    Submission,
    Unreadable,
    keep,
)
from shared.clock import utc_now
from shared.contracts import ids
from shared.contracts.codec import write_data
from shared.contracts.complaints import ComplaintReceived, ContactAdded, ReplySent

# Of one delivery that holds several, the outcome that tells most comes first.
RANK = ("complaint", "contact", "reply", "status", "rejected", "set_aside", "dead_letter")
# Files whose items are rows: each is told by itself.
ROW_BY_ROW = ("csv", "cfpb")
FAILED = ("rejected", "dead_letter")


def delivery_of(
    adapter: str, body: bytes, headers: Mapping[str, str], options: Mapping[str, Any], now: datetime | None = None
) -> Delivery:
    """A file as if it had been sent: `headers` have lower-case names."""
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    return Delivery(
        id=ids.time_ordered_id(),
        source=adapter,
        received_at=now or utc_now(),
        content_type=given or _guess(adapter, body),
        headers=headers,
        body=body,
        options=options,
    )


def judge(adapter: str, delivery: Delivery) -> list[dict[str, Any]]:
    """One result for each item: `outcome`, `reason`, `text_status`, and the event that it becomes."""
    try:
        items = ADAPTERS[adapter].read(delivery)
    except Unreadable as problem:
        return [_result("dead_letter", problem.detail, None, [])]
    states: dict[str, IntakeState] = {}
    results = []
    for number, item in enumerate(items):
        submission = keep(item, delivery, number, adapter)
        if isinstance(submission, ContactSubmission):
            submission = ContactSubmission(submission.identity, reading.read(submission.contact))
        record_id = submission.identity.record_id
        decision = domain.decide(states.get(record_id), submission, delivery, number, delivery.received_at)
        states[record_id] = decision.state
        outcome = OUTCOMES[decision.events[0].TYPE]
        events = [orjson.loads(write_data(event)) for event in decision.events]
        status = next(
            (
                e.contact.text_status
                for e in decision.events
                if isinstance(e, ComplaintReceived | ContactAdded | ReplySent)
            ),
            None,
        )
        results.append(_result(outcome, _reason(submission), status, events))
    return results or [_result("dead_letter", "the delivery holds nothing", None, [])]


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The results of one delivery as one: the outcome that tells most, and all events in order."""
    first = min(results, key=lambda result: RANK.index(result["outcome"]))
    if len(results) == 1:
        return first
    told = dict(first)
    told["events"] = [event for result in results for event in result["events"]]
    told["items"] = [{name: result[name] for name in ("outcome", "reason", "text_status")} for result in results]
    return told


def sentence(result: dict[str, Any]) -> str:
    """A result for people."""
    told = [result["outcome"]]
    for event in result["events"][:1]:
        source = (event.get("contact") or event)["source"]
        told.append(f"record {source['record_id']}, event {source['event_id']}")
    if result["text_status"] not in (None, "complete"):
        told.append(f"text: {result['text_status']}")
    if result["reason"]:
        told.append(result["reason"])
    return "; ".join(told)


def _reason(submission: Submission) -> str | None:
    return None if isinstance(submission, ContactSubmission | ReplySubmission) else submission.reason


def _result(outcome: str, reason: str | None, text_status: str | None, events: list[Any]) -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason, "text_status": text_status, "events": events}


def _guess(adapter: str, body: bytes) -> str:
    """The media type that the system would have named."""
    start = body.lstrip()[:1]
    if adapter == "email":
        return "message/rfc822"
    if adapter in ("csv", "cfpb"):
        return "text/csv"
    if start == b"<":
        return "text/xml"
    if start in (b"{", b"["):
        return "application/json"
    return "application/x-www-form-urlencoded" if adapter == "twilio" else "application/json"
