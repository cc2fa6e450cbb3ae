"""Complaints as a retailer's contact centre sends them: the canonical JSON items that all parts of the benchmark use."""

from __future__ import annotations

import random
from typing import Any

import orjson

_OPENINGS = (
    "I have been a customer for eleven years and I have never been treated like this.",
    "This is the third time that I write about the same order and nobody has answered me.",
    "I bought this two weeks ago and it already does not work.",
    "Your driver left the parcel in the rain although the delivery note said to ring next door.",
    "I was charged twice for one order, and the bank says that you have to put it right.",
)
_MIDDLES = (
    "The first person on the phone promised a call back within a day, and there was none.",
    "I sent photographs with the order number on Monday, and the case was closed without a word.",
    "The replacement had the same fault: it switches itself off after ten minutes and gets very hot.",
    "The refund was promised for the 14th, then for the 21st, and it is still not in my account.",
    "When I asked for the manager I was told that there is none at weekends.",
    "The colour on your site is plainly another one than what was in the box.",
    "I waited at home for two days, for a slot that your app had confirmed with a green tick.",
)
_ENDINGS = (
    "Please tell me what you are going to do, and by when.",
    "I want my money back, and the cost of the calls.",
    "If I do not hear from you this week I will take this to the ombudsman.",
    "A short and honest answer would be enough for me.",
)
# (tags, priority, category, support needs), by how often they occur: most complaints are ordinary.
_KINDS: tuple[tuple[int, list[str], str, str, list[str]], ...] = (
    (40, [], "normal", "delivery", []),
    (25, ["refund"], "normal", "billing", []),
    (15, ["faulty"], "high", "product_quality", []),
    (8, ["regulator"], "high", "service_quality", []),
    (5, ["safety"], "high", "safety", []),
    (4, [], "low", "website_app", ["older_age"]),
    (2, ["injury", "safety"], "urgent", "safety", []),
    (1, [], "normal", "fraud", ["financial_hardship"]),
)
_CHANNELS = ("email", "web_form", "chat", "voice", "portal")
# Who complains is drawn from so many customers, also where only some hundred texts are: else each would have hundreds of complaints.
CUSTOMERS = 10_000
_DRAWN = 9_973  # prime, so that customers and texts do not go together


class Samples:
    """An endless, repeatable supply: item `n` is always the same for one `prefix`. About 0.7 KB of JSON each."""

    def __init__(self, prefix: str, *, variants: int = 200) -> None:
        self._prefix = prefix
        pick = random.Random(20260101)
        # The JSON behind the ids: making an item only joins bytes, so that the load costs next to nothing.
        self._rest = [orjson.dumps(_variant(pick))[1:].split(b'"customer":{', 1) for _ in range(variants)]
        self._people = [pick.randrange(CUSTOMERS) for _ in range(_DRAWN)]

    def item(self, number: int) -> bytes:
        """One canonical item as JSON: its own event and record."""
        own = b"%s-%d" % (self._prefix.encode(), number)
        person = self._people[number % _DRAWN]
        before, behind = self._rest[number % len(self._rest)]
        who = b'"customer":{"ref":"c-%d","name":"Customer %d","emails":["customer%d@example.org"],' % (person, person, person)
        return b'{"event_id":"%s","record_id":"%s",%s%s%s' % (own, own, before, who, behind)

    def items(self, first: int, count: int) -> bytes:
        """A JSON list of `count` items."""
        return b"[" + b",".join(self.item(n) for n in range(first, first + count)) + b"]"

    def record_id(self, number: int) -> str:
        """The record that item `number` is about."""
        return f"{self._prefix}-{number}"


def _variant(pick: random.Random) -> dict[str, Any]:
    _, tags, priority, category, needs = pick.choices(_KINDS, [kind[0] for kind in _KINDS])[0]
    text = " ".join([pick.choice(_OPENINGS), *pick.sample(_MIDDLES, pick.randint(0, 2)), pick.choice(_ENDINGS)])
    return {
        "text": text,
        "subject": f"Order {pick.randrange(10**6):06d}: not solved",
        "channel": pick.choice(_CHANNELS),
        "priority": priority,
        "category": category,
        "tags": tags,
        "product": pick.choice(("kettle", "washing machine", "running shoes", "headphones")),
        "occurred_at": f"2026-01-{pick.randint(1, 28):02d}T{pick.randrange(24):02d}:15:00Z",
        "customer": {"locale": "en-GB", "country": "GB", "support_needs": needs},  # who it is comes with each item
        "custom": {"store": pick.randrange(400), "loyalty": pick.choice(("none", "silver", "gold"))},
    }
