"""Follow-up's decisions. Pure: state, input and policy in; state, events, timers and messages out.

Each part decides about its own piece of the state: `updates` before a resolution, `checkins` after it, `promises`
and `hand_offs` throughout. Here stands what an input means to all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from services.followup.domain import checkins, hand_offs, outgoing, people, promises, updates
from services.followup.domain.chain import chain
from services.followup.domain.checkins import CHECK_IN, AnswerCheckIn, CheckFact
from services.followup.domain.people import AllowContact, Bounced, FinishTask, StopContact
from services.followup.domain.promises import (
    ConfirmPromise,
    KeepPromise,
    MakePromise,
    NobodyWorks,
    PromiseCommand,
    WithdrawPromise,
)
from services.followup.domain.state import FollowUpState, Outbound, Planned
from services.followup.domain.updates import KINDS, UPDATE, NoteProgress
from shared.contracts.complaints import ComplaintReceived, Contact, ContactAdded, ReplySent, SubmissionSetAside
from shared.contracts.decision import Decision, Due, Refused, Settled
from shared.contracts.envelope import EventData
from shared.contracts.escalations import HandOffAccepted, StatusChanged, TierDecided
from shared.contracts.heard import HEARD
from shared.frozen import replace
from shared.policy.complaint import ComplaintFacts
from shared.policy.evaluate import Policy
from shared.text import answers
from shared.text import promises as promise_text

__all__ = [
    "CHECK_IN", "READS", "UPDATE", "AllowContact", "AnswerCheckIn", "Bounced", "CheckFact", "Command", "ConfirmPromise",
    "FinishTask", "FollowUpState", "KeepPromise", "MakePromise", "NoteProgress", "Planned", "StopContact",
    "WithdrawPromise", "on_command", "on_event", "on_returned", "on_settled", "on_timer",
]  # fmt: skip

S = FollowUpState
Command = PromiseCommand | NoteProgress | CheckFact | AnswerCheckIn | StopContact | AllowContact | Bounced | FinishTask
_NEW = FollowUpState()
# What follow-up reads. Of an event of another type it only notes that it was there.
READS: Mapping[str, type[EventData]] = {
    **HEARD, **{each.TYPE: each for each in (ReplySent, SubmissionSetAside, TierDecided, StatusChanged, HandOffAccepted)}
}  # fmt: skip
UNKNOWN = Refused(
    404, "No such complaint", "Follow-up knows no complaint with this id. If it was just sent, try again in a moment."
)


def on_event(state: S | None, data: EventData, at: datetime, policy: Policy) -> Decision[S]:
    """What an event of intake or escalation, accepted or decided `at`, changes in the plan."""
    before = state or _NEW
    match data:
        case ComplaintReceived(contact=contact):
            return _wrote(before, before.facts.after_receipt(data), contact, at, policy)
        case ContactAdded(contact=contact):
            return _wrote(before, before.facts.after_contact(contact), contact, at, policy)
        case ReplySent(contact=contact):
            return _replied(before, contact, policy)
        case TierDecided():
            return _decided(before, data)
        case StatusChanged():
            return _status(before, data, at, policy)
        case HandOffAccepted() if before.facts.received_at is not None:
            return hand_offs.accepted(replace(before, facts=before.facts.after(data)), data, at, policy)
        case _:
            return Decision(replace(before, facts=before.facts.after(data)))


def on_timer(state: S | None, due: Due, now: datetime, policy: Policy) -> Decision[S]:
    """Something planned has come due; `now` is later than `due.due_at` after an outage."""
    before = state or _NEW
    if due.name == CHECK_IN and before.check_in is not None:
        return checkins.due(before, before.check_in, now, policy)
    if due.name == UPDATE and before.update is not None:
        return updates.due(before, before.update, now, policy)
    if due.name == hand_offs.TIMER and before.news is not None:
        return hand_offs.due(before, before.news, now, policy)
    if due.name.startswith(promises.TIMER):
        return promises.on_timer(before, due.name.removeprefix(promises.TIMER), now)
    return Decision(before)


def on_settled(state: S | None, done: Settled, now: datetime) -> Decision[S]:
    """A message has left, or could not."""
    return Decision(_NEW) if state is None else outgoing.settled(state, done, now)


def on_returned(state: S, out: Outbound, why: str, now: datetime) -> Decision[S]:
    """A mail that had left came back later: the next channel is tried."""
    return outgoing.came_back(state, out, why, now)


def on_command(
    state: S | None, command: Command, now: datetime, policy: Policy, nobody_works: NobodyWorks
) -> Decision[S] | Refused:
    """What a person's command changes, or why it cannot be done."""
    if state is None or state.facts.received_at is None:
        return UNKNOWN
    match command:
        case MakePromise() | ConfirmPromise() | KeepPromise() | WithdrawPromise():
            return promises.on_command(state, command, now, policy.calendar_zone, nobody_works)
        case NoteProgress():
            return updates.note(state, command)
        case CheckFact():
            return checkins.check_fact(state, command, now, policy)
        case AnswerCheckIn():
            return checkins.answer(state, command, now, policy)
        case StopContact():
            return chain(state, lambda s: people.stop(s, command), lambda s: _silence(s, s.silent))
        case AllowContact():
            return people.allow(state, command)
        case Bounced():
            return people.bounced(state, command, now)
        case FinishTask():
            return people.finish(state, command)


