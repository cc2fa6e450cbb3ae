"""Standard Webhooks (standardwebhooks.com): `{"type", "timestamp", "data"}` with a canonical item as data, or the item
itself. The header `webhook-id` is the idempotency key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from services.intake.adapters.canonical import loosened, read_item
from services.intake.adapters.fields import first, ident, json_of, moment, short
from services.intake.submissions import Delivery, Item, Rejection, Unreadable


class StandardWebhooks:
    name = "standard-webhooks"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        body = json_of(delivery.body)
        if not isinstance(body, dict):
            raise Unreadable(422, "No Standard Webhook", "the payload must be a JSON object")
        data = body["data"] if isinstance(body.get("data"), dict) else {k: v for k, v in body.items() if k not in ("type", "timestamp")}
        sent_id = delivery.headers.get("webhook-id") or delivery.headers.get("svix-id")
        event_id = sent_id or ident(data.get("event_id")) or f"sha256:{hashlib.sha256(delivery.body).hexdigest()}"
        item: dict[str, Any] = {**data, "event_id": event_id}
        item.setdefault("event_type", short(body.get("type")))
        item.setdefault("system", "standard_webhooks")
        if item.get("record_id") is None:
            item["record_id"] = first(data, "id") or event_id
        given = moment(item.get("occurred_at") or body.get("timestamp") or delivery.headers.get("webhook-timestamp"))
        if given is not None:
            item["occurred_at"] = given.time.isoformat()
            item.setdefault("occurred_at_quality", given.quality)
        if not any(item.get(name) for name in ("text", "subject", "status", "attachments")):
            return [Rejection(event_id, "data", "holds no words and no status: send a canonical complaint", ident(item["record_id"]))]
        return [read_item(delivery, 0, loosened(item))]
