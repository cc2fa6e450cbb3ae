"""Promises in what an agent writes: "I will call you tomorrow", "refund within five days". Pure; English and German.

What is found is a proposal: a person confirms it before it binds anybody. So a sentence is taken when somebody on our
side says what they will do for the customer, and left when it is refused, asked, or only possible.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Literal

from shared.calendar import wall
from shared.calendar.durations import zone_info
from shared.frozen import dataclass

Kind = Literal["callback", "refund", "update", "delivery", "document", "visit", "other"]
# What a day means without a time: until the end of an ordinary working day.
END_OF_DAY = time(17)
MOST = 10
LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Found:
    """`quote` is the sentence, `span` its place in the text; `due_at` None where no time is said."""

    kind: Kind
    what: str
    quote: str
    span: tuple[int, int]
    due_at: datetime | None


_SENTENCE = re.compile(r"[^.!?\n]+(?:[.](?=\d)[^.!?\n]+)*")
_WHO_WILL = re.compile(
    r"\b(?:(?:i|we)(?:'ll|’ll| will| shall| am going to| are going to| promise to)"
    r"|(?:you|he|she|they)(?:'ll|’ll| will) (?:receive|get|hear|have|be (?:refunded|called|contacted|informed|credited))"
    r"|(?:a|our|my|the|your) [\w' -]{2,40}? will (?:be |call|contact|visit|send|arrive|get|reach|come)"
    r"|someone (?:will|is going to)"
    r"|(?:ich|wir) (?:werde|werden|rufe|rufen|melde|melden|schicke|schicken|sende|senden|erstatte|erstatten|überweise|überweisen"
    r"|veranlasse|veranlassen|informiere|informieren|kümmere|kümmern)"
    r"|(?:morgen|heute|übermorgen|am \w+tag) (?:rufe|rufen|melde|melden|schicke|schicken) (?:ich|wir)"
    r"|sie (?:erhalten|bekommen|hören|werden)"
    r"|(?:refund|callback|replacement|reply|update) (?:within|in the next|by))\b",
    re.IGNORECASE,
)
_NOT_MEANT = re.compile(
    r"\b(?:will not|won't|won’t|cannot|can't|would|could|might|may be able|unable|hope to|try to|not be able|unless"
    r"|nicht|kein|keine|keinen|würde|könnte|versuche|versuchen|leider)\b",
    re.IGNORECASE,
)
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("callback", re.compile(r"\b(?:call|ring|phone|callback|give you a (?:call|ring)|rufe|rufen|anrufen|rückruf|telefon\w*)\b", re.I)),
    ("refund", re.compile(
        r"\b(?:refund\w*|money back|reimburse\w*|credit(?:ed)?|erstatt\w*|rückerstatt\w*|überweis\w*|gutschr\w*|geld zurück)\b", re.I)),
    ("visit", re.compile(r"\b(?:engineer|technician|visit|come (?:by|round|over)|techniker\w*|vorbei\w*|besuch\w*)\b", re.I)),
    ("document", re.compile(
        r"\b(?:letter|document\w*|form|confirmation|copy|invoice|contract|brief|unterlagen|formular|bestätigung|rechnung)\b", re.I)),
    ("delivery", re.compile(
        r"\b(?:send\w*|sent|ship\w*|deliver\w*|dispatch\w*|replace\w*|arrive\w*|parcel|schick\w*|liefer\w*|paket|ersatz\w*)\b", re.I)),
    ("update", re.compile(
        r"\b(?:update\w*|inform\w*|posted|let you know|get back to you|contact you|hear (?:from|back)|reply|respond|answer"
        r"|melde\w*|bescheid|informier\w*|antwort\w*|kontaktier\w*)\b", re.I)),
)  # fmt: skip
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "twelve": 12, "fourteen": 14, "einem": 1, "einer": 1, "eines": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5,
    "sechs": 6, "sieben": 7, "acht": 8, "neun": 9, "zehn": 10, "vierzehn": 14,
}  # fmt: skip
_N = r"(\d{1,3}|" + "|".join(_NUMBERS) + r")"
_IN = re.compile(
    rf"\b(?:within(?: the next)?|in(?: the next)?|every|after|innerhalb von|innerhalb|binnen|in(?: den nächsten)?|alle)"
    rf"\s+(?:\d{{1,3}}\s*(?:-|to|–|bis)\s*)?{_N}\s+(business |working |calendar )?"
    r"(minutes?|minuten|hours?|stunden?|days?|tagen?|tage|werktagen?|arbeitstagen?|weeks?|wochen?)\b",
    re.IGNORECASE,
)
_DAYS = {
    "monday": 0, "tuesday": 1, "wednesday": 2, "thursday": 3, "friday": 4, "saturday": 5, "sunday": 6, "montag": 0,
    "dienstag": 1, "mittwoch": 2, "donnerstag": 3, "freitag": 4, "samstag": 5, "sonnabend": 5, "sonntag": 6,
}  # fmt: skip
_WEEKDAY = re.compile(r"\b(next |nächsten |kommenden )?(" + "|".join(_DAYS) + r")\b", re.IGNORECASE)
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("january januar jan", "february februar feb", "march märz mar", "april apr", "may mai", "june juni jun",
         "july juli jul", "august aug", "september sep", "october oktober oct okt", "november nov", "december dezember dec dez"), 1)
    for name in names.split()
}  # fmt: skip
_ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_DAY_MONTH = re.compile(
    r"\b(\d{1,2})(?:st|nd|rd|th|\.)?(?: of)? (" + "|".join(_MONTHS) + r")\b(?:,? (\d{4}))?", re.IGNORECASE
)
_MONTH_DAY = re.compile(r"\b(" + "|".join(_MONTHS) + r") (\d{1,2})(?:st|nd|rd|th)?\b(?:,? (\d{4}))?", re.IGNORECASE)
_CLOCK = re.compile(
    r"\b(?:at|by|before|until|um|bis|vor)\s+(\d{1,2})(?:[:.](\d{2}))?\s*(am|pm|a\.m\.|p\.m\.|o'clock|uhr)?(?![\w%])(?!\s*(?:days?|hours?|"
    r"weeks?|tage|stunden|" + "|".join(_MONTHS) + r"))",
    re.IGNORECASE,
)
_PART_OF_DAY = (
    (re.compile(r"\b(?:noon|midday|mittags?)\b", re.I), time(12)),
    (re.compile(r"\b(?:this morning|in the morning|tomorrow morning|(?<=day )morning|vormittags?|am morgen)\b", re.I), time(12)),
    (re.compile(r"\b(?:afternoon|nachmittags?)\b", re.I), time(17)),
    (re.compile(r"\b(?:evening|tonight|abends?)\b", re.I), time(20)),
)  # fmt: skip


def find(text: str, at: datetime, zone: str) -> tuple[Found, ...]:
    """The promises in `text`, written `at`, in its order; times are meant in `zone`, where the customer is."""
    found: list[Found] = []
    for sentence in _SENTENCE.finditer(text[:LONGEST]):
        quote = sentence.group().strip()
        after = text[sentence.end() : sentence.end() + 1]
        if after == "?" or not _WHO_WILL.search(quote) or _NOT_MEANT.search(quote):
            continue
        kind: Kind = next((name for name, pattern in _KINDS if pattern.search(quote)), "other")
        due_at = _due(quote, at, zone)
        if kind == "other" and due_at is None:  # "we will do our best"
            continue
        start = sentence.start() + len(sentence.group()) - len(sentence.group().lstrip())
        found.append(Found(kind, quote[:500], quote[:2000], (start, start + len(quote)), due_at))
        if len(found) == MOST:
            break
    return tuple(found)


def _due(quote: str, at: datetime, zone: str) -> datetime | None:
    """When the sentence says; None where it says nothing, or a day that has passed or does not exist."""
    local = at.astimezone(zone_info(zone))
    clock = _clock(quote)
    counted = _IN.search(quote)
    if counted:
        return _counted(counted, local, at, zone, clock)
    day = _day(quote, local)
    if day is None:
        if clock is None:
            return None
        day = local.date() if clock > local.time() else local.date() + timedelta(days=1)
    try:
        due_at, _ = wall.instant(datetime.combine(day, clock or END_OF_DAY), zone)
    except OverflowError:
        return None
    return due_at if due_at > at else None


def _counted(match: re.Match[str], local: datetime, at: datetime, zone: str, clock: time | None) -> datetime:
    word, kind, unit = match[1].lower(), (match[2] or "").strip().lower(), match[3].lower()
    count = int(word) if word.isdigit() else _NUMBERS[word]
    if unit.startswith(("minut", "hour", "stunde")):
        return at + timedelta(minutes=count) if unit.startswith("minut") else at + timedelta(hours=count)
    if unit.startswith(("week", "woche")):
        count *= 7
    day = local.date()
    if kind in ("business", "working") or unit.startswith(("werktag", "arbeitstag")):
        while count:
            day += timedelta(days=1)
            count -= day.weekday() < 5
    else:
        day += timedelta(days=count)
    return wall.instant(datetime.combine(day, clock or END_OF_DAY), zone)[0]


def _day(quote: str, local: datetime) -> date | None:
    today = local.date()
    lower = quote.lower()
    if re.search(r"\b(?:day after tomorrow|übermorgen)\b", lower):
        return today + timedelta(days=2)
    if re.search(r"\btomorrow\b|\bmorgen\b(?! früh ist)", lower) and not re.search(r"\bguten morgen\b", lower):
        return today + timedelta(days=1)
    if re.search(r"\b(?:today|tonight|this (?:morning|afternoon|evening)|end of (?:the )?day|heute)\b", lower):
        return today
    if re.search(r"\b(?:end of (?:the|this) week|ende der woche|diese woche)\b", lower):
        return today + timedelta(days=(4 - today.weekday()) % 7)
    if re.search(r"\b(?:next week|nächste woche)\b", lower) and not _WEEKDAY.search(quote):
        return today + timedelta(days=11 - today.weekday())
    if weekday := _WEEKDAY.search(quote):
        ahead = (_DAYS[weekday[2].lower()] - today.weekday()) % 7 or 7
        return today + timedelta(days=ahead)
    return _date(quote, today)


def _date(quote: str, today: date) -> date | None:
    try:
        if iso := _ISO.search(quote):
            return date(int(iso[1]), int(iso[2]), int(iso[3]))
        if dm := _DAY_MONTH.search(quote):
            return _in_year(int(dm[1]), _MONTHS[dm[2].lower()], dm[3], today)
        if md := _MONTH_DAY.search(quote):
            return _in_year(int(md[2]), _MONTHS[md[1].lower()], md[3], today)
    except ValueError:  # 30 February
        return None
    return None


def _in_year(day: int, month: int, year: str | None, today: date) -> date:
    if year:
        return date(int(year), month, day)
    found = date(today.year, month, day)
    return found if found >= today else date(today.year + 1, month, day)


def _clock(quote: str) -> time | None:
    if said := _CLOCK.search(quote):
        hour, minute, half = int(said[1]), int(said[2] or 0), (said[3] or "").lower().replace(".", "")
        by_five = not half and said[2] is None and hour < 7  # "by 5" is in the afternoon
        if by_five or (half == "pm" and hour < 12):
            hour += 12
        if hour < 24 and minute < 60:
            return time(hour, minute)
    return next((at for pattern, at in _PART_OF_DAY if pattern.search(quote)), None)
