"""Real events for the benchmark, made by the services' own domains and by the fold of the versioned save itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

from services.escalation import handlers as escalation
from services.escalation.app import POLICY as ESCALATION_POLICY
from services.followup import handlers as followup
from services.followup.app import POLICY as FOLLOWUP_POLICY
from services.followup.letters import Letters
from services.followup.links import Links
from services.followup.words import Templates
from services.intake import handlers as intake
from services.intake.accepting import Accepting
from services.intake.adapters import ADAPTERS
from services.intake.normal import Normal
from services.intake.reading import default_reader
from services.intake.store import Accepted
from services.intake.submissions import Delivery, Rejection
from services.records import handlers as records
from services.records.app import POLICY as RECORDS_POLICY
from services.records.payloads import CaseKeys
from shared.clock import utc_now
from shared.contracts import ids
from shared.contracts.codec import decode
from shared.contracts.envelope import Event, Undecodable
from shared.policy.distribution.line import Fixed
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from shared.postgres.fold import Decide, Fold, from_event
from shared.postgres.inputs import Input, Outgoing, Row, Work
from shared.telemetry import tracing
from shared.vault import MasterKeys
from tests.bench.samples import Samples

SOURCE = "bench"
MASTER_KEY = bytes(range(32))
MASTER_KEYS = MasterKeys({"bench": MASTER_KEY})
CONTENT_TYPE = "application/json"
WAY = ("intake", "escalation", "followup", "records")


@dataclass(frozen=True, slots=True)
class Made:
    """What the services made of some complaints: their events as they go to Kafka, and the rows they end with."""

    complaints: list[Outgoing]
    escalations: list[Outgoing]
    followups: list[Outgoing]
    rows: dict[str, dict[UUID, Row[Any]]]


def plain_letters() -> Letters:
    """Letters with the built-in words and no link."""
    words = Templates()
    return Letters(words, words, Links([bytes(32)], timedelta(days=1)), "", "Customer care")


class Maker:
    """Makes complaints and their events, with one id key."""

    def __init__(self, id_key: bytes) -> None:
        self.id_key = id_key
        self.intake = intake.Handlers(Accepting(None, id_key, MASTER_KEYS), id_key, None, MASTER_KEYS, policies=reading_policies())  # type: ignore[arg-type]  # only `decide` is used
        self.escalation = escalation.Handlers(Fixed(policy_of("escalation", ESCALATION_POLICY)))
        self.followup = followup.Handlers(Fixed(policy_of("followup", FOLLOWUP_POLICY)), plain_letters(), id_key)
        self.records = records.Handlers(id_key, CaseKeys(MASTER_KEYS), Fixed(policy_of("records", RECORDS_POLICY)))

    def deliveries(
        self, samples: Samples, first: int, count: int, *, per_delivery: int = 1
    ) -> Iterator[list[Accepted]]:
        """Submissions as intake's HTTP route accepts them, one list a delivery."""
        for number in range(first, first + count, per_delivery):
            size = min(per_delivery, first + count - number)
            body = samples.item(number) if per_delivery == 1 else samples.items(number, size)
            delivery = Delivery(ids.time_ordered_id(), SOURCE, utc_now(), CONTENT_TYPE, {}, body)
            carrier = tracing.begin_request(None, "POST").carrier
            accepted = []
            for place, item in enumerate(ADAPTERS["canonical"].read(delivery)):
                if isinstance(item, Rejection):
                    raise TypeError(f"a sample is not canonical: {item.field} {item.reason}")
                complaint_id = ids.complaint_id(self.id_key, SOURCE, item.identity.record_id)
                accepted.append(
                    Accepted(delivery, "canonical", carrier.traceparent, place, item.identity, complaint_id)
                )
            yield accepted

    def submissions(self, samples: Samples, first: int, count: int) -> list[Input]:
        """The inputs of intake's normalizing, one a complaint."""
        inputs = []
        for accepted in self.deliveries(samples, first, count):
            for one in accepted:
                item = ADAPTERS["canonical"].read(one.delivery)[one.item]
                inputs.append(
                    Input(
                        kind="submission",
                        subject=one.complaint_id,
                        body=Normal(item, one.delivery, one.item),  # type: ignore[arg-type]
                        reference=f"{one.delivery.id}/{one.item}",
                        carrier=tracing.parse(one.traceparent),
                        causation_id=f"{one.delivery.id}/{one.item}",
                        correlation_id=str(one.complaint_id),
                    )
                )
        return inputs

    def fold(self, service: str, decide: Decide[Any], inputs: Sequence[Input]) -> Work[Any]:
        """What one save of `service` works out of inputs about new complaints."""
        return Fold(service, self.id_key, decide, Work(now=utc_now()), {}).run({}, inputs)

    def make(self, samples: Samples, first: int, count: int, *, last: str = "records") -> Made:
        """Complaints `first` to `first + count`, through the services up to `last` in the order of their way."""
        submissions = self.submissions(samples, first, count)
        outgoing: dict[str, list[Outgoing]] = {service: [] for service in WAY}
        rows: dict[str, dict[UUID, Row[Any]]] = {service: {} for service in WAY}
        events: list[Event] = []
        for service in WAY[: WAY.index(last) + 1]:
            decide: Decide[Any] = getattr(self, service).decide
            inputs = submissions if service == "intake" else [from_event(event) for event in events]
            work = self.fold(service, decide, inputs)
            outgoing[service], rows[service] = work.outgoing, work.rows
            events += read_back(work.outgoing)
        return Made(outgoing["intake"], outgoing["escalation"], outgoing["followup"], rows)


@dataclass(frozen=True, slots=True)
class Record:
    """An outgoing event in the shape in which aiokafka hands it to a reader."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def as_records(outgoing: Sequence[Outgoing]) -> list[Record]:
    return [Record(o.topic, 0, n, o.key, o.value, tuple(o.headers)) for n, o in enumerate(outgoing)]


def read_back(outgoing: Sequence[Outgoing]) -> list[Event]:
    """Outgoing events as the next service reads them."""
    events = []
    for record in as_records(outgoing):
        event = decode(record, record.topic)
        if isinstance(event, Undecodable):
            raise TypeError(f"an event that was just made cannot be read: {event.reason}")
        events.append(event)
    return events


def reading_policies() -> Fixed:
    """What intake decides by when nothing else was put in force."""
    reader = default_reader()
    return Fixed(reader.policy, others=[reader.rules])


def policy_of(service: str, name: str) -> Policy:
    """The default policy of a service."""
    return load_policy((files(f"services.{service}") / "policy" / name).read_text(encoding="utf-8"), origin=name)
