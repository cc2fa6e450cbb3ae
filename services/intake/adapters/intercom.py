"""Intercom: notifications about conversations and tickets. The shape of the item follows the app's API version: `source` and
`conversation_parts` today, `user` and `conversation_message` in the first one. Times are seconds, sometimes quoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.intake.adapters.collected import Collected, Said, Status, attachments, customer
from services.intake.adapters.fields import at, first, ident, json_of, objects, part, short, truth, word
from services.intake.submissions import Delivery, Item, Unreadable
from shared.contracts.complaints import Channel

CHANNELS: dict[str, Channel] = {
    "conversation": "chat", "inapp": "chat", "chat": "chat", "push": "chat", "email": "email", "facebook": "social",
    "instagram": "social", "twitter": "social", "whatsapp": "messaging", "sms": "sms", "phonecall": "voice", "phoneswitch": "voice",
    "web": "web_form", "api": "api",
}  # fmt: skip
TOPIC_STATUS: dict[str, Status] = {
    "conversation.admin.closed": "closed", "conversation.admin.opened": "open", "conversation.admin.open": "open",
    "conversation.admin.snoozed": "waiting", "conversation.admin.unsnoozed": "open", "ticket.closed": "closed",
}  # fmt: skip
TICKET_STATUS: dict[str, Status] = {
    "submitted": "open", "inprogress": "open", "waitingoncustomer": "waiting", "resolved": "resolved", "closed": "closed",
}  # fmt: skip
PEOPLE = ("user", "lead", "contact", "customer", "visitor")


class Intercom:
    name = "intercom"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        body = json_of(delivery.body)
        topic = at(body, "topic")
        if not isinstance(topic, str) or not topic:
            raise Unreadable(422, "No Intercom notification", "no notification of Intercom: `topic` is missing")
        out = Collected(delivery, "intercom")
        item = part(body, "data", "item")
        record_id = ident(
            first(item, "conversation_id", "id") if word(item.get("type")) == "conversationpart" else item.get("id")
        )
        times = (body.get("created_at"), body.get("first_sent_at"))
        event_id = (
            ident(body.get("id")) or f"{topic}:{record_id or ''}:{ident(body.get('created_at')) or out.digest()[:32]}"
        )
        about: dict[str, Any] = {"event_id": event_id, "event_type": topic}
        if not topic.startswith(("conversation", "ticket")):
            out.set_aside(
                Said(record_id=record_id or event_id, **about, at=times),
                f"{topic[:100]} carries no words of the customer",
            )
            return out.items
        if record_id is None:
            out.reject(event_id, "data.item.id", "is required")
            return out.items
        common = about | _of(item, record_id)
        if topic.startswith("ticket"):
            _ticket(out, topic, item, common, times)
        else:
            _conversation(out, topic, item, common, times)
        return out.items


def _conversation(
    out: Collected, topic: str, item: dict[str, Any], common: dict[str, Any], times: tuple[Any, ...]
) -> None:
    parts = [p for p in objects(at(item, "conversation_parts", "conversation_parts") or item.get("conversation_parts"))]
    if topic in ("conversation.user.created", "conversation.contact.created", "conversation.admin.single.created"):
        opening = part(item, "source") or part(item, "conversation_message")
        said = _said(item, opening, common, (item.get("created_at"), *times))
        if topic == "conversation.admin.single.created":
            out.reply(said)
        else:
            _by_author(out, said, opening, "user")
        return
    if topic in TOPIC_STATUS:
        said = Said(
            record_id=common["record_id"],
            event_id=common["event_id"],
            event_type=topic,
            at=(item.get("updated_at"), *times),
        )
        by = at(parts[-1], "author", "id") if parts else None
        out.status(said, TOPIC_STATUS[topic], topic.rpartition(".")[2], by=by)
        for number, each in enumerate(parts, 1):
            if first(each, "body"):
                _by_author(
                    out,
                    _said(
                        item,
                        each,
                        common | {"event_id": f"{common['event_id']}#{number}"},
                        (each.get("created_at"), *times),
                    ),
                    each,
                    "admin",
                )
        return
    if topic.startswith("conversation.rating") or topic == "conversation.user.rated":
        rating = part(item, "conversation_rating")
        said = _said(item, {}, common, (rating.get("created_at"), *times), text=first(rating, "remark"))
        if first(rating, "remark"):
            out.contact(said)
        else:
            out.set_aside(said, "a rating without words")
        return
    if topic.endswith((".replied", ".noted", "admin.assigned", ".created")) and not topic.startswith(
        "conversation_part.tag"
    ):
        writer = "user" if ".user." in topic or ".contact." in topic else "bot" if ".operator." in topic else "admin"
        spoken = [p for p in parts if first(p, "body") or p.get("attachments")] or ([item] if item.get("body") else [])
        if spoken or writer == "user":
            empty: list[dict[str, Any]] = [{}]
            for number, each in enumerate(spoken or empty):
                given = common if number == 0 else common | {"event_id": f"{common['event_id']}#{number}"}
                said = _said(item, each, given, (each.get("created_at"), item.get("updated_at"), *times))
                if topic.endswith(".noted"):
                    out.set_aside(said, "private note")
                else:
                    _by_author(out, said, each, writer)
            return
    out.set_aside(Said(**common, at=times), f"{topic[:100]} carries no words of the customer")


def _by_author(out: Collected, said: Said, given: dict[str, Any], writer: str) -> None:
    """A message by who wrote it: people, teammates, Intercom's own bots and campaigns. `writer` where it does not say."""
    author = word(at(given, "author", "type")) or writer
    if word(given.get("part_type")) in ("note", "noteandreopen") or word(given.get("type")) == "note":
        out.set_aside(said, "private note")
    elif author in ("bot", "operator", "fin") or truth(at(given, "author", "from_ai_agent")):
        out.set_aside(said, "written by a bot, not by a person")
    elif author in ("admin", "team", "teammate"):
        out.reply(said)
    elif author in PEOPLE:
        out.contact(said)
    else:
        out.set_aside(said, f"written by the system ({author[:50]}), not by a person")


