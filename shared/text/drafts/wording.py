"""What an agent is told: texts of the rules, with the facts of the case put in where they are known."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from shared.text.drafts.spec import Case

FACTS = ("issues", "impact", "remedies", "promises", "issue")
_FACT = re.compile(r"\{(\w*)\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_LONGEST = 200


def _known(template: str) -> str:
    if unknown := next((name for name in _FACT.findall(template) if name not in FACTS), None):
        raise ValueError(f"'{{{unknown}}}' is no fact of a case; there are {', '.join(FACTS)}")
    return template


Template = Annotated[str, AfterValidator(_known)]
"""A text in which {impact} and so on stand for facts of the case; "[...]" is left out where its fact is not known."""


def worded(template: str, case: Case, issue: str = "") -> str:
    """The text for one case; `issue` is the one that the text is about."""
    facts = {
        "issues": "; ".join(case.issues),
        "impact": case.impact,
        "remedies": "; ".join(case.remedies_allowed),
        "promises": "; ".join(case.promises_broken),
        "issue": issue,
    }
    kept = _OPTIONAL.sub(lambda part: part[1] if all(facts[name] for name in _FACT.findall(part[1])) else "", template)
    return _FACT.sub(lambda fact: _short(facts[fact[1]]), kept)


def _short(fact: str) -> str:
    return fact if len(fact) <= _LONGEST else f"{fact[:_LONGEST].rstrip()}..."
