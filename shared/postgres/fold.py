"""The heart of the delivery protocol: which inputs are handled, in which order, and what follows. Pure.

Of each event from another service: sequence <= seen: drop; = seen + 1: handle, then what was held behind it; later:
hold. Commands, timers and submissions have no sequence: whoever claimed them in this transaction handles them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from shared.contracts import ids
from shared.contracts.codec import BadData, encode_headers, write_data
from shared.contracts.dead_letters import DeadLetterParked
from shared.contracts.decision import Decision, Due, Refused
from shared.contracts.envelope import Event, EventData, Undecodable
from shared.contracts.privacy import CONFIRMED, ComplaintErased
from shared.contracts.records import CheckpointSigned
from shared.contracts.topics import DEAD_LETTERS, TOPIC_OF
from shared.errors import classify
from shared.postgres.inputs import DeadLetter, Held, Input, Inputs, Outgoing, Row, Work
from shared.telemetry import tracing

S = TypeVar("S")
Decide = Callable[[S | None, Input, datetime], Decision[S] | Refused]
# Kafka takes records of 2 MiB; a larger event must not be committed, for it could never be sent.
MAX_EVENT_BYTES = 2_000_000


def from_event(event: Event) -> Input:
    """An event of another service as an input."""
    event_id = str(event.id)
    return Input(
        kind="event",
        subject=event.subject,
        body=event,
        reference=f"{event.service}/{event.subject}/{event.sequence}",
        carrier=tracing.Carrier(event.traceparent, event.tracestate) if event.traceparent else None,
        causation_id=event_id,
        correlation_id=event.correlation_id or event_id,
        event=event,
    )


def from_undecodable(record: Undecodable) -> Input:
    """A record that is no event, on its way to the dead letters."""
    return Input("event", UUID(int=0), record, "/".join(map(str, record.position)), None, "", "")


def from_record(record: Event | Undecodable) -> Input:
    """Whatever was read from Kafka, as an input."""
    return from_event(record) if isinstance(record, Event) else from_undecodable(record)


class Parked(Exception):
    """Raised in place of a decision, so that the input goes to the dead letters with this reason."""


class Fold:
    """Folds inputs into `work`, for one service. One object per transaction."""

    def __init__(self, service: str, id_key: bytes, decide: Decide[Any], work: Work[Any], held: Held) -> None:
        self._service = service
        self._id_key = id_key
        self._decide = decide
        self._work = work
        self._held = held
        self._topic = TOPIC_OF.get(service, "")
        self._parked: set[str] = set()

    def run(self, loaded: dict[UUID, Row[Any]], inputs: Inputs) -> Work[Any]:
        for item in inputs:
            self.add(loaded, item)
        return self.end()

    def add(self, loaded: dict[UUID, Row[Any]], item: Input) -> None:
        """Handle, hold or drop the next input."""
        row = self._work.rows.get(item.subject) or loaded.get(item.subject) or Row(0, 0, {}, None)
        if isinstance(item.body, Undecodable):
            self._park(item, item.body.reason)
        elif item.event is not None:
            self._in_order(row, item, item.event)
        elif not self._superseded(item):
            self._handle(row, item)

    def end(self) -> Work[Any]:
        """What follows from all inputs."""
        for dead in self._work.dead:
            self._notify(dead)
        return self._work

    def _in_order(self, row: Row[Any], item: Input, event: Event) -> None:
        seen = row.seen.get(event.service, 0)
        slot = (event.subject, event.service, event.sequence)
        if event.sequence <= seen or item.reference in self._parked:
            self._work.duplicates += 1
            return
        if slot in self._held and event.sequence > seen + 1:
            return
        # To hold an event rests on `seen` as much as to handle it: the row is saved too, so that whoever handled the
        # predecessor meanwhile, and found nothing held behind it, is noticed.
        self._work.rows[item.subject] = row
        if row.erased:  # nothing is held for it any more: whatever comes late ends here, in whatever order
            self._handle(row, item)
            row.seen[event.service] = event.sequence
            return
        if event.sequence > seen + 1:
            self._held[slot] = self._work.hold[slot] = event
            return
        self._release(slot)
        while self._handle(row, item):
            row.seen[event.service] = event.sequence
            slot = (event.subject, event.service, event.sequence + 1)
            if slot not in self._held:
                return
            event = self._held[slot]
            self._release(slot)
            item = from_event(event)

    def _release(self, slot: tuple[UUID, str, int]) -> None:
        """Take `slot` out of what waits: either it was to be held by this very work, or its row is deleted."""
        if self._held.pop(slot, None) is not None and self._work.hold.pop(slot, None) is None:
            self._work.release.append(slot)

    def _superseded(self, item: Input) -> bool:
        """True for a due timer that an input before it, in this same work, has cancelled or moved."""
        return isinstance(item.body, Due) and (item.subject, item.body.name) in self._work.timers

    def _handle(self, row: Row[Any], item: Input) -> bool:
        """True when the input was decided. An input that cannot be is parked, and what comes behind it is held."""
        work = self._work
        subject = str(item.subject)
        span = self._span(item, subject)
        try:
            decision = self._decision(row, item)
            if isinstance(decision, Refused):
                if item.kind != "command":
                    raise Parked(f"refused: {decision.title}")
                work.refused.append((item, decision))
                span.end(None)
                return False
            data = [_encode(event) for event in decision.events]
        except Exception as error:
            span.end(type(error).__name__)
            # The caller of a command waits and is told; what trying again may help is tried again.
            if item.kind == "command" or classify(error) != "defect":
                raise
            self._park(item, _reason(error))
            if item.kind == "timer":  # so that whoever cancels it at this moment is noticed
                work.rows[item.subject] = row
            return False
        row.state = None if row.erased or decision.erase else decision.state
        work.rows[item.subject] = row
        for event, value in zip(decision.events, data, strict=True):
            self._emit(row, item, subject, event.TYPE, value, span.carrier)
        for timer in decision.timers:
            work.timers[(item.subject, timer.name)] = (timer, span.carrier.traceparent)
        for name in decision.cancel:
            work.timers[(item.subject, name)] = None
        for name in decision.withdraw:
            work.messages[ids.message_id(self._id_key, self._service, item.subject, name)] = None
        for message in decision.messages:
            message_id = ids.message_id(self._id_key, self._service, item.subject, message.name)
            work.messages[message_id] = (item.subject, message, span.carrier.traceparent)
        if decision.erase:
            row.erased = True
            work.erased.add(item.subject)
        work.handled.append((item, decision))
        span.end(None)
        return True

    def _decision(self, row: Row[Any], item: Input) -> Decision[Any] | Refused:
        """The domain decides, but for erasure: that is the same everywhere, and then there is nothing left to decide on."""
        if row.erased:
            if item.kind == "command":
                return Refused(410, "Erased", "This complaint was erased; only its numbers are left.")
            if item.kind != "submission":
                return Decision(None)
            return self._decide(None, item._replace(erased=True), self._work.now)
        event_type = "" if item.event is None else item.event.type
        if event_type == CheckpointSigned.TYPE:  # about the log, not about a complaint: there is nothing to know of it
            return Decision(row.state)
        if event_type == ComplaintErased.TYPE:
            return Decision(None, (CONFIRMED[self._service](),), erase=True)
        return self._decide(row.state, item, self._work.now)

    def _park(self, item: Input, reason: str) -> None:
        self._parked.add(item.reference)
        self._work.dead.append(dead_letter(item, reason))

    def _span(self, item: Input, subject: str) -> tracing.ProcessSpan:
        event = item.event
        if event is None:
            return tracing.begin_process(
                item.carrier, item.kind, group=self._service, event_type="", event_id="", complaint_id=subject
            )
        return tracing.begin_process(
            item.carrier, event.position.topic, group=self._service, partition=event.position.partition,
            offset=event.position.offset, event_type=event.type, event_id=item.causation_id, complaint_id=subject,
        )  # fmt: skip

    def _emit(
        self, row: Row[Any], item: Input, subject: str, event_type: str, value: bytes, parent: tracing.Carrier
    ) -> None:
        row.sequence += 1
        event_id = ids.event_id_text(self._id_key, self._service, item.subject, row.sequence)
        carrier = tracing.creation(parent, self._topic, event_type=event_type, event_id=event_id, complaint_id=subject)
        headers = encode_headers(
            event_id=event_id,
            event_type=event_type,
            service=self._service,
            subject=subject,
            sequence=row.sequence,
            time=self._work.now,
            causation_id=item.causation_id,
            correlation_id=item.correlation_id,
            traceparent=carrier.traceparent,
            tracestate=carrier.tracestate,
        )
        self._work.outgoing.append(Outgoing(self._topic, item.subject.bytes, headers, value))

    def _notify(self, dead: DeadLetter) -> None:
        notice = DeadLetterParked(
            service=self._service, reference=dead.reference, complaint_id=dead.subject, reason=dead.reason,
            parked_at=self._work.now,
        )  # fmt: skip
        notice_id = ids.keyed_id(self._id_key, "dead-letter", self._service, dead.reference)
        carrier = tracing.creation(None, DEAD_LETTERS, event_type=notice.TYPE, event_id=str(notice_id), complaint_id="")
        headers = encode_headers(
            event_id=notice_id,
            event_type=notice.TYPE,
            service=self._service,
            subject=dead.subject or notice_id,
            sequence=1,
            time=self._work.now,
            causation_id=dead.reference,
            correlation_id=str(notice_id),
            traceparent=carrier.traceparent,
        )
        self._work.outgoing.append(Outgoing(DEAD_LETTERS, dead.key or notice_id.bytes, headers, write_data(notice)))


def _encode(event: EventData) -> bytes:
    value = write_data(event)
    if len(value) > MAX_EVENT_BYTES:
        raise Parked(f"{event.TYPE} would have {len(value)} bytes, the limit is {MAX_EVENT_BYTES}")
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, BadData | Parked):
        return str(error)
    # A defect of ours: the kind of error, never its text, which may quote the data.
    return f"handling failed: {type(error).__name__}"


def dead_letter(item: Input, reason: str) -> DeadLetter:
    """What is kept of an input that cannot be handled: enough to replay it."""
    if isinstance(item.body, Undecodable):
        record = item.body
        headers = [[name, None if value is None else value.hex()] for name, value in record.headers]
        body: dict[str, Any] = {"position": list(record.position), "headers": headers}
        return DeadLetter("event", item.reference, None, None, None, reason, body, record.key, record.value)
    if item.event is not None:
        event = item.event
        return DeadLetter(
            "event", item.reference, event.subject, event.service, event.sequence, reason, envelope(event),
            event.subject.bytes, event.data,
        )  # fmt: skip
    body = {"name": item.body.name, "due_at": item.body.due_at.isoformat()} if item.kind == "timer" else {}
    if item.kind == "message":
        body = asdict(item.body)
    return DeadLetter(item.kind, item.reference, item.subject, None, None, reason, body, None, None)


def envelope(event: Event) -> dict[str, Any]:
    """The envelope as JSON, for the tables that keep events aside; `revive` reads it back."""
    return {
        "id": str(event.id), "type": event.type, "service": event.service, "subject": str(event.subject),
        "sequence": event.sequence, "time": event.time.isoformat(), "causation_id": event.causation_id,
        "correlation_id": event.correlation_id, "traceparent": event.traceparent, "tracestate": event.tracestate,
        "position": list(event.position),
    }  # fmt: skip
