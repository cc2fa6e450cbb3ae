"""Which kind of remedy is meant by what people write of it."""

from __future__ import annotations

import re

from shared.policy.schemas import REMEDIES

# In this order: "refund of the delivery charge" is a refund, "free replacement" a replacement.
_WORDS: tuple[tuple[str, str], ...] = (
    ("refund", "refund"),
    ("money_back", "refund"),
    ("reimburse", "refund"),
    ("replace", "replacement"),
    ("exchange", "replacement"),
    ("new_for_old", "replacement"),
    ("repair", "repair"),
    ("goodwill", "goodwill_payment"),
    ("compensation", "goodwill_payment"),
    ("voucher", "credit"),
    ("credit", "credit"),
    ("deliver", "delivery"),
    ("resend", "delivery"),
    ("reship", "delivery"),
    ("call_back", "callback"),
    ("callback", "callback"),
    ("correct", "correction"),
    ("apolog", "apology"),
    ("explanation", "explanation"),
    ("explain", "explanation"),
)


def remedy_kind(text: str) -> str:
    """The kind (`REMEDIES`) of a remedy that is named or described; `other` where none is recognised."""
    words = re.sub(r"[^a-z]+", "_", text.lower()).strip("_")
    if words in REMEDIES:
        return words
    return next((kind for word, kind in _WORDS if word in words), "other")
