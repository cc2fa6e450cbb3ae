"""Golden payloads of every system, written for this project after the vendors' documentation: what each becomes, exactly.

`payloads/<adapter>.yaml` holds cases: `payload` (JSON) or `raw`, `headers`, and what to `expect` of `amends intake try`: `outcome`,
`outcomes` (of each item), `text_status`, words of the `reason`, and fields of the first event by their path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from ruamel.yaml import YAML

from services.intake import trying
from services.intake.adapters import ADAPTERS

FOLDER = Path(__file__).parent / "payloads"


class Case(NamedTuple):
    adapter: str
    about: str
    body: bytes
    headers: dict[str, str]
    expect: dict[str, Any]


def cases() -> list[Case]:
    found = []
    for file in sorted(FOLDER.glob("*.yaml")):
        for each in YAML(typ="safe").load(file):
            body = each["raw"].encode() if "raw" in each else orjson.dumps(each["payload"])
            headers = {name.lower(): str(value) for name, value in each.get("headers", {}).items()}
            found.append(Case(file.stem, each["about"], body, headers, each["expect"]))
    return found


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.adapter}: {case.about}")
def test_a_payload_becomes_what_it_means(case: Case) -> None:
    results = trying.judge(case.adapter, trying.delivery_of(case.adapter, case.body, case.headers, {}))
    told = trying.summary(results)
    for name, wanted in case.expect.items():
        if name == "outcomes":
            assert [result["outcome"] for result in results] == wanted
        elif name == "reason":
            assert wanted in (told["reason"] or ""), told["reason"]
        elif name in ("outcome", "text_status"):
            assert told[name] == wanted, told
        else:
            event = told["events"][0]
            assert _at(event.get("contact", event), name) == wanted, name


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value.get(step)
    return value


def test_every_webhook_adapter_has_golden_payloads_of_every_outcome_that_it_can_have() -> None:
    by_adapter: dict[str, set[str]] = {}
    for case in cases():
        by_adapter.setdefault(case.adapter, set()).add(case.expect["outcome"])
    assert set(ADAPTERS) - {"canonical", "email", "csv", "cfpb", "mapped"} <= set(by_adapter)
    assert all({"complaint", "dead_letter"} <= outcomes for outcomes in by_adapter.values())


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.adapter}: {case.about}")
def test_the_same_delivery_twice_has_the_same_ids(case: Case) -> None:
    first, second = (
        [
            (event.get("contact", event)["source"], event.get("contact", event)["raw"]["item"])
            for result in trying.judge(case.adapter, trying.delivery_of(case.adapter, case.body, case.headers, {}))
            for event in result["events"]
        ]
        for _ in range(2)
    )
    assert first == second
    assert len({source["event_id"] for source, _ in first}) == len(first), (
        "the items of a delivery have ids of their own"
    )


def test_half_an_emoji_costs_that_half_not_the_complaint() -> None:
    """Systems in JavaScript cut previews anywhere. What only looks like a half, behind an escaped backslash, stays."""
    text = rb"C:\\ud83d is late \ud83d\ude21 \uD83D! \ude21"
    body = b'{"type": "inbound", "id": "e", "conversation": {"id": "c"}, "target": {"data": {"is_inbound": true, "text": "%s"}}}' % text
    (result,) = trying.judge("front", trying.delivery_of("front", body, {}, {}))
    assert (result["outcome"], result["events"][0]["contact"]["text"]) == ("complaint", "C:\\ud83d is late 😡 \ufffd! \ufffd")
