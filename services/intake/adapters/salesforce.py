"""Salesforce: outbound messages (SOAP, 1 to 100 notifications, only the fields that were ticked), records of cases, their
comments and e-mails as JSON, and change events. An outbound message carries the latest values, not those of its moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from services.intake.adapters.collected import Collected, Said, Status, customer
from services.intake.adapters.fields import first, folded, ident, json_of, objects, part, truth, word
from services.intake.submissions import Delivery, Item, Unreadable
from shared.contracts.complaints import Channel

CHANNELS: dict[str, Channel] = {
    "phone": "voice", "voice": "voice", "email": "email", "email2case": "email", "emailtocase": "email", "web": "web_form",
    "web2case": "web_form", "chat": "chat", "livechat": "chat", "messaging": "messaging", "whatsapp": "messaging", "sms": "sms",
    "text": "sms", "social": "social", "facebook": "social", "twitter": "social", "mail": "postal", "letter": "postal", "post": "postal",
    "fax": "fax", "inperson": "in_person", "branch": "in_person", "community": "portal", "portal": "portal", "api": "api",
    "referral": "referral",
}  # fmt: skip
STATUSES: dict[str, Status] = {
    "new": "open", "open": "open", "working": "open", "inprogress": "open", "escalated": "open", "onhold": "open", "reopened": "open",
    "waitingoncustomer": "waiting", "waitingforcustomer": "waiting", "pending": "waiting", "awaitingcustomer": "waiting",
    "resolved": "resolved", "solved": "resolved", "closed": "closed",
}  # fmt: skip
MAX_NOTIFICATIONS = 100
MAX_DEPTH = 30


class Salesforce:
    name = "salesforce"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        out = Collected(delivery, "salesforce")
        if delivery.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
            for notification_id, kind, record in _notifications(delivery.body, delivery.options):
                _record(out, kind, record, notification_id, "outbound message")
        else:
            body = json_of(delivery.body)
            for each in objects(part(body).get("records") or body)[:1000]:
                _json(out, each)
        if not out.items:
            raise Unreadable(
                422, "No Salesforce record", "neither an outbound message with notifications nor a record with an Id"
            )
        return out.items


def _notifications(body: bytes, options: Any) -> Iterator[tuple[str | None, str, dict[str, Any]]]:
    """(notification id, object type, fields) of each notification. Raises Unreadable."""
    try:
        root = fromstring(body, forbid_dtd=True)
    except DefusedXmlException:
        raise Unreadable(
            400, "XML with a DTD", "the XML declares a document type or entities; an outbound message has none"
        ) from None
    except (ParseError, ValueError, LookupError) as error:
        place = getattr(error, "position", None)
        where = f" (line {place[0]}, column {place[1]})" if place else ""
        raise Unreadable(400, "Malformed XML", f"the body is not XML{where}") from None
    message = _child(_child(root, "Body"), "notifications") if _name(root) == "Envelope" else root
    organization = _text(_child(message, "OrganizationId"))
    expected = options.get("organization_id")
    if isinstance(expected, str) and expected and (organization or "")[:15] != expected[:15]:
        raise Unreadable(
            403, "Another organization", "the message is of another Salesforce organization than this source's"
        )
    found = [] if message is None else [each for each in message if _name(each) == "Notification"]
    if len(found) > MAX_NOTIFICATIONS:
        raise Unreadable(
            413, "Too many notifications", f"an outbound message has at most {MAX_NOTIFICATIONS} notifications"
        )
    for each in found:
        record = _child(each, "sObject")
        kind = (
            "" if record is None else next((v for k, v in record.attrib.items() if k.rpartition("}")[2] == "type"), "")
        )
        fields = {} if record is None else {_name(field): _text(field) for field in record if len(field) == 0}
        yield _text(_child(each, "Id")), kind.rpartition(":")[2], fields


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _child(element: Element | None, name: str) -> Element | None:
    return None if element is None else next((each for each in element if _name(each) == name), None)


def _text(element: Element | None) -> str | None:
    return None if element is None else element.text


_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def _whole_id(record_id: str | None) -> str | None:
    """The id with 18 characters, the last three of which say which letters are capitals: the same for both forms."""
    if record_id is None or len(record_id) != 15 or not record_id.isalnum() or not record_id.isascii():
        return record_id
    blocks = (record_id[i : i + 5] for i in (0, 5, 10))
    return record_id + "".join(_CHECK[sum(1 << i for i, c in enumerate(block) if c.isupper())] for block in blocks)


def _json(out: Collected, body: dict[str, Any]) -> None:
    payload = (
        part(body, "payload")
        or part(body, "data", "payload")
        or part(body, "detail", "payload")
        or part(body, "detail")
    )
    header = part(payload, "ChangeEventHeader")
    if header:
        _change(out, payload, header)
        return
    record = part(body, "sobject") or part(body, "record") or part(body, "Case") or payload or body
    kind = first(part(record, "attributes"), "type") or body.get("sobjectType") or record.get("sobjectType") or ""
    _record(out, str(kind), record, ident(record.get("EventUuid")), "record")


def _change(out: Collected, payload: dict[str, Any], header: dict[str, Any]) -> None:
    """A change event: one change of one or more records. GAP_* events say only that something changed."""
    given = header.get("recordIds")
    change = str(header.get("changeType") or "").upper()
    transaction = (
        f"{ident(header.get('transactionKey')) or out.digest()[:32]}:{ident(header.get('sequenceNumber')) or ''}"
    )
    for record_id in (_whole_id(ident(each)) for each in (given if isinstance(given, list) else ())[:100]):
        if record_id is None:
            continue
        record = {**payload, "Id": record_id}
        if change.startswith("GAP"):
            record = {"Id": record_id}
        elif change not in ("CREATE", "UPDATE"):
            said = Said(
                record_id=record_id,
                event_id=f"{transaction}:{record_id}",
                event_type=f"change {change}",
                at=(header.get("commitTimestamp"),),
            )
            out.set_aside(said, f"{change.lower()[:50]} carries no words of the customer")
            continue
        _record(
            out,
            str(header.get("entityName") or ""),
            record,
            f"{transaction}:{record_id}",
            f"change {change}",
            header,
            update=change == "UPDATE",
        )


def _record(
    out: Collected,
    kind: str,
    record: dict[str, Any],
    event_id: str | None,
    event_type: str,
    header: Any = None,
    *,
    update: bool = False,
) -> None:
    given = folded(record)
    number = _whole_id(ident(given.get("id") or given.get("caseid")))
    changed = ident(given.get("systemmodstamp") or given.get("lastmodifieddate")) or ""
    kind = word(kind)
    looks = not kind and any(name in given for name in ("casenumber", "origin", "suppliedemail", "description"))
    event_id = event_id or f"{kind or 'case'}:{number or ''}:{changed or out.digest()[:32]}"
    if number is None:
        if kind or looks:
            out.reject(event_id, "Id", "is required")
        return
    times = (part(header).get("commitTimestamp"),)
    if kind in ("casecomment", "emailmessage"):
        _message(out, kind, given, number, event_id, event_type)
    elif kind not in ("case", "") or not (kind or looks):
        said = Said(record_id=number, event_id=event_id, event_type=event_type, at=(changed, *times))
        out.set_aside(said, f"a record of {kind[:60] or 'an unnamed object'}, not of a case")
    else:
        _case(out, record, given, number, event_id, event_type, changed, times, update=update)


def _case(
    out: Collected,
    record: dict[str, Any],
    given: dict[str, Any],
    number: str,
    event_id: str,
    event_type: str,
    changed: str,
    times: tuple[Any, ...],
    *,
    update: bool,
) -> None:
    raw_channel, status_raw = given.get("origin"), given.get("status")
    contact = folded(given.get("contact"))
    known = {name for name in given if name not in ("attributes", "changeeventheader")}
    status = STATUSES.get(word(status_raw))
    said = Said(
        record_id=number,
        event_id=event_id,
        event_type=event_type,
        message_id=number,
        at=(given.get("createddate"), *times, changed),
        channel=CHANNELS.get(word(raw_channel), "unknown"),
        channel_raw=raw_channel,
        customer=customer(
            ref=given.get("contactid") or contact.get("id"),
            name=given.get("suppliedname") or contact.get("name"),
            emails=(given.get("suppliedemail"), given.get("contactemail"), contact.get("email")),
            phones=(
                given.get("suppliedphone"),
                given.get("contactphone"),
                given.get("contactmobile"),
                contact.get("phone"),
            ),
        ),
        subject=given.get("subject"),
        text=given.get("description"),
        pending="description" not in known,
        language=given.get("language"),
        priority=given.get("priority"),
        product=given.get("type") or given.get("productid"),
        issue=given.get("reason"),
        unit=given.get("ownerid"),
        parent=given.get("parentid"),
        custom={name: value for name, value in record.items() if name.endswith("__c")}
        | ({"case_number": given["casenumber"]} if given.get("casenumber") else {}),
    )
    if not update or "description" in known or not status:
        if update and "description" not in known:
            out.set_aside(said, "the change of a case that carries no words of the customer")
        else:
            out.contact(said)
    if status is not None and (status != "open" or update):
        ended = Said(
            record_id=number,
            event_id=f"{event_id}:status" if out.items else event_id,
            event_type=event_type,
            at=(given.get("closeddate"), *times, changed),
        )
        out.status(ended, status, status_raw, by=given.get("lastmodifiedbyid"))


def _message(out: Collected, kind: str, given: dict[str, Any], number: str, event_id: str, event_type: str) -> None:
    """A comment or an e-mail of a case: the case is its parent."""
    case = _whole_id(ident(given.get("parentid") or given.get("relatedtoid")))
    if case is None:
        out.reject(event_id, "ParentId", "names no case", number)
        return
    email = kind == "emailmessage"
    said = Said(
        record_id=case,
        event_id=event_id,
        event_type=event_type,
        message_id=number,
        at=(given.get("messagedate"), given.get("createddate"), given.get("systemmodstamp")),
        channel="email" if email else "portal",
        channel_raw=kind,
        customer=customer(name=given.get("fromname"), emails=(given.get("fromaddress"),))
        if truth(given.get("incoming"))
        else customer(),
        subject=given.get("subject"),
        text=given.get("textbody") if email else given.get("commentbody"),
        html=given.get("htmlbody"),
        pending=not any(name in given for name in ("textbody", "htmlbody", "commentbody")),
        author_kind="customer" if email else "unknown",
    )
    if email:
        if truth(given.get("incoming")) is False:
            out.reply(said)
        else:
            out.contact(said)
    elif truth(given.get("ispublished")) is False:
        out.set_aside(said, "private note")
    # The first characters of an id name the kind of record: 005 is a user.
    # Customers of a portal are users, too: their comments say so by the kind of user.
    elif (ident(given.get("createdbyid")) or "").startswith("005") and not _is_customer(given.get("creatorusertype")):
        out.reply(said)
    else:
        out.contact(said)


def _is_customer(user_type: object) -> bool:
    return any(kind in word(user_type) for kind in ("portal", "customer", "community", "guest", "partner"))
