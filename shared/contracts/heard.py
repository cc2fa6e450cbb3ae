"""Complaints as they are read by those who decide about them: what is only kept, shown or proved is left out.

It is most of such an event, and reading it half of the work. What is left out reads as absent, which it may be anyway.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from shared.contracts.complaints import (
    Attachment,
    ComplaintReceived,
    Contact,
    ContactAdded,
    Passage,
    PolicyCitation,
    Reading,
    Scalar,
    Thread,
)
from shared.contracts.envelope import EventData


def _left_out(value: Any) -> Any:
    """A field that is looked for under a name that nothing has."""
    return Field(value, validation_alias="(left out)")


class _Reading(Reading):
    impact: str | None = _left_out(None)
    passages: tuple[Passage, ...] = _left_out(())
    severity_rules: tuple[str, ...] = _left_out(())
    severity_by: PolicyCitation | None = _left_out(None)


class _Contact(Contact):
    subject: str | None = _left_out(None)
    text_full: str | None = _left_out(None)
    html: str | None = _left_out(None)
    thread: Thread | None = _left_out(None)
    attachments: tuple[Attachment, ...] = _left_out(())
    custom: dict[str, Scalar] = _left_out({})
    reading: _Reading | None = None


class _ComplaintReceived(ComplaintReceived):
    contact: _Contact


class _ContactAdded(ContactAdded):
    contact: _Contact


HEARD: dict[str, type[EventData]] = {each.TYPE: each for each in (_ComplaintReceived, _ContactAdded)}
"""By type of event, what to read it as."""
