"""Texts that a webhook did not carry: what the system's API is asked for, and how its answer is read. Pure.

The answer is stored as a delivery of the adapter `fetched` and read like any other, by the system's own adapter: the contact
that comes of it completes the earlier one. So a fetched text is kept, traced and read again after a fix as everything is.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import quote

import orjson

from services.intake.adapters import genesys_api as genesys
from services.intake.adapters.chatwoot import Chatwoot
from services.intake.adapters.fields import at, ident, json_of, objects, part, truth, word
from services.intake.adapters.freshdesk import Freshdesk
from services.intake.adapters.front import Front
from services.intake.adapters.genesys import Genesys
from services.intake.adapters.hubspot import HubSpot
from services.intake.adapters.intercom import Intercom
from services.intake.adapters.salesforce import Salesforce
from services.intake.adapters.zammad import Zammad
from services.intake.adapters.zendesk import Zendesk
from services.intake.submissions import (
    Adapter,
    ContactSubmission,
    Delivery,
    Identity,
    Item,
    ReplySubmission,
    SetAside,
    Unreadable,
)
from shared.contracts.complaints import Contact

FETCHED = "fetched"
# Where the API is, for systems that have one address for all customers; the others are told by the source's `api_url`.
BASE = {
    "hubspot": "https://api.hubapi.com",
    "front": "https://api2.frontapp.com",
    "intercom": "https://api.intercom.io",
    "zendesk": None,
    "freshdesk": None,
    "salesforce": None,
    "chatwoot": None,
    "zammad": None,
    "genesys": "https://api.mypurecloud.com",
}
# Their messages also come as events: the one that was fetched keeps its own id, and counts once.
OWN_IDS = ("chatwoot", "zammad")
SALESFORCE_VERSION = "v60.0"
INTERCOM_VERSION = "2.11"
HUBSPOT_PROPERTIES = (
    "subject,content,hs_ticket_priority,hs_pipeline_stage,source_type,createdate,hs_lastmodifieddate,hs_primary_contact_id,"
    "hs_ticket_category"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which text is missing: of which message of which record, that came as which event."""

    adapter: str
    record_id: str
    event_id: str
    event_type: str | None
    message_id: str | None
    channel: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def asked_for(adapter: str, contact: Contact) -> Asked | None:
    """What to ask for, when the text of a contact is missing and its system can be asked."""
    if contact.text_status != "pending_fetch" or adapter not in BASE:
        return None
    source = contact.source
    return Asked(adapter, source.record_id, source.event_id, source.event_type, contact.message_id, contact.channel)


def path(asked: Asked) -> str:
    """The address below the API's base."""
    record, message = quote(asked.record_id, safe=""), quote(asked.message_id or "", safe="")
    match asked.adapter:
        case "zendesk":
            number = record.rpartition("%3A")[2]
            if _is_comment(asked):
                return f"/api/v2/tickets/{number}/comments.json?include=users&sort_order=desc"
            return f"/api/v2/tickets/{number}.json?include=users"
        case "freshdesk":
            return f"/api/v2/tickets/{record}?include=requester"
        case "intercom":
            return f"/tickets/{record}" if (asked.event_type or "").startswith("ticket") else f"/conversations/{record}"
        case "front":
            return f"/messages/{message}" if message else f"/conversations/{record}/messages?limit=10"
        case "chatwoot":  # below the account: `api_url` names it
            return f"/conversations/{record}/messages"
        case "zammad":
            return f"/api/v1/ticket_articles/by_ticket/{record}?expand=true"
        case "genesys":
            return genesys.path(record, asked.channel, quote((asked.message_id or "").rpartition(":")[2], safe=""))
        case "salesforce":
            return f"/services/data/{SALESFORCE_VERSION}/sobjects/Case/{record}"
        case _:
            if (asked.event_type or "").lower().startswith("conversation"):
                thread = f"/conversations/v3/conversations/threads/{record}/messages"
                return f"{thread}/{message}" if message and message != record else thread
            return f"/crm/v3/objects/tickets/{record}?properties={HUBSPOT_PROPERTIES}"


def following(asked: Asked, answer: Any) -> str | None:
    """Where an answer only says where the text is: the address of that, below the base or whole."""
    return genesys.following(quote(asked.record_id, safe=""), asked.channel, answer) if asked.adapter == "genesys" else None


