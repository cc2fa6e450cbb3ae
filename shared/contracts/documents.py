"""What is generated from the contracts, as texts: JSON Schemas, AsyncAPI, docs/flows.md, the README's picture. Pure."""

from __future__ import annotations

from shared.contracts.asyncapi import asyncapi
from shared.contracts.json_schema import json_schemas, meaning
from shared.contracts.topics import FLOWS, PARTITIONS, RETENTION_MS, TABLES, Flow

_DAY_MS = 86_400_000
_PAGE = """\
<!-- Generated from shared/contracts/topics.py by `python -m shared.contracts.generate`. Do not edit. -->
# Topics and events

The four services share nothing but these topics. A deployment may put a prefix before the names. Every topic has
{partitions} partitions by default and keeps its events {days} days, by the broker's clock: they hold personal data.
What must be kept longer is in the ledger of records.

{chart}

| topic | key | written by | read by |
|---|---|---|---|
{topics}

Events are CloudEvents 1.0 in Kafka's binary mode: the attributes are headers (`ce_*`), the value is the JSON data.
`ce_sequence` counts what one service says about one complaint, without gaps: it is the order, the deduplication and the
loss alarm. A key that is an id is its 16 bytes. For tools: [asyncapi.yaml](reference/asyncapi.yaml).

Inside a version (`.v1`) changes are additive only. Ignore fields that you do not know, and read an unknown value of an
enumeration marked `x-unknown-reads-as` as the value named there; all other enumerations are closed.
{events}
## Policies

Three compacted topics of one partition each hold no events but tables: the newest record of a key is its value, as JSON.
They hold no personal data. How they are used: [policies](how-to/policies.md).

| topic | key | a record is | written by | read by |
|---|---|---|---|---|
{tables}
"""


__all__ = ["asyncapi", "flow_picture", "flows_page", "json_schemas"]


def flow_picture() -> str:
    """The services and the topics between them, as a small Mermaid picture."""
    lines = ["flowchart LR", "    senders([contact centre]) --> intake"]
    lines += [
        f"    {flow.producer} -- {flow.topic} --> {' & '.join(flow.readers)}" for flow in FLOWS if flow.readers
    ]
    return _mermaid(lines)


def flows_page() -> str:
    """The page docs/flows.md."""
    return _PAGE.format(
        partitions=PARTITIONS,
        days=RETENTION_MS // _DAY_MS,
        chart=_chart(),
        topics="\n".join(_row(flow) for flow in FLOWS),
        events="".join(_events(flow) for flow in FLOWS),
        tables="\n".join(
            f"| `{table.topic}` | {table.key} | {meaning(table.record)} | {table.writers} | {table.readers} |"
            for table in TABLES
        ),
    )


def _row(flow: Flow) -> str:
    some = [f"{service} ({', '.join(event.__name__ for event in events)})" for service, events in flow.selects.items()]
    readers = ", ".join([*flow.consumers, *some]) or "nobody"
    return f"| [`{flow.topic}`](#{flow.topic}) | {flow.key} | {flow.producer} | {readers} |"


def _chart() -> str:
    lines = ["flowchart LR"]
    for flow in FLOWS:
        topic = flow.topic.replace("-", "_")
        writer = flow.producer.replace(" ", "_")
        lines.append(f"    {topic}[({flow.topic})]")
        lines.append(f"    {writer}[{flow.producer}] --> {topic}")
        lines += [f"    {topic} --> {consumer}" for consumer in flow.readers]
    return _mermaid(lines)


def _events(flow: Flow) -> str:
    rows = [
        f"| [`{event.TYPE}`](../shared/contracts/schemas/{event.TYPE}.json) | {meaning(event).replace('|', '&#124;')} |"
        for event in flow.events
    ]
    return "\n".join(["", f"## {flow.topic}", "", "| event | meaning |", "|---|---|", *rows, ""])


def _mermaid(lines: list[str]) -> str:
    return "\n".join(["```mermaid", *lines, "```"])
