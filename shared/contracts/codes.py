"""The number of each event type in the ledger's leaves. Numbers are never changed or used again."""

from __future__ import annotations

UNKNOWN = 0
EVENT_CODES: dict[str, int] = {
    "amends.complaint.received.v1": 1,
    "amends.complaint.contact_added.v1": 2,
    "amends.complaint.reply_sent.v1": 3,
    "amends.complaint.status_reported.v1": 4,
    "amends.submission.set_aside.v1": 5,
    "amends.submission.rejected.v1": 6,
    "amends.escalation.decision_made.v1": 7,
    "amends.escalation.status_changed.v1": 8,
    "amends.followup.update_scheduled.v1": 9,
    "amends.followup.update_due.v1": 10,
    "amends.followup.update_cancelled.v1": 11,
    "amends.followup.check_in_scheduled.v1": 12,
    "amends.followup.check_in_due.v1": 13,
    "amends.followup.check_in_cancelled.v1": 14,
    "amends.followup.promise_proposed.v1": 80,
    "amends.followup.promise_made.v1": 81,
    "amends.followup.promise_due_soon.v1": 82,
    "amends.followup.promise_kept.v1": 83,
    "amends.followup.promise_broken.v1": 84,
    "amends.followup.promise_withdrawn.v1": 85,
    "amends.followup.update_sent.v1": 86,
    "amends.followup.check_in_sent.v1": 87,
    "amends.followup.check_in_answered.v1": 88,
    "amends.followup.check_in_unanswered.v1": 89,
    "amends.followup.fact_checked.v1": 90,
    "amends.followup.message_failed.v1": 91,
    "amends.followup.task_created.v1": 92,
    "amends.followup.task_done.v1": 93,
    "amends.followup.contact_stopped.v1": 94,
    "amends.followup.contact_allowed.v1": 95,
    "amends.followup.outcome_recorded.v1": 96,
    "amends.ledger.checkpoint_signed.v1": 120,
}
