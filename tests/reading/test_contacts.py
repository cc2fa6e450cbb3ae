"""Reading a contact: what is added, what stays, and what never counts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import cli
from services.intake import evaluate
from services.intake.reading import default_rules, read, read_text
from shared.contracts.complaints import Contact, Customer, Raw, Source

LABELLED = Path(__file__).parent / "labelled" / "complaints_dev.csv"


NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


def contact(text: str, **given: Any) -> Contact:
    return Contact(
        source=Source(system="api", instance="shop", record_id="r", event_id="e"),
        occurred_at=NOW,
        occurred_at_quality="exact",
        received_at=NOW,
        raw=Raw(delivery_id=UUID(int=1), item=0, sha256="0" * 64, content_type="application/json"),
        text=text,
        **given,
    )


def test_the_labelled_texts_are_read_as_labelled() -> None:
    rows = [row for row in evaluate.rows_of(LABELLED) if row["language"] == "en"]
    result = evaluate.evaluate(default_rules(), rows)
    assert result["heat_within_one_step"] >= 0.95
    for name in ("threats", "support_needs"):
        assert result["micro"][name]["precision"] >= 0.9, result["micro"][name]
        assert result["micro"][name]["recall"] >= 0.8, result["micro"][name]
    assert result["micro"]["language"]["recall"] >= 0.98


# Precision and recall of threats, then of support needs: a little below what was reached, on texts the rules were written
# by and on texts kept aside from that.
@pytest.mark.parametrize(
    ("name", "heat", "threats", "needs"),
    [
        ("complaints_own", 0.97, (0.95, 0.95), (0.95, 0.97)),
        ("complaints_aside", 0.97, (0.84, 0.89), (0.90, 0.94)),
    ],
)
def test_our_own_texts_are_read_no_worse_than_before(
    name: str, heat: float, threats: tuple[float, float], needs: tuple[float, float]
) -> None:
    result = evaluate.evaluate(default_rules(), evaluate.rows_of(LABELLED.with_name(f"{name}.csv")))
    assert result["heat_within_one_step"] >= heat
    for column, (precision, recall) in (("threats", threats), ("support_needs", needs)):
        found = result["micro"][column]
        assert found["precision"] >= precision, (column, found)
        assert found["recall"] >= recall, (column, found)


def test_labels_count_however_a_spreadsheet_writes_them() -> None:
    text = "This is the third time I ask. I will see you in court."
    given = {"language": "en", "heat": "Frustrated", "threats": "Legal", "support_needs": "NONE", "repeated": "TRUE", "escalation": "0"}
    result = evaluate.evaluate(default_rules(), [dict.fromkeys(evaluate.COLUMNS, "") | given | {"text": text}])
    assert not {error["column"] for error in result["errors"]} & {"threats", "support_needs", "repeated", "escalation"}, result["errors"]
    assert result["heat_within_one_step"] == 1.0


def test_what_is_read_stands_beside_the_words() -> None:
    text = "The charger caught fire. I use a wheelchair and could not get out. I will see you in court. Please call me."
    found = read(contact(text))
    assert found.text == text
    assert found.reading is not None
    assert set(found.reading.threats) == {"safety", "legal"}
    assert found.tags[:2] == ("legal", "safety")
    assert found.customer.support_needs == ("disability",)
    assert found.category == "safety"
    assert found.language == "en"
    assert found.severity == 4
    assert found.reading.issues[0].text.startswith("The charger caught fire")
    for passage in found.reading.passages:
        assert 0 <= passage.start < passage.end <= len(text)


def test_what_the_sender_stated_stays() -> None:
    given_ = contact(
        "My late husband's bill is wrong.", category="fraud", severity=5, tags=("vip",), language="en-GB",
        customer=Customer(support_needs=("illness",)),
    )  # fmt: skip
    found = read(given_)
    assert (found.category, found.severity, found.language) == ("fraud", 5, "en-GB")
    assert found.tags[0] == "vip"
    assert found.customer.support_needs == ("illness", "bereavement")


def test_heat_alone_never_drives_severity() -> None:
    calm = read(contact("The lamp came in the wrong colour. Could you send another?"))
    angry = read(contact("You useless morons!!! The lamp came in the WRONG FUCKING COLOUR. Send another NOW"))
    assert calm.reading is not None
    assert angry.reading is not None
    assert (calm.reading.heat, angry.reading.heat) == ("calm", "abusive")
    assert calm.severity == angry.severity


@pytest.mark.parametrize(
    "text",
    [
        "I'm not going to sue anybody, I just want my parcel.",
        "Your letter says I can go to the ombudsman, but I am happy now.",
        "The tennis court light is out.",
        "Press the button and nothing happens; the French press broke too.",
        "I nearly died laughing at the typo on the box.",
        "These boots are killing me, could I swap them?",
        "My phone died and my late delivery never came.",
        "The app asks for my social security number.",
        "I could murder a cup of tea. Where is my kettle?",
        "Is there a suicide prevention poster in your shop? I volunteer.",
        "Your guard told me he would break my arm.",
    ],
)
def test_words_alone_are_no_threat(text: str) -> None:
    read_ = read_text(default_rules(), text)
    assert not read_.threats, read_.passages


@pytest.mark.parametrize(
    "text",
    [
        "My account was disabled this morning.",
        "I am an old customer of 20 years with an old model.",
        "My late delivery has not come.",
        "The child lock does not work.",
        "There is no hardship here, I can afford it.",
        "My grown-up son set the app up for me.",
        "The roller blind came without a bracket.",
    ],
)
def test_words_alone_are_no_support_need(text: str) -> None:
    assert not read_text(default_rules(), text).needs


@pytest.mark.parametrize(
    "text",
    [
        "I want your manager. Nobody else.",
        "Could this please be passed on to a supervisor?",
        "GET ME SOMEONE IN CHARGE NOW",
        "I'd like this escalated, the first line closed my ticket.",
        "please have ur team leader ring me",
        "I've asked for a manager three times and nobody has called.",
        "Ich möchte bitte mit Ihrem Vorgesetzten sprechen, so geht das nicht weiter.",
        "Je veux parler à votre responsable, personne ne me répond depuis lundi.",
        "Quiero hablar con un supervisor ahora mismo, nadie me da una solución.",
        "Vorrei parlare con un responsabile, nessuno qui sa darmi una risposta.",
        "Ik wil graag uw leidinggevende spreken, want dit slaat nergens op.",
        "Quero falar com o gerente, porque ninguém resolve o meu problema.",
        "Proszę mnie połączyć z kierownikiem, ta rozmowa nie ma sensu.",
    ],
)
def test_a_customer_asks_for_somebody_above(text: str) -> None:
    found = read(contact(text)).reading
    assert found is not None
    assert found.escalation
    assert any(passage.finding == "escalation" for passage in found.passages)


@pytest.mark.parametrize(
    "text",
    [
        "I don't need a manager, I need a plumber.",
        "Your manager laughed and told us that we could leave.",
        "I spoke to your manager yesterday and she promised a refund.",
        "My own manager must sign the invoice, please send it again.",
        "The password manager in your app does not fill the field.",
        "I'd like to tell your manager how kind Anita was.",
        "Unless this is solved I will escalate it to the ombudsman.",
        "Mein Chef braucht die Rechnung bis Montag, bitte schicken Sie sie noch einmal.",
    ],
)
def test_a_manager_who_is_only_mentioned_is_not_asked_for(text: str) -> None:
    assert not read_text(default_rules(), text).escalation


def test_a_text_without_a_word_is_left_alone() -> None:
    empty = contact("", subject=None)
    assert read(empty) is empty


@given(st.text(max_size=600))
def test_any_text_is_read(text: str) -> None:
    found = read(contact(text))
    assert found.text == text
    assert 1 <= found.severity <= 5


def test_a_hostile_text_takes_no_long_time() -> None:
    for text in ("i will not " * 9_000, "a" * 100_000, "!" * 100_000, '"' * 50_000, "my late " * 12_000):
        read(contact(text[:100_000]))


def test_the_command_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["intake", "eval", str(LABELLED)]) == 0
    assert "within one step" in capsys.readouterr().out
    assert cli.run(["intake", "eval", str(Path(__file__))]) == 2
    assert "column 'text'" in capsys.readouterr().err
