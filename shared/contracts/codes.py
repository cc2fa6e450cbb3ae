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
}
