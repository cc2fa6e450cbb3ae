"""What a customer adds to the answer on "is it solved?": follow-up has taken the answer, the words are a contact like any other.

The delivery is follow-up's event, made by intake itself (services/intake/comments.py); the record is the complaint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from services.intake.submissions import ContactSubmission, Delivery, Identity, Item, SetAside, Unreadable
from shared.contracts.codec import BadData, read_data
from shared.contracts.complaints import Channel, Contact, Raw, Source
from shared.contracts.followups import AnswerWay, CheckInAnswered

COMMENTS = "comments"
SOURCE = "amends:check-in"  # no source has such a name: a colon is not admitted in it
COMPLAINT, EVENT = "amends-complaint", "amends-event"
_CHANNELS: dict[AnswerWay, Channel] = {
    "link": "web_form", "email": "email", "sms": "sms", "chat": "chat", "phone": "voice", "api": "api", "other": "unknown",
}  # fmt: skip


class Comments:
    """Reads one answer."""

    name = COMMENTS

    def read(self, delivery: Delivery) -> Sequence[Item]:
        try:
            said = read_data(CheckInAnswered, delivery.body)
            complaint, event = delivery.headers[COMPLAINT], delivery.headers[EVENT]
        except (BadData, KeyError):
            raise Unreadable(422, "No answer", "it is not an answer to a check-in") from None
        identity = Identity(event, complaint, hashlib.sha256(delivery.body).digest())
        source = Source(system="amends", instance=SOURCE, record_id=complaint, event_id=event, event_type=said.TYPE)
        if not said.comment:
            return [SetAside(identity, source, "an answer without a comment")]
        contact = Contact(
            source=source,
            occurred_at=said.occurred_at,
            occurred_at_quality="exact",
            received_at=delivery.received_at,
            channel=_CHANNELS[said.via],
            text=said.comment,
            answer=said.answer,
            raw=Raw(
                delivery_id=delivery.id, item=0, sha256=identity.sha256.hex(), content_type=delivery.content_type
            ),
        )
        return [ContactSubmission(identity, contact)]
