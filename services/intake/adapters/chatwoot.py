"""Chatwoot: account webhooks (`message_created`, `conversation_created`, `conversation_status_changed`, ...).

`message_type` is a word in webhooks and a number in the API; times are ISO, `... UTC` or a count of seconds, by version.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.intake.adapters.collected import Collected, Said, Status, attachments, customer
from services.intake.adapters.fields import at, first, ident, json_of, objects, part, truth, word
from services.intake.submissions import Delivery, Item, Unreadable
from shared.contracts.complaints import Channel

CHANNELS: dict[str, Channel] = {
    "webwidget": "chat", "website": "chat", "email": "email", "whatsapp": "messaging", "telegram": "messaging", "line": "messaging",
    "twiliosms": "sms", "sms": "sms", "facebookpage": "social", "facebook": "social", "messenger": "social", "instagram": "social",
    "twitterprofile": "social", "tiktok": "social", "api": "api", "voice": "voice",
}  # fmt: skip
# Pending is with the bot, which the customer knows nothing of; snoozed waits for a date.
STATUSES: dict[str, Status] = {
    "open": "open",
    "0": "open",
    "resolved": "resolved",
    "1": "resolved",
    "pending": "open",
    "2": "open",
    "snoozed": "waiting",
    "3": "waiting",
}
SURVEY = ("content_attributes", "submitted_values", "csat_survey_response")
TYPES = {"0": "incoming", "1": "outgoing", "2": "activity", "3": "template"}


class Chatwoot:
    name = "chatwoot"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        body = json_of(delivery.body)
        event = word(first(body, "event"))
        if not event:
            raise Unreadable(422, "No Chatwoot event", "no event of Chatwoot: `event` is missing")
        out = Collected(delivery, "chatwoot")
        own = ident(body.get("id")) or ""
        changed = ident(first(body, "updated_at", "created_at", "timestamp", "last_activity_at")) or ""
        event_id = delivery.headers.get("x-chatwoot-delivery") or ":".join(
            (ident(at(body, "account", "id")) or "", event, own, changed or out.digest()[:32])
        )
        about = {"event_id": event_id, "event_type": body["event"]}
        conversation = part(body, "conversation") or (body if event.startswith("conversation") else {})
        record_id = ident(first(conversation, "id", "display_id"))
        if event in ("messagecreated", "conversationcreated", "conversationstatuschanged") and record_id is None:
            out.reject(event_id, "conversation.id", "is required")
        elif event == "messagecreated":
            _message(out, body, body, conversation, about | {"record_id": record_id})
        elif event == "messageupdated" and record_id is not None and (answer := part(body, *SURVEY)).get("feedback_message"):
            _surveyed(out, body, answer, conversation, about | {"record_id": record_id})
        elif event == "conversationcreated":
            _opened(out, body, about | {"record_id": record_id})
        elif event == "conversationstatuschanged":
            said = Said(
                record_id=record_id or "", **about, at=(first(body, "updated_at", "timestamp", "last_activity_at"),)
            )
            raw = first(body, "status") or conversation.get("status")
            status = STATUSES.get(word(raw))
            if status is None:
                out.set_aside(said, "the status means nothing here")
            else:
                out.status(said, status, raw, by=at(body, "meta", "assignee", "id"))
        else:
            out.set_aside(
                Said(record_id=record_id or event_id, **about, at=(changed,)),
                f"{body['event']} carries no words of the customer",
            )
        return out.items


def _surveyed(
    out: Collected, body: dict[str, Any], answer: dict[str, Any], conversation: dict[str, Any], about: dict[str, Any]
) -> None:
    """What the customer wrote into the satisfaction survey."""
    said = Said(
        **about,
        message_id=f"survey:{ident(body.get('id')) or about['record_id']}",
        at=(first(body, "updated_at", "timestamp"),),
        **_channel(body, conversation),
        customer=_person(part(conversation, "meta", "sender") or part(body, "meta", "sender")),
        text=answer["feedback_message"],
        custom={"rating": answer.get("rating")},
    )
    out.contact(said)


def _opened(out: Collected, body: dict[str, Any], about: dict[str, Any]) -> None:
    spoken = [m for m in objects(body.get("messages")) if _type(m) in ("incoming", "outgoing")]
    for number, message in enumerate(spoken):
        given = (
            about if number == 0 else about | {"event_id": f"{about['event_id']}#{ident(message.get('id')) or number}"}
        )
        _message(out, message, body, body, given)
    if not spoken:
        # Its first message comes as an event of its own.
        sender = at(body, "meta", "sender") or {}
        said = Said(
            **about,
            message_id=f"conversation:{about['record_id']}",
            at=(first(body, "created_at", "timestamp"),),
            **_channel(body, body),
            pending=True,
            customer=_person(sender),
            language=at(body, "additional_attributes", "browser", "browser_language"),
            priority=body.get("priority"),
            tags=body.get("labels"),
            custom=body.get("custom_attributes"),
        )
        out.contact(said)


def _message(
    out: Collected, message: dict[str, Any], body: dict[str, Any], conversation: dict[str, Any], about: dict[str, Any]
) -> None:
    sender = part(message, "sender")
    kind, written_by = _type(message), word(sender.get("type") or message.get("sender_type"))
    attributes = part(message, "content_attributes")
    email = part(attributes, "email")
    person = sender if kind == "incoming" else part(conversation, "meta", "sender") or part(body, "meta", "sender")
    text = message.get("content")
    html = (
        message.get("content")
        if isinstance(text, str) and word(message.get("content_type")) in ("incomingemail", "html") and "</" in text
        else None
    )
    said = Said(
        **about,
        message_id=message.get("id"),
        at=(message.get("created_at"), first(conversation, "last_activity_at", "timestamp")),
        **_channel(body, conversation),
        customer=_person(person),
        subject=email.get("subject") or at(conversation, "additional_attributes", "mail_subject"),
        text=None if html else text if isinstance(text, str) and text.strip() else at(email, "text_content", "full"),
        html=html or at(email, "html_content", "full"),
        pending="content" not in message and not message.get("attachments"),
        language=at(conversation, "additional_attributes", "browser", "browser_language"),
        attachments=attachments(message.get("attachments"), "filename", "data_url", "content_type", "file_size"),
        priority=conversation.get("priority"),
        tags=conversation.get("labels"),
        custom=conversation.get("custom_attributes"),
        parent=attributes.get("in_reply_to"),
    )
    if truth(message.get("private")):
        out.set_aside(said, "private note")
    elif kind in ("activity", "template") or (
        word(message.get("content_type")) in ("inputcsat", "inputselect", "form") and kind != "incoming"
    ):
        out.set_aside(said, f"written by the system ({kind}), not by a person")
    elif "bot" in written_by or "captain" in written_by:
        out.set_aside(said, "written by a bot, not by a person")
    elif truth(email.get("auto_reply")):
        out.set_aside(said, "auto-reply")
    elif kind == "incoming":
        out.contact(said)
    elif kind == "outgoing":
        out.reply(said)
    else:
        out.set_aside(said, "neither incoming nor outgoing")


def _type(message: dict[str, Any]) -> str:
    kind = word(message.get("message_type"))
    return TYPES.get(kind, kind)


def _channel(body: dict[str, Any], conversation: dict[str, Any]) -> dict[str, Any]:
    inbox = part(body, "inbox")
    raw = (
        first(conversation, "channel") or first(inbox, "channel_type", "channel") or at(conversation, "meta", "channel")
    )
    by_type = CHANNELS.get(word(raw).rpartition(":")[2])
    # Older versions name only the inbox: what people call it is often what it is.
    return {
        "channel": by_type or CHANNELS.get(word(inbox.get("name")), "unknown"),
        "channel_raw": raw or inbox.get("name"),
    }


def _person(sender: Any) -> Any:
    return customer(
        ref=at(sender, "identifier") or at(sender, "id"),
        name=at(sender, "name"),
        emails=(at(sender, "email"),),
        phones=(at(sender, "phone_number"),),
        country=at(sender, "additional_attributes", "country_code"),
        locale=at(sender, "additional_attributes", "language"),
    )
