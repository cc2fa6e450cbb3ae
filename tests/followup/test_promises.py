"""The promise ledger: made, proposed from what agents write, reminded of, kept or broken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.followup.domain import UPDATE, ConfirmPromise, KeepPromise, MakePromise, NoteProgress, WithdrawPromise
from services.followup.domain.updates import draft
from services.followup.working import nobody_works
from shared.contracts.decision import Refused
from shared.policy.calendars import read_calendar
from shared.text.answers import read
from shared.text.promises import find
from tests.domain.examples import START
from tests.followup.stories import ANNA, DAY, HOUR, Story

LONDON = "Europe/London"
AT = datetime(2026, 3, 3, 14, 0, tzinfo=UTC)  # a Tuesday


def promise(**fields: object) -> MakePromise:
    return MakePromise.model_validate({"what": "Call you back", "due_at": START + 2 * DAY, **fields})


def test_a_promise_is_made_reminded_of_and_kept_with_evidence() -> None:
    story = Story()
    assert story.command(promise(kind="callback", owner="ben")) == ["promise_made"]
    made = story.last("promise_made")
    assert (made.promise, made.owner, made.by, made.due_at) == ("p1", "ben", "agent", START + 2 * DAY)
    assert story.timers["promise:p1"] == START + 36 * HOUR, "reminded when a quarter of the time is left"
    assert story.until("promise:p1") == ["promise_due_soon"]
    assert story.sent[-1].body["data"]["notice"] == "promise_due_soon"
    assert story.command(KeepPromise(promise="p1", evidence="call 5512")) == ["promise_kept"]
    assert "promise:p1" not in story.timers


def test_a_promise_that_nobody_keeps_is_broken_once_and_may_be_kept_late() -> None:
    story = Story()
    story.command(promise())
    story.until("promise:p1")
    assert story.until("promise:p1", late=3 * HOUR) == ["promise_broken"]
    broken = story.last("promise_broken")
    assert (broken.due_at, broken.broken_at) == (START + 2 * DAY, START + 2 * DAY + 3 * HOUR)
    assert story.command(KeepPromise(promise="p1", evidence="called at last")) == ["promise_kept"]
    assert story.last("promise_kept").late is True
    assert story.state is not None
    assert story.state.promises[0].status == "broken", "late is not kept"
    again = story.command(KeepPromise(promise="p1", evidence="called at last, once more"))
    assert isinstance(again, Refused)
    assert "kept late" in again.detail


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"due_at": START - HOUR}, "has passed already"),
        ({"due_at": START}, "has passed already"),
        ({"due_at": datetime(2026, 3, 29, 1, 30), "zone": LONDON}, "01:30 is skipped in Europe/London"),  # noqa: DTZ001
        ({"due_at": START + DAY, "zone": "Europe/Londno"}, "is not a time zone"),
    ],
)
def test_a_time_that_cannot_be_promised_is_refused_with_the_reason(fields: dict[str, object], said: str) -> None:
    refused = Story().command(promise(**fields))
    assert isinstance(refused, Refused)
    assert refused.status == 422
    assert said in refused.detail


def test_a_time_that_comes_twice_is_the_first_and_a_local_time_is_the_customers() -> None:
    story = Story(customer=ANNA | {"zone": "Asia/Kolkata"})
    story.command(promise(due_at=datetime(2026, 3, 6, 12, 0)))  # noqa: DTZ001
    assert story.last("promise_made").due_at == datetime(2026, 3, 6, 6, 30, tzinfo=UTC)
    story.command(promise(due_at=datetime(2026, 10, 25, 1, 30), zone=LONDON))  # noqa: DTZ001
    assert story.last("promise_made").due_at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_time_when_nobody_works_says_so() -> None:
    calendar = read_calendar("uk-business-hours/2026a")
    sunday = nobody_works(calendar, datetime(2026, 3, 8, 12, tzinfo=UTC))
    assert "Sunday 12:00 is outside working hours" in sunday
    assert "Monday 09 March 09:00" in sunday
    assert "Christmas" in nobody_works(calendar, datetime(2026, 12, 25, 12, tzinfo=UTC))
    assert nobody_works(calendar, datetime(2026, 3, 9, 12, tzinfo=UTC)) == ""
    assert nobody_works(read_calendar("Europe/London"), datetime(2026, 3, 8, 12, tzinfo=UTC)) == "", "no hours are known"


def test_what_an_agent_writes_is_proposed_and_binds_after_it_is_confirmed() -> None:
    story = Story()
    assert story.replied("Sorry about that. I will call you tomorrow.") == ["promise_proposed", "update_scheduled"]
    proposed = story.last("promise_proposed")
    assert (proposed.kind, proposed.quote) == ("callback", "I will call you tomorrow")
    assert "promise:p1" not in story.timers, "nobody is bound yet"
    assert story.command(ConfirmPromise(promise="p1", owner="ben")) == ["promise_made"]
    assert story.last("promise_made").due_at == proposed.due_at
    again = story.command(ConfirmPromise(promise="p1"))
    assert isinstance(again, Refused)


def test_a_proposal_without_a_date_needs_one_and_can_be_dismissed() -> None:
    story = Story()
    story.replied("We will send you the documents.")
    refused = story.command(ConfirmPromise(promise="p1"))
    assert isinstance(refused, Refused)
    assert "give `due_at`" in refused.detail
    assert story.command(WithdrawPromise(promise="p1", reason="said by mistake")) == ["promise_withdrawn"]
    unknown = story.command(KeepPromise(promise="p9", evidence="x"))
    assert isinstance(unknown, Refused)
    assert "it has p1" in unknown.detail


def test_the_update_says_what_was_done_what_comes_next_and_when_also_without_news() -> None:
    story = Story()
    story.command(NoteProgress(done="We asked the carrier", next_step="They answer by Friday"))
    assert story.state is not None
    assert draft(story.state, "progress_update", None).done == ("We asked the carrier",)
    story.until(UPDATE)
    values = story.sent[-1].body["values"]
    assert (values["done"], values["next_step"]) == (["We asked the carrier"], "They answer by Friday")
    assert values["by"] == story.timers[UPDATE].isoformat()
    story.until(UPDATE)
    assert story.sent[-1].body["values"]["done"] == [], "no news is said as no news"


@pytest.mark.parametrize(
    ("text", "kind", "due"),
    [
        ("I will call you tomorrow.", "callback", "2026-03-04T17:00"),
        ("I'll give you a call tomorrow at 9:30 am", "callback", "2026-03-04T09:30"),
        ("I'll ring you Friday noon.", "callback", "2026-03-06T12:00"),
        ("You will get your refund within five days.", "refund", "2026-03-08T17:00"),
        ("Refund within 3-5 business days", "refund", "2026-03-10T17:00"),
        ("We will update you every two days", "update", "2026-03-05T17:00"),
        ("We'll get back to you by the end of the week", "update", "2026-03-06T17:00"),
        ("We will dispatch the replacement within 24 hours.", "delivery", "2026-03-04T14:00"),
        ("Our technician will visit you on 12 March at 10:30", "visit", "2026-03-12T10:30"),
        ("I will email you the invoice by March 9th, 2026", "document", "2026-03-09T17:00"),
        ("Ich rufe Sie morgen um 10 Uhr an.", "callback", "2026-03-04T10:00"),
        ("Wir werden Ihnen das Geld innerhalb von 14 Tagen erstatten.", "refund", "2026-03-17T17:00"),
        ("Sie erhalten am Montag eine Antwort", "update", "2026-03-09T17:00"),
        ("I will send the invoice on 30 February", "document", None),
    ],
)
def test_promises_are_found_in_what_agents_write(text: str, kind: str, due: str | None) -> None:
    (found,) = find(text, AT, LONDON)
    assert found.kind == kind
    assert (found.due_at and found.due_at.strftime("%Y-%m-%dT%H:%M")) == due
    start, end = found.span
    assert text[start:end] == found.quote


@pytest.mark.parametrize(
    "text",
    [
        "Will I call you tomorrow?", "We won't refund you by Monday", "We would refund it if we could", "We will do our best.",
        "We received 5 letters on Monday", "You called us tomorrow", "I cannot call you tomorrow", "Guten Morgen!", "",
        "Wir können Ihnen das Geld leider nicht innerhalb von 14 Tagen erstatten",
    ],
)  # fmt: skip
def test_what_is_no_promise_is_left(text: str) -> None:
    assert find(text, AT, LONDON) == ()


def test_a_due_time_is_meant_where_the_customer_is_and_never_in_the_past() -> None:
    (there,) = find("I will call you tomorrow at 9:00 am", AT, "America/New_York")
    assert there.due_at == datetime(2026, 3, 4, 14, tzinfo=UTC)
    (late,) = find("We will call you today by 10 am", AT, LONDON)
    assert late.due_at is None
    assert len(find("I will call you tomorrow. " * 50, AT, LONDON)) == 10
    assert find("I will " + "a" * 100_000, AT, LONDON) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("YES", "yes"), ("Yes, thank you!", "yes"), ("ja", "yes"), ("1", "yes"), ("Partly.", "partly"), ("zum Teil", "partly"),
        ("No", "no"), ("no, it's not", "no"), ("leider nein", "no"), ("yes and no", None), ("no problem", None), ("", None),
        ("Yes, but the refund is missing", None), ("4", None), ("n" * 200, None),
    ],
)  # fmt: skip
def test_only_a_clear_short_reply_is_an_answer(text: str, said: str | None) -> None:
    assert read(text) == said


def test_reminders_come_early_enough_and_a_short_promise_is_not_reminded_of_in_the_past() -> None:
    story = Story()
    story.command(promise(due_at=START + timedelta(minutes=5)))
    assert story.timers["promise:p1"] == START + timedelta(minutes=5)
    story.command(promise(due_at=START + 30 * DAY))
    assert story.timers["promise:p2"] == START + 29 * DAY
