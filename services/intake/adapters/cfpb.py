"""The CFPB's consumer complaints: its CSV in every form that was published, and its JSON. A mapping that ships with Amends."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from services.intake.adapters import fields
from services.intake.adapters.mapped import json_items
from services.intake.adapters.mapped_item import read_item
from services.intake.adapters.mapping import MappingFile
from services.intake.adapters.mapping_reader import load
from services.intake.adapters.rows import open_table
from services.intake.adapters.tabular import read_table
from services.intake.submissions import ContactSubmission, Delivery, Identity, Item


class Cfpb:
    """Columns are known by their names; one that nobody knows is refused, because the next might be a renamed narrative."""

    name = "cfpb"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        if delivery.body.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"{", b"["):
            hits = [hit for each in json_items(delivery) for hit in _hits(each)]
            items = [fields.part(each, "_source") or each for each in hits]
            return [_published(read_item(delivery, _json_mapping(), number, item)) for number, item in enumerate(items)]
        return [_published(item) for item in read_table(delivery, mapping(), open_table(delivery.body))]


def _hits(answer: Any) -> list[Any]:
    """The complaints of one answer of the search API; anything else is a complaint itself."""
    found = fields.at(answer, "hits", "hits")
    return found if isinstance(found, list) else [answer]


@lru_cache(maxsize=1)
def mapping() -> MappingFile:
    """The mapping of the CSV files."""
    return load(files("services.intake.mappings").joinpath("cfpb.yaml").read_text(encoding="utf-8"), "csv")


@lru_cache(maxsize=1)
def _json_mapping() -> MappingFile:
    """The same for JSON, whose objects leave out what is empty and carry more: what is not known is left."""
    text = files("services.intake.mappings").joinpath("cfpb.yaml").read_text(encoding="utf-8")
    return load(text.replace("rest: refuse", "rest: ignore"), "csv")


def _published(item: Item) -> Item:
    """Known by its id and its narrative: the company's answer, which comes later, makes no new contact.

    A narrative whose publication was not consented to exists, but not here.
    """
    if not isinstance(item, ContactSubmission):
        return item
    contact = item.contact
    if not contact.text and contact.consent_publish is False:
        contact = contact.model_copy(update={"text_status": "redacted_by_source"})
    record_id = item.identity.record_id
    digest = hashlib.sha256(f"{record_id}\n{contact.text}".encode()).digest()
    event_id = record_id if not contact.text else f"{record_id}#{digest.hex()[:16]}"
    contact = contact.model_copy(update={"source": contact.source.model_copy(update={"event_id": event_id})})
    return ContactSubmission(Identity(event_id, record_id, digest), contact)
