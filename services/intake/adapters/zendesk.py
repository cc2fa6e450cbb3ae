"""Zendesk: event webhooks (`zen:event-type:...`, version 2022-11-06), and tickets as the REST API and triggers write them.

Traps: ids are text in events and numbers in REST; priority and status change case between them; `tags` and `priority` may
be null; the first comment of a messaging ticket is a private note that only says who writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.intake.adapters.collected import Collected, Said, Status, attachments, customer
from services.intake.adapters.fields import at, first, ident, json_of, objects, part, short, truth, word
from services.intake.submissions import Delivery, Item, Unreadable
from shared.contracts.complaints import Channel

EVENT = "zen:event-type:"
CHANNELS: dict[str, Channel] = {
    "web": "web_form", "webform": "web_form", "webservice": "api", "api": "api", "rule": "api", "mail": "email",
    "email": "email", "helpcenter": "portal", "portal": "portal", "chat": "chat", "nativemessaging": "messaging",
    "messaging": "messaging", "whatsapp": "messaging", "sms": "sms", "voice": "voice", "phone": "voice", "twitter": "social",
    "facebook": "social", "instagramdm": "social", "anychannel": "social", "mobile": "messaging", "mobilesdk": "messaging",
    "closedticket": "portal", "sharing": "api",
}  # fmt: skip
# On hold waits for a third party, not for the customer: the clocks go on.
STATUSES: dict[str, Status] = {
    "new": "open", "open": "open", "hold": "open", "onhold": "open", "pending": "waiting", "solved": "resolved", "closed": "closed",
}  # fmt: skip


class Zendesk:
    name = "zendesk"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        body = json_of(delivery.body)
        out = Collected(delivery, "zendesk")
        for each in objects(body):
            if isinstance(each.get("type"), str) and each["type"].startswith(("zen:", "messaging_", "ticket.")):
                _event(out, each)
                continue
            for ticket in objects(first(each, "ticket", "tickets")) or [each]:
                _ticket(out, ticket, each)
        if not out.items:
            raise Unreadable(
                422, "No Zendesk event", "neither an event of Zendesk nor a ticket: `type` and `ticket` are missing"
            )
        return out.items


def _event(out: Collected, body: dict[str, Any]) -> None:
    kind = body["type"].removeprefix(EVENT)
    detail = part(body, "detail")
    event = part(body, "event")
    subject = short(body.get("subject")) or ""
    number = subject.rpartition(":")[2] if "ticket:" in subject else ident(detail.get("id"))
    event_id = ident(body.get("id")) or f"sha256:{out.digest()}" + (f"#{len(out.items)}" if out.items else "")
    if not kind.startswith(("ticket.", "messaging_ticket.")):
        about = Said(record_id=subject or event_id, event_id=event_id, event_type=body["type"], at=(body.get("time"),))
        out.set_aside(about, f"{kind} is about no ticket")
        return
    if not number:
        out.reject(event_id, "subject", "names no ticket (zen:ticket:<id>)")
        return
    raw_channel = at(detail, "via", "channel")
    messaging = kind.startswith("messaging_") or word(raw_channel) == "nativemessaging"
    common: dict[str, Any] = {
        "record_id": f"zen:ticket:{number}",
        "event_id": event_id,
        "event_type": body["type"],
        "channel": CHANNELS.get(word(raw_channel), "messaging" if messaging else "unknown"),
        "channel_raw": raw_channel,
        "priority": detail.get("priority"),
        "tags": detail.get("tags"),
        "unit": detail.get("group_id"),
        "subject": detail.get("subject"),
        "product": detail.get("brand_id"),
    }
    requester = customer(ref=detail.get("requester_id"))
    if kind == "ticket.created":
        said = Said(**common, at=(detail.get("created_at"), body.get("time")), message_id=f"ticket:{number}", customer=requester,
                    text=None if messaging else detail.get("description"), pending=messaging or "description" not in detail)  # fmt: skip
        if truth(detail.get("is_public")) is False and not messaging:
            out.set_aside(said, "private note: the ticket begins with words that the customer does not see")
        else:
            out.contact(said)
    elif kind == "ticket.comment_added":
        _comment(out, common, body, detail, event)
    elif kind.endswith(".message_added"):
        _message(out, common, body, event)
    elif kind == "ticket.status_changed":
        _status(
            out,
            Said(**common, at=(body.get("time"), detail.get("updated_at"))),
            first(event, "current", "new") or detail.get("status"),
            detail,
        )
    else:
        out.set_aside(Said(**common, at=(body.get("time"),)), f"{kind} carries no words of the customer")


def _comment(
    out: Collected, common: dict[str, Any], body: dict[str, Any], detail: dict[str, Any], event: dict[str, Any]
) -> None:
    comment = part(event, "comment")
    author = part(comment, "author")
    author_id = ident(author.get("id")) or ident(comment.get("author_id")) or ""
    requester_id = ident(detail.get("requester_id")) or ""
    staff = truth(author.get("is_staff"))
    if staff is None and author_id:
        staff = author_id == ident(detail.get("assignee_id")) and author_id != requester_id
    from_requester = customer(ref=author_id or requester_id, name=author.get("name"))
    said = Said(
        **common,
        at=(comment.get("created_at"), body.get("time"), detail.get("updated_at")),
        message_id=comment.get("id"),
        customer=customer(ref=requester_id) if staff else from_requester,
        author_kind="customer" if not author_id or not requester_id or author_id == requester_id else "unknown",
        text=comment.get("body") or comment.get("plain_body"),
        html=comment.get("html_body"),
        pending=not any(name in comment for name in ("body", "plain_body", "html_body")),
        attachments=attachments(
            comment.get("attachments") or comment.get("attachment"), "filename", "content_url", "content_type"
        ),
    )
    if truth(comment.get("is_public", comment.get("public"))) is False:
        out.set_aside(said, "private note")
    elif _machine(author_id):
        out.set_aside(said, "written by a bot, not by a person")
    elif staff:
        out.reply(said)
    else:
        out.contact(said)


def _message(out: Collected, common: dict[str, Any], body: dict[str, Any], event: dict[str, Any]) -> None:
    actor = part(event, "actor")
    message = part(event, "message")
    kind, actor_id = word(actor.get("type")), ident(actor.get("id")) or ""
    said = Said(
        **common,
        at=(message.get("created_at"), body.get("time")),
        message_id=message.get("id"),
        customer=customer(ref=actor_id, name=actor.get("name"))
        if kind in ("enduser", "user", "customer")
        else customer(),
        text=message.get("body") or message.get("text"),
        pending="body" not in message and "text" not in message,
        attachments=attachments(message.get("attachments"), "filename", "content_url", "content_type"),
        custom={"conversation_id": event.get("conversation_id")},
    )
    if _machine(actor_id) or kind in ("bot", "answerbot"):
        out.set_aside(said, "written by a bot, not by a person")
    elif kind in ("system", "trigger", "automation"):
        out.set_aside(said, "written by the system, not by a person")
    elif kind in ("agent", "admin", "business", "staff"):
        out.reply(said)
    else:
        out.contact(said)


def _status(out: Collected, said: Said, raw: Any, detail: dict[str, Any]) -> None:
    status = STATUSES.get(word(raw))
    if status is None:
        out.set_aside(said, "the status means nothing here")
    else:
        out.status(said, status, raw, by=detail.get("actor_id"))


def _machine(actor_id: str) -> bool:
    return actor_id.startswith("zd:") or actor_id == "-1"


def _ticket(out: Collected, ticket: dict[str, Any], body: dict[str, Any]) -> None:
    """A ticket as REST has it, or as an administrator's trigger writes it (names by Zendesk's placeholders)."""
    number = ident(first(ticket, "id", "ticket_id", "number", "nice_id"))
    if not number or not any(name in ticket for name in _TICKET_WORDS):
        return
    comment = first(ticket, "comment", "latest_comment", "latest_public_comment") or first(body, "comment")
    text = first(ticket, "description", "text", "message", "body")
    html = None
    if isinstance(comment, dict):
        text, html = first(comment, "body", "plain_body") or text, comment.get("html_body")
    elif comment:
        text = comment
    who = first(ticket, "requester") or first(body, "requester")
    sender = part(ticket, "via", "source", "from")
    raw_channel = at(ticket, "via", "channel") or first(ticket, "via", "channel")
    url = short(ticket.get("url"), 2048) or short(ticket.get("link"), 2048)
    if url and "/api/v2/tickets/" in url:
        url = f"{url.partition('/api/')[0]}/agent/tickets/{number}"
    changed = short(first(ticket, "updated_at", "updated_at_with_timestamp")) or ""
    said = Said(
        record_id=f"zen:ticket:{number}",
        event_id=f"ticket:{number}:{out.digest()[:32]}",
        event_type="ticket",
        record_url=url,
        message_id=ident(at(comment, "id")) or f"ticket:{number}",
        at=(at(comment, "created_at"), first(ticket, "created_at"), changed),
        channel=CHANNELS.get(word(raw_channel), "unknown"),
        channel_raw=raw_channel if isinstance(raw_channel, str) else None,
        customer=customer(
            ref=first(ticket, "requester_id") or at(who, "id"),
            name=at(who, "name")
            or first(ticket, "requester_name")
            or sender.get("name")
            or (who if isinstance(who, str) else None),
            emails=(at(who, "email"), first(ticket, "requester_email", "email"), sender.get("address")),
            phones=(at(who, "phone"), first(ticket, "requester_phone", "phone"), sender.get("phone")),
            locale=at(who, "locale"),
            zone=at(who, "iana_time_zone"),
        ),
        subject=first(ticket, "raw_subject", "subject", "title"),
        text=text,
        html=html,
        pending=text is None and html is None and "description" not in ticket,
        priority=ticket.get("priority"),
        tags=ticket.get("tags"),
        due_at=ticket.get("due_at"),
        custom={str(f.get("id")): f.get("value") for f in objects(ticket.get("custom_fields"))},
    )
    public, staff = truth(at(comment, "public")), truth(at(comment, "author", "is_staff"))
    if public is False:
        out.set_aside(said, "private note")
    elif staff:
        out.reply(said)
    else:
        out.contact(said)
    status = STATUSES.get(word(ticket.get("status")))
    if status not in (None, "open"):
        ended = Said(
            record_id=said.record_id,
            event_id=f"ticket:{number}:{word(ticket['status'])}:{changed}",
            event_type="ticket",
            at=(changed,),
        )
        out.status(ended, status, ticket["status"])


_TICKET_WORDS = (
    "subject", "title", "description", "comment", "latest_comment", "latest_public_comment", "text", "message", "body",
    "requester_id", "status",
)  # fmt: skip
