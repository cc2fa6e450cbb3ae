"""Decisions by policy beside the same rules as plain Python functions, and a backtest: microseconds of one process."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any

from shared.policy.backtest import run
from shared.policy.backtest.recorded import line
from shared.policy.backtest.report import Report
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RULES = (5, 50, 500)
CHANGE = ('"when":"complaint.severity >= 4"', '"when":"complaint.severity >= 3"')
COMPLAINTS = 400
ROUNDS = 25
CATEGORIES = ("billing", "delivery", "product_quality", "safety", "fraud", "other")
TAGS = ("legal", "regulator", "press", "injury", "safety")

Plain = Callable[[dict[str, Any]], Any]


def policies(*, decisions: int = 200_000) -> dict[str, Any]:
    """The figures of the part `policy`."""
    found: dict[str, Any] = {f"{count} rules": _decisions(count) for count in RULES}
    found["backtest"] = _backtest(decisions)
    return found


def _decisions(count: int) -> dict[str, float]:
    rules = [_rule(index, Random(index)) for index in range(count)]
    policy = load_policy(_document([condition for condition, _ in rules]), origin="bench")
    plain = _plain([function for _, function in rules])
    given = complaints(COMPLAINTS)
    for facts in given:
        matched = policy.rules.matched(facts)
        assert matched is not None
        assert (policy.decide(facts).outcome["tier"], [f"R{i}" for i in matched]) == plain(facts), facts
    best = _best({"plain": plain, "decide": _undecorated(policy), "explain": policy.decide}, given)
    started = time.perf_counter()
    load_policy(_document([condition for condition, _ in rules]), origin="bench")
    loading = time.perf_counter() - started
    return {
        "plain_us": round(best["plain"], 2),
        "without_explanation_us": round(best["decide"], 2),
        "with_explanation_us": round(best["explain"], 2),
        "without_explanation_x": round(best["decide"] / best["plain"], 2),
        "with_explanation_x": round(best["explain"] / best["plain"], 2),
        "load_ms": round(loading * 1e3, 1),
    }


def _undecorated(policy: Policy) -> Plain:
    rules = policy.rules

    def decide(facts: dict[str, Any]) -> Any:
        matched = rules.matched(facts)
        assert matched is not None
        return rules.outcome(matched, facts), matched

    return decide


def _best(steps: dict[str, Plain], given: list[dict[str, Any]]) -> dict[str, float]:
    """CPU microseconds per complaint, the best of some rounds, taken in turns so that other load hits all alike."""
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(ROUNDS):
        for name, step in steps.items():
            started = time.thread_time()
            for facts in given:
                step(facts)
            best[name] = min(best[name], (time.thread_time() - started) / len(given) * 1e6)
    return best


def _rule(index: int, random: Random) -> tuple[str, Plain]:
    """A condition, and the same as a Python function over the same facts."""
    kind = index % 10
    severity, category, tag, days = (
        random.randint(2, 5),
        random.choice(CATEGORIES),
        random.choice(TAGS),
        random.randint(1, 60),
    )
    if kind < 4:
        return (
            f'complaint.severity >= {severity} && complaint.category == "{category}"',
            lambda f: f["complaint"]["severity"] >= severity and f["complaint"]["category"] == category,
        )
    if kind < 6:
        other = random.choice(CATEGORIES)
        return (
            f'complaint.category in ["{category}", "{other}"] && complaint.customer.vulnerable',
            lambda f: f["complaint"]["category"] in (category, other) and f["complaint"]["customer"]["vulnerable"],
        )
    if kind < 7:
        return f'"{tag}" in complaint.tags', lambda f: tag in f["complaint"]["tags"]
    if kind < 9:
        span = timedelta(days=days)
        return (
            f"as_of - complaint.received_at > days({days})",
            lambda f: f["as_of"] - f["complaint"]["received_at"] > span,
        )
    span = timedelta(days=days)
    return (
        f'complaint.customer.history.filter(h, h.category == "{category}" && as_of - h.opened_at < days({days})).size() >= 2',
        lambda f: (
            len(
                [
                    h
                    for h in f["complaint"]["customer"]["history"]
                    if h["category"] == category and f["as_of"] - h["opened_at"] < span
                ]
            )
            >= 2
        ),
    )


def _plain(functions: list[Plain]) -> Plain:
    """All rules, and the greatest tier of those that match, as somebody would write it by hand."""
    rules = [(f"R{index}", function, 1 + index % 3) for index, function in enumerate(functions)]

    def decide(facts: dict[str, Any]) -> Any:
        matched = [(name, tier) for name, function, tier in rules if function(facts)]
        return max((tier for _, tier in matched), default=1), [name for name, _ in matched]

    return decide


def _document(conditions: list[str]) -> str:
    rules = [{"id": f"R{i}", "when": when, "then": {"tier": 1 + i % 3}} for i, when in enumerate(conditions)]
    return json.dumps(
        {
            "apiVersion": "complaints.policy/v1",
            "kind": "EscalationPolicy",
            "metadata": {"id": "bench", "version": 1, "owner": "bench", "reason": "bench"},
            "spec": {
                "language": "cel-subset/1", "facts": "complaint-facts/4", "hit_policy": "COLLECT", "aggregate": {"tier": "MAX"},
                "rules": rules, "default": {"tier": 1},
            },
        }
    )  # fmt: skip


def complaints(count: int) -> list[dict[str, Any]]:
    """Facts as services give them; the same ones each time."""
    random = Random(5)

    def one() -> dict[str, Any]:
        received_at = NOW - timedelta(days=random.choice([0, 1, 3, 8, 20, 45]), seconds=random.randrange(80_000))
        history = [
            {"category": random.choice(CATEGORIES), "opened_at": NOW - timedelta(days=random.randrange(1, 120))}
            for _ in range(random.choice([0, 0, 1, 2, 4, 12]))
        ]
        complaint = {
            "severity": random.randint(1, 5), "category": random.choice(CATEGORIES), "status": "open", "channel": "email",
            "tags": random.sample(TAGS, random.choice([0, 0, 0, 1, 2])), "received_at": received_at,
            "last_contact_at": received_at, "contact_preference": "any",
            "customer": {"vulnerable": random.random() < 0.1, "history": history},
        }  # fmt: skip
        return {"as_of": NOW, "complaint": complaint}

    return [one() for _ in range(count)]


def _cpu_s() -> float:
    """Seconds of CPU of this process and of those that it has ended."""
    return sum(each.ru_utime + each.ru_stime for each in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


def _backtest(decisions: int) -> dict[str, float]:
    """Rows a second of a backtest, reading included: the retail policy with a change that a third of the decisions feel."""
    from tests.bench.events import ESCALATION_POLICY, policy_of

    policy = policy_of("escalation", ESCALATION_POLICY)
    candidate = load_policy(policy.canonical.replace(*CHANGE), origin="candidate")
    assert candidate.digest != policy.digest
    given = [(facts, policy.decide(facts).outcome) for facts in complaints(2_000)]
    with tempfile.TemporaryDirectory(prefix="amends-bench-") as folder:
        path = Path(folder) / "decisions.jsonl"
        with path.open("wb") as file:
            for number in range(decisions):
                facts, outcome = given[number % len(given)]
                at = NOW + timedelta(seconds=number % 7_776_000)
                file.write(
                    line(
                        complaint=f"c{number}",
                        decided_at=at,
                        version=1,
                        facts=facts,
                        outcome=outcome,
                        open=number % 5 == 0,
                    )
                )
        size = path.stat().st_size
        started, cpu = time.perf_counter(), _cpu_s()
        tally = run.run(candidate, None, run.from_file(path), lambda count: None)
        report = Report(candidate, tally).as_json()
        seconds, cpu = time.perf_counter() - started, _cpu_s() - cpu
    assert report["decisions"] == decisions
    per_million = 1e6 * seconds / decisions
    return {
        "rows_s": round(decisions / seconds),
        "bytes_per_row": round(size / decisions),
        "million_s": round(per_million, 1),
        "million_cpu_s": round(1e6 * cpu / decisions, 1),
        "changed_share": round(report["changed"] / decisions, 3),
    }
