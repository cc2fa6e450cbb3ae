"""Is this the customer's other complaint again? Pure. A proposal at most: people merge, never this.

Only of one customer, known by address, number or the source's own reference; what is alike says how much, never whether.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from shared.contracts.complaints import Category, Contact, EarlierComplaint, RepeatSuspected
from shared.frozen import dataclass

# A complaint that nobody wrote about for eight weeks has had its final response, or was given up.
LIVE = timedelta(weeks=8)
MOST_HISTORY = 20
# An address or number with more complaints than this may be no one customer's (a switchboard's): nothing is proposed by it.
SHARED = 20
FEWEST_WORDS = 3
WORD = re.compile(r"\w{4,}")


@dataclass(frozen=True, slots=True)
class Earlier:
    """Another complaint of the same customer. `matched`: how he was known again. `issues`: what is wrong, as far as it is looked at."""

    complaint_id: UUID
    category: Category
    opened_at: datetime
    heard_at: datetime
    matched: tuple[str, ...]
    issues: tuple[str, ...] = ()


def opened(contact: Contact) -> datetime:
    """When the complaint that a contact begins was made: when it was written, and never after it came."""
    return min(contact.occurred_at, contact.received_at)


def history(earlier: Iterable[Earlier]) -> tuple[EarlierComplaint, ...]:
    """What the customer complained of before, the newest first."""
    newest = sorted(earlier, key=lambda each: (each.opened_at, each.complaint_id), reverse=True)[:MOST_HISTORY]
    return tuple(EarlierComplaint(complaint_id=e.complaint_id, category=e.category, opened_at=e.opened_at) for e in newest)


def suspected(contact: Contact, opened_at: datetime, earlier: Sequence[Earlier]) -> RepeatSuspected | None:
    """The live complaint that is most like what `contact` says, opened before it: the newest of those that are alike."""
    issues = () if contact.reading is None else tuple(issue.text for issue in contact.reading.issues)
    live = [each for each in earlier if each.matched and each.opened_at <= opened_at <= each.heard_at + LIVE]
    if not live:
        return None
    said = words(issues)
    likely = [(similarity(said, words(each.issues)), each.category == contact.category, each) for each in live]
    alike, same_category, other = max(likely, key=lambda one: (one[0] or 0.0, one[1], one[2].opened_at, one[2].complaint_id))
    return RepeatSuspected(
        of=other.complaint_id, opened_at=other.opened_at, matched=other.matched, same_category=same_category, similarity=alike
    )


def similarity(one: set[str], other: set[str]) -> float | None:
    """The share of words that both have; None where one has too few to tell."""
    return None if min(len(one), len(other)) < FEWEST_WORDS else round(len(one & other) / len(one | other), 2)


def words(texts: Iterable[str]) -> set[str]:
    """The words of four letters and more."""
    return {word for text in texts for word in WORD.findall(text.casefold())}
