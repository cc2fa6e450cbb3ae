"""Front: rule webhooks (an event) and application webhooks (an event in `payload`). They carry previews, seldom the body,
and no sender's address: the text is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.intake.adapters.collected import Collected, Said, Status, attachments, customer
from services.intake.adapters.fields import at, first, ident, json_of, objects, part, truth, word
from services.intake.submissions import Delivery, Item, Unreadable
from shared.contracts.complaints import Channel

CHANNELS: dict[str, Channel] = {
    "email": "email", "sms": "sms", "frontchat": "chat", "chat": "chat", "intercom": "chat", "smooch": "messaging", "whatsapp": "messaging",
    "tweet": "social", "tweetdm": "social", "twitter": "social", "facebook": "social", "yalo": "messaging", "googleplay": "social",
    "phonecall": "voice", "call": "voice", "form": "web_form", "truly": "voice", "custom": "api",
}  # fmt: skip
# Front archives what is done with; trash is not an answer to anybody.
STATUSES: dict[str, Status] = {
    "archive": "resolved", "conversationarchived": "resolved", "reopen": "open", "conversationreopened": "open", "unarchive": "open",
    "snooze": "waiting", "reminder": "waiting", "conversationsnoozed": "waiting", "resolve": "resolved", "conversationresolved": "resolved",
    "unresolve": "open", "conversationunresolved": "open", "reminderset": "waiting",
}  # fmt: skip
INBOUND = ("inbound", "inboundreceived", "newinbound", "inboundmessage", "messagereceived")
OUTBOUND = ("outbound", "outreply", "outboundsent", "outboundreply", "sentmessage", "outboundmessage")


class Front:
    name = "front"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        body = json_of(delivery.body)
        out = Collected(delivery, "front")
        event = part(body, "payload") or part(body, "event") or part(body)
        raw = event.get("type") or at(body, "type")
        kind = word(raw)
        if not kind:
            raise Unreadable(422, "No Front event", "no event of Front: `type` is missing")
        conversation = part(event, "conversation")
        record_id = ident(conversation.get("id"))
        event_id = ident(event.get("id")) or f"{kind}:{record_id or ''}:{out.digest()[:32]}"
        about: dict[str, Any] = {"event_id": event_id, "event_type": raw, "record_id": record_id or event_id}
        times = (event.get("emitted_at"), at(body, "emitted_at"))
        message = _message_of(event)
        if kind in (*INBOUND, *OUTBOUND):
            if record_id is None:
                out.reject(event_id, "conversation.id", "is required")
            else:
                _message(out, kind, message, conversation, about, times)
        elif kind in STATUSES:
            out.status(Said(**about, at=times), STATUSES[kind], raw, by=at(event, "source", "data", "id"))
        elif kind in ("comment", "mention", "commentadded", "commentcreated"):
            out.set_aside(Said(**about, at=times), "private note")
        else:
            out.set_aside(Said(**about, at=times), f"{kind[:100]} carries no words of the customer")
        return out.items


def _message_of(event: dict[str, Any]) -> dict[str, Any]:
    target, source = part(event, "target"), part(event, "source")
    for holder in (target, source):
        if word(at(holder, "_meta", "type")) == "message" or "is_inbound" in part(holder, "data"):
            return part(holder, "data")
    return part(event, "conversation", "last_message") or part(event, "message")


def _message(
    out: Collected,
    kind: str,
    message: dict[str, Any],
    conversation: dict[str, Any],
    about: dict[str, Any],
    times: tuple[Any, ...],
) -> None:
    people = objects(message.get("recipients"))
    sender = next((p for p in people if word(p.get("role")) == "from"), {})
    inbound = truth(message.get("is_inbound"))
    inbound = kind in INBOUND if inbound is None else inbound
    other = next((p for p in people if word(p.get("role")) == "to"), {}) if not inbound else sender
    handle = other.get("handle") or at(conversation, "recipient", "handle")
    raw = message.get("type") or at(message, "_meta", "type")
    text, html = first(message, "text"), first(message, "body")
    plain = text if text is not None else html if isinstance(html, str) and "<" not in html else None
    said = Said(
        **about,
        record_url=at(conversation, "_links", "self"),
        message_id=message.get("id"),
        at=(message.get("created_at"), *times),
        channel=CHANNELS.get(word(raw), "unknown"),
        channel_raw=raw,
        customer=customer(
            ref=at(conversation, "recipient", "_links", "related", "contact")
            and str(at(conversation, "recipient", "_links", "related", "contact")).rpartition("/")[2],
            name=other.get("name") or at(conversation, "recipient", "name"),
            emails=(handle,),
            phones=(handle,) if isinstance(handle, str) and handle.lstrip("+").replace(" ", "").isdigit() else (),
        ),
        subject=first(message, "subject") or conversation.get("subject"),
        text=plain if plain is not None or html is not None else first(message, "blurb"),
        html=html,
        pending=text is None and html is None,
        attachments=attachments(message.get("attachments"), "filename", "url", "content_type"),
        tags=conversation.get("tags"),
    )
    if truth(message.get("is_draft")):
        out.set_aside(said, "a draft: nobody has sent it")
    elif truth(message.get("is_auto_reply")) or truth(at(message, "metadata", "is_auto_reply")):
        out.set_aside(said, "auto-reply")
    elif inbound:
        out.contact(said)
    else:
        out.reply(said)
