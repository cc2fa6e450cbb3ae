"""Twilio: SMS, WhatsApp and voice callbacks (forms), Conversations, TaskRouter, and Event Streams (a list of CloudEvents).

A message carries no time at all. New parameters may appear at any moment and are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

import orjson

from services.intake.adapters.collected import Collected, Said, customer
from services.intake.adapters.fields import first, folded, ident, json_of, objects, short, word
from services.intake.submissions import Delivery, Item, Unreadable
from shared.contracts.complaints import Attachment, Channel

MAX_FIELDS = 1_000
FORM = "application/x-www-form-urlencoded"


class Twilio:
    name = "twilio"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        out = Collected(delivery, "twilio")
        if delivery.body.lstrip()[:1] in (b"{", b"["):
            for event in objects(json_of(delivery.body))[:1000]:
                _stream_event(out, event)
        else:
            form = folded(form_of(delivery.body.decode("utf-8", "replace")))
            if form:
                _callback(out, form, delivery.headers.get("i-twilio-idempotency-token"))
        if not out.items:
            raise Unreadable(
                422,
                "No Twilio event",
                "no callback of Twilio: none of its identifiers (MessageSid, CallSid, ...) is in it",
            )
        return out.items


def form_of(text: str) -> dict[str, str]:
    """The parameters of a form; the first of each name. Raises Unreadable."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="replace")
    except ValueError:
        raise Unreadable(400, "Too many parameters", f"a form has at most {MAX_FIELDS} parameters") from None
    return dict(reversed(pairs))


def _callback(out: Collected, form: dict[str, Any], token: str | None) -> None:
    event = word(form.get("eventtype"))
    if event.startswith(("onmessage", "onconversation", "onparticipant", "onuser", "ondelivery")):
        _conversation(
            out,
            event.removeprefix("on"),
            form,
            f"{event}:{ident(first(form, 'messagesid', 'conversationsid')) or out.digest()}",
            token,
        )
    elif event or form.get("tasksid"):
        _task(out, event or "task", form, token)
    elif any(form.get(name) for name in ("messagesid", "smsmessagesid", "smssid")):
        _text_message(out, form, token)
    elif any(form.get(name) for name in ("callsid", "recordingsid", "transcriptionsid")):
        _call(out, form, token)


def _channel_of(*addresses: Any) -> Channel:
    given = " ".join(filter(None, (short(each) for each in addresses))).lower()
    if "whatsapp:" in given or "rcs:" in given:
        return "messaging"
    return "social" if "messenger:" in given or "facebook:" in given or "instagram:" in given else "sms"


def _text_message(out: Collected, form: dict[str, Any], token: str | None, at: Any = None) -> None:
    sid = ident(first(form, "messagesid", "smsmessagesid", "smssid")) or ""
    sender, to = short(form.get("from")) or "", short(form.get("to")) or ""
    status = word(first(form, "smsstatus", "messagestatus", "status"))
    direction = word(form.get("direction"))
    country = short(form.get("fromcountry"))
    files = min(int(count), 20) if (count := short(form.get("nummedia")) or "0").isdigit() and len(count) < 4 else 0
    said = Said(
        record_id=sid,
        # A conversation by text message has no id: who writes to which number is what belongs together.
        record_key=f"{sender}>{to}" if sender and to else None,
        event_id=token or sid if status in ("received", "receiving", "") else f"{sid}:{status}",
        event_type="message.status" if status not in ("received", "receiving", "") else "message",
        message_id=sid,
        at=(at,),
        channel=_channel_of(sender, to),
        channel_raw=short(form.get("channelprefix")) or sender.partition(":")[0] if ":" in sender else "sms",
        customer=customer(
            ref=first(form, "waid") or sender,
            name=form.get("profilename"),
            phones=(sender,),
            country=country,
            postcode=form.get("fromzip"),
            region=country,
        ),
        text=first(form, "body") or form.get("buttontext"),
        attachments=tuple(
            Attachment(
                name=(address.rpartition("/")[2] or "media")[:255],
                media_type=short(form.get(f"mediacontenttype{number}")) or "application/octet-stream",
                ref=address,
            )
            for number in range(files)
            if (address := short(form.get(f"mediaurl{number}"), 2048))
        ),
        language=form.get("language"),
        custom={
            name: form[name]
            for name in ("accountsid", "fromcity", "fromstate", "messagingservicesid")
            if form.get(name)
        },
        parent=form.get("originalrepliedmessagesid"),
    )
    if status not in ("received", "receiving", ""):
        out.set_aside(said, f"the delivery status of a message sent before ({status[:30]})")
    elif direction.startswith("outbound"):
        out.reply(said)
    elif form.get("optouttype"):
        out.set_aside(said, "an opt-out keyword, answered by Twilio")
    else:
        out.contact(said)


def _call(out: Collected, form: dict[str, Any], token: str | None) -> None:
    sid = ident(first(form, "callsid")) or ident(first(form, "recordingsid", "transcriptionsid")) or ""
    recording, transcription = ident(form.get("recordingsid")), ident(form.get("transcriptionsid"))
    status = word(form.get("callstatus"))
    direction = word(form.get("direction"))
    text = form.get("transcriptiontext")
    caller = first(form, "from", "caller")
    own = transcription if text or transcription else recording
    address = short(form.get("recordingurl"), 2048)
    country = short(first(form, "fromcountry", "callercountry"))
    said = Said(
        record_id=sid,
        event_id=token or (f"{sid}:{own}" if own else f"{sid}:{status}" if status not in ("ringing", "") else sid),
        event_type="transcription" if own and own == transcription else "recording" if own else "call",
        message_id=own or sid,
        completes=sid if own and sid != own else None,
        at=(form.get("timestamp"), form.get("starttime")),
        channel="voice",
        channel_raw="voice",
        customer=customer(
            ref=caller,
            name=form.get("callername"),
            phones=(caller,),
            country=country,
            postcode=first(form, "fromzip", "callerzip"),
            region=country,
        ),
        text=text,
        pending=not text,
        attachments=(Attachment(name=f"{recording or 'recording'}.wav", media_type="audio/x-wav", ref=address),)
        if address
        else (),
        custom={
            name: form[name]
            for name in ("recordingduration", "callduration", "transcriptionstatus", "accountsid")
            if form.get(name)
        },
    )
    if direction.startswith("outbound"):
        out.set_aside(said, "an outbound contact: the organisation called")
    elif own or status in ("ringing", "inprogress", ""):
        out.contact(said)
    else:
        out.set_aside(said, f"the status of a call ({status[:30]})")


