"""Raw mail (RFC 5322), as an SMTP server, a maildir or an HTTP call hands it over: one mail, one submission.

Options of the source (in its mapping file, or given as they are): `own`, the addresses and domains of the organisation;
what they send is a reply.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from services.intake.adapters import bounces, machine_mail, mime
from services.intake.adapters.canonical import MAX_SUBJECT, MAX_TEXT, SEVERITY_OF
from services.intake.adapters.collected import bounded
from services.intake.adapters.mime import Address, Headers, Part
from services.intake.submissions import (
    ContactSubmission,
    Delivery,
    Identity,
    Item,
    ReplySubmission,
    SetAside,
    Unreadable,
)
from shared.contracts.complaints import (
    Attachment,
    Contact,
    Customer,
    Priority,
    Raw,
    Source,
    TextStatus,
    Thread,
    TimeQuality,
)
from shared.frozen import replace
from shared.policy.yaml_source import YamlRefused, parse
from shared.text import html
from shared.text.characters import clean, decode
from shared.text.quotes import strip_reply

MAX_MAIL = 26_214_400
MAX_ID = 255
# Set where another mail came under the same Message-ID before: it tells the content of this one.
SAME_ID = "x-amends-same-id"
MAX_ATTACHMENTS = 100
# Of a longer text no more is kept anyway: a character has four bytes at most, and encodings add to them.
MAX_TEXT_BYTES = 1_000_000
DATE_TRUSTED = timedelta(days=7)
CLOCK_SKEW = timedelta(days=1)

_MESSAGE_ID = re.compile(r"<\s*([^<>\s]{1,250})\s*>")
_BARE_ID = re.compile(r"[^\s<>,;\"()]{1,200}@[^\s<>,;\"()]{1,200}")
_HIGH, _LOW = ("1", "2", "high", "highest", "urgent"), ("4", "5", "low", "lowest", "non-urgent")
_DELIVERED = ("delivered-to", "x-original-to", "envelope-to", "x-delivered-to", "x-envelope-to")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


class Email:
    """Reads one mail."""

    name = "email"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        if not delivery.body.strip():
            raise Unreadable(
                400, "Empty mail", "The body is empty; send the mail as it came, headers first (message/rfc822)."
            )
        if len(delivery.body) > MAX_MAIL:
            detail = f"A mail has at most {MAX_MAIL // 1_048_576} MiB; this one has {len(delivery.body) // 1_048_576}."
            raise Unreadable(413, "Mail too large", detail)
        return [_read(delivery, mime.parse(delivery.body))]


class Own:
    """The addresses and domains of the organisation."""

    def __init__(self, options: Mapping[str, Any], headers: Headers) -> None:
        given = {str(each).strip().lower().lstrip("@") for each in _own(options)}
        self._addresses = {each for each in given if "@" in each}
        self._domains = given - self._addresses
        self._mailboxes = {a.email.lower() for name in _DELIVERED for a in headers.addresses(name)}

    def sent(self, address: str) -> bool:
        """Whether the organisation uses this address."""
        return self.known(address) or address.lower() in self._mailboxes

    def copied(self, address: str, headers: Headers) -> bool:
        """What was delivered to the mailbox that it comes from, and went to others: its owner sent it."""
        to = [a.email for name in ("to", "cc") for a in headers.addresses(name)]
        return address.lower() in self._mailboxes and any(not self.sent(each) for each in to)

    def known(self, address: str) -> bool:
        lower = address.lower()
        domain = lower.rpartition("@")[2]
        return lower in self._addresses or any(domain == d or domain.endswith("." + d) for d in self._domains)

    def lists(self, headers: Headers) -> bool:
        """Whether the list that the mail came over is a shared mailbox of the organisation."""
        post = " ".join(headers.all_raw("list-post") + headers.all_raw("list-id")).lower()
        return any(each in post for each in self._addresses) or any(f"{d}>" in post for d in self._domains)


def _own(options: Mapping[str, Any]) -> Sequence[Any]:
    """`own` of the options themselves, or of the mapping file among them."""
    given = options.get("own")
    text = options.get("mapping")
    if given is None and isinstance(text, str) and text.strip():
        try:
            plain = parse(text).plain()
        except YamlRefused as refused:
            problem = refused.problem
            where = f"line {problem.line}, column {problem.column}"
            raise Unreadable(422, "Mapping refused", f"the mapping of this source: {where}: {problem.message}") from None
        given = plain.get("own") if isinstance(plain, dict) else None
    return given if isinstance(given, list) else given.split(",") if isinstance(given, str) else []


class Body(NamedTuple):
    """What a mail says: all of its text, its HTML made safe if it has any, and the files that hang on it."""

    text: str
    markup: str | None
    attachments: list[Attachment]
    left_out: int


def _read(delivery: Delivery, mail: Part) -> Item:
    headers = mail.headers
    own = Own(delivery.options, headers)
    identity, thread = _identity(delivery, mail)
    source = Source(system="email", instance=delivery.source, record_id=identity.record_id, event_id=identity.event_id)
    reason = machine_mail.why_no_person(mail, own.lists(headers))
    if reason is not None:
        return SetAside(identity, source, reason, bounces.bounced(mail) if reason.startswith("bounce") else None)
    senders = [a for a in headers.addresses("from") if a.email]
    answers = [a for a in headers.addresses("reply-to") if a.email]
    by_us = bool(senders) and (own.known(senders[0].email) or own.copied(senders[0].email, headers))
    if by_us and any(not own.sent(a.email) for a in answers):  # a form on our own site, filled in by a customer
        senders, by_us = [], False
    customer = _customer(headers, senders, answers, own, by_us)
    contact = _contact(delivery, mail, identity, source, thread, customer, by_us)
    # A conversation belongs to a customer: others who answer the same mail have complaints of their own.
    person = customer.emails[0].lower() if customer.emails else ""
    identity = replace(identity, record_id=bounded(f"{identity.record_id} {person}") if person else identity.record_id)
    return ReplySubmission(identity, contact) if by_us else ContactSubmission(identity, contact)


def _identity(delivery: Delivery, mail: Part) -> tuple[Identity, Thread | None]:
    """By its Message-ID; the record is the first message of the conversation, as its references tell."""
    headers = mail.headers
    digest = hashlib.sha256()
    for part in (*(headers.raw(name) or "" for name in ("message-id", "from", "date", "subject")),):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(mail.body)
    own_id = next(iter(message_ids(headers.raw("message-id"))), f"sha256:{digest.hexdigest()}")
    if SAME_ID in delivery.headers:
        own_id = bounded(f"{own_id}#{delivery.headers[SAME_ID]}")
    references = [each for value in headers.all_raw("references") for each in message_ids(value)]
    answered = [each for value in headers.all_raw("in-reply-to") for each in message_ids(value)]
    thread = None
    if references or answered:
        kept = list(dict.fromkeys(references))
        thread = Thread(in_reply_to=next(iter(answered), None), references=tuple(kept[:1] + kept[1:][-49:]))
    return Identity(own_id, next(iter(references + answered), own_id), digest.digest()), thread


def message_ids(value: str | None) -> list[str]:
    """The message ids in a header value, each in its angle brackets."""
    if not value:
        return []
    found = [f"<{each}>" for each in _MESSAGE_ID.findall(value) if each.isprintable()]
    return found or [
        f"<{each}>" for each in _BARE_ID.findall(value)[:50] if len(each) <= MAX_ID - 2 and each.isprintable()
    ]


def _contact(
    delivery: Delivery,
    mail: Part,
    identity: Identity,
    source: Source,
    thread: Thread | None,
    customer: Customer,
    by_us: bool,
) -> Contact:
    headers = mail.headers
    body = read_body(mail)
    new = strip_reply(body.text[: 2 * MAX_TEXT])
    text = new.text[:MAX_TEXT]
    occurred_at, quality = _time(headers, delivery.received_at)
    priority, wished = _priority(headers)
    subject = headers.text("subject")
    return Contact(
        source=source,
        message_id=identity.event_id if identity.event_id.startswith("<") else None,
        occurred_at=occurred_at,
        occurred_at_quality=quality,
        received_at=delivery.received_at,
        channel="email",
        author_kind="agent" if by_us else "customer",
        customer=customer,
        subject=None if subject is None else subject[:MAX_SUBJECT],
        text=text,
        text_status=_status(body.text, new.changed),
        text_full=body.text[:MAX_TEXT] if new.changed else None,
        html=body.markup if body.markup and len(body.markup) <= html.MAX_SAFE else None,
        thread=thread,
        attachments=tuple(body.attachments),
        priority=priority,
        priority_source=wished,
        severity=SEVERITY_OF[priority],
        custom={"attachments_left_out": body.left_out} if body.left_out else {},
        raw=Raw(
            delivery_id=delivery.id,
            item=0,
            sha256=identity.sha256.hex(),
            content_type=delivery.content_type or "message/rfc822",
        ),
    )


def _status(full: str, changed: bool) -> TextStatus:
    if not full.strip():
        return "empty"
    if len(full) > MAX_TEXT:
        return "truncated"
    return "stripped" if changed else "complete"


def _customer(headers: Headers, senders: list[Address], answers: list[Address], own: Own, by_us: bool) -> Customer:
    """Who wrote; of our own mail, to whom it went."""
    if by_us:
        people = [a for name in ("to", "cc") for a in headers.addresses(name) if a.email and not own.sent(a.email)]
    else:
        people = senders[:1] + [a for a in answers if not own.sent(a.email)]
    emails = list(dict.fromkeys(_lower_domain(a.email) for a in people if len(a.email) <= MAX_ID))
    language = headers.raw("content-language") or ""
    return Customer(
        name=next((a.name[:MAX_ID] for a in people if a.name and a.name != a.email), None),
        emails=tuple(emails[:20]),
        locale=language if not by_us and len(language) <= 20 and _LOCALE.fullmatch(language) else None,
    )


def _lower_domain(address: str) -> str:
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{domain.lower()}"


def _priority(headers: Headers) -> tuple[Priority, str | None]:
    for name in ("importance", "x-priority", "priority", "x-msmail-priority"):
        value = headers.raw(name)
        word = (value or "").strip().partition(" ")[0].lower()
        if word in _HIGH or word in _LOW:
            return "high" if word in _HIGH else "low", (value or "")[:MAX_ID]
    return "unknown", None


def _time(headers: Headers, received_at: datetime) -> tuple[datetime, TimeQuality]:
    """When it was written: its date, unless that lies more than a week from when it was received.

    A mail read from an archive was received when the last server before us says so.
    """
    arrived = received_at
    for hop in headers.all_raw("received")[:1]:
        stamp = _date(hop.rpartition(";")[2])
        if stamp is not None and stamp[0] <= received_at + CLOCK_SKEW:
            arrived = min(stamp[0], received_at)
    written = _date(headers.raw("date"))
    if written is not None and abs(written[0] - arrived) <= DATE_TRUSTED:
        return written
    return arrived, "receipt_time"


def _date(value: str | None) -> tuple[datetime, TimeQuality] | None:
    try:
        found = parsedate_to_datetime((value or "")[:200].strip())
        quality: TimeQuality = "exact" if found.tzinfo else "assumed_zone"
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (found, quality) if 1971 <= found.year <= 2199 else None


def read_body(mail: Part) -> Body:
    """The text (of alternatives the plain one, unless it only points to the other), the HTML, the files by name and hash."""
    reader = _BodyReader()
    texts, markups = reader.walk(mail)
    text = "\n\n".join(each for each in (t.strip("\n") for t in texts) if each.strip())
    files = reader.files
    return Body(text, "\n".join(markups) or None, files[:MAX_ATTACHMENTS], max(0, len(files) - MAX_ATTACHMENTS))


class _BodyReader:
    """Walks the parts. All texts together are bounded: what would be cut off anyway is not even decoded."""

    def __init__(self) -> None:
        self.files: list[Attachment] = []
        self._left = MAX_TEXT_BYTES

    def walk(self, part: Part) -> tuple[list[str], list[str]]:
        """The texts and the safe HTML of a part, in order."""
        if part.media_type == "multipart/alternative":
            return self._alternative(part)
        if part.parts:
            texts: list[str] = []
            markups: list[str] = []
            for each in part.parts:
                more, marked = self.walk(each)
                texts += more
                markups += marked
            return texts, markups
        if part.attached or part.name is not None or part.media_type not in ("text/plain", "text/html", "text/enriched"):
            self.files.append(_file(part))
            return [], []
        data = part.content()
        if part.media_type == "text/html":
            safe, text = html.read(self._decoded(data, part))
            return [clean(text)], [safe] if safe else []
        data, inside = mime.take_uuencoded(data)
        self.files += [_described(each.name, "application/octet-stream", each.content) for each in inside]
        return [_flowed(part, clean(self._decoded(data, part)))], []

    def _decoded(self, data: bytes, part: Part) -> str:
        taken = data[: self._left]
        self._left -= len(taken)
        return decode(taken, part.charset)[0]

    def _alternative(self, part: Part) -> tuple[list[str], list[str]]:
        """The same said twice: the plain one counts, except where it says next to nothing."""
        plain: list[str] = []
        marked: list[str] = []
        markups: list[str] = []
        for each in part.parts:
            texts, safe = self.walk(each)
            (marked if safe or each.media_type == "text/html" else plain).extend(texts)
            markups += safe
        spoken, other = (len(" ".join(" ".join(texts).split())) for texts in (plain, marked))
        return plain if spoken >= 60 or spoken * 4 >= other else marked, markups


def _flowed(part: Part, text: str) -> str:
    """Paragraphs as they were before the sender's program broke them (format=flowed, RFC 3676)."""
    if part.parameters.get("format", "").lower() != "flowed":
        return text
    joined: list[str] = []
    soft, depth_before = False, 0
    delete_space = part.parameters.get("delsp", "").lower() == "yes"
    for line in text.split("\n"):
        bare = line.lstrip(">")
        depth = len(line) - len(bare)
        bare = bare.removeprefix(" ")
        flows = bare.endswith(" ") and bare != "-- "
        piece = bare[:-1] if flows and delete_space else bare
        if soft and depth == depth_before and bare != "-- ":
            joined[-1] += piece
        else:
            joined.append((">" * depth + " " if depth else "") + piece)
        soft, depth_before = flows, depth
    return "\n".join(line.rstrip() if line != "-- " else line for line in joined)


def _file(part: Part) -> Attachment:
    if part.media_type == "message/rfc822":
        return _described(part.name or "message.eml", part.media_type, part.content())
    return _described(part.name or part.media_type.replace("/", "."), part.media_type, part.content())


def _described(name: str, media_type: str, content: bytes) -> Attachment:
    return Attachment(
        name=name, media_type=media_type[:MAX_ID], size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )
