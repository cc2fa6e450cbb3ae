"""Recorded decisions as Parquet: one column a fact and an outcome, for engines that are made for more than one machine.

Lists become lists, earlier complaints a list of structs, times microseconds in UTC. Needs the extra `parquet`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.cli import WrongUse
from shared.policy.backtest.recorded import Recorded, RecordRefused, reader
from shared.policy.evaluate import Policy
from shared.policy.facts import Fact

MISSING = "pyarrow is not installed: it comes with the extra `parquet`, as in: pip install 'amends[parquet]'"
ROWS = 50_000  # of a row group


def export(policy: Policy, blocks: Iterable[bytes], path: Path) -> Iterator[tuple[int, int]]:
    """Write the decisions of the policy's service; yields after each group how many were written and not readable.

    Raises WrongUse where pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as missing:
        if missing.name != "pyarrow":
            raise
        raise WrongUse(MISSING) from None
    columns = dict(_columns(policy))
    schema = pyarrow.schema([(name, _type(pyarrow, kind)) for name, kind in columns.items()])
    read, rows, bad = reader(policy.schema), list[dict[str, Any]](), 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for line in (line for block in blocks for line in block.splitlines() if line.strip()):
            try:
                rows.append(_row(policy, read(line)))
            except RecordRefused:
                bad += 1
            if len(rows) == ROWS:
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
                yield len(rows), bad
                rows, bad = [], 0
        writer.write_table(pyarrow.Table.from_pylist(rows, schema))
    yield len(rows), bad


def _columns(policy: Policy) -> Iterator[tuple[str, Any]]:
    """Name -> a fact, or the name of a type."""
    yield from (("complaint", "string"), ("decided_at", "timestamp"), ("open", "bool"))
    yield from _facts("", policy.schema.facts)
    kinds = {"int": "int", "words": "list"}
    for name, outcome in policy.outcomes.items():
        if outcome.keyed:
            for key in _keys(policy, name):
                yield f"outcome.{name}.{key}", "string"
        else:
            yield f"outcome.{name}", kinds.get(outcome.kind, "string")


def _keys(policy: Policy, name: str) -> list[str]:
    rules = [setting.key for rule in policy.rules.rules for setting in rule.settings if setting.name == name]
    return sorted({key for key in (*rules, *policy.rules.default.get(name, {})) if key is not None})


def _facts(prefix: str, facts: Mapping[str, Fact]) -> Iterator[tuple[str, Fact]]:
    for name, fact in facts.items():
        if fact.kind == "message" and not fact.many:
            yield from _facts(f"{prefix}{name}.", fact.fields)
        else:
            yield f"facts.{prefix}{name}", fact


def _type(arrow: Any, kind: Any) -> Any:
    if isinstance(kind, str):
        simple = {
            "string": arrow.string(),
            "bool": arrow.bool_(),
            "int": arrow.int64(),
            "list": arrow.list_(arrow.string()),
        }
        return simple.get(kind) or arrow.timestamp("us", tz="UTC")
    kinds = {"string": arrow.string(), "bool": arrow.bool_(), "int": arrow.int64(), "double": arrow.float64()}
    if kind.kind == "message":
        one = arrow.struct([(name, _type(arrow, part)) for name, part in kind.fields.items()])
    else:
        one = kinds.get(kind.kind) or arrow.timestamp("us", tz="UTC")
    return arrow.list_(one) if kind.many else one


def _row(policy: Policy, recorded: Recorded) -> dict[str, Any]:
    row: dict[str, Any] = {
        "complaint": recorded.complaint,
        "open": recorded.open,
        "decided_at": recorded.facts.get("as_of"),
    }
    for name, _ in _facts("", policy.schema.facts):
        value: Any = recorded.facts
        for step in name.split(".")[1:]:
            value = value.get(step) if isinstance(value, Mapping) else None
        row[name] = value
    for name, value in (recorded.outcome or {}).items():
        if isinstance(value, Mapping):
            row |= {f"outcome.{name}.{key}": each for key, each in value.items()}
        else:
            row[f"outcome.{name}"] = value
    return row
