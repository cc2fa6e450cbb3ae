"""Which of our letters a bounce is about, told by the Message-ID that it quotes: RFC 3464 reports, and those that follow nothing."""

from __future__ import annotations

import re

from services.intake.adapters.mime import Part
from services.intake.submissions import Bounced
from shared.contracts import letters

MAX_LEAVES = 20
MAX_TEXT = 200_000
_ADDRESS = re.compile(r"[^\s<>()\[\]:;,\"'=@]{1,64}@[A-Za-z0-9.-]{1,190}[A-Za-z0-9]")
_ACTION = re.compile(r"^Action:\s*([A-Za-z]+)", re.IGNORECASE | re.MULTILINE)
_STATUS = re.compile(r"\b[45]\.\d{1,3}\.\d{1,3}\b")
_NOT_YET = re.compile(r"delay|warning|will (?:be )?retr|still trying", re.IGNORECASE)


def bounced(mail: Part) -> Bounced | None:
    """The letters that the report says will never arrive; None where it names none, or says that it is still tried."""
    leaves = [leaf for _, leaf in zip(range(MAX_LEAVES), mail.leaves(), strict=False)]
    texts = [leaf.content()[:MAX_TEXT].decode("utf-8", "replace") for leaf in leaves]
    quoted = letters.quoted("\n".join([*_answered(mail), *texts]))
    if not quoted or not _final(mail, leaves, texts):
        return None
    told = [value for name in ("x-failed-recipients", "to") for value in mail.headers.all_raw(name)]
    addresses = tuple(dict.fromkeys(each.lower() for text in (*told, *texts) for each in _ADDRESS.findall(text)))
    status = next((found.group() for text in texts if (found := _STATUS.search(text))), None)
    return Bounced(quoted, addresses[: letters.MOST * 2], status)


def _answered(mail: Part) -> list[str]:
    return [value for name in ("in-reply-to", "references") for value in mail.headers.all_raw(name)]


def _final(mail: Part, leaves: list[Part], texts: list[str]) -> bool:
    """Whether the mail system has given up: `Action: failed` where it says what it did, else unless it sounds like a delay."""
    reports = [text for leaf, text in zip(leaves, texts, strict=True) if leaf.media_type.endswith("delivery-status")]
    actions = {action.lower() for report in reports for action in _ACTION.findall(report)}
    return "failed" in actions if actions else not _NOT_YET.search(mail.headers.text("subject") or "")
