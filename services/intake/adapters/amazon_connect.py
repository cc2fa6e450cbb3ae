"""Amazon Connect: contact events (EventBridge), contact records (Kinesis, Firehose), Contact Lens files and segments, chat
messages. Names come in camelCase and PascalCase; 1970-01-01T00:00:00.001Z means null; events may never arrive and are not
ordered, so each event of an inbound contact can be the first; records are sent again when they change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.intake.adapters import aws
from services.intake.adapters.collected import Collected, Said, customer
from services.intake.adapters.fields import first, folded, ident, json_of, objects, short, truth, word
from services.intake.submissions import Delivery, Item, Unreadable
from shared.contracts.complaints import Channel

CHANNELS: dict[str, Channel] = {
    "voice": "voice",
    "chat": "chat",
    "email": "email",
    "task": "api",
    "sms": "sms",
    "messaging": "messaging",
}
SUBTYPES: dict[str, Channel] = {
    "connect:sms": "sms",
    "connect:whatsapp": "messaging",
    "connect:apple": "messaging",
    "connect:webrtc": "voice",
}
# How a contact of the customer begins; the others are begun by the organisation or follow from one that began.
BEGUN_BY_CUSTOMER = ("inbound", "api", "webrtcapi", "messagingplatform", "")
BEGUN_BY_US = ("outbound", "callback", "externaloutbound", "agentreply", "flow", "campaignpreview")


class AmazonConnect:
    name = "amazon-connect"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        out = Collected(delivery, "amazon_connect")
        for event in aws.events(json_of(delivery.body)):
            _event(out, event)
        if not out.items:
            raise Unreadable(
                422, "No Amazon Connect event", "neither a contact event nor a contact record: no contact id is in it"
            )
        return out.items


def _event(out: Collected, event: dict[str, Any]) -> None:
    envelope = folded(event)
    detail = folded(event.get("detail")) or envelope
    event_id = ident(envelope.get("id")) if "detail" in event else None
    kind = short(envelope.get("detailtype")) or short(detail.get("eventtype")) or ""
    contact_id = ident(detail.get("contactid") or folded(detail.get("customermetadata")).get("contactid"))
    if contact_id is None:
        if "detail" in event:
            event_id = event_id or f"sha256:{out.digest()}"
            if "contact event" in kind.lower():
                out.reject(event_id, "detail.contactId", "is required")
            else:
                about = Said(record_id=event_id, event_id=event_id, event_type=kind, at=(envelope.get("time"),))
                out.set_aside(about, "is about no contact")
        return
    common: dict[str, Any] = {
        "record_id": ident(detail.get("initialcontactid")) or contact_id,
        "event_type": short(detail.get("eventtype")) or kind or "contact record",
        "parent": detail.get("previouscontactid") or detail.get("relatedcontactid"),
        "unit": _queue(detail),
        "custom": detail.get("attributes") or detail.get("tags"),
    }
    if detail.get("transcript") is not None or detail.get("segments") is not None:
        _transcript(
            out, detail, contact_id, {**common, "event_id": event_id or f"lens:{contact_id}:{out.digest()[:32]}"}
        )
    elif detail.get("participantrole") is not None and detail.get("content") is not None:
        _chat(out, detail, contact_id, common)
    elif "eventtype" in detail and "detail" in event:
        times = (detail.get("initiationtimestamp"), detail.get("connectedtosystemtimestamp"), envelope.get("time"))
        _contact(
            out,
            detail,
            {**common, "event_id": event_id or f"event:{contact_id}:{out.digest()[:32]}"},
            contact_id,
            times,
        )
    else:
        updated = ident(detail.get("lastupdatetimestamp")) or out.digest()[:32]
        times = (
            detail.get("initiationtimestamp"),
            detail.get("connectedtosystemtimestamp"),
            detail.get("lastupdatetimestamp"),
        )
        record = {**common, "event_id": event_id or f"record:{contact_id}:{updated}", "completes": contact_id}
        _contact(out, detail, record, f"{contact_id}:record", times)


def _contact(
    out: Collected, detail: dict[str, Any], common: dict[str, Any], message_id: str, times: tuple[Any, ...]
) -> None:
    raw_channel = detail.get("channel")
    subtype = folded(folded(detail.get("segmentattributes")).get("connect:subtype"))
    endpoint = folded(detail.get("customerendpoint"))
    address = short(endpoint.get("address")) or ""
    name = folded(detail.get("contactdetails"))
    said = Said(
        **common,
        message_id=message_id,
        at=times,
        channel=SUBTYPES.get(
            (short(subtype.get("valuestring")) or "").lower(), CHANNELS.get(word(raw_channel), "unknown")
        ),
        channel_raw=raw_channel,
        customer=customer(
            ref=detail.get("customerid") or folded(detail.get("customer")).get("id"),
            name=folded(detail.get("customer")).get("name"),
            emails=(address,),
            phones=(address,) if "@" not in address else (),
        ),
        subject=name.get("name"),
        text=name.get("description"),
        pending=not name.get("description"),
        attachments=(),
    )
    method, happened = word(detail.get("initiationmethod")), word(detail.get("eventtype"))
    if method in BEGUN_BY_US:
        out.set_aside(said, "an outbound contact: the organisation called")
    elif method not in BEGUN_BY_CUSTOMER:
        out.set_aside(said, f"a {method[:40]} within a contact that began before")
    elif (
        happened in ("contactevaluationsubmitted", "contactdataupdated", "pausedandresumed")
        or word(detail.get("channel")) == "task"
    ):
        out.set_aside(said, "carries no words of the customer")
    else:
        out.contact(said)


def _queue(detail: dict[str, Any]) -> Any:
    queue = folded(detail.get("queue")) or folded(detail.get("queueinfo"))
    return queue.get("name") or (short(queue.get("queuearn") or queue.get("arn")) or "").rpartition("/")[2] or None


def _transcript(out: Collected, detail: dict[str, Any], contact_id: str, common: dict[str, Any]) -> None:
    """A Contact Lens analysis: what the customer said and what the agent said, each in its order."""
    segments = detail.get("transcript")
    if segments is None:
        segments = [each.get("Transcript") or each.get("transcript") for each in objects(detail.get("segments"))]
    participants = {
        ident(p.get("participantid")): word(p.get("participantrole"))
        for p in map(folded, objects(detail.get("participants")))
    }
    heard: dict[str, list[tuple[float, str, str | None]]] = {"customer": [], "agent": []}
    for segment in map(folded, objects(segments)):
        role = word(segment.get("participantrole")) or participants.get(ident(segment.get("participantid")), "")
        words, offset = segment.get("content"), segment.get("beginoffsetmillis")
        if role in heard and isinstance(words, str) and words.strip():
            heard[role].append(
                (offset if isinstance(offset, int | float) else 0, words.strip(), ident(segment.get("id")))
            )
    whole = detail.get("segments") is None
    spoken_at = (detail.get("initiationtimestamp"), detail.get("absolutetime"))
    for role, lines in heard.items():
        if not lines:
            continue
        lines.sort(key=lambda line: line[0])
        said = Said(
            **(common if not out.items else common | {"event_id": f"{common['event_id']}#{role}"}),
            message_id=f"{contact_id}:{role}" if whole else lines[0][2],
            at=spoken_at,
            channel=CHANNELS.get(word(detail.get("channel")), "voice"),
            channel_raw=detail.get("channel"),
            text="\n".join(words for _, words, _ in lines),
            language=detail.get("languagecode"),
            completes=contact_id if role == "customer" and whole else None,
        )
        if role == "customer":
            out.contact(said)
        else:
            out.reply(said)
    if not any(heard.values()):
        out.set_aside(Said(**common), "a transcript without words of the customer")


def _chat(out: Collected, detail: dict[str, Any], contact_id: str, common: dict[str, Any]) -> None:
    """One message of a chat, as message streaming sends it."""
    message_id = ident(detail.get("id")) or out.digest()[:32]
    said = Said(
        **common,
        event_id=f"message:{contact_id}:{message_id}",
        message_id=message_id,
        at=(detail.get("absolutetime"),),
        channel="chat",
        channel_raw=detail.get("contenttype"),
        text=first(detail, "content"),
        customer=customer(ref=detail.get("participantid"), name=detail.get("displayname")),
    )
    role = word(detail.get("participantrole"))
    if word(detail.get("type")) not in ("message", "") or truth(detail.get("deleted")):
        out.set_aside(said, "an event of the chat, not a message")
    elif role == "customer":
        out.contact(said)
    elif role == "agent":
        out.reply(said)
    else:
        out.set_aside(said, "written by a bot or the system, not by a person")
