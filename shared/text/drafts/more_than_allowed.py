"""Money that a draft offers beyond what is allowed."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from shared.text.drafts.sentences import Reading
from shared.text.drafts.spec import Case

_AMOUNT = re.compile(
    r"(?:(?P<before>[£€$])\s?(?P<a>\d[\d.,]*\d|\d))"
    r"|(?:(?P<b>\d[\d.,]*\d|\d)\s?(?P<after>[£€$]|(?:eur(?:os?)?|gbp|pounds?|usd|dollars?|quid)\b))",
    re.IGNORECASE,
)


def more_than_allowed(read: Reading, case: Case) -> list[tuple[int, int]]:
    """Where a sentence that does something names an amount above every one allowed and every one of the case."""
    allowed = amounts(" ".join(case.remedies_allowed))
    named = set(amounts(" ".join((*case.issues, *case.wanted, case.impact, *case.promises_broken, *case.history))))
    if not allowed:
        return []
    most = max([*allowed, *named])
    places = []
    for sentence in read.sentences:
        if "does.action" not in sentence.labels or "does.refusal" in sentence.labels:
            continue
        for found in _AMOUNT.finditer(sentence.text):
            amount = _decimal(found["a"] or found["b"])
            if amount is not None and amount > most:
                places.append((sentence.start + found.start(), sentence.start + found.end()))
    return places


def amounts(text: str) -> list[Decimal]:
    """The amounts of money that a text names."""
    found = (_decimal(each["a"] or each["b"]) for each in _AMOUNT.finditer(text))
    return [amount for amount in found if amount is not None]


def _decimal(written: str) -> Decimal | None:
    """ "4,000" and "4.000" are thousands; "4,50" and "4.50" are not."""
    plain = re.sub(r"[.,](?=\d{3}(?:\D|$))", "", written).replace(",", ".")
    try:
        return Decimal(plain)
    except InvalidOperation:
        return None
