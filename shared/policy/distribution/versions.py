"""What can be published and put in force: policies, and documents that services read texts by."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from shared.policy.distribution.line import Versioned
from shared.policy.document import load_policy
from shared.policy.problems import PolicyRefused, Problem
from shared.text.drafts import rules as drafts
from shared.text.reading import rules as reading

MAX_BYTES = 1536 * 1024  # it is one record of a topic that takes 2 MiB
# What texts are read by: documents that decide nothing.
READ_BY: Mapping[str, Callable[..., Versioned]] = {reading.KIND: reading.load_rules, drafts.KIND: drafts.load_rules}
_KIND = re.compile(r"^kind:[ \t]*[\"']?(\w+)", re.MULTILINE)


def kind_of(text: str) -> str:
    """The kind that a document says it is of; "" where it says none."""
    found = _KIND.search(text)
    return found[1] if found else ""


def load_version(text: str, *, origin: str, beside: Callable[[str], str]) -> Versioned:
    """Check and compile a document of any kind. `beside` gives the text of another document that it names.

    Raises PolicyRefused.
    """
    load = READ_BY.get(kind_of(text))
    if load is not None:
        return load(text, origin=origin, beside=beside)
    return load_policy(text, origin=origin)


def load_file(file: Path, text: str) -> tuple[Versioned, dict[str, str]]:
    """The document of a file, and the texts of the files that it names, by those names. Raises PolicyRefused."""
    parts: dict[str, str] = {}

    def beside(name: str) -> str:
        path = file.parent / name
        try:
            parts[name] = path.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = f"{name} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"
            line = next((n for n, each in enumerate(text.splitlines(), 1) if name in each), 1)
            raise PolicyRefused([Problem(line, 1, None, why)], origin=str(file), text=text) from None
        return parts[name]

    document = load_version(text, origin=str(file), beside=beside)
    if sum(len(each.encode()) for each in (text, *parts.values())) > MAX_BYTES:
        why = f"with the files that it names it is longer than {MAX_BYTES // 1024:,} KiB"
        raise PolicyRefused([Problem(1, 1, None, why)], origin=str(file), text=text)
    return document, parts


def published_beside(parts: Mapping[str, str], origin: str) -> Callable[[str], str]:
    """What stands beside a published document."""

    def beside(name: str) -> str:
        try:
            return parts[name]
        except KeyError:
            raise PolicyRefused([Problem(1, 1, None, f"'{name}' was not published with it")], origin=origin) from None

    return beside
