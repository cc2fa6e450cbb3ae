"""The draft check: how well it finds on the labelled drafts, what it says, and what it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import cli
from services.followup import drafts as shipped_rules
from services.followup.drafts import DEFAULT, answer, default_rules
from shared.policy.problems import PolicyRefused
from shared.text.drafts import evaluate
from shared.text.drafts.check import KINDS, check
from shared.text.drafts.rules import load_rules
from shared.text.drafts.spec import Case, DraftToCheck
from shared.text.drafts.wording import worded

LABELLED = Path(__file__).parent / "labelled" / "drafts_dev.csv"
LAMP = {
    "issues": ["lamp arrived broken", "hotline hung up"],
    "impact": "sat in the dark on her birthday",
    "promises_broken": ["delivery on Monday"],
    "remedies_allowed": ["replacement", "20 EUR credit"],
    "fault": "ours",
    "history": ["We understand how frustrating this must be for you."],
}


def checked(draft: str) -> tuple[set[str], set[str]]:
    found = check(default_rules(), draft, Case.model_validate(LAMP))
    return {finding.kind for finding in found.findings}, set(found.missing)


@pytest.mark.parametrize(
    ("name", "kinds", "missing"),
    [
        ("drafts_own", (0.92, 0.9), (0.92, 0.92)),
        ("drafts_aside", (0.88, 0.93), (0.93, 0.86)),
        ("drafts_aside_sectors", (0.8, 0.84), (0.75, 0.88)),
    ],
)
def test_our_own_drafts_are_judged_no_worse_than_before(
    name: str, kinds: tuple[float, float], missing: tuple[float, float]
) -> None:
    result = evaluate.evaluate(default_rules(), evaluate.rows_of(LABELLED.with_name(f"{name}.csv")))
    for column, (precision, recall) in (("kinds", kinds), ("missing", missing)):
        found = result["micro"][column]
        assert found["precision"] >= precision, (column, found)
        assert found["recall"] >= recall, (column, found)


def test_the_labelled_drafts_are_judged_as_labelled() -> None:
    result = evaluate.evaluate(default_rules(), evaluate.rows_of(LABELLED))
    for kind in KINDS:
        tally = result["labels"]["kinds"][kind]
        assert tally["precision"] >= 0.85, (kind, tally)
        assert tally["recall"] >= 0.75, (kind, tally)
    assert result["micro"]["missing"]["precision"] >= 0.9
    assert result["micro"]["missing"]["recall"] >= 0.9


def test_a_good_draft_has_no_findings_and_lacks_nothing() -> None:
    draft = (
        "Dear Ms Day, your lamp arrived broken, you sat in the dark on your birthday, and our hotline hung up on you. "
        "We had promised delivery on Monday and did not keep that. I am sorry. A replacement reaches you on Thursday, "
        "or you take 20 euros of credit; the hotline colleague and I have listened to the call and I will ring you today."
    )
    assert checked(draft) == (set(), set())


@pytest.mark.parametrize(
    ("kind", "draft"),
    [
        ("blame", "You should have opened the box more carefully."),
        ("defensive", "Please understand that our drivers work around the clock."),
        ("absolute", "There is absolutely nothing we can do, without exception."),
        ("sorry_if", "We apologise if you felt let down."),
        ("jargon", "The RMA sits in the WMS queue until the SLA timer is reset."),
        ("dismissive", "It is only a lamp, no big deal."),
        ("policy_hiding", "According to our terms and conditions, lamps are excluded."),
        ("sarcasm", "Thank you for the free lecture, your majesty."),
        ("hollow_repeat", "We understand how frustrating this must be for you. A new lamp comes."),
        ("over_promise", "I guarantee that no lamp will ever break again."),
        ("over_promise", "We will credit you 400 EUR tomorrow."),
        ("admits_liability", "We were negligent and are legally liable to you."),
        ("arguing", "You claim the lamp was broken. That is not true."),
    ],
)
def test_each_fault_is_found_with_its_place_and_a_calmer_wording(kind: str, draft: str) -> None:
    told = answer(default_rules(), DraftToCheck.model_validate({"draft": draft, "complaint": LAMP}))
    found = [finding for finding in told["findings"] if finding["kind"] == kind]
    assert found
    for finding in found:
        start, end = finding["span"]
        assert draft[start:end] == finding["text"]
        assert finding["suggestion"]


@pytest.mark.parametrize(
    ("draft", "apology"),
    [
        ("I am sorry that your lamp broke.", "experience"),
        ("I am sorry. That was our mistake.", "error"),
        ("We are sorry if this upset you.", "conditional"),
        ("A new lamp comes on Friday.", "none"),
    ],
)
def test_the_kind_of_apology_is_told(draft: str, apology: str) -> None:
    assert check(default_rules(), draft, Case()).apology == apology


def test_a_sentence_quoted_from_the_history_is_no_hollow_repeat() -> None:
    kinds, _ = checked('You have had "we understand how frustrating this must be for you" from us before.')
    assert "hollow_repeat" not in kinds


def test_doubtful_words_beside_an_apology_are_no_fault() -> None:
    kind = "I am sorry about the lamp. It's only right that you pay nothing. Our contract says two weeks; you get it in one."
    assert checked(kind)[0] == set()
    assert checked("It is only a lamp. Our contract says two weeks.")[0] >= {"dismissive"}


def test_a_finding_shows_its_clause_and_says_why_with_the_facts_of_the_case() -> None:
    told = answer(
        default_rules(), DraftToCheck.model_validate({"draft": "Well, it is just a lamp, sir.", "complaint": LAMP})
    )
    (finding,) = told["findings"]
    assert finding["text"] == "it is just a lamp"
    assert "only the customer knows" in finding["reason"]
    assert "sat in the dark on her birthday" in finding["suggestion"]
    assert "hotline hung up" in told["asks"]["issue_2"]
    assert list(told["asks"]) == told["missing"]
    assert all(told["asks"].values())


def test_every_language_has_every_text() -> None:
    languages = default_rules().languages
    for language in languages.values():
        assert set(language.suggestions) == set(language.reasons) == set(KINDS)
        assert set(language.asks) == set(languages["en"].asks)
    german = check(default_rules(), "Es tut uns leid, falls Sie sich an der Lampe gestört haben sollten.", Case())
    assert "Entschuldigen Sie sich" in german.findings[0].suggestion


def test_a_text_leaves_out_what_is_not_known() -> None:
    assert worded("Name it[: {impact}].", Case()) == "Name it."
    assert worded("Name it[: {impact}].", Case(impact="no light")) == "Name it: no light."


def test_a_text_that_names_no_fact_of_a_case_is_refused(tmp_path: Path) -> None:
    shipped = Path(shipped_rules.__file__).parent / "policy" / DEFAULT
    file = tmp_path / "drafts.yaml"
    file.write_text(shipped.read_text(encoding="utf-8").replace(": {impact}", ": {impct}", 1), encoding="utf-8")
    with pytest.raises(PolicyRefused, match="is no fact of a case"):
        load_rules(file.read_text(encoding="utf-8"), origin=str(file), beside=lambda _: "language: en\n")


@given(st.text(max_size=400))
def test_any_draft_is_judged_and_places_lie_within_it(draft: str) -> None:
    for finding in check(default_rules(), draft, Case.model_validate(LAMP)).findings:
        assert 0 <= finding.start < finding.end <= len(draft)


def test_what_is_null_is_not_known_and_a_byte_order_mark_is_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "draft.json"
    text = json.dumps(
        {"draft": "You should have read it.", "complaint": {"issues": None, "impact": None, "fault": None}}
    )
    file.write_text(text, encoding="utf-8-sig")
    assert cli.run(["draft", "check", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"][0]["kind"] == "blame"
    file.write_text('{"draft": null}')
    assert cli.run(["draft", "check", str(file), "--json"]) == 2
    assert "draft: Field required" in capsys.readouterr().err


def test_the_command_prints_what_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "draft.json"
    file.write_text(json.dumps({"draft": "You should have read it.", "complaint": LAMP}), encoding="utf-8")
    assert cli.run(["draft", "check", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["findings"][0]["kind"] == "blame"
    assert "apology" in told["missing"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"{", "JSON"), (b"{}", "draft"), (b'{"draft": "x", "complaint": {"fault": "nobodys"}}', "complaint.fault")],
)
def test_a_file_that_is_no_draft_is_wrong_use(
    content: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "draft.json"
    file.write_bytes(content)
    assert cli.run(["draft", "check", str(file)]) == 2
    assert said in capsys.readouterr().err
