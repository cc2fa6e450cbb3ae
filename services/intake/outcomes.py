"""What became of each submission of a save, and what is remembered of it: written in the save's own transaction."""

from __future__ import annotations

from uuid import UUID

from services.intake import customers, fetching, merges, sealing, store, threads
from services.intake.accepting import SERVICE, subject_of
from services.intake.domain import OUTCOMES, IntakeState
from services.intake.normal import Normal, heard, is_message
from services.intake.repeats import Earlier
from services.intake.sources import Sources
from services.intake.submissions import ContactSubmission
from services.intake.threads import Threaded
from shared.contracts.complaints import RepeatSuspected
from shared.postgres.inputs import Work
from shared.postgres.pool import Connection
from shared.telemetry import metrics


async def settle(conn: Connection, work: Work[IntakeState], id_key: bytes, sources: Sources | None) -> set[UUID]:
    """Returns the deliveries whose submissions were settled."""
    outcomes: list[tuple[UUID, int, str, str | None]] = []
    missing: list[fetching.Wanted] = []
    placed: list[tuple[Threaded, UUID]] = []
    moved: list[tuple[UUID, int, UUID]] = []
    complaints: list[tuple[UUID, Earlier]] = []
    proposed: list[tuple[UUID, RepeatSuspected]] = []
    for item, decision in work.handled:
        if item.kind == "command":
            await merges.note(conn, item.subject, decision.events)
        if item.kind != "submission":
            continue
        normal: Normal = item.body
        outcome = OUTCOMES[decision.events[0].TYPE]
        outcomes.append((normal.delivery.id, normal.item, outcome, None))
        if normal.place is not None and not item.erased and outcome in ("complaint", "contact", "reply"):
            placed.append((normal.place, item.subject))
        usual = subject_of(id_key, normal.delivery.source, normal.submission)
        if item.subject != usual and (is_message(item) or normal.returned is not None):
            moved.append((normal.delivery.id, normal.item, item.subject))
        if outcome in ("complaint", "contact") and isinstance(normal.submission, ContactSubmission):
            contact = normal.submission.contact
            source = None if sources is None else sources.record(normal.delivery.source)
            missing += fetching.wanted(source, contact, item.carrier)
            complaint = heard(decision.state, contact, item.subject)
            complaints += [(person, complaint) for person in normal.people] if complaint is not None else []
            proposed += [(item.subject, event) for event in decision.events if isinstance(event, RepeatSuspected)]
        metrics.SUBMISSIONS.labels(SERVICE, normal.delivery.source, outcome).inc()
    for dead in work.dead:
        if dead.kind == "submission":
            delivery_id, _, number = dead.reference.partition("/")
            outcomes.append((UUID(delivery_id), int(number), "dead_letter", dead.reason))
    await store.settle(conn, outcomes)
    if moved:
        await store.move(conn, moved)
    await threads.keep(conn, placed)
    await customers.keep(conn, complaints)
    await merges.propose(conn, proposed, work.now)
    await fetching.note(conn, missing)
    if gone := {subject for subject, row in work.rows.items() if row.erased}:
        await sealing.erase(conn, gone)
        await merges.forget(conn, gone)
    return {outcome[0] for outcome in outcomes}
