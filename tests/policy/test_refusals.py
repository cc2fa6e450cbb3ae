"""What is wrong in a document is found, and shown at its place. ‸ marks where the message must point."""

from __future__ import annotations

import pytest

from shared.policy.document import load_policy
from shared.policy.problems import PolicyRefused
from tests.policy.documents import marked, problems, text

WHEN = "- {{id: R1, when: '{}', then: {{tier: 2}}}}"


def refused_at(document: str, message: str, rule: str | None = None) -> None:
    plain, line, column = marked(document)
    found = problems(plain)
    assert found, "the document was accepted"
    assert message in found[0].message
    assert (found[0].line, found[0].column) == (line, column), found[0]
    if rule is not None:
        assert found[0].rule == rule


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("complaint.‸sevrity > 3", "complaint has no fact 'sevrity'; did you mean 'severity'?"),
        ("complaint.customer.‸vulnerble", "complaint.customer has no fact 'vulnerble'; did you mean 'vulnerable'?"),
        ("‸comlaint.severity > 3", "unknown name 'comlaint.severity'; did you mean 'complaint.severity'?"),
        ("as_of - complaint.received_at > ‸dayz(3)", "unknown name 'dayz'; did you mean 'days'?"),
        ("complaint.severity ‸> \"3\"", "'>' cannot be applied to (int, string)"),
        ("complaint.severity > 2.5", "'>' cannot be applied to (int, double)"),
        ("complaint.category == ‸\"biling\"", "did you mean 'billing'?"),
        ("complaint.category in [\"billing\", ‸\"delivry\"]", "did you mean 'delivery'?"),
        ("complaint.customer.history.exists(h, h.category == ‸\"fraude\")", "did you mean 'fraud'?"),
        ("‸\"opne\" == complaint.status", "'opne' is not a value of status"),
        ("complaint.severity >‸", "the condition ends too early"),
        ("‸complaint.severity", "a condition must be true or false, but this is int"),
        ("complaint.severity ‸/ 2 > 1", "'/' is not part of cel-subset/1"),
        ("complaint.category.‸matches(\"b.*\")", "no regular expressions"),
        ("as_of - complaint.received_at > ‸duration(\"28d\")", "write days(n) or hours(n)"),
        ("complaint.tags‸[0] == \"legal\"", "there is no index"),
        ("complaint.tags.‸exists_one(t, t == \"legal\")", "filter(...).size() == 1"),
        ("complaint.customer.history.exists(h, complaint.tags.‸exists(t, t == h.category))", "a loop inside a loop"),
        ("complaint.tags.‸exists(complaint, complaint == \"a\")", "hides a fact"),
        ("‸complaint.customer == complaint.customer", "a whole message cannot be compared"),
        ("‸complaint.channel == \"email\"", "complaint.channel may be missing: guard it, as in has(complaint.channel) && ..."),
        ("has(complaint.resolved_at) || as_of - ‸complaint.resolved_at > days(1)", "may be missing"),
        ("has(‸complaint.tags)", "a list is always present"),
        ("complaint.severity in ‸[1, \"a\"]", "lists hold one type"),
        ("‸{\"a\": 1} == {\"a\": 1}", "maps and messages cannot be built"),
        ("‸b\"x\" == b\"x\"", "bytes constants are not part"),
        ("‸1u == 1u", "uint64 constants are not part"),
        ("‸type(1) == int", "not"),
        ("‸__import__(\"os\") == 1", "unknown name '__import__'"),
        ("‸variables.age > days(1)", "unknown name 'variables.age'"),
    ],
)  # fmt: skip
def test_a_condition_is_refused_where_it_is_wrong(condition: str, message: str) -> None:
    if "‸" not in condition:
        assert any(message in each.message for each in problems(text(WHEN.format(condition))))
        return
    refused_at(text(WHEN.format(condition)), message, "R1")


@pytest.mark.parametrize(
    "condition",
    [
        "has(complaint.channel) && complaint.channel == \"email\"",
        "complaint.channel == \"email\" && has(complaint.channel)",
        "!has(complaint.channel) || complaint.channel == \"email\"",
        "has(complaint.channel) ? complaint.channel == \"email\" : false",
        "!has(complaint.resolved_at) ? false : as_of - complaint.resolved_at > days(3)",
        "!(!has(complaint.channel) || complaint.severity > 2) && complaint.channel == \"email\"",
        "complaint.severity in [1, 2] && complaint.tags.all(t, t.startsWith(\"s\"))",
        "complaint.customer.history.map(h, h.category == \"billing\", h.opened_at).exists(t, t > as_of)",
    ],
)  # fmt: skip
def test_a_guarded_field_and_every_admitted_feature_pass(condition: str) -> None:
    assert problems(text(WHEN.format(condition))) == ()


