"""Genesys Cloud: events of conversations by EventBridge, webhook or the Notification API. `eventTime` is milliseconds in
detail events and ISO 8601 in transcriptions; the topic holds the conversation's id, or literally `{id}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.intake.adapters import aws
from services.intake.adapters.collected import Collected, Said, customer
from services.intake.adapters.fields import at, first, ident, json_of, objects, part, short, truth, word
from services.intake.submissions import Delivery, Item, Unreadable
from shared.contracts.complaints import Channel

CHANNELS: dict[str, Channel] = {
    "voice": "voice", "call": "voice", "message": "messaging", "email": "email", "chat": "chat", "webchat": "chat", "callback": "voice",
    "sms": "sms", "whatsapp": "messaging", "facebook": "social", "twitter": "social", "instagram": "social", "webmessaging": "chat",
    "open": "messaging", "socialexpression": "social", "cobrowse": "chat",
}  # fmt: skip


class Genesys:
    name = "genesys"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        out = Collected(delivery, "genesys")
        for event in aws.events(json_of(delivery.body)):
            _event(out, event)
        if not out.items:
            raise Unreadable(
                422,
                "No Genesys event",
                "no event of Genesys Cloud: neither `detail.eventBody` nor `eventBody` is in it",
            )
        return out.items


def _event(out: Collected, event: dict[str, Any]) -> None:
    detail = part(event, "detail") or event
    body = part(detail, "eventBody")
    topic = short(detail.get("topicName")) or short(event.get("detail-type")) or ""
    if not body and not topic.startswith("v2."):
        return
    kind = _kind(topic)
    conversation = ident(first(body, "conversationId", "id"))
    times = (body.get("eventTime"), body.get("eventDate"), detail.get("timestamp"), event.get("time"))
    event_id = ident(event.get("id")) or ":".join((conversation or "", kind, ident(times[0]) or out.digest()[:32]))
    if conversation is None:
        if "conversation" in topic:
            out.reject(event_id, "detail.eventBody.conversationId", "is required")
        else:
            out.set_aside(
                Said(record_id=event_id, event_id=event_id, event_type=topic, at=times),
                f"{kind[:100]} is about no conversation",
            )
        return
    raw_channel = first(body, "messageType", "mediaType")
    common: dict[str, Any] = {
        "record_id": conversation,
        "event_id": event_id,
        "event_type": short(event.get("detail-type")) or topic,
        "at": times,
        "channel_raw": raw_channel,
        "channel": CHANNELS.get(word(raw_channel), CHANNELS.get(word(body.get("mediaType")), "unknown")),
        "unit": body.get("queueId"),
    }
    if kind == "transcription":
        _transcription(out, body, common)
    elif kind == "customer.start":
        _call(out, body, common)
    elif kind == "acw":
        out.set_aside(Said(**common), "private note: an agent's work after the contact")
    else:
        out.set_aside(Said(**common), f"{kind[:100]} carries no words of the customer")


def _kind(topic: str) -> str:
    """What happened, without the conversation's id: `customer.start` of v2.detail.events.conversation.<id>.customer.start."""
    for start in ("v2.detail.events.conversation.", "v2.conversations."):
        if topic.startswith(start):
            return topic.removeprefix(start).partition(".")[2] or "conversation"
    return topic


def _call(out: Collected, body: dict[str, Any], common: dict[str, Any]) -> None:
    outbound = word(body.get("direction")) == "outbound"
    customer_side = body.get("dnis") if outbound else body.get("ani")
    address = short(customer_side) or ""
    external = body.get("conversationExternalContactIds")
    said = Said(
        **common,
        message_id=f"{common['record_id']}:{ident(first(body, 'sessionId', 'participantId')) or ''}",
        customer=customer(
            ref=ident(external[0])
            if isinstance(external, list) and external
            else first(body, "externalContactId", "participantId"),
            name=first(body, "participantName", "customerName"),
            emails=(address.removeprefix("mailto:"),),
            phones=() if "@" in address and not address.startswith("sip") else (address,),
        ),
        subject=first(body, "subject"),
        pending=True,
        custom=part(body, "attributes"),
    )
    if outbound:
        out.set_aside(said, "an outbound contact: the organisation called")
    else:
        out.contact(said)


def _transcription(out: Collected, body: dict[str, Any], common: dict[str, Any]) -> None:
    """What the customer said and what the agent said, each in its order; the words of both stand in the delivery."""
    heard: dict[str, list[tuple[float, str, dict[str, Any]]]] = {"external": [], "internal": []}
    for utterance in objects(body.get("transcripts")):
        side = word(utterance.get("channel"))
        best = max(objects(utterance.get("alternatives")), key=_confidence, default={})
        words = first(best, "decoratedTranscript", "transcript")
        if side in heard and isinstance(words, str) and words.strip() and truth(utterance.get("isFinal")) is not False:
            offset = best.get("offsetMs")
            heard[side].append((offset if isinstance(offset, int | float) else 0, words.strip(), utterance))
    if common["channel"] == "unknown":
        common = common | {"channel": "voice"}
    for side, utterances in heard.items():
        if not utterances:
            continue
        utterances.sort(key=lambda each: each[0])
        leading = utterances[0][2]
        said = Said(
            **(common if not out.items else common | {"event_id": f"{common['event_id']}#{side}"}),
            message_id=leading.get("utteranceId"),
            text="\n".join(words for _, words, _ in utterances),
            language=leading.get("dialect") or leading.get("language"),
            customer=customer(ref=first(body, "externalContactId", "participantId"))
            if side == "external"
            else customer(),
        )
        if side == "external":
            out.contact(said)
        else:
            out.reply(said)
    if not any(heard.values()):
        ended = word(at(body, "status", "status")) == "sessionended"
        out.set_aside(Said(**common), "the transcription ended" if ended else "a transcription without final words")


def _confidence(alternative: dict[str, Any]) -> float:
    value = alternative.get("confidence")
    return float(value) if isinstance(value, int | float) else 0.0
