"""What can be published and put in force: policies, and documents that services read texts by."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from shared.policy.distribution.line import Versioned
from shared.policy.document import load_policy
from shared.policy.problems import PolicyRefused, Problem
from shared.text.reading import rules as reading_rules

_KIND = re.compile(r"^kind:[ \t]*[\"']?(\w+)", re.MULTILINE)

def kind_of(text: str) -> str:
    """The kind that a document says it is of; "" where it says none."""
    found = _KIND.search(text)
    return found[1] if found else ""


def load_version(text: str, *, origin: str, beside: Callable[[str], str]) -> Versioned:
    """Check and compile a document of any kind. `beside` gives the text of another document that it names.

    Raises PolicyRefused.
    """
    if kind_of(text) == reading_rules.KIND:
        return reading_rules.load_rules(text, origin=origin, beside=beside)
    return load_policy(text, origin=origin)


def published_beside(parts: Mapping[str, str], origin: str) -> Callable[[str], str]:
    """What stands beside a published document."""

    def beside(name: str) -> str:
        try:
            return parts[name]
        except KeyError:
            raise PolicyRefused([Problem(1, 1, None, f"'{name}' was not published with it")], origin=origin) from None

    return beside