def headers(adapter: str, token: str) -> dict[str, str]:
    """How the API is told who asks. `user:password` is Basic (Zendesk: `mail/token:TOKEN`), anything else a bearer token."""
    if adapter == "chatwoot":
        return {"api_access_token": token, "Accept": "application/json"}
    if adapter == "zammad":
        return {"Authorization": f"Token token={token}", "Accept": "application/json"}
    if adapter == "freshdesk" and ":" not in token:
        token = f"{token}:X"
    basic = adapter in ("zendesk", "freshdesk") and ":" in token
    given = f"Basic {base64.b64encode(token.encode()).decode()}" if basic else f"Bearer {token}"
    more = {"Intercom-Version": INTERCOM_VERSION} if adapter == "intercom" else {}
    return {"Authorization": given, "Accept": "application/json", **more}


def envelope(asked: Asked, answer: Any) -> bytes:
    """The body of the delivery that keeps an answer."""
    return orjson.dumps({"asked": asked.as_json(), "answer": answer})


class Fetched:
    """Reads the answer of an API by the adapter of its system."""

    name = FETCHED

    def read(self, delivery: Delivery) -> Sequence[Item]:
        body = json_of(delivery.body)
        try:
            asked = Asked(**part(body, "asked"))
            adapter = _ADAPTERS[asked.adapter]
        except (TypeError, KeyError):
            raise Unreadable(422, "No fetched text", "it is not said what was asked for") from None
        payload = _payload(asked, at(body, "answer"))
        inner = replace(delivery, body=orjson.dumps(payload), content_type="application/json")
        items = adapter.read(inner)
        return [_completing(delivery, asked, items)]


_ADAPTERS: Mapping[str, Adapter] = {
    adapter.name: adapter
    for adapter in (Zendesk(), Freshdesk(), HubSpot(), Front(), Intercom(), Salesforce(), Chatwoot(), Zammad(), Genesys())
}


def _completing(delivery: Delivery, asked: Asked, items: Sequence[Item]) -> Item:
    """The message that was asked for, as the rest of the contact that lacked it."""
    event_id = f"fetched:{asked.event_id}"[:255]
    identity = Identity(event_id, asked.record_id, hashlib.sha256(delivery.body).digest())
    message_id = asked.message_id or asked.event_id
    for item in items:
        if isinstance(item, ContactSubmission | ReplySubmission):
            source = item.contact.source.model_copy(
                update={"record_id": asked.record_id, "event_id": event_id, "event_type": "fetched"}
            )
            # The API has no more than this: what is still missing stays missing.
            status = "empty" if item.contact.text_status == "pending_fetch" else item.contact.text_status
            raw = item.contact.raw.model_copy(update={"item": 0, "sha256": identity.sha256.hex()})
            own_id = item.contact.message_id if asked.adapter in OWN_IDS else None
            update = {
                "source": source,
                "message_id": own_id or message_id,
                "completes": message_id,
                "text_status": status,
                "raw": raw,
            }
            return replace(item, identity=identity, contact=item.contact.model_copy(update=update))
        if isinstance(item, SetAside):
            source = item.source.model_copy(update={"record_id": asked.record_id, "event_id": event_id})
            return SetAside(identity, source, item.reason)
    raise Unreadable(
        422, "Nothing fetched", f"the answer of {asked.adapter} does not hold the message that was asked for"
    )


def _is_comment(asked: Asked) -> bool:
    return "comment" in (asked.event_type or "")


def _payload(asked: Asked, answer: Any) -> Any:
    """The answer in the form in which the system's adapter takes what is sent to it."""
    match asked.adapter:
        case "zendesk":
            return _zendesk(asked, answer)
        case "freshdesk":
            return {"ticket": answer}
        case "intercom":
            return _intercom(asked, answer)
        case "front":
            return _front(asked, answer)
        case "chatwoot":
            return _chatwoot(asked, answer)
        case "zammad":
            return _zammad(asked, answer)
        case "genesys":
            return genesys.payload(asked.record_id, asked.channel, answer)
        case "hubspot" if (asked.event_type or "").lower().startswith("conversation"):
            return _hubspot_message(asked, answer)
        case _:
            return answer


