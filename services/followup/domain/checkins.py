"""Check-ins after a resolution: the fact first, then the question, once more if silent, then `unverified`. Pure.

The plan is made when the complaint is resolved (`plan.check_ins`). One step at a time is scheduled; what comes after it
waits in `later`. Events of the complaint move or cancel it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from services.followup.domain import channels, outgoing, promises
from services.followup.domain import outcome as outcomes
from services.followup.domain import plan as planning
from services.followup.domain.chain import chain
from services.followup.domain.promises import Command
from services.followup.domain.state import FollowUpState, Later, Planned, Question
from services.followup.domain.waking import next_waking
from shared.contracts.complaints import Answer, PolicyCitation, Short
from shared.contracts.decision import Decision, Refused, Timer
from shared.contracts.escalations import Stated
from shared.contracts.followups import (
    AnswerWay,
    CheckInAnswered,
    CheckInCancelled,
    CheckInDue,
    CheckInScheduled,
    CheckInUnanswered,
    Comment,
    FactChecked,
)
from shared.frozen import replace
from shared.policy.complaint import citation
from shared.policy.evaluate import Policy, PolicyResult

S = FollowUpState
CHECK_IN = "check_in"
# A question waits for its fact so often, so long; then the customer is asked about the fact itself.
WAITS, WAIT = 2, timedelta(days=2)


class CheckFact(Command):
    """Whether a fact about the remedy (refund_booked, parcel_delivered...) is true, and what shows it."""

    fact: Short
    proved: bool = True
    evidence: Stated | None = None


class AnswerCheckIn(Command):
    """The customer's answer. `number`: of the check-in; without it the last question is meant."""

    answer: Answer
    number: int | None = None
    comment: Comment | None = None
    via: AnswerWay = "api"


def plan(state: S, at: datetime, policy: Policy, result: PolicyResult) -> Decision[S]:
    """The check-ins of a resolution: all are worked out, the first is scheduled."""
    results = [result]
    if len(state.remedies) > 1:
        facts = [replace(state.facts, remedy=remedy).as_of(at) for remedy in state.remedies]
        results = [policy.decide(each) for each in facts]
    found = planning.check_ins(results, state.facts.resolved_at or at, at, state.reach(policy.calendar))
    if not found.steps:
        return Decision(state)
    steps = [Later(s.kind, s.due_at, s.channels, s.rules, s.fact, s.moved) for s in found.steps]
    assert found.unverified_at is not None, "a plan with steps has an end"
    steps.append(Later("silence", found.unverified_at, ()))
    return _next(replace(state, later=tuple(steps), question=None, outcome=None), citation(policy, result))


def due(state: S, planned: Planned, now: datetime, policy: Policy) -> Decision[S]:
    """A step of the plan has come due."""
    before = replace(state, check_in=None)
    if planned.kind == "silence":
        return chain(before, lambda s: _unanswered(s, now), lambda s: outcomes.record(s, "unverified", now))
    event = CheckInDue(
        number=planned.number, kind=planned.kind, due_at=planned.due_at, fired_at=now, channel=planned.channel
    )
    result = policy.decide(state.facts.as_of(planned.due_at))
    cited = citation(policy, result)
    if planned.kind == "verify":
        return _verified(Decision(before, (event,)), planned, cited)
    if planned.fact and not _all_proved(state, planned.fact) and planned.waits < WAITS:
        return _wait(before, planned, now, policy, cited)
    return chain(before, lambda s: Decision(s, (event,)), lambda s: _ask(s, planned, now, policy, result), lambda s: _next(s, cited))


