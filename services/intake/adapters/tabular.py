"""CSV by a mapping file: each row is an item. Columns are known by their names, never by their places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from services.intake.adapters.mapped import mapping_of
from services.intake.adapters.mapped_item import read_item
from services.intake.adapters.mapping import ALIASES, TARGETS, MappingFile
from services.intake.adapters.mapping_reader import load
from services.intake.adapters.rows import Row, Table, open_table
from services.intake.submissions import Delivery, Identity, Item, SetAside, Unreadable
from shared.contracts.complaints import Source
from shared.policy.problems import did_you_mean

_BLANKS = re.compile(r"[\s_\-]+")
EXTRA = "cells beyond the header"


class Csv:
    """Reads a CSV file by the mapping of the source; without one, the header must be made of our own field names."""

    name = "csv"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        if delivery.options.get("mapping"):
            mapping = mapping_of(delivery, "csv")
            return read_table(delivery, mapping, open_table(delivery.body, mapping.csv))
        table = open_table(delivery.body)
        return read_table(delivery, _own_names(table.header), table)


def read_table(delivery: Delivery, mapping: MappingFile, table: Table) -> list[Item]:
    """The items of a table. Raises Unreadable when its header does not hold what the mapping names."""
    names = fit(mapping, table.header)
    return [_read_row(delivery, mapping, number, row, names) for number, row in enumerate(table.rows())]


def objects(mapping: MappingFile, table: Table) -> Iterator[dict[str, Any]]:
    """The rows as the mapping sees them."""
    names = fit(mapping, table.header)
    return (_object(row, names) for row in table.rows())


def fit(mapping: MappingFile, header: Sequence[str]) -> list[str]:
    """The header with the mapping's spelling of each column. Every column that is missing or unknown is told at once."""
    by_key = {key(name): name for name in reversed(header)}
    spelling = {by_key[key(column)]: column for column in mapping.columns if key(column) in by_key}
    wrong = [
        f"{each.target} names the column '{each.sources[0]}'{did_you_mean(each.sources[0], header)}"
        for each in mapping.rules.values()
        if each.sources and not each.optional and not any(key(column) in by_key for column in each.sources)
    ]
    if wrong:
        detail = f"the file has no such column: {'; '.join(wrong)}; it has: {', '.join(header)}"
        raise Unreadable(422, "Unknown header", detail[:2000])
    if mapping.rest == "refuse":
        ignored = {key(each) for each in mapping.ignore}
        known = [*mapping.columns, *mapping.ignore]
        strange = [f"'{n}'{did_you_mean(n, known)}" for n in header if n not in spelling and key(n) not in ignored]
        if strange:
            detail = f"the file has columns that are not known: {'; '.join(strange)}; the mapping is `rest: refuse`"
            raise Unreadable(422, "Unknown header", detail[:2000])
    return [spelling.get(name, name) for name in header]


def key(name: str) -> str:
    """A column's name without regard to case, blanks, hyphens and underscores."""
    return _BLANKS.sub("", name).casefold()


def _read_row(delivery: Delivery, mapping: MappingFile, number: int, row: Row, names: Sequence[str]) -> Item:
    if row.cells[0].strip() == names[0] and [key(cell) for cell in row.cells] == [key(name) for name in names]:
        event_id = f"header at {row.line}:{key(''.join(names))}"[:255]
        source = Source(system=mapping.system, instance=delivery.source, record_id=event_id, event_id=event_id)
        return SetAside(
            Identity(event_id, event_id, b""), source, f"line {row.line} repeats the header: files were put together"
        )
    return read_item(delivery, mapping, number, _object(row, names))


def _object(row: Row, names: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = dict(zip(names, row.cells, strict=False))
    if len(row.cells) > len(names) and any(cell.strip() for cell in row.cells[len(names) :]):
        found[EXTRA] = "; ".join(row.cells[len(names) :])
    return found


@lru_cache(maxsize=64)
def _own_names(header: tuple[str, ...]) -> MappingFile:
    """The mapping of a file whose columns have our own names."""
    known = {key(name): name for name in (*TARGETS, *ALIASES)}
    wrong = [n for n in header if key(n) not in known and not n.startswith("custom.")]
    if wrong:
        told = "; ".join(f"'{name}'{did_you_mean(name, known.values())}" for name in wrong[:20])
        detail = f"without a mapping the columns have our own names, and these are none: {told}. Draft one: amends intake map new FILE"
        raise Unreadable(422, "Unknown header", detail[:2000])
    lines = [f'  {known.get(key(name), name)}: "{name}"' for name in header]
    return load("fields:\n" + "\n".join(lines), "csv")
