"""Zammad: trigger webhooks with `ticket` and `article`. Null fields are on the wire though the documentation leaves them out.

The payload is rendered when it is sent: a retry may show newer data under the same `X-Zammad-Delivery`.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parseaddr
from typing import Any

from services.intake.adapters.collected import Collected, Said, Status, attachments, customer
from services.intake.adapters.fields import at, first, ident, json_of, objects, part, short, truth, word
from services.intake.submissions import Delivery, Item, Unreadable
from shared.contracts.complaints import Channel

CHANNELS: dict[str, Channel] = {
    "email": "email", "phone": "voice", "web": "web_form", "chat": "chat", "sms": "sms", "twitterstatus": "social",
    "twitterdirectmessage": "social", "facebookfeedpost": "social", "facebookfeedcomment": "social",
    "telegrampersonalmessage": "messaging", "whatsappmessage": "messaging", "note": "unknown", "fax": "fax",
}  # fmt: skip
STATUSES: dict[str, Status] = {
    "new": "open", "open": "open", "pendingreminder": "waiting", "pendingclose": "resolved", "closed": "closed", "resolved": "resolved",
    "solved": "resolved",
}  # fmt: skip


class Zammad:
    name = "zammad"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        body = json_of(delivery.body)
        ticket = at(body, "ticket")
        number = ident(first(ticket, "id", "number"))
        if number is None:
            raise Unreadable(422, "No Zammad ticket", "no delivery of a Zammad trigger: `ticket.id` is missing")
        article = part(body, "article")
        out = Collected(delivery, "zammad")
        article_id = ident(article.get("id"))
        changed = short(ticket.get("updated_at")) or ""
        event_id = (
            delivery.headers.get("x-zammad-delivery")
            or f"ticket:{number}:{article_id or ''}:{changed or out.digest()[:32]}"
        )
        about: dict[str, Any] = {
            "record_id": number,
            "event_type": delivery.headers.get("x-zammad-trigger") or "trigger",
            "record_url": _url(article, number),
        }
        if article_id is not None or article.get("body"):
            _article(out, ticket, article, {**about, "event_id": event_id})
        raw = ticket.get("state") if ticket.get("state") is not None else ticket.get("state_id")
        status = STATUSES.get(word(raw))
        name = first(raw, "name") if isinstance(raw, dict) else raw
        said = Said(**about, event_id=f"{event_id}:status" if out.items else event_id, at=(changed,))
        if status is not None and (status != "open" or (not out.items and word(raw) != "new")):
            out.status(said, status, name, by=at(ticket, "updated_by", "login"))
        elif not out.items:
            _opened(out, ticket, {**about, "event_id": event_id})
        return out.items


def _opened(out: Collected, ticket: dict[str, Any], about: dict[str, Any]) -> None:
    """A ticket without article: the trigger's administrator left it out. The words have to be fetched."""
    raw_channel = first(ticket, "create_article_type")
    out.contact(
        Said(
            **about,
            message_id=f"ticket:{about['record_id']}",
            at=(ticket.get("created_at"),),
            channel=CHANNELS.get(word(raw_channel), "unknown"),
            channel_raw=first(raw_channel, "name") if isinstance(raw_channel, dict) else raw_channel,
            customer=_person(ticket, None),
            subject=ticket.get("title"),
            pending=True,
            **_of_ticket(ticket),
        )
    )


def _article(out: Collected, ticket: dict[str, Any], article: dict[str, Any], about: dict[str, Any]) -> None:
    html = "html" in (short(article.get("content_type")) or "")
    kind = article.get("type") or ticket.get("create_article_type")
    sender = word(article.get("sender"))
    said = Said(
        **about,
        message_id=article.get("id") or short(article.get("message_id")),
        at=(article.get("created_at"), ticket.get("updated_at")),
        channel=CHANNELS.get(word(kind), "unknown"),
        channel_raw=first(kind, "name") if isinstance(kind, dict) else kind,
        author_kind="customer" if sender == "customer" else "unknown",
        customer=_person(ticket, article if sender == "customer" else None),
        subject=article.get("subject") or ticket.get("title"),
        text=None if html else article.get("body"),
        html=article.get("body") if html else None,
        pending="body" not in article,
        attachments=attachments(article.get("attachments"), "filename", "url", "content_type"),
        parent=article.get("in_reply_to"),
        **_of_ticket(ticket),
    )
    automatic = truth(at(article, "preferences", "is-auto-response")) or truth(
        at(article, "preferences", "is_auto_response")
    )
    if truth(article.get("internal")):
        out.set_aside(said, "private note")
    elif sender == "system":
        out.set_aside(said, "written by the system, not by a person")
    elif automatic:
        out.set_aside(said, "auto-reply")
    elif sender == "agent":
        out.reply(said)
    else:
        out.contact(said)


def _of_ticket(ticket: dict[str, Any]) -> dict[str, Any]:
    return {
        "priority": ticket.get("priority"),
        "unit": first(ticket.get("group"), "name") if isinstance(ticket.get("group"), dict) else ticket.get("group"),
        "tags": ticket.get("tags"),
        "due_at": ticket.get("escalation_at"),
        "custom": {"number": ticket.get("number")},
    }


def _person(ticket: dict[str, Any], article: dict[str, Any] | None) -> Any:
    who = part(ticket, "customer")
    name, address = parseaddr(short(article.get("from")) or "") if article else ("", "")
    full = " ".join(filter(None, (short(who.get("firstname")), short(who.get("lastname")))))
    phones = (who.get("mobile"), who.get("phone"), address if address.startswith("+") else None)
    return customer(
        ref=who.get("id") or ticket.get("customer_id"),
        name=full or name,
        emails=(who.get("email"), address),
        phones=phones,
        country=who.get("country"),
        postcode=who.get("zip"),
        locale=at(who, "preferences", "locale"),
    )


def _url(article: dict[str, Any], number: str) -> str | None:
    """The ticket's page, from the address of an attachment or of the article: the delivery names no host elsewhere."""
    for each in (*objects(article.get("attachments")), article):
        url = short(each.get("url"), 2048)
        if url and "/api/" in url:
            return f"{url.partition('/api/')[0]}/#ticket/zoom/{number}"
    return None