def check_fact(state: S, command: CheckFact, now: datetime, policy: Policy) -> Decision[S] | Refused:
    """A fact was looked up. A question that waits for it is asked as soon as the customer is awake; that the remedy was not
    carried out is for escalation, which opens the complaint again."""
    if state.facts.received_at is None:
        return Refused(404, "No such complaint", "Follow-up knows no complaint with this id.")
    if state.proved.get(command.fact) == command.proved:
        return Decision(state)
    event = FactChecked(
        fact=command.fact, proved=command.proved, evidence=command.evidence, by=command.by, occurred_at=now,
        disproves=None if command.proved else _remedy_of(state, command.fact, now, policy),
    )  # fmt: skip
    after = replace(state, proved={**state.proved, command.fact: command.proved})
    planned = after.check_in
    if planned is None or not planned.waits or not planned.fact or not _all_proved(after, planned.fact):
        return Decision(after, (event,))
    outcome = policy.decide(after.facts.as_of(now)).outcome
    zone = after.person.zone or policy.calendar_zone
    soon = next_waking(now, zone, planning.waking_hours(outcome)) or planned.due_at
    if soon >= planned.due_at:
        return Decision(after, (event,))
    moved = replace(planned, due_at=soon)
    return Decision(replace(after, check_in=moved), (event,), (Timer(CHECK_IN, soon),))


def answer(state: S, command: AnswerCheckIn, now: datetime, policy: Policy) -> Decision[S] | Refused:
    """The first answer counts; later only a worse one does, for whoever says "no" after "yes" is heard."""
    question = state.question
    if question is None or (command.number is not None and command.number > question.number):
        return Refused(404, "Nothing was asked", "This complaint has no question that waits for an answer.")
    if question.answer == command.answer and not command.comment:
        return Decision(state)
    better = ("yes", "partly", "no")
    if question.answer is not None and better.index(command.answer) < better.index(question.answer):
        detail = f"The answer was '{question.answer}' and the complaint is being looked at again because of it."
        return Refused(409, "Answered already", detail)
    event = CheckInAnswered(
        number=question.number, answer=command.answer, via=command.via, comment=command.comment or None,
        previous=question.answer, by=command.by or "customer", occurred_at=now,
    )  # fmt: skip
    after = replace(state, question=replace(question, answer=command.answer))
    said = {"yes": "solved", "partly": "partly", "no": "not_solved"}[command.answer]
    steps = [
        lambda s: Decision(s, (event,)),
        lambda s: cancel(s, "the customer has answered"),
        lambda s: outcomes.record(s, said, now),  # type: ignore[arg-type]
    ]
    if command.answer == "yes":
        steps.append(lambda s: _thank(s, now, policy))
    return chain(after, *steps)


def cancel(state: S, why: str) -> Decision[S]:
    """No check-in any more; a message about one that has not left is withdrawn."""
    waiting = tuple(out.name for out in state.outbound if out.purpose == outgoing.CHECK_IN and not out.sent)
    after = replace(
        state, check_in=None, later=(), outbound=tuple(out for out in state.outbound if out.name not in waiting)
    )
    if state.check_in is None:
        return Decision(after, withdraw=waiting)
    # What nobody has announced need not be taken back: the end of our waiting.
    silent = state.check_in.kind == "silence"
    event = CheckInCancelled(number=state.check_in.number, reason=why[:255])
    return Decision(after, () if silent else (event,), cancel=(CHECK_IN,), withdraw=waiting)


def _next(state: S, cited: PolicyCitation) -> Decision[S]:
    """Schedule the next step of the plan."""
    if not state.later:
        return Decision(state)
    step, *rest = state.later
    number = state.check_ins + (step.kind != "silence")
    channel = step.channels[0] if step.channels else "any"
    planned = Planned(number=number, kind=step.kind, due_at=step.due_at, channel=channel, fact=step.fact)
    after = replace(state, check_ins=number, check_in=planned, later=tuple(rest))
    timer = Timer(CHECK_IN, step.due_at)
    if step.kind == "silence":
        return Decision(after, (), (timer,))
    event = CheckInScheduled(
        number=number, kind=step.kind, due_at=step.due_at, channel=channel, fact=step.fact, moved_because=step.moved,
        policy=cited.model_copy(update={"rules": step.rules}) if step.rules not in ((), cited.rules) else cited,
    )  # fmt: skip
    return Decision(after, (event,), (timer,))


def _verified(due_now: Decision[S], planned: Planned, cited: PolicyCitation) -> Decision[S]:
    """The time to look: unless the fact is proved already, somebody is asked to look it up."""
    fact = planned.fact or ""
    steps = [lambda _: due_now]
    if due_now.state.proved.get(fact) is not True:
        what = f"See whether this is so, and say it with evidence: {fact.replace('_', ' ')}"
        steps.append(lambda s: outgoing.task(s, "verify", what, planned.due_at))
    steps.append(lambda s: _next(s, cited))
    return chain(due_now.state, *steps)