def _ticket(out: Collected, topic: str, item: dict[str, Any], common: dict[str, Any], times: tuple[Any, ...]) -> None:
    attributes = part(item, "ticket_attributes")
    parts = objects(at(item, "ticket_parts", "ticket_parts") or item.get("ticket_part"))
    if topic == "ticket.created":
        said = _said(
            item,
            {},
            common,
            (item.get("created_at"), *times),
            text=first(attributes, "_default_description_", "description"),
        )
        out.contact(said)
    elif topic in ("ticket.state.updated", "ticket.closed"):
        raw = (
            first(part(item, "ticket_state"), "category", "internal_label")
            or item.get("ticket_state")
            or item.get("ticket_state_internal_label")
        )
        status = TOPIC_STATUS.get(topic) or TICKET_STATUS.get(word(raw))
        said = Said(
            record_id=common["record_id"],
            event_id=common["event_id"],
            event_type=topic,
            at=(item.get("updated_at"), *times),
        )
        if status is None:
            out.set_aside(said, "the status means nothing here")
        else:
            out.status(said, status, raw or topic)
    elif topic.endswith((".replied", ".note.created")):
        each: dict[str, Any] = next((p for p in reversed(parts) if first(p, "body")), {})
        said = _said(item, each, common, (each.get("created_at"), *times))
        if topic.endswith(".note.created"):
            out.set_aside(said, "private note")
        else:
            _by_author(out, said, each, "admin" if ".admin." in topic else "user")
    else:
        out.set_aside(Said(**common, at=times), f"{topic[:100]} carries no words of the customer")


def _of(item: dict[str, Any], record_id: str) -> dict[str, Any]:
    source = part(item, "source")
    raw = first(source, "type") or first(part(item, "conversation_message"), "type")
    attributes = part(item, "ticket_attributes")
    return {
        "record_id": record_id,
        "record_url": first(part(item, "links"), "conversation_web"),
        "channel": CHANNELS.get(word(raw), "unknown"),
        "channel_raw": raw,
        "subject": _plain(first(source, "subject") or first(part(item, "conversation_message"), "subject"))
        or item.get("title")
        or attributes.get("_default_title_"),
        "priority": item.get("priority"),
        "tags": item.get("tags"),
        "custom": item.get("custom_attributes"),
        "unit": item.get("team_assignee_id"),
    }


def _plain(subject: Any) -> Any:
    """Intercom wraps subjects of e-mail in a paragraph."""
    return subject.replace("<p>", "").replace("</p>", "") if isinstance(subject, str) else None


def _others(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two authors are two people: by their ids, unless one address says that they are one."""
    named = ident(one.get("id")), ident(other.get("id"))
    address, known = short(one.get("email")), short(other.get("email"))
    return None not in named and named[0] != named[1] and not (address and known and address.lower() == known.lower())


def _said(
    item: dict[str, Any], given: dict[str, Any], common: dict[str, Any], times: tuple[Any, ...], *, text: Any = None
) -> Said:
    author = part(given, "author")
    people = objects(at(item, "contacts", "contacts") or at(item, "customers") or item.get("contacts"))
    writes = word(author.get("type")) in PEOPLE
    who = part(item, "user") or (
        part(item, "source", "author") if word(at(item, "source", "author", "type")) in PEOPLE else {}
    )
    contact = people[0] if people else {}
    if writes and who and _others(author, who):
        # Somebody else in the conversation: nothing that is known of the first one is his.
        who, contact = author, {}
    body = given.get("body")
    return Said(
        **common,
        message_id=given.get("id") or (f"item:{common['record_id']}" if not given else None),
        at=times,
        customer=customer(
            ref=first(who, "user_id", "id")
            or (author.get("id") if writes else None)
            or first(contact, "external_id", "id"),
            name=(author.get("name") if writes else None) or who.get("name"),
            emails=(author.get("email") if writes else None, who.get("email"), contact.get("email")),
            phones=(who.get("phone"), contact.get("phone")),
        ),
        text=text,
        html=body,
        pending=text is None and not body and not given.get("attachments"),
        attachments=attachments(given.get("attachments"), "name", "url", "content_type", "filesize"),
    )