def _conversation(
    out: Collected, event: str, form: dict[str, Any], event_id: str, token: str | None, at: Any = None
) -> None:
    """Conversations and Flex: who writes is an address (the customer) or an identity (an agent, or a visitor of a chat)."""
    record = ident(first(form, "conversationsid", "chatserviceconversationsid"))
    if record is None:
        out.reject(event_id, "ConversationSid", "is required")
        return
    author = short(form.get("author")) or ""
    media = _json(form.get("media"))
    said = Said(
        record_id=record,
        event_id=token or event_id,
        event_type=event,
        message_id=form.get("messagesid"),
        at=(form.get("datecreated"), form.get("dateupdated"), form.get("timestamp"), at),
        channel=_channel_of(author) if _is_address(author) else "chat",
        channel_raw=form.get("source") or form.get("messagingbindingtype"),
        customer=customer(ref=author, phones=(author,) if _is_address(author) else ()),
        author_kind="customer" if _is_address(author) else "unknown",
        text=form.get("body"),
        attachments=tuple(
            Attachment(
                name=short(first(each, "Filename", "filename", "Sid", "sid")) or "media",
                media_type=short(first(each, "ContentType", "content_type")) or "application/octet-stream",
            )
            for each in objects(media)[:20]
        ),
        custom={"conversation_sid": record},
    )
    if not word(event.replace(".", "")).endswith(("messageadded", "messageadd")):
        out.set_aside(said, f"{event[:60]} carries no words of the customer")
    elif word(author) in ("system", "bot", "twilio") or word(form.get("source")) == "system":
        out.set_aside(said, "written by the system, not by a person")
    elif not _is_address(author) and word(form.get("source")) in ("api", "studio", "autopilot"):
        out.reply(said)
    else:
        out.contact(said)


def _is_address(author: str) -> bool:
    return author.startswith("+") or (
        author.partition(":")[0] in ("whatsapp", "messenger", "sms", "facebook", "instagram") and ":" in author
    )


def _task(out: Collected, event: str, form: dict[str, Any], token: str | None) -> None:
    """TaskRouter: a task is work for an agent; its attributes say for whom."""
    sid = ident(first(form, "tasksid", "sid")) or out.digest()[:32]
    attributes = folded(_json(form.get("taskattributes")))
    caller = first(attributes, "from", "caller", "customeraddress")
    record = ident(first(attributes, "conversationsid", "callsid")) or sid
    said = Said(
        record_id=record,
        event_id=token or ident(form.get("sid")) or f"{sid}:{event}",
        event_type=event,
        message_id=sid,
        at=(form.get("timestampms"), form.get("timestamp")),
        channel={"voice": "voice", "sms": "sms", "chat": "chat", "web": "chat"}.get(
            word(first(attributes, "channeltype", "channel")), "unknown"
        ),  # type: ignore[arg-type]
        channel_raw=first(attributes, "channeltype", "channel") or form.get("taskchanneluniquename"),
        customer=customer(
            name=first(attributes, "customername", "name"),
            phones=(caller,),
            emails=(first(attributes, "email", "customeremail"),),
        ),
        text=first(attributes, "initialmessage", "description", "message"),
        pending=not first(attributes, "initialmessage", "description", "message"),
        unit=form.get("taskqueuename"),
        custom={k: v for k, v in attributes.items() if isinstance(v, str | int | float)},
    )
    if event in ("task.created", "taskcreated"):
        out.contact(said)
    else:
        out.set_aside(said, f"{event[:60]} is about the work, not of the customer")


def _stream_event(out: Collected, event: dict[str, Any]) -> None:
    """An event of Event Streams: CloudEvents 1.0."""
    kind, event_id = short(event.get("type")) or "", ident(event.get("id"))
    if not kind or event_id is None:
        if kind:
            out.reject(None, "id", "is a required attribute of a CloudEvent")
        return
    data = folded(_json(event.get("data")))
    at = event.get("time") or data.get("timestamp")
    if kind.startswith("com.twilio.conversations."):
        _conversation(out, kind.removeprefix("com.twilio."), data, event_id, event_id, at)
    elif kind.startswith(("com.twilio.messaging.inbound-message.received", "com.twilio.messaging.message.received")):
        _text_message(
            out, {**data, "smsstatus": "received", "messagesid": first(data, "messagesid", "sid")}, event_id, at
        )
    elif kind.startswith("com.twilio.taskrouter.") and kind.endswith("task.created"):
        _task(out, "task.created", data, event_id)
    else:
        record = ident(first(data, "conversationsid", "messagesid", "callsid", "tasksid")) or event_id
        out.set_aside(
            Said(record_id=record, event_id=event_id, event_type=kind, at=(at,)),
            f"{kind[:100]} carries no words of the customer",
        )


def _json(value: Any) -> Any:
    """JSON inside a form field, or the value itself."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
