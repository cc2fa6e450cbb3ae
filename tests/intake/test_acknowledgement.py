"""What is read back to the customer: their issues, numbered, the impact in their words, and the question."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.intake import domain, reading
from services.intake.acknowledgement import PHRASES, compose
from services.intake.domain import IntakeState
from services.intake.submissions import ContactSubmission, Delivery, Identity
from tests.domain.examples import contact

DELIVERY = Delivery(UUID(int=1), "shop", datetime(2026, 5, 4, tzinfo=UTC), "application/json", {}, b"{}")
FIRST = (
    "My kettle arrived two weeks late and the handle melted when I used it. "
    "Nobody answers my e-mails. I could not make tea for my mother, who is ill, for two weeks."
)


def after(state: IntakeState | None, text: str, number: int, tags: tuple[str, ...] = ()) -> IntakeState:
    said = reading.read(contact(text=text, tags=tags, message_id=f"m{number}"))
    identity = Identity(f"m{number}", "r", bytes(32))
    decided = domain.decide(state, ContactSubmission(identity, said), DELIVERY, 0, DELIVERY.received_at)
    return decided.state


def test_the_issues_are_read_back_numbered_and_a_correction_takes_their_place() -> None:
    state = after(None, FIRST, 1)
    assert state.issues
    text = compose(state.issues, state.impact, state.language)
    assert f"1. {state.issues[0]}" in text
    assert "Is this right?" in text
    assert all(issue in FIRST for issue in state.issues), "the customer's own words"
    more = after(state, "And you charged me twice for the kettle.", 2)
    assert more.issues[: len(state.issues)] == state.issues
    assert len(more.issues) > len(state.issues)
    corrected = after(more, "No: it is only that the handle melted when I used it.", 3, ("correction",))
    assert not set(corrected.issues) & set(state.issues)
    assert len(corrected.issues) < len(more.issues)


@pytest.mark.parametrize("language", [*PHRASES, "de-AT", "xx", "und"])
def test_every_language_asks_whether_it_is_right(language: str) -> None:
    text = compose(["Der Griff ist geschmolzen"], None, language)
    assert text.splitlines()[1] == "1. Der Griff ist geschmolzen"
    assert text.rstrip().endswith((".",))
    assert compose([], None, language).splitlines()[0] in [phrases.unclear for phrases in PHRASES.values()]
