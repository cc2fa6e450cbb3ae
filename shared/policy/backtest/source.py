"""The history of a backtest from a running Amends: the decisions that records has, by policies of the candidate's kind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from shared.calendar import durations
from shared.cli import WrongUse, kafka
from shared.cli.client import Client
from shared.clock import utc_now
from shared.policy import decisions
from shared.policy.distribution import topics
from shared.policy.distribution.line import SEVERAL
from shared.policy.evaluate import Policy

WINDOW = "90d"


def from_records(candidate: Policy, since: str | None, client: Client) -> Iterator[bytes]:
    """Blocks of lines, of so long (`90d`); without `since` of the guardrails' window. Of packs only the candidate's own."""
    guardrails = candidate.document.spec.guardrails
    try:
        span = durations.parse(since or (guardrails.window if guardrails else WINDOW))
    except durations.DurationRefused as refused:
        raise WrongUse(f"--since: {refused}") from None
    where, _ = kafka.settings()
    published = kafka.answer(where, lambda: topics.read_all(where)).versions.values()
    replaced = () if candidate.kind in SEVERAL else (v.policy for v in published if v.kind == candidate.kind)
    begin = utc_now() - timedelta(seconds=span.length_s)
    return decisions.lines(decisions.pages(client, since=begin, service=candidate.service), {candidate.id, *replaced})
