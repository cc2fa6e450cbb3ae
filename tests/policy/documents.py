"""Short policy documents for tests."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import Any

from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from shared.policy.problems import PolicyRefused, Problem

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def text(
    rules: str,
    *,
    hit_policy: str = "COLLECT",
    default: str = "{tier: 1}",
    rest: str = "",
    kind: str = "EscalationPolicy",
) -> str:
    """A document with these rules (YAML list entries) and further keys of spec in `rest`."""
    head = f"""\
apiVersion: complaints.policy/v1
kind: {kind}
metadata: {{id: test.policy, version: 3, owner: tests, reason: a test}}
spec:
  language: cel-subset/1
  facts: complaint-facts/4
  hit_policy: {hit_policy}
  rules:
"""
    body = textwrap.indent(textwrap.dedent(rules).strip("\n"), "    ")
    return f"{head}{body}\n  default: {default}\n{textwrap.indent(textwrap.dedent(rest), '  ')}"


def load(rules: str, **more: str) -> Policy:
    return load_policy(text(rules, **more), origin="test.yaml")


def problems(document: str) -> tuple[Problem, ...]:
    """What is wrong with the document; none if it loads."""
    try:
        load_policy(document, origin="test.yaml")
    except PolicyRefused as refused:
        return refused.problems
    return ()


def marked(document: str) -> tuple[str, int, int]:
    """The document without its mark ‸, and line and column of where the mark stood."""
    before, _, after = document.partition("‸")
    return before + after, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def facts(**complaint: Any) -> dict[str, Any]:
    """A neutral complaint at NOW with these facts; `vulnerable` and `history` go to the customer."""
    customer = {"vulnerable": complaint.pop("vulnerable", False), "history": complaint.pop("history", [])}
    neutral = {
        "severity": 1, "category": "other", "tags": [], "status": "open", "received_at": NOW, "last_contact_at": NOW,
        "contact_preference": "any", "customer": customer,
    }  # fmt: skip
    return {"as_of": NOW, "complaint": neutral | complaint}