@pytest.mark.parametrize(
    "rule",
    [
        "- id: R1\n  when: complaint.severity > 2 && complaint.‸sevrity > 3\n  then: {tier: 2}",
        "- id: R1\n  when: >\n    complaint.severity > 2 &&\n    complaint.‸sevrity > 3\n  then: {tier: 2}",
        "- id: R1\n  when: >-\n\n    complaint.severity > 2 &&\n    complaint.‸sevrity > 3\n  then: {tier: 2}",
        "- id: R1\n  when: |\n    complaint.severity > 2 &&\n      complaint.‸sevrity > 3\n  then: {tier: 2}",
        "- id: R1\n  when: 'complaint.category == ''billing'' && complaint.‸sevrity > 3'\n  then: {tier: 2}",
        '- id: R1\n  when: "complaint.category == \\"billing\\" && complaint.‸sevrity > 3"\n  then: {tier: 2}',
        "- id: R1\n  when: complaint.severity > 2 &&\n        complaint.‸sevrity > 3\n  then: {tier: 2}",
        "- {id: R1, then: {tier: 2}, when: 'complaint.category == \"é😀\" || complaint.‸sevrity > 3'}",
    ],
)
def test_places_are_right_however_the_text_is_written_in_yaml(rule: str) -> None:
    refused_at(text(rule), "no fact 'sevrity'", "R1")


@pytest.mark.parametrize(
    ("change", "to", "message"),
    [
        ("kind: EscalationPolicy", "‸kind: EscalationPolcy", "did you mean 'EscalationPolicy'?"),
        ("language: cel-subset/1", "‸language: cel-subset/2", "language must be cel-subset/1"),
        ("facts: complaint-facts/4", "‸facts: complaint-facts/3", "'complaint-facts/3' is not a fact schema"),
        ("hit_policy: COLLECT", "‸hit_polcy: COLLECT", "unknown key 'hit_polcy'; did you mean 'hit_policy'?"),
        ("hit_policy: COLLECT", "‸hit_policy: ANY", "hit_policy must be UNIQUE, FIRST or COLLECT"),
        ("hit_policy: COLLECT", "hit_policy: COLLECT\n  ‸calendar: uk-busines-hours/2026a", "did you mean 'uk-business-hours/2026a'?"),
        ("hit_policy: COLLECT", "hit_policy: COLLECT\n  aggregate: {‸teir: MAX}", "did you mean 'tier'?"),
        ("hit_policy: COLLECT", "hit_policy: COLLECT\n  aggregate: {‸remedy_authority: MAX}", "no greatest or least"),
        ("version: 3", "‸version: '3'", "version"),
        ("version: 3", "version: 3, ‸supersedes: 3", "an earlier version"),
        ("then: {tier: 2}", "then: {‸teir: 2}", "'teir' is not an outcome of the escalation service; did you mean 'tier'?"),
        ("then: {tier: 2}", "then: {‸tier: 0}", "a whole number from 1 to 9"),
        ("then: {tier: 2}", "then: {‸acknowledge_within: 4}", "must be a duration such as 4h"),
        ("then: {tier: 2}", "then: {‸acknowledge_within: 3bd}", "spec.calendar has no opening hours"),
        ("then: {tier: 2}", "then: {‸remedy_authority: {goodwill_payment: 500}}", "write it with its currency"),
        ("then: {tier: 2}", "‸then: {}", "nothing is decided here"),
        ("default: {tier: 1}", "‸default: {acknowledge_within: 1d}", "the default must set 'tier'"),
        ("id: R1", "‸id: 7", "id must be text, not '7'; put it in quotes"),
        ("when: complaint.severity > 3", "‸when: true", "when must be text, not true"),
    ],
)  # fmt: skip
def test_a_document_of_another_form_is_refused_where_it_is_wrong(change: str, to: str, message: str) -> None:
    good = text("- {id: R1, when: complaint.severity > 3, then: {tier: 2}}")
    assert problems(good) == ()
    assert change in good
    refused_at(good.replace(change, to), message)


def test_every_problem_is_reported_in_the_order_of_the_file() -> None:
    rules = """
        - {id: R1, when: complaint.sevrity > 3, then: {tier: 2}}
        - {id: R1, when: complaint.severity > 3, then: {tier: 99}}
        - {id: R3, when: 'complaint.status == "opn"', then: {tier: 2}}
    """
    found = problems(text(rules))
    assert [each.rule for each in found] == ["R1", "R1", "R1", "R3"]
    assert [each.line for each in found] == sorted(each.line for each in found)


