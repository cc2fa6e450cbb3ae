"""One item as a mapping reads it, of JSON and of CSV rows alike.

No item is lost for a value that does not fit: what cannot be understood is left out, and `custom.warnings` says what.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from pydantic import ValidationError

from services.intake.adapters import fields
from services.intake.adapters.canonical import MAX_SUBJECT, MAX_TEXT, SEVERITY_OF
from services.intake.adapters.collected import MAX_HTML, bounded
from services.intake.adapters.expressions import ValueFailed
from services.intake.adapters.fields import Moment
from services.intake.adapters.mapping import WORDS, MappingFile, Rule
from services.intake.submissions import (
    ContactSubmission,
    Delivery,
    Identity,
    Item,
    Rejection,
    ReplySubmission,
    SetAside,
    StatusSubmission,
)
from shared.contracts.complaints import Contact, Customer, Money, Raw, Source, TextStatus, Thread
from shared.text import html
from shared.text.characters import clean
from shared.text.quotes import strip_reply

MAX_CUSTOM = 2_000
# Where a record of a Kafka topic stands: topic/partition/offset. Its identity, where the payload has none.
POSITION = "kafka-position"
# What a spreadsheet makes of a long number when it opens a file: the digits are gone, and many ids become one.
_DAMAGED = re.compile(r"[-+]?\d(?:[.,]\d+)?[eE]\+\d+|#{3,}|#(?:REF|N/A|NAME|VALUE|NUM|DIV/0|NULL)[!?]?")
_EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - a spreadsheet's dates have no zone
_MASKED = re.compile(r"\bX{2,}\b|\bXX/XX/|\{\$[\d,.]+\}")


def read_item(delivery: Delivery, mapping: MappingFile, number: int, item: Any) -> Item:
    """One item as the mapping reads it."""
    if not isinstance(item, dict):
        return Rejection(None, "item", f"each item must be an object; item {number} is none")
    return _Made(delivery, mapping, number, item).item()


@dataclass(slots=True)
class _Made:
    """One item on its way: values as they are found, and warnings about those that could not be used."""

    delivery: Delivery
    mapping: MappingFile
    number: int
    given: Mapping[str, Any]
    warnings: list[str] = field(default_factory=list)

    def item(self) -> Item:
        identity, source = self._identity()
        if not any(self._found(rule) is not None for rule in self.mapping.rules.values()):
            return Rejection(identity.event_id, "item", "holds none of the columns or paths that the mapping names")
        for condition in self.mapping.set_aside:
            if self._true(condition.when):
                return SetAside(identity, source, condition.reason)
        kind = self.value("kind") or ("status" if self.value("status") and not self._has_words() else "contact")
        if kind == "status":
            status = self.value("status")
            if status not in WORDS["status"]:
                return Rejection(
                    identity.event_id, "status", "is none of open, waiting, resolved, closed", identity.record_id
                )
            when = self.moment("occurred_at") or Moment(self.delivery.received_at, "receipt_time")
            raw = fields.short(self._found(self.mapping.rules["status"]))
            by, reason = fields.short(self.value("by")), fields.short(self.value("reason"), 2000)
            return StatusSubmission(identity, source, status, raw, when.time, by, reason)
        author = self.value("author_kind")
        if author in ("bot", "system"):
            return SetAside(identity, source, f"written by a {author}, not by a person")
        try:
            contact = self._contact(identity, source, author)
        except ValidationError as error:
            place = ".".join(str(step) for step in error.errors(include_input=False)[0]["loc"])
            return Rejection(identity.event_id, place, "does not fit the complaint", identity.record_id)
        return (
            ReplySubmission(identity, contact)
            if kind == "reply" or author == "agent"
            else ContactSubmission(identity, contact)
        )

    # --- values ---

    def value(self, target: str) -> Any:
        """The value of a field, translated and with its default; None where there is none."""
        rule = self.mapping.rules.get(target)
        if rule is None:
            return None
        if rule.constant is not None:
            return rule.constant
        found = self._found(rule)
        if rule.values is not None and found is not None:
            found = [_translated(each, rule) for each in found] if isinstance(found, list) else _translated(found, rule)
        elif found is not None and target in WORDS and isinstance(found, str):
            found = _same_word(found, WORDS[target])
        known = WORDS.get(target)
        if target == "customer.support_needs" and isinstance(found, list):
            return found
        if found is not None and known is not None and found not in known:
            if target != "channel":  # whose raw value is kept
                self.warnings.append(f"{target}: a value that is none of ours")
            found = None
        return rule.default if found is None else found

    def _found(self, rule: Rule) -> Any:
        """What stands there: the first that holds something, or all joined."""
        held = []
        for get in rule.gets:
            try:
                value = get(self.given)
            except ValueFailed as failed:
                self.warnings.append(f"{rule.target}: {failed}")
                continue
            if value in (None, "", [], {}) or (isinstance(value, str) and self._is_null(value)):
                continue
            if rule.join is None:
                return value.split(rule.split) if rule.split and isinstance(value, str) else value
            held += value if isinstance(value, list) else [value]
        return (rule.join or "").join(_text(each) for each in held) if held else None

    def _is_null(self, value: str) -> bool:
        return not (bare := value.strip()) or (bool(self.mapping.nulls) and bare.casefold() in self.mapping.nulls)

    def _true(self, get: Any) -> bool:
        try:
            return get(self.given) is True
        except ValueFailed:
            return False

    def _has_words(self) -> bool:
        return any(self.value(target) for target in ("text", "html", "subject"))

    def text(self, target: str, most: int = fields.MAX_SHORT) -> str | None:
        """A field as one line."""
        value = self.value(target)
        return fields.short(_text(value) if isinstance(value, list | dict) else value, most)

    def moment(self, target: str) -> Moment | None:
        """A time by the declared formats in the declared zone, otherwise ISO 8601 or a count since 1970."""
        rule = self.mapping.rules.get(target)
        value = self.value(target)
        if rule is None or value is None:
            return None
        zone = rule.zone or self.mapping.zone or fields.zone_of(self.delivery.options)
        for each in rule.formats or ("iso",):
            found = read_time(value, each, zone)
            if found is not None:
                return found
        told = "its format" if rule.formats else "ISO 8601; declare its `format`"
        self.warnings.append(f"{target}: the time does not fit {told}")
        return None

    # --- parts ---

    def _identity(self) -> tuple[Identity, Source]:
        digest = hashlib.sha256(_stable(self.given)).digest()
        position = self.delivery.headers.get(POSITION)
        own = f"sha256:{digest.hex()}" if position is None else f"kafka:{position}#{self.number}"
        record = self.text("record_id", 1000)
        if record is not None and _DAMAGED.fullmatch(record):
            self.warnings.append(f"record_id: {record} was damaged by a spreadsheet; the item's hash stands for it")
            record = None
        elif record is None and "record_id" in self.mapping.rules:
            self.warnings.append("record_id: is empty; the item's hash stands for it")
        event = self.text("event_id", 1000)
        if event is None or _DAMAGED.fullmatch(event):
            event = own
        identity = Identity(bounded(event), bounded(record or own), digest)
        source = Source(
            system=self.mapping.system,
            instance=self.delivery.source,
            record_id=identity.record_id,
            event_id=identity.event_id,
            event_type=self.text("event_type"),
            record_url=self.text("record_url", 2048),
        )
        return identity, source

    def _contact(self, identity: Identity, source: Source, author: Any) -> Contact:
        when = self.moment("occurred_at") or Moment(self.delivery.received_at, "receipt_time")
        channel = self.value("channel") or "unknown"
        words = self._words(channel)
        priority_raw = self.value("priority")
        rule = self.mapping.rules.get("channel")
        parent = self.text("in_reply_to")
        incident, due = self.moment("incident_at"), self.moment("due_at_source")
        severity = self.value("severity")
        severity = int(severity) if str(severity).strip() in ("1", "2", "3", "4", "5") else None
        priority = fields.priority(priority_raw)
        return Contact(
            source=source,
            message_id=self.text("message_id"),
            occurred_at=when.time,
            occurred_at_quality=when.quality,
            received_at=self.delivery.received_at,
            channel=channel,
            channel_raw=None if rule is None or rule.constant is not None else fields.short(self._found(rule)),
            author_kind="agent" if author == "agent" else author or "customer",
            customer=self._customer(),
            on_behalf_of=fields.truth(self.value("on_behalf_of")),
            subject=self.text("subject", MAX_SUBJECT),
            thread=None if parent is None else Thread(in_reply_to=parent),
            language=fields.language(self.value("language")),
            priority=priority,
            priority_source=None if priority_raw is None else fields.short(priority_raw),
            severity=severity or SEVERITY_OF[priority],
            category=self.value("category") or "other",
            product=self.text("product"),
            product_detail=self.text("product_detail"),
            issue=self.text("issue"),
            issue_detail=self.text("issue_detail"),
            organisation_unit=self.text("organisation_unit"),
            remedy_sought=self.text("remedy_sought"),
            money_claimed=self._money(),
            incident_at=None if incident is None else incident.time,
            consent_publish=fields.truth(self.value("consent_publish")),
            due_at_source=None if due is None else due.time,
            tags=fields.tags(self.value("tags")),
            custom=self._custom(),
            raw=Raw(
                delivery_id=self.delivery.id, item=self.number, sha256=identity.sha256.hex(),
                content_type=self.delivery.content_type[:255] or "application/octet-stream",
            ),
            **words,
        )  # fmt: skip

    def _words(self, channel: str) -> dict[str, Any]:
        """text, text_status, and beside them text_full and html."""
        plain, markup = self.value("text"), self.value("html")
        safe = None
        if markup is not None:
            safe, seen = html.read(clean(_text(markup)))
            plain = plain if plain is not None else seen
        whole = clean(_text(plain)).strip("\n") if plain is not None else ""
        new, changed = strip_reply(whole) if channel == "email" else (whole, False)
        status: TextStatus = "complete"
        if not whole.strip():
            return {"text": "", "text_status": "empty"}
        if len(new) > MAX_TEXT:
            status = "truncated"
        elif _MASKED.search(whole):
            status = "redacted_by_source"
        elif changed:
            status = "stripped"
        return {
            "text": new[:MAX_TEXT], "text_status": status, "text_full": whole[:MAX_TEXT] if changed else None,
            "html": safe if safe is not None and len(safe) <= MAX_HTML else None,
        }  # fmt: skip

    def _customer(self) -> Customer:
        phone_rule = self.mapping.rules.get("customer.phones")
        region = None if phone_rule is None else phone_rule.region
        emails = fields.emails(_listed(self.value("customer.emails")))
        needs = [
            need for need in _listed(self.value("customer.support_needs")) if need in WORDS["customer.support_needs"]
        ]
        return Customer(
            ref=self.text("customer.ref"),
            name=self.text("customer.name"),
            emails=emails,
            phones=fields.phones(_listed(self.value("customer.phones")), region),
            locale=fields.language(self.value("customer.locale")),
            country=self.text("customer.country"),
            postcode=self.text("customer.postcode"),
            zone=self.text("customer.zone"),
            contact_preference=self.value("customer.contact_preference") or "any",
            support_needs=tuple(dict.fromkeys(needs)),
        )

    def _money(self) -> Money | None:
        amount, currency = self.text("money_claimed.amount"), self.text("money_claimed.currency")
        if amount is None:
            return None
        try:
            return Money(amount=Decimal(re.sub(r"[^\d.\-]", "", amount)), currency=(currency or "").upper())
        except (InvalidOperation, ValidationError):
            self.warnings.append("money_claimed: no amount with an ISO 4217 currency")
            return None

    def _custom(self) -> dict[str, str | int | float | bool]:
        """What the mapping puts under `custom.`, what it says nothing of (unless it says to leave that), and warnings."""
        given = {
            target.removeprefix("custom."): self.value(target)
            for target in self.mapping.rules
            if target.startswith("custom.")
        }
        if self.mapping.rest == "custom":
            for key, value in self.given.items():
                if key not in self.mapping.spoken and not (isinstance(value, str) and self._is_null(value)):
                    given.setdefault(key, value)
        found = fields.scalars({key: _text(v) if isinstance(v, list | dict) else v for key, v in given.items()}, 99)
        if self.warnings:
            found["warnings"] = "; ".join(dict.fromkeys(self.warnings))[:MAX_CUSTOM]
        return found


def read_time(value: Any, how: str, zone: tzinfo | None) -> Moment | None:
    """A time written in the format `how`: a Python format, `iso`, `unix`, `unix_ms`, or `excel` (days since 1899-12-30)."""
    if how == "iso":
        return fields.moment(value, zone)
    text = str(value).strip()[:64]
    try:
        if how in ("unix", "unix_ms"):
            return _in_utc(datetime.fromtimestamp(float(text) / (1000 if how == "unix_ms" else 1), UTC), True, True)
        if how == "excel":
            return _in_utc((_EXCEL_EPOCH + timedelta(days=float(text))).replace(tzinfo=zone or UTC), False, "." in text)
        parsed = datetime.strptime(text, how)  # noqa: DTZ007 - the zone follows
    except (ValueError, OverflowError, OSError):
        return None
    aware = parsed.tzinfo is not None
    timed = any(sign in how for sign in ("%H", "%I", "%c", "%X", "%s"))
    return _in_utc(parsed if aware else parsed.replace(tzinfo=zone or UTC), aware, timed)


def _in_utc(time: datetime, exact: bool, timed: bool) -> Moment | None:
    try:
        utc = time.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    if utc.year not in fields.YEARS:
        return None
    return Moment(utc, "date_only" if not timed else "exact" if exact else "assumed_zone")


def _text(value: Any) -> str:
    """Any JSON value as text; objects and lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return "\n".join(value)
        return orjson.dumps(value, default=str).decode()
    return "" if value is None else fields.short(value) or str(value)


def _translated(value: Any, rule: Rule) -> Any:
    """Their word as ours; a word that is not in the list is `else`, or stays as it is."""
    key = str(value).strip().casefold()
    if rule.values is not None and key in rule.values:
        return rule.values[key]
    return value if rule.otherwise is None else rule.otherwise


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _same_word(value: str, words: Sequence[str]) -> str:
    """`Web form`, `WEB_FORM` and `web-form` are web_form."""
    folded = re.sub(r"[\s\-]+", "_", value.strip()).casefold()
    return folded if folded in words else value


def _stable(item: Mapping[str, Any]) -> bytes:
    """The item's content, whatever the order of its keys."""
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)
