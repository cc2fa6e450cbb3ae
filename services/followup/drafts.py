"""The draft check of follow-up: its default rules, and what a check answers."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from shared.text.documents import from_folder
from shared.text.drafts.check import check
from shared.text.drafts.rules import DraftRules, load_rules
from shared.text.drafts.spec import DraftToCheck

DEFAULT = "drafts.retail.yaml"


@cache
def default_rules() -> DraftRules:
    """The rules that come with the service."""
    return from_folder(load_rules, files("services.followup") / "policy", DEFAULT, origin=DEFAULT)


def answer(rules: DraftRules, given: DraftToCheck) -> dict[str, Any]:
    """What is found in a draft, and what the complaint still lacks with what to say for each.

    `span` counts characters of the draft.
    """
    checked = check(rules, given.draft, given.complaint)
    return {
        "findings": [
            {"kind": f.kind, "span": [f.start, f.end], "text": f.text, "reason": f.reason, "suggestion": f.suggestion}
            for f in checked.findings
        ],
        "missing": list(checked.missing),
        "asks": dict(zip(checked.missing, checked.asks, strict=True)),
        "apology": checked.apology,
        "rules": {"id": rules.id, "version": rules.version, "digest": rules.digest},
    }
