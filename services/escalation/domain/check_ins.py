"""Whether the customer was asked if it is solved. Follow-up asks, and reads the answer; escalation acts on it. Pure.

A reply of a word ("Yes") reaches us twice: as a contact, from intake, and as the answer that follow-up read in it. It is an
answer, whichever comes first, so such a contact does not reopen the complaint.
"""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import AwareDatetime

from shared.contracts.complaints import Contact
from shared.contracts.escalations import Cause
from shared.contracts.followups import CheckInDue
from shared.frozen import dataclass, replace
from shared.text import answers

FAILED: Cause = "failed_remedy"  # why a complaint rises when what was promised as its remedy was not carried out
_QUESTIONS = ("ask", "ask_again")


@dataclass(frozen=True, slots=True)
class Asked:
    """`number`: of the last question since the resolution, 0 while there is none. `word_at`: when a reply of a word reopened
    the complaint because its question was not known here yet; `word_tier` is where the complaint was then."""

    number: int = 0
    word_at: AwareDatetime | None = None
    word_tier: int = 0

    def after(self, due: CheckInDue) -> Self:
        return replace(self, number=due.number) if due.kind in _QUESTIONS else self

    def answered_by(self, contact: Contact) -> bool:
        """Whether follow-up reads the contact as the answer, or made it of one: then the answer says what follows."""
        return contact.answer is not None or (self.number > 0 and answers.read(contact.text) is not None)


def reopened_by(contact: Contact, tier: int, at: datetime) -> Asked:
    """No question counts any more; a word that may have been its answer is remembered."""
    return Asked(word_at=at, word_tier=tier) if answers.read(contact.text) is not None else Asked()
