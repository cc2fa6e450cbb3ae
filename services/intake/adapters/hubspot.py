"""HubSpot: webhook subscriptions (a list of up to 100 events, without the ticket's text), and ticket objects as the CRM API
and workflows write them. `eventId` is not unique by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.intake.adapters.collected import Collected, Said, Status, customer
from services.intake.adapters.fields import first, ident, json_of, objects, part, word
from services.intake.submissions import Delivery, Item, Unreadable
from shared.contracts.complaints import Channel

CHANNELS: dict[str, Channel] = {
    "email": "email", "chat": "chat", "phone": "voice", "form": "web_form", "webform": "web_form", "facebook": "social",
    "whatsapp": "messaging", "sms": "sms", "api": "api",
}  # fmt: skip
TICKET_TYPE = "0-5"
# The stages of the pipeline that every account begins with; others are mapped by the source's option `stages`.
STAGES: dict[str, Status] = {
    "1": "open", "2": "waiting", "3": "open", "4": "closed", "new": "open", "waitingoncontact": "waiting",
    "waitingonus": "open", "closed": "closed", "resolved": "resolved",
}  # fmt: skip


class HubSpot:
    name = "hubspot"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        body = json_of(delivery.body)
        out = Collected(delivery, "hubspot")
        stages = delivery.options.get("stages")
        for event in objects(body)[:1000]:
            if first(event, "subscriptionType", "eventType") is not None:
                _event(out, event, stages if isinstance(stages, Mapping) else {})
            elif isinstance(event.get("properties"), dict):
                _ticket(out, event)
        if not out.items:
            raise Unreadable(422, "No HubSpot event", "no event of HubSpot: `subscriptionType` is missing everywhere")
        return out.items


def _event(out: Collected, event: dict[str, Any], stages: Mapping[str, Any]) -> None:
    raw = event.get("subscriptionType") or event.get("eventType")
    kind, object_id = str(raw).lower(), ident(event.get("objectId"))
    # Not the event id alone, and not the attempt: the same event sent again is the same.
    parts = (
        event.get("portalId"),
        event.get("subscriptionId"),
        event.get("eventId"),
        event.get("objectId"),
        event.get("occurredAt"),
    )
    event_id = "/".join(ident(value) or "" for value in parts)
    if kind.startswith("conversation.newmessage"):
        event_id = f"{event_id}/{ident(event.get('messageId')) or ''}"
    if event.get("propertyName") is not None:
        event_id = f"{event_id}/{ident(event['propertyName']) or ''}"
    if object_id is None:
        out.reject(event_id, "objectId", "is required")
        return
    common: dict[str, Any] = {
        "record_id": object_id,
        "event_id": event_id,
        "event_type": raw,
        "at": (event.get("occurredAt"),),
    }
    about_ticket = kind.startswith("ticket.") or (
        kind.startswith("object.") and ident(event.get("objectTypeId")) in (TICKET_TYPE, None)
    )
    action = kind.partition(".")[2]
    if about_ticket and action == "creation":
        out.contact(Said(**common, message_id=object_id, pending=True))
    elif about_ticket and action == "propertychange":
        _changed(out, event, common, stages)
    elif kind.startswith("conversation.newmessage"):
        said = Said(
            **common, message_id=event.get("messageId"), channel="messaging", author_kind="unknown", pending=True
        )
        if word(event.get("messageType")) == "comment":
            out.set_aside(said, "private note")
        else:
            out.contact(said)
    elif kind == "conversation.creation":
        out.contact(Said(**common, message_id=object_id, channel="messaging", author_kind="unknown", pending=True))
    else:
        out.set_aside(Said(**common), f"{kind[:100]} is not the creation or change of a ticket")


def _changed(out: Collected, event: dict[str, Any], common: dict[str, Any], stages: Mapping[str, Any]) -> None:
    name, value = word(event.get("propertyName")), event.get("propertyValue")
    if name == "content":
        out.contact(Said(**common, message_id=common["event_id"], text=value if isinstance(value, str) else None))
    elif name in ("hspipelinestage", "hsticketstatus"):
        mapped = stages.get(ident(value) or "")
        status = mapped if mapped in ("open", "waiting", "resolved", "closed") else STAGES.get(word(value))
        if status is None:
            out.set_aside(
                Said(**common),
                "a pipeline stage that nothing says the meaning of: map it in the source's option `stages`",
            )
        else:
            out.status(Said(**common), status, value, by=event.get("sourceId"))
    else:
        out.set_aside(Said(**common), "the change of a property that carries no words of the customer")


def _ticket(out: Collected, ticket: dict[str, Any]) -> None:
    """{"id": ..., "properties": {"subject": ..., "content": ...}}, each value plain or {"value": ...}."""
    properties = {k: v.get("value") if isinstance(v, dict) else v for k, v in part(ticket, "properties").items()}
    number = ident(first(ticket, "id", "objectId") or first(properties, "hs_object_id", "hs_ticket_id"))
    if number is None:
        out.reject(None, "id", "is required")
        return
    text = properties.get("content")
    raw = properties.get("source_type")
    changed = ident(first(properties, "hs_lastmodifieddate", "lastmodifieddate") or ticket.get("updatedAt")) or ""
    said = Said(
        record_id=number,
        event_id=f"ticket:{number}:{changed or out.digest()[:32]}",
        event_type="ticket",
        record_url=ticket.get("url"),
        message_id=number,
        at=(first(properties, "createdate"), ticket.get("createdAt")),
        channel=CHANNELS.get(word(raw), "unknown"),
        channel_raw=raw,
        customer=customer(
            ref=first(properties, "hs_primary_contact_id", "associatedcontactid"),
            emails=(properties.get("email"), properties.get("hs_requester_email")),
            phones=(properties.get("phone"),),
        ),
        subject=properties.get("subject"),
        text=text,
        pending="content" not in properties,
        priority=properties.get("hs_ticket_priority"),
        issue=properties.get("hs_ticket_category"),
        unit=properties.get("hubspot_team_id"),
    )
    if ticket.get("private"):
        out.set_aside(said, "private note")
    elif word(ticket.get("direction")) == "outgoing":
        out.reply(said)
    else:
        out.contact(said)
    status = STAGES.get(word(properties.get("hs_pipeline_stage")))
    if status not in (None, "open"):
        said = Said(
            record_id=number,
            event_id=f"ticket:{number}:{word(properties['hs_pipeline_stage'])}:{changed}",
            event_type="ticket",
            at=(changed,),
        )
        out.status(said, status, properties["hs_pipeline_stage"])
