"""The check-ins after a resolution: first the fact is verified, then the customer is asked, once more if silent. Pure.

The policy says per remedy what is to be verified and when to ask; the customer says where, when and whether at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal

from services.followup.domain import channels
from services.followup.domain.waking import Hours, next_waking
from shared.frozen import dataclass, field
from shared.policy import targets
from shared.policy.calendars import due_at
from shared.policy.evaluate import PolicyResult

Kind = Literal["verify", "ask", "ask_again"]
ASK = "satisfaction_survey"
WEEK = timedelta(days=7)
# What a policy that says nothing about it gets.
ONCE_MORE = "7d"
WAKING = Hours(time(9), time(20))
NO_CONTACT = "the customer asked for no contact"
PASSED = "that time had passed already"


@dataclass(frozen=True, slots=True)
class Reach:
    """Where and when a customer can be reached. `silent`: why nobody may write to them at all, empty if anybody may.

    `preference` and `came_by` are those of the complaint; `reachable` the channels with an address, empty if not known;
    `contacted` when they heard from us. `calendar` is the policy's: business time counts by it, days where they are.
    """

    zone: str
    preference: str = "any"
    came_by: str = "unknown"
    reachable: tuple[str, ...] = ()
    quiet_hours: tuple[Hours, ...] = ()
    contacted: tuple[datetime, ...] = ()
    silent: str = ""
    calendar: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One check-in. `verify` looks for `fact` in our own systems; `ask` and `ask_again` write to the customer.

    `wanted_at` is what the policy wants; `due_at` is later where `moved` says why. `fact`: what is to be proved first.
    """

    number: int
    kind: Kind
    due_at: datetime
    wanted_at: datetime
    channels: tuple[str, ...]
    rules: tuple[str, ...]
    fact: str | None = None
    moved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckInPlan:
    """The steps in order of time, or why there are none. `unverified_at`: silence until then is recorded as such."""

    steps: tuple[Step, ...] = ()
    none_because: str | None = None
    unverified_at: datetime | None = None


def check_ins(results: Sequence[PolicyResult], resolved_at: datetime, now: datetime, reach: Reach) -> CheckInPlan:
    """The plan of one complaint, resolved at `resolved_at`: `results` holds a decision of the policy for each remedy.

    With several remedies each fact is verified, and the customer is asked once, when the last one may be asked about.
    """
    if reach.silent or reach.preference == "none":
        return CheckInPlan(none_because=reach.silent or NO_CONTACT)
    asking = [result for result in results if result.outcome["action"] == ASK]
    if not asking:
        return CheckInPlan(none_because=_nothing_wanted(results[0]))
    steps = [_verify(result, resolved_at, now, reach) for result in asking if _fact(result)]
    last = max(asking, key=lambda result: _after(result, "after", resolved_at, reach))
    wanted_at = max(_after(last, "after", resolved_at, reach), *(step.wanted_at for step in steps), resolved_at)
    ways = channels.in_order(last.outcome.get("channel", "preferred"), reach.preference, reach.came_by, reach.reachable)
    budget = _Budget(last.outcome, reach)
    place = budget.place(wanted_at, now)
    if place is None:
        return CheckInPlan(tuple(steps), none_because="the customer's quiet hours leave no waking hour to ask in")
    facts = ", ".join(step.fact for step in steps if step.fact) or None
    ask = Step(0, "ask", place.at, wanted_at, ways, last.rules, facts, place.moved)
    steps.append(ask)
    until = _after(last, "again_after", ask.due_at, reach, ONCE_MORE)
    if last.outcome.get("max_contacts", 2) > 1:
        again = budget.place(until, now)
        assert again is not None, "there was a waking hour before"
        steps.append(Step(0, "ask_again", again.at, until, ways, last.rules, facts, again.moved))
        until = _after(last, "again_after", again.at, reach, ONCE_MORE)
    ordered = sorted(steps, key=lambda step: step.due_at)
    numbered = tuple(
        Step(number, s.kind, s.due_at, s.wanted_at, s.channels, s.rules, s.fact, s.moved)
        for number, s in enumerate(ordered, 1)
    )
    return CheckInPlan(numbered, unverified_at=until)


def next_place(outcome: dict[str, Any], wanted: datetime, now: datetime, reach: Reach) -> datetime | None:
    """When a message that is wanted at `wanted` may go out: in waking hours, within the budget; None: never."""
    place = _Budget(outcome, reach).place(wanted, now)
    return place.at if place is not None else None


@dataclass(frozen=True, slots=True)
class Place:
    """A time for a message, and why it is not the one that was wanted."""

    at: datetime
    moved: tuple[str, ...]


class _Budget:
    """Waking hours, quiet hours and the contacts of a week: finds the next time at which a message may go out."""

    def __init__(self, outcome: dict[str, Any], reach: Reach) -> None:
        self._waking = waking_hours(outcome)
        self._per_week: int | None = outcome.get("per_week")
        self._reach = reach
        self._contacted = sorted(at.astimezone(UTC) for at in reach.contacted)

    def place(self, wanted: datetime, now: datetime) -> Place | None:
        """The next such time from `wanted` on, never before `now`; it then counts as a contact."""
        at, moved = wanted.astimezone(UTC), []
        if now > at:
            at = now.astimezone(UTC)
            moved.append(PASSED)
        while True:
            free = self._free(at)
            if free > at:
                moved.append(f"at most {self._per_week} messages in seven days")
                at = free
            awake = next_waking(at, self._reach.zone, self._waking, self._reach.quiet_hours)
            if awake is None:
                return None
            if awake == at:
                self._contacted = sorted([*self._contacted, at])
                return Place(at, tuple(dict.fromkeys(moved)))
            asleep = next_waking(at, self._reach.zone, self._waking) != at
            hours = f"outside waking hours {self._waking}" if asleep else "in the customer's quiet hours"
            moved.append(f"{hours} ({self._reach.zone})")
            at = awake

    def _free(self, at: datetime) -> datetime:
        """The first time from `at` on at which fewer contacts than the budget lie in the seven days before."""
        while self._per_week is not None:
            within = [contact for contact in self._contacted if at - WEEK < contact <= at]
            if len(within) < self._per_week:
                return at
            at = within[-self._per_week] + WEEK
        return at


def waking_hours(outcome: dict[str, Any]) -> Hours:
    """The waking hours of a policy's outcome."""
    start = time(outcome["from_hour"]) if "from_hour" in outcome else WAKING.start
    end = time(outcome["until_hour"] % 24) if "until_hour" in outcome else WAKING.end
    return Hours(start, end)


def _verify(result: PolicyResult, resolved_at: datetime, now: datetime, reach: Reach) -> Step:
    """Our own systems may be asked at any hour."""
    name = "verify_after" if "verify_after" in result.outcome else "after"
    wanted_at = _after(result, name, resolved_at, reach)
    moved = (PASSED,) if wanted_at < now else ()
    return Step(0, "verify", max(wanted_at, now), wanted_at, ("system",), result.rules, _fact(result), moved)


def _fact(result: PolicyResult) -> str | None:
    fact: str | None = result.outcome.get("verify")
    return None if fact == "none" else fact


def _after(result: PolicyResult, name: str, start: datetime, reach: Reach, otherwise: str = "0d") -> datetime:
    return due_at(reach.calendar, start, targets.parse(result.outcome.get(name, otherwise)), reach.zone)


def _nothing_wanted(result: PolicyResult) -> str:
    rules = ", ".join(result.rules)
    return f"the policy plans none: {f'rule {rules}' if rules else 'no rule matches, the default counts'}"