def test_two_rules_of_collect_may_not_fight_over_an_outcome_without_aggregation() -> None:
    rules = """
        - {id: R1, when: complaint.severity > 3, then: {tier: 2}}
        - {id: R2, when: complaint.severity > 4, then: {tier: 3}}
    """
    assert "R1 and R2 both set 'tier'" in problems(text(rules))[0].message
    assert problems(text(rules, rest="aggregate: {tier: MAX}")) == ()
    assert problems(text(rules, hit_policy="FIRST")) == ()


def test_amounts_of_one_remedy_share_a_currency() -> None:
    rule = "- {id: R1, when: complaint.severity > 3, then: {remedy_authority: {goodwill_payment: 5 EUR}}}"
    found = problems(text(rule, default="{tier: 1, remedy_authority: {goodwill_payment: 5 GBP}}"))
    assert "must share a currency" in found[0].message


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("{name: t, given: {complaint: {‸sevrity: 2}}, expect: {tier: 1}}", "no fact 'sevrity'; did you mean 'severity'?"),
        ("{name: t, given: {complaint: {‸severity: 9}}, expect: {tier: 1}}", "a whole number from 1 to 5"),
        ("{name: t, given: {complaint: {‸category: biling}}, expect: {tier: 1}}", "did you mean 'billing'?"),
        ("{name: t, given: {‸ages: 3d}, expect: {tier: 1}}", "did you mean 'age'?"),
        ("{name: t, given: {‸age: 3 days}, expect: {tier: 1}}", "is not a duration"),
        ("{name: t, given: {‸age: 3d, complaint: {received_at: '2026-01-01T00:00:00Z'}}, expect: {tier: 1}}", "say the same"),
        ("{name: t, given: {complaint: {‸received_at: '2026-01-01T00:00:00'}}, expect: {tier: 1}}", "has no zone"),
        ("{name: t, given: {complaint: {customer: {history: [{‸age: x}]}}}, expect: {tier: 1}}", "is not a duration"),
        ("{name: t, given: {}, expect: {‸rules: [R2]}}", "there is no rule 'R2'"),
        ("{name: t, given: {}, expect: {‸teir: 2}}", "'teir' cannot be expected; did you mean 'tier'?"),
    ],
)  # fmt: skip
def test_a_test_that_names_things_wrongly_is_refused(test: str, message: str) -> None:
    refused_at(text("- {id: R1, when: complaint.severity > 3, then: {tier: 2}}", rest=f"tests: [{test}]"), message)


@pytest.mark.parametrize(
    ("invariant", "message"),
    [
        ("{id: I1, never: '‸outcome.teir > 2'}", "unknown name 'outcome.teir'; did you mean 'outcome.tier'?"),
        ("{id: I1, never: 'outcome.tier ‸> \"2\"'}", "cannot be applied to (int, string)"),
        ("{id: I1, monotone: {‸raise: complaint.sevrity, never_lowers: tier}}", "did you mean 'complaint.severity'?"),
        ("{id: I1, monotone: {raise: complaint.severity, ‸never_lowers: teir}}", "did you mean 'tier'?"),
    ],
)
def test_an_invariant_is_checked_like_a_condition(invariant: str, message: str) -> None:
    rule = "- {id: R1, when: complaint.severity > 3, then: {tier: 2}}"
    assert (
        problems(text(rule, rest="invariants: [{id: I1, never: 'outcome.tier > 2 && complaint.severity < 2'}]")) == ()
    )
    document = text(rule, rest=f"invariants: [{invariant}]")
    plain, line, column = marked(document)
    found = problems(plain)
    assert message in found[0].message
    assert (found[0].line, found[0].column) == (line, column)
    assert found[0].rule == "I1"


def test_the_message_shows_the_line_and_a_caret_under_the_place() -> None:
    document = text("- {id: R1, when: complaint.sevrity > 3, then: {tier: 2}}")
    with pytest.raises(PolicyRefused) as refused:
        load_policy(document, origin="policies/escalation.yaml")
    head, line, caret = str(refused.value).splitlines()
    assert head.startswith("policies/escalation.yaml:9:32: R1: complaint has no fact 'sevrity'")
    assert line[caret.index("^") :].startswith("sevrity")


def test_an_unknown_tag_is_a_warning_for_tags_are_open() -> None:
    document = text("""- {id: R1, when: '"regulatr" in complaint.tags', then: {tier: 2}}""")
    warnings = load_policy(document, origin="test.yaml").warnings
    assert [("did you mean 'regulator'?" in each.message, each.rule) for each in warnings] == [(True, "R1")]