def _wait(state: S, planned: Planned, now: datetime, policy: Policy, cited: PolicyCitation) -> Decision[S]:
    """Nobody is asked whether a refund arrived that is not booked yet: the question waits, and says so."""
    outcome = policy.decide(state.facts.as_of(now)).outcome
    zone = state.person.zone or policy.calendar_zone
    later = next_waking(now + WAIT, zone, planning.waking_hours(outcome)) or now + WAIT
    moved = replace(planned, due_at=later, waits=planned.waits + 1)
    # What comes after the question moves as far.
    shift = later - planned.due_at
    rest = tuple(replace(step, due_at=step.due_at + shift) for step in state.later)
    event = CheckInScheduled(
        number=moved.number, kind=moved.kind, due_at=later, channel=moved.channel, policy=cited, fact=moved.fact,
        moved_because=(f"not proved yet: {(planned.fact or '').replace('_', ' ')}"[:255],),
    )  # fmt: skip
    return Decision(replace(state, check_in=moved, later=rest), (event,), (Timer(CHECK_IN, later),))


def _ask(state: S, planned: Planned, now: datetime, policy: Policy, result: PolicyResult) -> Decision[S]:
    outcome = result.outcome
    reach = state.reach(policy.calendar)
    ways = channels.in_order(outcome.get("channel", "preferred"), reach.preference, reach.came_by, reach.reachable)
    values = {
        "number": planned.number, "again": planned.kind == "ask_again", "fact": planned.fact,
        "proved": bool(planned.fact) and _all_proved(state, planned.fact or ""),
        "owns_what": [promise.what for promise in state.to_own], "owns": [promise.id for promise in state.to_own],
        "late": (now - planned.due_at).total_seconds() > outgoing.LATE_S, "zone": reach.zone,
    }  # fmt: skip
    times = state.question.times + 1 if state.question else 1
    # After an outage the steps behind must not all come at once.
    shift = max(now - planned.due_at, timedelta())
    asked = replace(
        promises.owned(state),
        question=Question(planned.number, now, times),
        later=tuple(replace(step, due_at=step.due_at + shift) for step in state.later),
    )
    return outgoing.send(asked, CHECK_IN, planned.number, "check_in", ways, values, now, planned.due_at)


def _unanswered(state: S, now: datetime) -> Decision[S]:
    question = state.question
    if question is None:
        return Decision(state)
    event = CheckInUnanswered(number=question.number, asked=question.times, silent_since=question.asked_at)
    return Decision(state, (event,))


def _thank(state: S, now: datetime, policy: Policy) -> Decision[S]:
    """Where the policy says so; never to somebody who must not be contacted."""
    outcome = policy.decide(state.facts.as_of(now)).outcome
    wanted = outcome.get("on_yes", "nothing")
    question = state.question
    if wanted == "nothing" or question is None or state.silent or state.facts.contact_preference == "none":
        return Decision(state)
    reach = state.reach(policy.calendar)
    ways = channels.in_order("preferred", reach.preference, reach.came_by, reach.reachable)
    ways = tuple(way for way in ways if way not in ("phone", "post"))  # nobody is called to be thanked
    if not ways:
        return Decision(state)
    values = {"review": wanted == "ask_for_review", "zone": reach.zone}
    return outgoing.send(state, outgoing.THANKS, question.number, "thanks", ways, values, now, now)


def _remedy_of(state: S, fact: str, now: datetime, policy: Policy) -> str | None:
    """The remedy of the last resolution that rests on `fact`, by the policy; None where none does."""
    if state.facts.resolved_at is None:
        return None
    resolved = replace(state.facts, status="resolved")
    for remedy in state.remedies:
        if policy.decide(replace(resolved, remedy=remedy).as_of(now)).outcome.get("verify") == fact:
            return remedy
    return None


def _all_proved(state: S, facts: str) -> bool:
    return all(state.proved.get(fact) is True for fact in facts.split(", "))