def _wrote(before: S, facts: ComplaintFacts, contact: Contact, at: datetime, policy: Policy) -> Decision[S]:
    """Whoever is planned to hear from us still does; a first contact, or a more serious one, makes a new plan."""
    first = before.facts.received_at is None
    after = replace(before, facts=facts, person=before.person.after(contact))
    # A reply of a word or two is the answer; more than that is a contact, which escalation deals with.
    word = answers.read(contact.text) if before.question is not None and contact.answer is None and not first else None
    if word is not None:
        via = {"email": "email", "sms": "sms", "chat": "chat", "messaging": "chat", "voice": "phone"}.get(contact.channel, "other")
        said = AnswerCheckIn.model_validate({"answer": word, "via": via, "by": "customer"})
        decided = checkins.answer(after, said, at, policy)
        return Decision(after) if isinstance(decided, Refused) else decided
    if after.facts.contact_preference == "none":
        return _silence(after, "the customer asked for no contact")
    return _plan(after, at, policy, "the customer wrote again") if first or after.update else Decision(after)


def _replied(before: S, contact: Contact, policy: Policy) -> Decision[S]:
    """The customer heard from us; and what the agent has promised there is proposed as a promise."""
    at = contact.occurred_at
    zone = before.person.zone or policy.calendar_zone
    found = promise_text.find(contact.text, at, zone) if contact.author_kind == "agent" else ()
    after = replace(before.after_contacting(at), next_step=before.next_step)
    return chain(
        after,
        lambda s: promises.proposed(s, found, zone, f"reply {contact.source.event_id}"[:255]),
        lambda s: updates.move(s, at, policy) if s.update else Decision(s),
    )


def _decided(before: S, data: TierDecided) -> Decision[S]:
    """Who deals with it now; that it went up is worth telling."""
    team = f"tier {data.tier}"
    raised = data.previous_tier is not None and data.tier > data.previous_tier
    done = (*before.done, "raised") if raised and "raised" not in before.done else before.done
    return Decision(replace(before, team=team, done=done))


def _status(before: S, data: StatusChanged, at: datetime, policy: Policy) -> Decision[S]:
    after = replace(before, facts=before.facts.after_status(data))
    if data.status == "resolved":
        kinds = (after.facts.remedy,) if after.facts.remedy else ()
        agreed = ". ".join(part.rstrip(". ") for part in (data.resolution, data.remedy) if part)
        after = replace(after, remedies=kinds, proved={}, agreed=agreed)
    elif data.status == "open" and data.previous in ("resolved", "closed"):
        after = replace(after, reopened=before.reopened + 1, question=None, done=())
    if after.facts.received_at is None:
        return Decision(after)
    return _plan(after, at, policy, f"the complaint is {data.status}")


def _plan(before: S, at: datetime, policy: Policy, why: str) -> Decision[S]:
    """Make the plan that the policy wants now; cancel what it no longer wants."""
    result = policy.decide(before.facts.as_of(at))
    action = result.outcome["action"]

    def further(state: S) -> Decision[S]:
        if state.silent:
            return Decision(state)
        if action in KINDS and (state.update is None or state.update.every != result.outcome.get("every")):
            return updates.plan(state, at, policy, result)
        if action not in (*KINDS, "none") and state.check_in is None:
            return checkins.plan(state, at, policy, result)
        return Decision(state)

    return chain(
        before,
        lambda s: checkins.cancel(s, why) if s.facts.status in ("open", "waiting") else Decision(s),
        lambda s: Decision(s) if action in KINDS else updates.cancel(s, why),
        lambda s: hand_offs.cancel(s) if s.facts.status in ("resolved", "closed") else Decision(s),
        further,
    )


def _silence(before: S, why: str) -> Decision[S]:
    """Nothing more of what is planned reaches the customer."""
    return chain(before, lambda s: checkins.cancel(s, why), lambda s: updates.cancel(s, why), hand_offs.cancel)