def _zendesk(asked: Asked, answer: Any) -> Any:
    users = {ident(user.get("id")): user for user in objects(at(answer, "users"))}
    number = asked.record_id.rpartition(":")[2]
    if not _is_comment(asked):
        ticket = part(answer, "ticket")
        messaging = word(at(ticket, "via", "channel")) == "nativemessaging"
        # Of a conversation the description only says who writes; its words come message by message.
        text = None if messaging else ticket.get("description")
        kept = {name: value for name, value in ticket.items() if name != "status"}
        return {"ticket": {**kept, "description": text, "requester": users.get(ident(ticket.get("requester_id")))}}
    comments = objects(at(answer, "comments"))
    comment = next((c for c in comments if ident(c.get("id")) == asked.message_id), {})
    author = users.get(ident(comment.get("author_id")), {})
    staff = word(author.get("role")) in ("agent", "admin")
    said = {**comment, "author": {"is_staff": staff}}
    return (
        {"ticket": {"id": number, "subject": None, "requester": None if staff else author, "comment": said}}
        if comment
        else {}
    )


def _intercom(asked: Asked, answer: Any) -> Any:
    item = part(answer)
    parts = objects(at(item, "conversation_parts", "conversation_parts"))
    wanted = [p for p in parts if ident(p.get("id")) == asked.message_id]
    if wanted:
        narrowed = {**item, "conversation_parts": {"conversation_parts": wanted}}
        return {"topic": "conversation.user.replied", "id": asked.event_id, "data": {"item": narrowed}}
    topic = "ticket.created" if (asked.event_type or "").startswith("ticket") else "conversation.user.created"
    return {"topic": topic, "id": asked.event_id, "data": {"item": item}}


def _front(asked: Asked, answer: Any) -> Any:
    inbound = [m for m in objects(at(answer, "_results")) if truth(m.get("is_inbound"))]
    message = (inbound[0] if inbound else {}) if "_results" in part(answer) else part(answer)
    kind = "inbound" if truth(message.get("is_inbound")) is not False else "outbound"
    target = {"_meta": {"type": "message"}, "data": message}
    return (
        {"type": kind, "id": asked.event_id, "conversation": {"id": asked.record_id}, "target": target}
        if message
        else {}
    )


def _chatwoot(asked: Asked, answer: Any) -> Any:
    """The message that was asked for; of a conversation the first that the customer wrote."""
    messages = objects(at(answer, "payload"))
    wanted = [m for m in messages if ident(m.get("id")) == asked.message_id]
    inbound = [m for m in messages if ident(m.get("message_type")) in ("0", "incoming") and not truth(m.get("private"))]
    found = wanted or sorted(inbound, key=lambda m: ident(m.get("created_at")) or "")[:1]
    meta = {"sender": at(answer, "meta", "contact")}
    return {"event": "conversation_created", "id": asked.record_id, "messages": found, "meta": meta} if found else {}


def _zammad(asked: Asked, answer: Any) -> Any:
    """The article that was asked for; of a ticket the first that the customer wrote."""
    articles = objects(answer)
    wanted = [a for a in articles if ident(a.get("id")) == asked.message_id]
    inbound = [a for a in articles if word(a.get("sender")) == "customer" and not truth(a.get("internal"))]
    found = wanted or sorted(inbound, key=lambda a: ident(a.get("created_at")) or "")[:1]
    return {"ticket": {"id": asked.record_id}, "article": found[0]} if found else {}


def _hubspot_message(asked: Asked, answer: Any) -> Any:
    """A message of a conversation in the shape of a ticket, with its direction."""
    listed = at(answer, "results")
    message = part(answer)
    if isinstance(listed, list):
        message = next((m for m in objects(listed) if word(m.get("direction")) == "incoming"), {})
    sender = (objects(message.get("senders")) or [{}])[0]
    properties = {
        "content": message.get("text") or message.get("richText"),
        "createdate": message.get("createdAt"),
        "subject": message.get("subject"),
        "source_type": "CHAT",
        "email": at(sender, "deliveryIdentifier", "value"),
        "phone": at(sender, "deliveryIdentifier", "value"),
        "hs_primary_contact_id": sender.get("actorId"),
    }
    return {
        "id": asked.record_id,
        "properties": properties,
        "direction": message.get("direction"),
        "private": word(message.get("type")) == "comment",
    }
