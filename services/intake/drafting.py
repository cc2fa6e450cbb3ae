"""A first mapping for a payload that nobody has mapped yet: guessed from names and values, checked, with its doubts as comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from services.intake.adapters import fields
from services.intake.adapters.mapping import WORDS, Kind
from services.intake.adapters.rows import open_table
from services.intake.submissions import Unreadable

MAX_ROWS = 500
MAX_DEPTH = 5
# What others call our fields, most telling first. `*` stands for any word before it.
NAMES: dict[str, tuple[str, ...]] = {
    "record_id": (
        "record id", "complaint id", "case id", "ticket id", "case number", "ticket number", "complaint number", "conversation id",
        "unique key", "ticket no", "case no", "reference number", "reference", "complaint ref", "case ref", "issue id", "issue key",
        "thread id", "ref", "id", "number", "key", "vorgangsnummer", "ticketnummer", "aktenzeichen", "nummer", "no", "uuid", "guid",
    ),
    "event_id": ("event id", "message id", "delivery id", "notification id", "comment id"),
    "occurred_at": (
        "occurred at", "date received", "received at", "created at", "created date", "creation date", "createdate", "submitted at",
        "opened at", "date opened", "opened", "created", "received", "submitted", "timestamp", "date time", "datetime", "event time",
        "sent at", "posted at", "date", "time", "datum", "eingang", "fecha", "when",
    ),
    "text": (
        "complaint text", "consumer complaint narrative", "complaint narrative", "narrative", "complaint description", "description",
        "message text", "message", "body", "complaint", "content", "comment", "comments", "feedback", "details", "detail", "text", "review",
        "descriptor", "note", "what happened", "transcript", "beschreibung", "nachricht", "beschwerde", "mensaje", "verbatim",
    ),
    "html": ("description html", "body html", "html body", "html"),
    "subject": ("subject", "title", "summary", "headline", "topic", "betreff", "asunto", "objet"),
    "customer.name": (
        "customer name", "full name", "contact name", "complainant name", "requester name", "from name", "client name", "complainant",
        "customer", "name", "kunde", "author",
    ),
    "customer.emails": ("customer email", "email address", "contact email", "requester email", "from email", "email", "e mail", "mail"),
    "customer.phones": ("customer phone", "phone number", "telephone", "mobile", "phone", "tel", "telefon", "msisdn", "caller"),
    "customer.ref": ("customer id", "client id", "contact id", "user id", "requester id", "account id", "customer number", "member id"),
    "customer.locale": ("locale",),
    "customer.country": ("country code", "country"),
    "customer.postcode": ("zip code", "postal code", "postcode", "zip", "incident zip", "plz"),
    "language": ("language code", "language", "lang"),
    "channel": ("channel", "submitted via", "contact channel", "channel type", "origin", "via", "medium", "source"),
    "priority": ("priority", "urgency"),
    "category": ("category", "complaint category"),
    "product": ("product name", "product"),
    "issue": ("issue", "complaint type", "issue type", "problem"),
    "organisation_unit": ("organisation unit", "department", "company", "agency", "branch", "team", "store"),
    "tags": ("tags", "labels", "tag"),
}  # fmt: skip
_CHANNEL_WORDS = {
    "web": "web_form", "website": "web_form", "form": "web_form", "online": "web_form", "phone": "voice", "telephone": "voice",
    "call": "voice", "mail": "postal", "postal mail": "postal", "letter": "postal", "e-mail": "email", "chat": "chat", "live chat": "chat",
    "whatsapp": "messaging", "messenger": "messaging", "text": "sms", "twitter": "social", "facebook": "social", "instagram": "social",
    "branch": "in_person", "store": "in_person", "walk-in": "in_person", "app": "portal", "mobile": "portal", "unknown": "unknown",
}  # fmt: skip
_FORMATS = (
    "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y %H:%M", "%m/%d/%y %H:%M", "%d/%m/%y", "%m/%d/%y", "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y %H:%M", "%d-%m-%Y", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%d %b %Y",
    "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d %Y %H:%M", "%Y%m%d", "%Y%m%d%H%M%S", "%a %b %d %H:%M:%S %z %Y",
)  # fmt: skip
_SPLIT = re.compile(r"[\s_\-./]+|(?<=[a-z0-9])(?=[A-Z])")
# Parts of a record that are about the organisation's own people and places.
_STAFF = re.compile(r"(?i)agent|assignee|inbox|account\b|brand|group|owner|responder|operator|organi[sz]ation|company")
_MARKUP = re.compile(r"</?(?:p|div|br|span|td|b|a)\b[^>]*>", re.IGNORECASE)
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True)
class Draft:
    """What was found: our field -> their column or path; the values seen under each."""

    kind: Kind
    values: dict[str, list[Any]]
    items: str | None = None
    found: dict[str, str] = field(default_factory=dict)


def draft(name: str, body: bytes) -> str:
    """A mapping file for a payload (CSV, JSON, NDJSON). Raises Unreadable when it is none of them."""
    text = body.lstrip(b"\xef\xbb\xbf \r\n\t")
    if text[:1] == b"<":
        raise Unreadable(422, "No payload", "it is XML or HTML: mappings read JSON and CSV")
    made = _of_json(body) if text[:1] in (b"{", b"[") or _is_json(text) else _of_csv(body)
    if not made.values:
        raise Unreadable(422, "No payload", "it holds no object with fields: give one payload as the system sends it")
    _match(made)
    return _written(made, name)


def _is_json(text: bytes) -> bool:
    """Whether it is one JSON value, such as null or a number: that is no table either."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _of_csv(body: bytes) -> Draft:
    table = open_table(body)
    values: dict[str, list[Any]] = {name: [] for name in table.header}
    for number, row in enumerate(table.rows()):
        for column, cell in zip(table.header, row.cells, strict=False):
            if cell.strip():
                values[column].append(cell.strip())
        if number >= MAX_ROWS:
            break
    return Draft("csv", values)


