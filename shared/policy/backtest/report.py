"""What the counts of a backtest mean: outcomes old by new, load, deadlines, promises, money, people; and the guardrails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from shared.policy import targets
from shared.policy.backtest.tally import Cell, Tally, deadlines_of
from shared.policy.evaluate import Policy
from shared.policy.guardrails import Limit, read_limit
from shared.policy.outcomes import money

Outcome = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One guardrail: its limit as written, what was measured in the same words, and whether it holds."""

    name: str
    limit: str
    measured: str
    passed: bool


@dataclass(slots=True)
class _Load:
    """Decisions by UTC hour."""

    hours: Counter[str]

    def as_json(self, hours: int) -> dict[str, Any]:
        peak = max(self.hours.items(), key=lambda each: each[1], default=(None, 0))
        total = sum(self.hours.values())
        return {
            "decisions": total,
            "mean_per_hour": round(total / hours, 3) if hours else 0.0,
            "peak_per_hour": peak[1],
            "peak_hour": peak[0],
        }

    @property
    def peak(self) -> int:
        return max(self.hours.values(), default=0)


class Report:
    """The report of one backtest of `policy`."""

    def __init__(self, policy: Policy, tally: Tally) -> None:
        self._policy, self._tally = policy, tally
        self._outcomes: dict[str, Outcome] = {}
        self.decisions = tally.cells.total()
        self.changed = sum(count for cell, count in tally.cells.items() if cell.old != cell.new)
        self._hours = sorted({cell.hour for cell in tally.cells})

    def as_json(self) -> dict[str, Any]:
        """Everything, for scripts."""
        tally, verdicts = self._tally, self.verdicts()
        return {
            "decisions": self.decisions,
            "unreadable": tally.unreadable,
            "faults": tally.faults,
            "period": {"from": self._hours[0], "to": self._hours[-1]} if self._hours else None,
            "changed": self.changed,
            "outcomes": self.outcomes(),
            "load": self.load(),
            "deadlines": {
                name: {
                    "earlier": moves.earlier, "later": moves.later, "gone": moves.gone, "new": moves.new,
                    "mean_shift_s": round(moves.shift_s / (moves.earlier + moves.later), 1) if moves.earlier + moves.later else 0.0,
                }
                for name, moves in sorted(tally.moves.items())
            },
            "promises_worse": [
                {
                    "complaint": each.complaint, "name": each.name, "decided_at": each.decided_at,
                    "old_due": each.old_due.isoformat().replace("+00:00", "Z"),
                    "new_due": None if each.new_due is None else each.new_due.isoformat().replace("+00:00", "Z"),
                }
                for each in tally.worse.values()
            ],
            "remedies": self.remedies(),
            "support_needs": self.support_needs(),
            "degraded": {"old": tally.old_degraded, "new": tally.new_degraded},
            "guardrails": [
                {"name": v.name, "limit": v.limit, "measured": v.measured, "passed": v.passed} for v in verdicts
            ],
            "passed": all(verdict.passed for verdict in verdicts),
        }  # fmt: skip

    # --- the parts

    def outcomes(self) -> dict[str, list[dict[str, Any]]]:
        """For every outcome how often which old value became which new one, the commonest first; None: not set."""
        found: dict[str, Counter[tuple[str, str]]] = {}
        for pair, count in self._pairs().items():
            old, new = (dict(_flat(self._outcome(text))) for text in pair)
            for name in old.keys() | new.keys():
                values = tuple(orjson.dumps(each.get(name)).decode() for each in (old, new))
                found.setdefault(name, Counter())[values[0], values[1]] += count
        return {
            name: [
                {"old": orjson.loads(old), "new": orjson.loads(new), "count": n}
                for (old, new), n in values.most_common()
            ]
            for name, values in sorted(found.items())
        }

    def load(self) -> dict[str, dict[str, Any]]:
        """Decisions per tier and hour."""
        hours = self._elapsed_hours()
        return {
            f"tier_{tier}": {"old": old.as_json(hours), "new": new.as_json(hours)}
            for tier, (old, new) in sorted(self._tiers().items())
        }

    def remedies(self) -> dict[str, dict[str, str]]:
        """What handlers may offer without asking, all decisions together."""
        sums: dict[tuple[str, str], list[Decimal]] = {}
        for pair, count in self._pairs().items():
            for side, text in enumerate(pair):
                for remedy, amount in self._outcome(text).get("remedy_authority", {}).items():
                    read = money(amount)
                    sums.setdefault((remedy, read.currency), [Decimal(0), Decimal(0)])[side] += read.amount * count
        return {
            f"{remedy} ({currency})": {"old": str(old), "new": str(new)}
            for (remedy, currency), (old, new) in sorted(sums.items())
        }

    def support_needs(self) -> dict[str, dict[str, int]]:
        """Decisions about customers who stated support needs, beside all others."""
        found = {key: {"decisions": 0, "changed": 0, "better": 0, "worse": 0} for key in ("with", "without")}
        for cell, count in self._tally.cells.items():
            counts = found["with" if cell.support_needs else "without"]
            counts["decisions"] += count
            if cell.old != cell.new:
                counts["changed"] += count
                better, worse = self._effect(cell)
                counts["better"] += count * better
                counts["worse"] += count * worse
        return found

    def verdicts(self) -> list[Verdict]:
        """The guardrails of the document, and one of our own: every recorded decision could be read."""
        found: list[Verdict] = []
        guardrails = self._policy.document.spec.guardrails
        for name, value in guardrails.limits.items() if guardrails is not None else ():
            limit = read_limit(name, value)
            measured = self._measured(name, limit)
            found.append(Verdict(name, str(value), _written(measured, limit), measured <= limit.amount))
        if self._tally.unreadable:
            found.append(Verdict("unreadable", "0", str(self._tally.unreadable), passed=False))
        if not self.decisions:
            found.append(Verdict("decisions", "at least 1", "0", passed=False))
        return found

    # --- measuring

    def _measured(self, name: str, limit: Limit) -> float:
        match name:
            case "changed_open_promises_worse":
                return len(self._tally.worse)
            case "deadlines_later":
                return self._tally.later if limit.form == "count" else self._share(self._tally.later)
            case "changed_share":
                return self._share(self.changed)
            case "redress_cost":
                return max(
                    (_rise(Decimal(each["old"]), Decimal(each["new"])) for each in self._by_currency()), default=0.0
                )
            case "support_needs_worse":
                return self.support_needs()["with"]["worse"]
            case "degraded":
                return self._tally.new_degraded
        tier = int(name.split("_")[1])
        old, new = self._tiers().get(tier, (_Load(Counter()), _Load(Counter())))
        if name.endswith("_peak"):
            return _rise(old.peak, new.peak)
        return self._share(new.hours.total()) - self._share(old.hours.total())

    def _share(self, count: int) -> float:
        """Percent of all decisions."""
        return 100 * count / self.decisions if self.decisions else 0.0

    def _by_currency(self) -> Iterator[dict[str, str]]:
        sums: dict[str, list[Decimal]] = {}
        for name, each in self.remedies().items():
            total = sums.setdefault(name[-4:-1], [Decimal(0), Decimal(0)])
            total[0] += Decimal(each["old"])
            total[1] += Decimal(each["new"])
        for old, new in sums.values():
            yield {"old": str(old), "new": str(new)}

    def _pairs(self) -> Counter[tuple[str, str]]:
        pairs: Counter[tuple[str, str]] = Counter()
        for cell, count in self._tally.cells.items():
            pairs[cell.old, cell.new] += count
        return pairs

    def _outcome(self, text: str) -> Outcome:
        if text not in self._outcomes:
            self._outcomes[text] = orjson.loads(text)
        return self._outcomes[text]

    def _tiers(self) -> dict[int, tuple[_Load, _Load]]:
        found: dict[int, tuple[_Load, _Load]] = {}
        for cell, count in self._tally.cells.items():
            for side, text in enumerate((cell.old, cell.new)):
                tier = self._outcome(text).get("tier")
                if tier is not None:
                    found.setdefault(tier, (_Load(Counter()), _Load(Counter())))[side].hours[cell.hour] += count
        return found

    def _elapsed_hours(self) -> int:
        if not self._hours:
            return 0
        first, last = (datetime.fromisoformat(f"{hour}:00:00+00:00") for hour in (self._hours[0], self._hours[-1]))
        return round((last - first).total_seconds() / 3600) + 1

    def _effect(self, cell: Cell) -> tuple[bool, bool]:
        """(better, worse) for the customer: a tier, a deadline, an authority. A change can be both."""
        old, new = self._outcome(cell.old), self._outcome(cell.new)
        steps = [_sign(new.get("tier", 0) - old.get("tier", 0))]
        before, after = deadlines_of(self._policy, old), deadlines_of(self._policy, new)
        for name in before.keys() | after.keys():
            was, becomes = (targets.nominal_s(targets.parse(each[name])) if name in each else None for each in (before, after))
            steps.append(1 if was is None else -1 if becomes is None else _sign(was - becomes))
        amounts = [each.get("remedy_authority", {}) for each in (old, new)]
        for remedy in amounts[0].keys() | amounts[1].keys():
            lower, upper = (money(each[remedy]).amount if remedy in each else Decimal(0) for each in amounts)
            steps.append(_sign(upper - lower))
        return 1 in steps, -1 in steps


def _flat(outcome: Outcome) -> Iterator[tuple[str, Any]]:
    for name, value in outcome.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", each) for key, each in value.items())
        else:
            yield name, value


def _sign(value: Any) -> int:
    return int(value > 0) - int(value < 0)


def _rise(old: Any, new: Any) -> float:
    """Percent more; from nothing to something is without bound."""
    if not old:
        return float("inf") if new else 0.0
    return float(100 * (new - old) / old)


def _written(measured: float, limit: Limit) -> str:
    if limit.form == "count":
        return str(round(measured))
    return f"{measured:+.2f}{'pp' if limit.form == 'share' else '%'}"
