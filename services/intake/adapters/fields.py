"""Values as other people's systems write them: ids as numbers or text, times in six shapes, names in three cases.

Each function takes anything and gives the value or None; none of them raises. Unknown words stay unknown: the raw value
stands beside what was understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
import phonenumbers

from services.intake.submissions import Unreadable
from shared.contracts.complaints import Phone, Priority, TimeQuality
from shared.text.characters import clean

MAX_SHORT = 255
MAX_JSON = 8_388_608
YEARS = range(1900, 2200)
# Below this a time is how its sender writes "none": 1970-01-01T00:00:00.001Z is Amazon Connect's null.
_NO_TIME = datetime(1970, 1, 2, tzinfo=UTC)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}").fullmatch
_NUMBER = re.compile(r"-?\d{1,19}(\.\d{1,9})?").fullmatch
_FOLD = str.maketrans("", "", "_- ")
# An escaped backslash, a whole character of two halves, or one half alone (the only one that is a group).
_HALVES = re.compile(rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})")


def json_of(body: bytes) -> Any:
    """The body as JSON. Raises Unreadable. Depth and numbers are bounded by the parser.

    Half a character becomes U+FFFD: senders in JavaScript cut previews in the middle of an emoji, and write what is left of it.
    """
    if not body.strip():
        raise Unreadable(400, "Empty body", "the body is empty")
    given = body.removeprefix(b"\xef\xbb\xbf")
    try:
        try:
            return orjson.loads(given)
        except orjson.JSONDecodeError:
            return orjson.loads(_HALVES.sub(lambda found: b"\\ufffd" if found[1] else found[0], given))
    except orjson.JSONDecodeError as error:
        detail = f"the body is not JSON in UTF-8: {error.msg} (line {error.lineno}, column {error.colno})"
        raise Unreadable(400, "Malformed JSON", detail) from None


def at(value: Any, *path: str | int) -> Any:
    """What stands at `path` in nested objects and lists; None where there is nothing."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def part(value: Any, *path: str) -> dict[str, Any]:
    """The object at `path`; an empty one where there is none."""
    found = at(value, *path)
    return found if isinstance(found, dict) else {}


def first(value: Any, *names: str) -> Any:
    """The first of these keys of an object that holds something."""
    if isinstance(value, dict):
        for name in names:
            found = value.get(name)
            if found not in (None, "", [], {}):
                return found
    return None


def folded(value: Any) -> dict[str, Any]:
    """An object's own keys without case, underscores and hyphens: contactId, ContactId and contact_id are `contactid`."""
    if not isinstance(value, dict):
        return {}
    found: dict[str, Any] = {}
    for key, held in value.items():
        name = str(key).translate(_FOLD).lower()
        if found.get(name) is None:
            found[name] = held
    return found


def word(value: Any) -> str:
    """A code word in lower case without separators ("Waiting on Customer" -> "waitingoncustomer"); "" for none."""
    if isinstance(value, dict):
        value = first(value, "name", "value", "label", "category", "id")
    return value.translate(_FOLD).lower() if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; one object alone counts as a list of one."""
    if isinstance(value, dict):
        return [value]
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def short(value: Any, most: int = MAX_SHORT) -> str | None:
    """Text or a number as one line of at most `most` characters; None for nothing."""
    if value is None:
        return None
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        value = str(int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value)
    if not (value.isascii() and value.isprintable()):
        value = clean(value).replace("\n", " ").replace("\t", " ")
    return value.strip()[:most].rstrip() or None


def ident(value: Any) -> str | None:
    """An id, always as text: a number is written without exponent or fraction."""
    return short(value)


def truth(value: Any) -> bool | None:
    """True or false, also as text or number; None for anything else."""
    if isinstance(value, bool):
        return value
    given = str(value).strip().lower() if isinstance(value, str | int) else ""
    return True if given in ("true", "1", "yes", "y") else False if given in ("false", "0", "no", "n") else None


class Moment(NamedTuple):
    """A time in UTC, and how far to trust it."""

    time: datetime
    quality: TimeQuality


def moment(value: Any, zone: tzinfo | None = None) -> Moment | None:
    """A time from ISO 8601 (any fraction, with or without zone), `... UTC`, RFC 2822, or a count of seconds, milli-, micro-
    or nanoseconds since 1970, as number or text. A time without zone is taken in `zone` (UTC unless given) and says so."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER(value.strip())):
        return _counted(float(value))
    if not isinstance(value, str):
        return None
    given = value.strip()
    if not given or len(given) > 64:
        return None
    if given.endswith(" UTC"):
        given = given[:-4] + "+00:00"
    try:
        parsed = datetime.fromisoformat(given)
    except ValueError:
        try:
            parsed = parsedate_to_datetime(given)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    quality: TimeQuality = "exact"
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=zone or UTC)
        quality = "date_only" if len(given) <= 10 else "assumed_zone"
    return _bounded(parsed, quality)


