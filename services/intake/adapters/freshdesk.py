"""Freshdesk: what an administrator put into an automation's webhook, tickets and conversations as the API has them, and
product events (`onTicketCreate`).

There is no id of a delivery and no signature: ids are made from the ticket and its content. Status and priority are numbers
in the API and words in placeholders. In chats the first message is repeated in the description.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.intake.adapters.collected import Collected, Said, Status, attachments, customer
from services.intake.adapters.fields import at, first, ident, json_of, objects, part, short, truth, word
from services.intake.submissions import Delivery, Item, Unreadable
from shared.contracts.complaints import Channel
from shared.text.html import to_text

STATUSES: dict[str, Status] = {
    "2": "open", "open": "open", "3": "waiting", "pending": "waiting", "4": "resolved", "resolved": "resolved",
    "5": "closed", "closed": "closed", "6": "waiting", "waitingoncustomer": "waiting", "7": "open", "waitingonthirdparty": "open",
    "beingprocessed": "open",
}  # fmt: skip
PRIORITIES = {"1": "low", "2": "normal", "3": "high", "4": "urgent"}
CHANNELS: dict[str, Channel] = {
    "1": "email", "email": "email", "2": "portal", "portal": "portal", "3": "voice", "phone": "voice", "4": "portal",
    "forum": "portal", "5": "social", "twitter": "social", "6": "social", "facebook": "social", "7": "chat", "chat": "chat",
    "8": "messaging", "9": "web_form", "feedbackwidget": "web_form", "10": "email", "outboundemail": "email", "11": "portal",
    "13": "messaging", "whatsapp": "messaging", "15": "chat", "20": "chat", "webchat": "chat", "sms": "sms", "mobihelp": "messaging",
    "ecommerce": "portal",
}  # fmt: skip
_OUTBOUND = ("10", "outboundemail")
_EVENTS = ("onticketcreate", "onticketupdate", "onconversationcreate", "onconversationupdate")


class Freshdesk:
    name = "freshdesk"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        body = json_of(delivery.body)
        out = Collected(delivery, "freshdesk")
        for each in objects(body)[:100]:
            inner = each.get("freshdesk_webhook") or each.get("freshservice_webhook") or each.get("data") or each
            inner = part(inner)
            event = word(each.get("event"))
            if any(name.startswith("ticket_") for name in inner):
                _placeholders(out, inner)
                continue
            ticket = part(inner, "ticket") or inner
            conversations = inner.get("conversations") or inner.get("conversation") or ticket.get("conversations")
            if event in _EVENTS[2:]:
                _conversations(out, ticket, inner, objects(inner.get("conversation") or conversations))
            else:
                _ticket(out, ticket, inner, objects(conversations), changed=event == "onticketupdate")
        if not out.items:
            raise Unreadable(
                422,
                "No Freshdesk ticket",
                "no ticket is in it: neither `ticket`, nor `freshdesk_webhook` with `ticket_id`",
            )
        return out.items


def _placeholders(out: Collected, given: dict[str, Any]) -> None:
    """{"freshdesk_webhook": {"ticket_id": ..., "ticket_subject": ..., "triggered_event": ...}}"""
    number = ident(first(given, "ticket_id", "ticket_id_numeric", "ticket_display_id"))
    if number is None:
        out.reject(None, "ticket_id", "is required: put {{ticket.id}} into the webhook's content")
        return
    number = number.lstrip("#")
    triggered = word(given.get("triggered_event"))
    raw_channel = first(given, "ticket_source", "ticket_source_name")
    comment = first(
        given, "ticket_latest_public_comment", "ticket_latest_comment", "ticket_comment", "ticket_public_comments"
    )
    html = given.get("ticket_description")
    description = first(given, "ticket_description_text", "ticket_description_in_html")
    answered = "replysent" in triggered
    commented = answered or any(name in triggered for name in ("note", "comment", "replied", "replyreceived"))
    text = comment if commented and comment else description
    digest = out.digest()[:32]
    said = Said(
        record_id=number,
        event_id=f"ticket:{number}:{short(given.get('ticket_updated_at')) or ''}:{digest}",
        event_type=given.get("triggered_event") or "automation",
        record_url=given.get("ticket_url") or given.get("ticket_public_url"),
        message_id=f"ticket:{number}:{digest}" if commented else f"ticket:{number}",
        at=(
            given.get("ticket_updated_at") if commented else None,
            given.get("ticket_created_at"),
            given.get("ticket_created_on"),
        ),
        channel=CHANNELS.get(word(raw_channel), "unknown"),
        channel_raw=raw_channel,
        customer=customer(
            ref=given.get("ticket_requester_unique_external_id") or given.get("ticket_requester_id"),
            name=first(given, "ticket_requester_name", "ticket_contact_name"),
            emails=(given.get("ticket_requester_email"), given.get("ticket_contact_email")),
            phones=(
                given.get("ticket_requester_phone"),
                given.get("ticket_requester_mobile"),
                given.get("ticket_contact_phone"),
            ),
            locale=given.get("ticket_requester_language"),
        ),
        subject=given.get("ticket_subject"),
        text=text if isinstance(text, str) and "<" not in text else None,
        html=None if isinstance(text, str) and "<" not in text else text or html,
        pending=not (text or html or comment),
        priority=_priority(given.get("ticket_priority")),
        product=given.get("ticket_product_specific_ticket_url") and given.get("ticket_product"),
        unit=first(given, "ticket_group_name", "ticket_group"),
        tags=given.get("ticket_tags"),
        due_at=given.get("ticket_due_by_time"),
        custom={k.removeprefix("ticket_"): v for k, v in given.items() if k.startswith("ticket_cf_")},
    )
    raw = given.get("ticket_status")
    if "status" in triggered and not commented:
        _status(out, said, raw, given.get("ticket_agent_name"), always=True)
        return
    if "notetypeprivate" in triggered.replace(":", ""):
        out.set_aside(said, "private note")
    elif answered or word(raw_channel) in _OUTBOUND:
        out.reply(said)
    else:
        out.contact(said)
    _status(
        out,
        Said(
            record_id=number,
            event_id=f"{said.event_id}:status",
            event_type=said.event_type,
            at=(given.get("ticket_updated_at"),),
        ),
        raw,
        None,
    )


def _ticket(
    out: Collected, ticket: dict[str, Any], inner: dict[str, Any], conversations: list[dict[str, Any]], *, changed: bool
) -> None:
    number = ident(first(ticket, "id", "display_id"))
    if number is None or not any(
        name in ticket for name in ("subject", "description", "description_text", "status", "requester_id")
    ):
        return
    text, html = ticket.get("description_text"), ticket.get("description")
    plain = text if isinstance(text, str) and text.strip() else to_text(html) if isinstance(html, str) else ""
    raw_channel = first(ticket, "source_name") or ticket.get("source")
    updated = short(ticket.get("updated_at")) or ""
    said = Said(
        record_id=number,
        event_id=f"ticket:{number}:{updated}:{out.digest()[:32]}",
        event_type="ticket",
        message_id=f"ticket:{number}",
        at=(ticket.get("created_at"), updated),
        channel=CHANNELS.get(word(raw_channel), "unknown"),
        channel_raw=raw_channel,
        customer=_requester(ticket, inner),
        subject=ticket.get("subject"),
        text=text,
        html=html,
        pending=not ("description" in ticket or "description_text" in ticket),
        attachments=attachments(ticket.get("attachments"), "name", "attachment_url", "content_type"),
        priority=_priority(ticket.get("priority")),
        product=ticket.get("product_id"),
        issue=ticket.get("type"),
        unit=ticket.get("group_id"),
        tags=ticket.get("tags"),
        due_at=ticket.get("due_by"),
        custom=ticket.get("custom_fields"),
    )
    if not changed:
        if word(raw_channel) in _OUTBOUND:
            out.reply(said)
        else:
            out.contact(said)
        rest = [c for c in conversations if not (truth(c.get("incoming")) and _plain(c).strip() == plain.strip())]
        _conversations(out, ticket, inner, sorted(rest, key=lambda c: short(c.get("created_at")) or ""))
    ended = Said(
        record_id=number,
        event_id=f"ticket:{number}:{word(ticket.get('status'))}:{updated}",
        event_type="ticket",
        at=(updated,),
    )
    _status(out, ended, ticket.get("status"), ticket.get("responder_id"), always=changed)


def _conversations(
    out: Collected, ticket: dict[str, Any], inner: dict[str, Any], conversations: list[dict[str, Any]]
) -> None:
    for each in conversations:
        own = ident(each.get("id"))
        number = ident(first(ticket, "id", "display_id")) or ident(each.get("ticket_id"))
        if own is None or number is None:
            out.reject(own, "conversation", "has no id or names no ticket")
            continue
        raw_channel = first(ticket, "source_name") or ticket.get("source") or each.get("source")
        incoming, private = truth(each.get("incoming")), truth(each.get("private"))
        said = Said(
            record_id=number,
            event_id=f"conversation:{own}:{short(each.get('updated_at')) or ''}"
            if each.get("last_edited_at")
            else f"conversation:{own}",
            event_type="conversation",
            message_id=own,
            at=(each.get("created_at"), each.get("updated_at")),
            channel=CHANNELS.get(word(raw_channel), "unknown"),
            channel_raw=raw_channel,
            customer=_requester(ticket, inner, each.get("from_email") if incoming else None),
            text=each.get("body_text"),
            html=each.get("body"),
            pending=not ("body" in each or "body_text" in each),
            attachments=attachments(each.get("attachments"), "name", "attachment_url", "content_type"),
        )
        if truth(each.get("deleted")):
            out.set_aside(said, "deleted in Freshdesk")
        elif private:
            out.set_aside(said, "private note")
        elif incoming:
            out.contact(said)
        else:
            out.reply(said)


def _requester(ticket: dict[str, Any], inner: dict[str, Any], sender: Any = None) -> Any:
    who = part(ticket, "requester") or part(inner, "requester")
    others = at(who, "other_emails")
    return customer(
        ref=at(who, "unique_external_id") or first(ticket, "requester_id") or at(who, "id"),
        name=at(who, "name") or ticket.get("name"),
        emails=(at(who, "email"), ticket.get("email"), *(others if isinstance(others, list) else ()), _address(sender)),
        phones=(at(who, "phone"), at(who, "mobile"), ticket.get("phone")),
        locale=at(who, "language"),
        zone=at(who, "time_zone"),
    )


def _address(sender: Any) -> str | None:
    given = short(sender)
    return None if given is None else given.rpartition("<")[2].rstrip(">").strip()


def _plain(conversation: dict[str, Any]) -> str:
    text = conversation.get("body_text")
    return (
        text
        if isinstance(text, str) and text.strip()
        else to_text(conversation["body"])
        if isinstance(conversation.get("body"), str)
        else ""
    )


def _priority(value: Any) -> Any:
    return PRIORITIES.get(word(value), value)


def _status(out: Collected, said: Said, raw: Any, by: Any, *, always: bool = False) -> None:
    """The status, when it says more than that the ticket is open."""
    status = STATUSES.get(word(raw))
    if status is not None and (always or status != "open"):
        out.status(said, status, raw, by=by)
    elif always:
        out.set_aside(said, "the change carries no words of the customer")
