"""Lexicons as documents: one for each language, read together from several files. Immutable once built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.text.reading.lexicon import Lexicon


class LexiconDocument(BaseModel):
    """One document of a language's lexicon; several of them are read together. See `shared.text.reading.patterns`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str | None = None
    forms: str = ""
    negators: str = ""
    negators_undone: str = ""
    openers: str = ""
    everyday: str = ""
    lists: dict[str, str] = {}
    labels: dict[str, str] = {}
    same: str = ""
    stop: str = ""


def build(documents: Iterable[Mapping[str, Any]]) -> Lexicon:
    """The lexicon of one language from its documents, in their order. Raises ValueError with what is wrong."""
    forms: dict[str, str] = {}
    lists: dict[str, str] = {}
    labels: dict[str, str] = {}
    negators: list[str] = []
    undone: list[str] = []
    openers: list[str] = []
    everyday: list[str] = []
    for document in documents:
        read = LexiconDocument.model_validate(document)
        forms.update(_forms(read.forms))
        negators += read.negators.split()
        undone += [line.strip() for line in read.negators_undone.splitlines() if line.strip()]
        openers += read.openers.split()
        everyday += read.everyday.split()
        if twice := lists.keys() & read.lists.keys():
            raise ValueError(f"the list '{min(twice)}' is in two documents: give one of them another name")
        lists.update(read.lists)
        for several, block in read.labels.items():
            for label in several.split():
                labels[label] = f"{labels[label]}\n{block}" if label in labels else block
    return Lexicon(
        labels, lists=lists, forms=forms, negators=negators, undone=undone, openers=openers, everyday=everyday
    )


def _forms(block: str) -> dict[str, str]:
    """ "dont don't = do not" a line."""
    forms: dict[str, str] = {}
    for line in block.splitlines():
        spellings, equals, one = line.partition(" = ")
        if line.strip() and not equals:
            raise ValueError(f"'{line.strip()}': write the spellings, ' = ' and the words that they stand for")
        for spelling in spellings.split():
            forms[spelling] = one.strip()
    return forms