def _counted(number: float) -> Moment | None:
    for limit, unit in ((1e11, 1), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9)):
        if abs(number) < limit:
            try:
                return _bounded(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number / unit), "exact")
            except OverflowError:
                return None
    return None


def _bounded(time: datetime, quality: TimeQuality) -> Moment | None:
    try:
        utc = time.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    return Moment(utc, quality) if utc >= _NO_TIME and utc.year in YEARS else None


def zone_of(options: Mapping[str, Any]) -> tzinfo | None:
    """The source's own time zone, where it was given one (option `zone`)."""
    name = options.get("zone")
    try:
        return ZoneInfo(name) if isinstance(name, str) and name else None
    except (ValueError, OSError, LookupError):
        return None


def language(value: Any) -> str | None:
    """A language tag as BCP 47 writes it: `en_US` and `es-us` become `en-US` and `es-US`."""
    given = short(value, 35)
    if given is None or not _LANGUAGE(given):
        return None
    first_part, *rest = given.replace("_", "-").split("-")
    return "-".join(
        [first_part.lower(), *(p.upper() if len(p) == 2 else p.title() if len(p) == 4 else p.lower() for p in rest)]
    )


_ADDRESS_SCHEME = re.compile(r"^(?:tel|sms|whatsapp|sip|sips|callto):(?://)?", re.IGNORECASE)
_NO_PHONE = re.compile(r"(?:messenger|instagram|fb-messenger):", re.IGNORECASE).match


@lru_cache(maxsize=4096)
def phone(raw: str, region: str | None = None) -> Phone:
    """A number as it was written and, where it can be one, in E.164 (possible, not necessarily assigned)."""
    given = _ADDRESS_SCHEME.sub("", raw).partition(";")[0].partition("@")[0].strip()
    e164 = None
    if len(given) <= 40:
        try:
            parsed = phonenumbers.parse(given, region)
            if phonenumbers.is_possible_number(parsed):
                e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        except phonenumbers.NumberParseException:
            pass
    return Phone(raw=raw[:MAX_SHORT], e164=e164)


def phones(values: Iterable[Any], region: str | None = None) -> tuple[Phone, ...]:
    """Telephone numbers, each once. Values that hold no digit are none, nor are ids of chat programs."""
    given = dict.fromkeys(filter(None, (short(value, 255) for value in values)))
    # A Messenger id is digits, too.
    return tuple(phone(raw, region) for raw in given if any(c.isdigit() for c in raw) and not _NO_PHONE(raw))[:20]


def emails(values: Iterable[Any]) -> tuple[str, ...]:
    """Addresses, each once, with the domain in lower case."""
    found = []
    for value in values:
        given = short(value)
        if given is not None and "@" in given and " " not in given:
            local, _, domain = given.rpartition("@")
            found.append(f"{local}@{domain.lower()}")
    return tuple(dict.fromkeys(found))[:20]


_PRIORITIES: dict[str, Priority] = {
    "low": "low", "lowest": "low", "1low": "low", "minor": "low",
    "normal": "normal", "medium": "normal", "2normal": "normal", "notpriority": "normal", "none": "unknown",
    "high": "high", "3high": "high", "major": "high", "priority": "high", "highest": "urgent",
    "urgent": "urgent", "critical": "urgent", "4urgent": "urgent", "4critical": "urgent",
}  # fmt: skip


def priority(value: Any) -> Priority:
    """The sender's wish in our words."""
    return _PRIORITIES.get(word(value), "unknown")


def tags(value: Any) -> tuple[str, ...]:
    """Tags from a list of words or objects with a name, or from a comma-separated text: lower case, each once."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, dict):
        value = value.get("tags") or value.get("data")
    found: dict[str, None] = {}
    for each in value if isinstance(value, list) else ():
        name = short(first(each, "name", "value") if isinstance(each, dict) else each, 64)
        if name and len(lowered := name.lower()) <= 64:
            found[lowered] = None
    return tuple(found)[:100]


def scalars(value: Any, most: int = 100) -> dict[str, str | int | float | bool]:
    """What an object holds of plain values, for `custom`: names of at most 64, texts of at most 2,000 characters."""
    found: dict[str, str | int | float | bool] = {}
    for key, held in value.items() if isinstance(value, dict) else ():
        name = short(key, 64)
        if name is None or len(found) >= most:
            continue
        if isinstance(held, bool) or (isinstance(held, int) and abs(held) < 2**53) or isinstance(held, float):
            found[name] = held
        elif isinstance(held, str) and held:
            found[name] = clean(held)[:2000]
    return found
