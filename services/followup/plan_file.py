"""What `amends followup plan` is given: a resolved complaint as JSON, read generously and refused in clear words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any, get_args

from services.followup.domain.channels import CHANNELS
from services.followup.domain.plan import Reach
from services.followup.domain.waking import Hours
from shared.calendar import wall
from shared.calendar.durations import zone_info
from shared.contracts.complaints import Category, Channel, ContactPreference, SupportNeed
from shared.contracts.escalations import Status
from shared.policy.evaluate import Policy
from shared.policy.facts_json import read_facts
from shared.policy.problems import did_you_mean
from shared.policy.remedies import remedy_kind

# What people write for the names of the contract. Only what cannot be meant otherwise.
_ALIASES = {
    "now": "as_of", "timezone": "zone", "time_zone": "zone", "tz": "zone", "language": "locale", "remedies": "remedy",
    "preference": "contact_preference", "preferred_channel": "contact_preference", "died": "deceased",
    "contacts": "contacted", "support_need": "support_needs",
}  # fmt: skip
_PREFERENCES = {
    "e-mail": "email", "mail": "email", "call": "phone", "voice": "phone", "telephone": "phone", "text": "sms",
    "letter": "post", "postal": "post", "no": "none", "no_contact": "none", "do_not_contact": "none", "": "any",
}  # fmt: skip
_TOP = ("complaint", "customer", "policy", "as_of")
_COMPLAINT = (
    "status", "resolved_at", "remedy", "received_at", "last_contact_at", "severity", "category", "tags", "channel",
    "contact_preference", "customer", "contacted", "id",
)  # fmt: skip
_CUSTOMER = (
    "zone", "locale", "contact_preference", "quiet_hours", "quiet_list", "deceased", "emails", "phones", "reachable",
    "support_needs", "vulnerable", "history", "contacted", "country", "name", "ref", "postcode",
)  # fmt: skip
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST, LATEST = 1971, 2199  # years: beyond them no complaint is meant
NOWHERE = Reach("UTC")
_SPAN = re.compile(r"\s*(\d{1,2}:\d{2})\s*(?:-|–|to|until)\s*(\d{1,2}:\d{2})\s*")


@dataclass(slots=True)
class Given:
    """The complaint of one file. `facts` has one entry for each remedy. `problems`: why nothing can be planned."""

    facts: list[dict[str, Any]] = field(default_factory=list)
    resolved_at: datetime = NEVER
    now: datetime = NEVER
    reach: Reach = NOWHERE
    zone_from: str = "the policy's calendar"
    locale: str | None = None
    none_because: str | None = None
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read(document: Any, policy: Policy) -> Given:
    """The facts that `document` (decoded JSON) states. Never raises for what is in it: see `problems`."""
    given = Given()
    if not isinstance(document, dict):
        given.problems.append('the file must hold an object such as {"complaint": {"resolved_at": ..., "remedy": ...}}')
        return given
    return _Reader(given, policy).read(document)


class _Reader:
    """Reads one document; each finding goes to `given`."""

    def __init__(self, given: Given, policy: Policy) -> None:
        self._given = given
        self._policy = policy
        self._zone = policy.calendar_zone

    def read(self, document: dict[str, Any]) -> Given:
        top = self._named("", document, (*_TOP, *_COMPLAINT, *_CUSTOMER))
        complaint = self._object("complaint", top.pop("complaint", None), _COMPLAINT + _CUSTOMER)
        customer = self._object("customer", top.pop("customer", None), _CUSTOMER)
        customer |= self._object("complaint.customer", complaint.pop("customer", None), _CUSTOMER)
        top.pop("policy", None)
        # A flat file is read as if its names stood where they belong.
        complaint = {name: value for name, value in top.items() if name != "as_of"} | complaint
        for name in _CUSTOMER:
            if name in complaint:
                customer.setdefault(name, complaint[name])
        self._zone = self._read_zone(customer.get("zone"))
        status = self._status(complaint.get("status"))
        if status in ("open", "waiting"):
            self._given.none_because = f"the complaint is {status}: check-ins are planned when it is resolved"
            return self._given
        self._times(top.get("as_of"), complaint)
        if not self._given.problems:
            self._facts(complaint, customer)
            self._given.locale = self._text("customer.locale", customer.get("locale"))
            self._given.reach = self._reach(complaint, customer)
        return self._given

    def _times(self, as_of: Any, complaint: dict[str, Any]) -> None:
        given = self._given
        resolved_at = self._instant("complaint.resolved_at", complaint.get("resolved_at"))
        now = self._instant("as_of", as_of)
        if complaint.get("resolved_at") is None:
            resolved_at = now
            if now is None:
                given.problems.append("complaint.resolved_at is missing: check-ins are counted from the resolution")
            else:
                given.warnings.append("complaint.resolved_at is missing; as_of was taken")
        if resolved_at is not None:
            given.resolved_at, given.now = resolved_at, now or resolved_at
        if resolved_at is not None and now is not None and now < resolved_at:
            given.problems.append(
                f"as_of ({now:%Y-%m-%dT%H:%MZ}) is before complaint.resolved_at ({resolved_at:%Y-%m-%dT%H:%MZ}): "
                "nothing is resolved by then"
            )
        for name in ("received_at", "last_contact_at"):
            complaint[name] = self._instant(f"complaint.{name}", complaint.get(name)) or resolved_at
        received_at = complaint["received_at"]
        if resolved_at is not None and received_at is not None and received_at > resolved_at:
            given.problems.append("complaint.received_at is after complaint.resolved_at")

    def _facts(self, complaint: dict[str, Any], customer: dict[str, Any]) -> None:
        schema, given = self._policy.schema, self._given
        needs = self._words("customer.support_needs", customer.get("support_needs"), get_args(SupportNeed))
        facts: dict[str, Any] = {
            "severity": complaint.get("severity", 1),
            "category": self._word("complaint.category", complaint.get("category"), get_args(Category), "other"),
            "tags": complaint.get("tags") or [],
            "status": complaint.get("status") or "resolved",
            "received_at": complaint["received_at"].isoformat(),
            "last_contact_at": complaint["last_contact_at"].isoformat(),
            "resolved_at": given.resolved_at.isoformat(),
            "contact_preference": self._preference(complaint, customer),
            "channel": self._word("complaint.channel", complaint.get("channel"), get_args(Channel), "unknown"),
            "customer": {"vulnerable": customer.get("vulnerable", bool(needs)), "history": customer.get("history") or []},
        }
        remedies = self._remedies(complaint.get("remedy"))
        problems: list[str] = []
        for told in [facts | {"remedy": remedy} for remedy in remedies] or [facts]:
            read_in, wrong = read_facts(schema, {"as_of": given.now.isoformat(), "complaint": told})
            given.facts.append(read_in)
            problems += wrong
        given.problems += dict.fromkeys(problems)

    def _reach(self, complaint: dict[str, Any], customer: dict[str, Any]) -> Reach:
        facts = self._given.facts[0]["complaint"] if self._given.facts else {}
        times = customer.get("contacted") or complaint.get("contacted") or []
        if not isinstance(times, list):
            self._given.problems.append(f"contacted must be a list of times, not {_shown(times)}")
            times = []
        contacted = [self._instant(f"contacted[{number}]", at) for number, at in enumerate(times)]
        return Reach(
            zone=self._zone,
            preference=facts.get("contact_preference", "any"),
            came_by=facts.get("channel", "unknown"),
            reachable=self._reachable(customer),
            quiet_hours=self._quiet_hours(customer.get("quiet_hours")),
            contacted=tuple(at for at in contacted if at is not None),
            silent=self._silent(customer),
            calendar=self._policy.calendar,
        )

    def _silent(self, customer: dict[str, Any]) -> str:
        for name, why in (("deceased", "the customer has died"), ("quiet_list", "the customer is on the quiet list")):
            value = customer.get(name)
            if value is not None and not isinstance(value, bool):
                self._given.problems.append(f"customer.{name} must be true or false, not {_shown(value)}")
            if value is True:
                return why
        return ""

    def _reachable(self, customer: dict[str, Any]) -> tuple[str, ...]:
        if "reachable" in customer:
            return self._words("customer.reachable", customer["reachable"], CHANNELS)
        if "emails" not in customer and "phones" not in customer:
            return ()
        ways = (("emails", ("email",)), ("phones", ("sms", "phone")))
        found = tuple(channel for name, channels in ways if self._addresses(name, customer) for channel in channels)
        if not found:
            self._given.warnings.append("customer.emails and customer.phones are empty: without an address it is a task for a person")
        return found

    def _addresses(self, name: str, customer: dict[str, Any]) -> bool:
        """Whether there is any; what one looks like is not judged here."""
        value = customer.get(name)
        several = value if isinstance(value, list) else [value] if value else []
        if not all(isinstance(each, str | dict) for each in several):
            self._given.problems.append(f"customer.{name} must be a list of addresses, not {_shown(value)}")
        return bool(several)

    def _preference(self, complaint: dict[str, Any], customer: dict[str, Any]) -> str:
        """A wrong word here is never guessed: the customer may have asked for no contact."""
        values = [complaint.get("contact_preference"), customer.get("contact_preference")]
        said = [self._preferred(value) for value in (values if values[0] != values[1] else values[:1])]
        if "none" in said:  # said in one place, it holds
            return "none"
        return next((word for word in said if word != "any"), "any")

    def _preferred(self, value: Any) -> str:
        if value is None:
            return "any"
        word = value.strip().lower().replace(" ", "_") if isinstance(value, str) else value
        word = _PREFERENCES.get(word, word) if isinstance(word, str) else word
        known = get_args(ContactPreference)
        if word not in known:
            hint = did_you_mean(word, known) if isinstance(word, str) else ""
            self._given.problems.append(
                f"complaint.contact_preference must be one of {', '.join(known)}, not {_shown(value)}{hint}"
            )
            return "any"
        return str(word)

    def _status(self, value: Any) -> str:
        if value is None:
            return "resolved"
        if value not in get_args(Status):
            self._given.problems.append(
                f"complaint.status must be one of {', '.join(get_args(Status))}, not {_shown(value)}"
            )
        return str(value)

    def _remedies(self, value: Any) -> list[str]:
        several = value if isinstance(value, list) else [] if value in (None, "") else [value]
        kinds = []
        for number, each in enumerate(several):
            path = f"complaint.remedy[{number}]" if isinstance(value, list) else "complaint.remedy"
            word = each
            if isinstance(each, dict):
                word = next((each[name] for name in ("kind", "type", "name") if name in each), None)
            if not isinstance(word, str) or not word.strip():
                self._given.problems.append(f'{path} must name its kind, such as "refund" or {{"kind": "refund"}}')
                continue
            kind = remedy_kind(word)
            if kind == "other" and word.strip().lower() != "other":
                self._given.warnings.append(f"{path}: {_shown(word)} is no kind of remedy that is known; 'other' was taken")
            kinds.append(kind)
        return list(dict.fromkeys(kinds))

    def _quiet_hours(self, value: Any) -> tuple[Hours, ...]:
        if value in (None, [], {}):
            return ()
        pair = isinstance(value, list) and len(value) == 2 and all(isinstance(e, str) and "-" not in e for e in value)
        several = value if isinstance(value, list) and not pair else [value]
        found = [self._hours(each) for each in several]
        return tuple(hours for hours in found if hours is not None)

    def _hours(self, value: Any) -> Hours | None:
        start: Any = None
        end: Any = None
        match value:
            case {"from": start, "to": end} | {"start": start, "end": end} | {"from": start, "until": end}:
                pass
            case [start, end]:
                pass
            case str():
                span = _SPAN.fullmatch(value)
                start, end = span.groups() if span else (None, None)
        try:
            hours = Hours(_time_of_day(start), _time_of_day(end))
        except (TypeError, ValueError):
            self._given.problems.append(
                f'customer.quiet_hours must be local times such as {{"from": "21:00", "to": "08:00"}}, not {_shown(value)}'
            )
            return None
        return hours

    def _read_zone(self, value: Any) -> str:
        if value is None:
            return self._zone
        try:
            zone_info(value if isinstance(value, str) else "")
        except ValueError:
            self._given.problems.append(
                f"customer.zone: {_shown(value)} is not a time zone; use an IANA name such as Europe/London"
            )
            return self._zone
        self._given.zone_from = "the customer"
        return str(value)

    def _instant(self, path: str, value: Any) -> datetime | None:
        """A time with its zone, or a local time where the customer is. What is odd about it is said."""
        if value is None:
            return None
        try:
            at = datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            why = f" ({error})" if isinstance(error, ValueError) and "Invalid isoformat" not in str(error) else ""
            self._given.problems.append(f"{path}: {_shown(value)} is not a time such as 2026-03-02T09:00:00Z{why}")
            return None
        try:
            if not EARLIEST <= at.year <= LATEST:
                raise OverflowError
            if at.tzinfo is not None:
                return at.astimezone(UTC)
            instant, change = wall.instant(at, self._zone)
        except OverflowError:
            self._given.problems.append(f"{path}: {_shown(value)} is beyond the calendar")
            return None
        if change == "skipped":
            first = instant.astimezone(zone_info(self._zone))
            self._given.problems.append(
                f"{path}: {_shown(value)} does not exist in {self._zone}: the clock is put forward to {first:%H:%M} "
                "that day; write a time that exists, or add Z or an offset"
            )
            return None
        twice = " (it comes twice that day; the first was taken)" if change == "twice" else ""
        self._given.warnings.append(f"{path}: {_shown(value)} has no zone; it was read as local time in {self._zone}{twice}")
        return instant

    def _word(self, path: str, value: Any, known: Sequence[str], otherwise: str) -> str:
        if value is None:
            return otherwise
        word = value.strip().lower() if isinstance(value, str) else value
        if word in known:
            return str(word)
        self._given.warnings.append(f"{path}: {_shown(value)} is not one of {', '.join(known)}; '{otherwise}' was taken")
        return otherwise

    def _words(self, path: str, value: Any, known: Sequence[str]) -> tuple[str, ...]:
        words = [value] if isinstance(value, str) else value or []
        if not isinstance(words, list):
            self._given.problems.append(f"{path} must be a list of words ({', '.join(known)})")
            return ()
        wrong = [word for word in words if word not in known]
        if wrong:
            self._given.warnings.append(f"{path}: {_shown(wrong[0])} is not one of {', '.join(known)}")
        return tuple(word for word in words if word in known)

    def _text(self, path: str, value: Any) -> str | None:
        if value is not None and not isinstance(value, str):
            self._given.problems.append(f"{path} must be text, not {_shown(value)}")
            return None
        return value

    def _object(self, path: str, value: Any, known: Sequence[str]) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._given.problems.append(f"{path} must be an object, not {_shown(value)}")
            return {}
        return self._named(f"{path}.", value, known)

    def _named(self, prefix: str, value: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
        """The entries under the names of the contract; one that nothing reads is warned of."""
        found: dict[str, Any] = {}
        for name, each in value.items():
            meant = _ALIASES.get(name, name)
            if meant in known:
                found.setdefault(meant, each)
            else:
                self._given.warnings.append(f"{prefix}{name} is not read{did_you_mean(name, known)}")
        return found


def _time_of_day(value: Any) -> time:
    text = str(value).strip()
    if text == "24:00":
        return time(0)
    found = time.fromisoformat(text.zfill(5))
    if found.tzinfo is not None:
        raise ValueError("local times have no zone")
    return found


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return f"'{text if len(text) <= 60 else text[:57] + '...'}'"