def _of_json(body: bytes) -> Draft:
    try:
        value = fields.json_of(body)
    except Unreadable:
        try:
            value = [orjson.loads(line) for line in body.splitlines() if line.strip()]
        except orjson.JSONDecodeError:
            value = None
        if not value:
            raise
    if isinstance(value, list):
        return Draft("json", _paths_of(fields.objects(value)))
    whole = Draft("json", _paths_of(fields.objects(value)))
    if not isinstance(value, dict):
        return whole
    _match(whole)
    best = whole
    for path, items in _lists(value, ""):
        part = Draft("json", _paths_of(items), items=path)
        _match(part)
        if len(part.found) > len(best.found) + 1 or ("text" in part.found and "text" not in best.found):
            best = part
    best.found = {}
    return best


def _lists(value: Mapping[str, Any], prefix: str, depth: int = 0) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """The lists of objects in an object, by their paths."""
    for key, held in value.items():
        path = f"{prefix}.{_quoted(key)}" if prefix else _quoted(key)
        if isinstance(held, list) and held and all(isinstance(each, dict) for each in held):
            yield path, held
        elif isinstance(held, dict) and depth < MAX_DEPTH:
            yield from _lists(held, path, depth + 1)


def _paths_of(items: Sequence[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items[:MAX_ROWS]:
        _collect(item, "", 0, found)
    return found


def _collect(value: Any, path: str, depth: int, found: dict[str, list[Any]]) -> None:
    if isinstance(value, dict) and depth < MAX_DEPTH:
        for key, held in value.items():
            _collect(held, f"{path}.{_quoted(key)}" if path else _quoted(key), depth + 1, found)
    elif path and value not in (None, "", [], {}) and not isinstance(value, dict) and _is_plain(value):
        found.setdefault(path, []).append(value)


def _is_plain(value: Any) -> bool:
    return not isinstance(value, list) or all(isinstance(each, str) for each in value)


def _quoted(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else orjson.dumps(key).decode()


def _match(made: Draft) -> None:
    """Give each field the column whose name tells most, and each column at most one field."""
    wanted = sorted(
        (rank, len(path), path, target)
        for target, names in NAMES.items()
        for path in made.values
        if (rank := _rank(path, names)) is not None
        and not (target.startswith("customer.") and _STAFF.search(path))
        and _plausible(target, made.values[path])
    )
    for _, _, path, target in wanted:
        if target not in made.found and path not in made.found.values():
            made.found[target] = path
    if "text" not in made.found:  # the longest words are most likely what the customer said
        rest = {p: v for p, v in made.values.items() if p not in made.found.values()}
        lengths = {p: sum(len(str(each)) for each in v) / len(v) for p, v in rest.items() if v}
        if lengths and max(lengths.values()) >= 40:
            made.found["text"] = max(lengths, key=lambda path: lengths[path])
    spoken = made.values.get(made.found.get("text", ""), [])
    if "html" not in made.found and any(_MARKUP.search(str(each)) for each in spoken):
        made.found["html"] = made.found.pop("text")


def _rank(path: str, names: Sequence[str]) -> int | None:
    """How well a path's last words fit one of the names: 0 is best."""
    words = [w.strip('"').lower() for w in _SPLIT.split(path) if w.strip('"')]
    tails = {" ".join(words[-n:]): n for n in (1, 2, 3, 4)}
    whole = " ".join(words)
    for rank, name in enumerate(names):
        if name == whole:
            return rank
    fits = [rank + 50 for rank, name in enumerate(names) if name in tails]
    return min(fits, default=None)


def _plausible(target: str, values: Sequence[Any]) -> bool:
    """Whether the values can be what the name promises."""
    texts = [str(each) for each in values[:50]]
    if not texts:
        return True
    if target == "customer.emails":
        return any("@" in each for each in texts)
    if target == "customer.phones":
        return any(sum(c.isdigit() for c in each) >= 5 for each in texts)
    if target == "occurred_at":
        return any(c.isdigit() for c in texts[0])
    if target in ("customer.name", "customer.ref", "record_id"):
        return all(len(each) <= 255 for each in texts) and not (target == "customer.name" and any("@" in each for each in texts))
    return not (target in ("text", "subject") and all(each.isdigit() for each in texts))


def _written(made: Draft, name: str) -> str:
    adapter = "csv" if made.kind == "csv" else "mapped"
    lines = [f"# Drafted from {name}. Check every line, then: amends intake try {adapter} {name} --mapping FILE", "version: 1"]
    lines.append(f"system: {_scalar(_system_of(name))}")
    if made.items:
        lines.append(f"items: {_scalar(made.items)}")
    zone_needed = False
    block = []
    for target in NAMES:
        path = made.found.get(target)
        if path is None:
            continue
        values = made.values[path]
        if target == "occurred_at":
            line, naive = _time_rule(path, values)
            zone_needed = naive
        elif target in WORDS:
            line = _words_rule(target, path, values)
        else:
            line = _scalar(path)
        block.append(f"  {target}: {line}")
    if zone_needed:
        lines.append("zone: UTC  # times without a zone are of this one: name yours, such as Europe/London")
    if "record_id" not in made.found:
        lines.append("# No record_id was found: each item is a complaint of its own, known by its content.")
    lines += ["fields:", *block]
    rest = [path for path in made.values if path not in made.found.values()]
    if rest:
        lines.append("# Not mapped, kept under `custom` (leave some out with `ignore:`, or all with `rest: ignore`):")
        lines += [f"#   {path}" for path in rest[:60]]
    return "\n".join(lines) + "\n"


def _time_rule(path: str, values: Sequence[Any]) -> tuple[str, bool]:
    """The rule for a time, and whether a zone has to be assumed."""
    moments = [fields.moment(value) for value in values]
    if all(moment is not None for moment in moments):
        return _scalar(path), any(moment is not None and moment.quality != "exact" for moment in moments)
    fitting = [each for each in _FORMATS if all(_fits(value, each) for value in values)]
    if not fitting:
        return f"{{from: {_scalar(path)}, format: iso}}  # no known format fits: declare it", True
    other = next((each for each in fitting[1:] if each.replace("%m", "#").replace("%d", "%m").replace("#", "%d") == fitting[0]), None)
    doubt = f"  # or {other}: no value tells day from month" if other else ""
    return f'{{from: {_scalar(path)}, format: "{fitting[0]}"}}{doubt}', "%z" not in fitting[0]


def _fits(value: Any, how: str) -> bool:
    try:
        datetime.strptime(str(value).strip(), how)  # noqa: DTZ007 - only whether it fits
    except ValueError:
        return False
    return True


def _words_rule(target: str, path: str, values: Sequence[Any]) -> str:
    seen = list(dict.fromkeys(str(each) for each in values if not isinstance(each, list)))[:20]
    ours = WORDS[target]
    known = {word.replace("_", " "): word for word in ours} | (_CHANNEL_WORDS if target == "channel" else {})
    given = {each: known.get(each.lower().replace("_", " ").strip()) for each in seen}
    if target == "priority" or not given or all(each.lower() == word for each, word in given.items()):
        return _scalar(path)
    fallback = "other" if target == "category" else "unknown"
    told = ", ".join(f"{_scalar(each)}: {word or fallback}" for each, word in given.items())
    return f"{{from: {_scalar(path)}, values: {{{told}}}}}"


def _system_of(name: str) -> str:
    stem = re.sub(r"[^a-z0-9]+", "-", name.rpartition("/")[2].rpartition(".")[0].lower() or name.lower()).strip("-")
    return stem[:64] or "mapped"


def _scalar(text: str) -> str:
    """Text as a YAML scalar, quoted wherever a reader of YAML could take it for something else."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*(?: [A-Za-z0-9_.]+)*", text) and text.lower() not in {
        "yes", "no", "on", "off", "y", "n", "true", "false", "null",
    }:  # fmt: skip
        return text
    return orjson.dumps(text).decode()
