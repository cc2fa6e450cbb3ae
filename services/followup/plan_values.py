"""The single values of a file that people write by hand: read generously, what is wrong and what is odd said in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, get_args

from services.followup.domain.waking import Hours
from shared.calendar import wall
from shared.calendar.durations import zone_info
from shared.contracts.complaints import ContactPreference
from shared.contracts.escalations import Status
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
EARLIEST, LATEST = 1971, 2199  # years: beyond them no complaint is meant
_SPAN = re.compile(r"\s*(\d{1,2}:\d{2})\s*(?:-|–|to|until)\s*(\d{1,2}:\d{2})\s*")


@dataclass(slots=True)
class Values:
    """Reads values of one file. `problems`: why it cannot be used; `warnings`: what was taken to mean something else.

    `zone`: of the times that are written without one.
    """

    zone: str
    problems: list[str]
    warnings: list[str]

    def named(self, prefix: str, value: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
        """The entries under the names of the contract; one that nothing reads is warned of."""
        found: dict[str, Any] = {}
        for name, each in value.items():
            meant = _ALIASES.get(name, name)
            if meant in known:
                found.setdefault(meant, each)
            else:
                self.warnings.append(f"{prefix}{name} is not read{did_you_mean(name, known)}")
        return found

    def object(self, path: str, value: Any, known: Sequence[str]) -> dict[str, Any]:
        """An object's entries, as `named` reads them; none where it is missing."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problems.append(f"{path} must be an object, not {shown(value)}")
            return {}
        return self.named(f"{path}.", value, known)

    def text(self, path: str, value: Any) -> str | None:
        if value is not None and not isinstance(value, str):
            self.problems.append(f"{path} must be text, not {shown(value)}")
            return None
        return value

    def word(self, path: str, value: Any, known: Sequence[str], otherwise: str) -> str:
        """One of the words that are known, else `otherwise`, with a warning."""
        if value is None:
            return otherwise
        word = value.strip().lower() if isinstance(value, str) else value
        if word in known:
            return str(word)
        self.warnings.append(f"{path}: {shown(value)} is not one of {', '.join(known)}; '{otherwise}' was taken")
        return otherwise

    def words(self, path: str, value: Any, known: Sequence[str]) -> tuple[str, ...]:
        """Those of them that are known."""
        words = [value] if isinstance(value, str) else value or []
        if not isinstance(words, list):
            self.problems.append(f"{path} must be a list of words ({', '.join(known)})")
            return ()
        wrong = [word for word in words if word not in known]
        if wrong:
            self.warnings.append(f"{path}: {shown(wrong[0])} is not one of {', '.join(known)}")
        return tuple(word for word in words if word in known)

    def instant(self, path: str, value: Any) -> datetime | None:
        """A time with its zone, or a local time where the customer is. What is odd about it is said."""
        if value is None:
            return None
        try:
            at = datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            why = f" ({error})" if isinstance(error, ValueError) and "Invalid isoformat" not in str(error) else ""
            self.problems.append(f"{path}: {shown(value)} is not a time such as 2026-03-02T09:00:00Z{why}")
            return None
        try:
            if not EARLIEST <= at.year <= LATEST:
                raise OverflowError
            if at.tzinfo is not None:
                return at.astimezone(UTC)
            instant, change = wall.instant(at, self.zone)
        except OverflowError:
            self.problems.append(f"{path}: {shown(value)} is beyond the calendar")
            return None
        if change == "skipped":
            first = instant.astimezone(zone_info(self.zone))
            self.problems.append(
                f"{path}: {shown(value)} does not exist in {self.zone}: the clock is put forward to {first:%H:%M} "
                "that day; write a time that exists, or add Z or an offset"
            )
            return None
        twice = " (it comes twice that day; the first was taken)" if change == "twice" else ""
        self.warnings.append(f"{path}: {shown(value)} has no zone; it was read as local time in {self.zone}{twice}")
        return instant

    def read_zone(self, value: Any) -> bool:
        """Local times are in the zone of this name from now on; False: it names none, and `zone` stays."""
        if value is None:
            return False
        try:
            zone_info(value if isinstance(value, str) else "")
        except ValueError:
            self.problems.append(f"customer.zone: {shown(value)} is not a time zone; use an IANA name such as Europe/London")
            return False
        self.zone = str(value)
        return True

    def status(self, value: Any) -> str:
        """The status; nothing is said for the one that files are about: resolved."""
        if value is None:
            return "resolved"
        if value not in get_args(Status):
            self.problems.append(f"complaint.status must be one of {', '.join(get_args(Status))}, not {shown(value)}")
        return str(value)

    def preferred(self, value: Any) -> str:
        """By which channel the customer wants to hear from us."""
        if value is None:
            return "any"
        word = value.strip().lower().replace(" ", "_") if isinstance(value, str) else value
        word = _PREFERENCES.get(word, word) if isinstance(word, str) else word
        known = get_args(ContactPreference)
        if word not in known:
            hint = did_you_mean(word, known) if isinstance(word, str) else ""
            self.problems.append(
                f"complaint.contact_preference must be one of {', '.join(known)}, not {shown(value)}{hint}"
            )
            return "any"
        return str(word)

    def remedies(self, value: Any) -> list[str]:
        """The kinds of the remedies, each once."""
        several = value if isinstance(value, list) else [] if value in (None, "") else [value]
        kinds = []
        for number, each in enumerate(several):
            path = f"complaint.remedy[{number}]" if isinstance(value, list) else "complaint.remedy"
            word = each
            if isinstance(each, dict):
                word = next((each[name] for name in ("kind", "type", "name") if name in each), None)
            if not isinstance(word, str) or not word.strip():
                self.problems.append(f'{path} must name its kind, such as "refund" or {{"kind": "refund"}}')
                continue
            kind = remedy_kind(word)
            if kind == "other" and word.strip().lower() != "other":
                self.warnings.append(f"{path}: {shown(word)} is no kind of remedy that is known; 'other' was taken")
            kinds.append(kind)
        return list(dict.fromkeys(kinds))

    def addresses(self, name: str, customer: dict[str, Any]) -> bool:
        """Whether there is any; what one looks like is not judged here."""
        value = customer.get(name)
        several = value if isinstance(value, list) else [value] if value else []
        if not all(isinstance(each, str | dict) for each in several):
            self.problems.append(f"customer.{name} must be a list of addresses, not {shown(value)}")
        return bool(several)

    def quiet_hours(self, value: Any) -> tuple[Hours, ...]:
        """Local times of a day, in any of the forms that people write, one pair or several."""
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
            self.problems.append(
                f'customer.quiet_hours must be local times such as {{"from": "21:00", "to": "08:00"}}, not {shown(value)}'
            )
            return None
        return hours


def _time_of_day(value: Any) -> time:
    text = str(value).strip()
    if text == "24:00":
        return time(0)
    found = time.fromisoformat(text.zfill(5))
    if found.tzinfo is not None:
        raise ValueError("local times have no zone")
    return found


def shown(value: Any) -> str:
    """A value as a message quotes it, cut off where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return f"'{text if len(text) <= 60 else text[:57] + '...'}'"
