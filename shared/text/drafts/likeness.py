"""How much of one text is in another: by the stems of their words, without the words that say nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_WORD = re.compile(r"[^\W_]+|[€£$]")
_STEM = 5


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`same`: the one word for each group of words that mean the same; `stop`: words that say nothing."""

    same: Mapping[str, str]
    stop: frozenset[str]

    @classmethod
    def of(cls, parts: Iterable[Mapping[str, Any]]) -> Vocabulary:
        """From the documents of a language."""
        same: dict[str, str] = {}
        stop: set[str] = set()
        for part in parts:
            stop.update(str(part.get("stop", "")).split())
            for line in str(part.get("same", "")).splitlines():
                words = line.split()
                same.update({_stem(word): _stem(words[0]) for word in words})
                same.update({word: _stem(words[0]) for word in words})
        return cls(same, frozenset(stop))

    def stems(self, text: str) -> frozenset[str]:
        """The stems of a text's words."""
        found: set[str] = set()
        for word in _WORD.findall(text.lower()):
            if word not in self.stop:
                stem = _stem(word)
                found.add(self.same.get(word) or self.same.get(stem) or stem)
        return frozenset(found)

    def share(self, part: str, whole: frozenset[str]) -> float:
        """How much of the stems of `part` are in `whole`; 0 where it has none."""
        stems = self.stems(part)
        return len(stems & whole) / len(stems) if stems else 0.0


def _stem(word: str) -> str:
    if word.isdigit():
        return word
    if len(word) > _STEM:
        return word[:_STEM]
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
