"""Tells the events of a complaint to a person: for each, what happened in a word or two, and the rest in a line. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.records import story_escalations, story_followups

EXCERPT = 60  # characters of the customer's words
_CHANNELS = {
    "api": "API",
    "email": "e-mail",
    "postal": "letter",
    "sms": "SMS",
    "social": "social media",
    "unknown": "unknown channel",
    "voice": "phone",
}

Data = Mapping[str, Any]
_LINES = {**story_escalations.TELLERS, **story_followups.TELLERS}


class Told(NamedTuple):
    """`what` in a word or two ("decided"), `text` in a line; a time in it is in the policy's own zone where there is one."""

    what: str
    text: str


def tell(event: Mapping[str, Any]) -> Told:
    """One event of the timeline that records answers. What is not known is told by its type."""
    teller = _TELLERS.get(event["type"])
    told = Told("erased event" if event.get("erased") else "event", str(event["type"]))
    if teller is not None:
        with contextlib.suppress(
            KeyError, TypeError, ValueError, AttributeError
        ):  # recorded as it came: it may be anything
            told = teller(event["data"])
    elif event["type"] in _LINES:
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            what, line = _LINES[event["type"]]
            told = Told(what, line(event["data"]))
    return Told(told.what, plain(told.text))


def plain(line: str) -> str:
    """A line as it is shown on a terminal: what outsiders have written must not steer it."""
    return "".join(c if c.isprintable() else " " for c in line)


def _received(data: Data) -> Told:
    return Told("received", _contact(data["contact"]))


def _wrote_again(data: Data) -> Told:
    return Told("wrote again", _contact(data["contact"]))


def _reply_sent(data: Data) -> Told:
    contact = data["contact"]
    return Told("reply sent", f"by {_channel(contact.get('channel', 'unknown'))}{_excerpt(contact)}")


def _contact(contact: Data) -> str:
    category = contact.get("category", "other")
    about = [category.replace("_", " ")] if category != "other" else []
    tags = [tag for tag in contact.get("tags", ()) if tag not in about]
    severity = [f"severity {contact['severity']}"] if "severity" in contact else []
    parts = [f"by {_channel(contact.get('channel', 'unknown'))}", *about, *tags, *severity]
    return ", ".join(parts) + _excerpt(contact)


def _excerpt(contact: Data) -> str:
    text = " ".join((contact.get("subject") or contact.get("text") or "").split())
    if not text:
        return ""
    return f': "{text if len(text) <= EXCERPT else text[: EXCERPT - 3].rstrip() + "..."}"'


def _status_reported(data: Data) -> Told:
    reason = f": {data['reason']}" if data.get("reason") else ""
    return Told("status reported", f"{data['status']}, by {data['source']['instance']}{reason}")


def _set_aside(data: Data) -> Told:
    return Told("set aside", str(data["reason"]))


def _rejected(data: Data) -> Told:
    return Told("rejected", str(data["reason"]))


def _decided(data: Data) -> Told:
    raised = f"tier {data['tier']}"
    if data.get("previous_tier") not in (None, data["tier"]):
        raised = f"tier {data['previous_tier']} -> {data['tier']}"
    names = {"acknowledge": "acknowledge", "final_response": "final response"}
    clocks = [
        f"{names.get(c['name'], c['name'])} by {_when(c['due_at'], c['zone'])} ({c['target']})" for c in data["clocks"]
    ]
    legal = [story_escalations.due(each) for each in data.get("deadlines", ()) if each.get("regime")]
    degraded = ["a fact was missing, so the default counts"] if data["policy"].get("degraded") else []
    return Told("decided", "; ".join([raised, *clocks, *degraded, _by_rule(data["policy"]), *legal]))


def _status_changed(data: Data) -> Told:
    status = data["status"]
    what = "reopened" if status == "open" else status
    why = data.get("resolution") or data.get("reason")
    return Told(what, f"by {data['by']}" + (f": {why}" if why else ""))


def _update_scheduled(data: Data) -> Told:
    return Told("update scheduled", f"{_planned(data)}; {_by_rule(data['policy'])}")


def _check_in_scheduled(data: Data) -> Told:
    return Told("check-in scheduled", f"{_planned(data)}; {_by_rule(data['policy'])}")


def _update_due(data: Data) -> Told:
    return Told("update due", _planned(data))


def _check_in_due(data: Data) -> Told:
    return Told("check-in due", _planned(data))


def _update_cancelled(data: Data) -> Told:
    return Told("update cancelled", f"number {data['number']}: {data['reason']}")


def _check_in_cancelled(data: Data) -> Told:
    return Told("check-in cancelled", f"number {data['number']}: {data['reason']}")


def _checkpoint_signed(data: Data) -> Told:
    return Told("checkpoint signed", f"{data['size']} records of {data['origin']}")


def _erased(data: Data) -> Told:
    regime = f", {data['regime']}" if data.get("regime") else ""
    return Told("erased", f"by {data['by']}{regime}: {data['reason']}")


def _erasure_confirmed(data: Data) -> Told:
    return Told("erasure confirmed", "it has deleted what it had")


def _hold_set(data: Data) -> Told:
    matter = f" ({data['matter'].replace('_', ' ')})" if data.get("matter") else ""
    return Told("on hold", f"by {data['by']}{matter}: {data['reason']}")


def _erasure_requested(data: Data) -> Told:
    return Told("erasure asked", f"noted by {data['by']}: {data['reason']}")


def _hold_lifted(data: Data) -> Told:
    return Told("hold lifted", f"by {data['by']}: {data['reason']}")


def _case_read(data: Data) -> Told:
    return Told("read", f"by {data['by']} ({data['how']})")


def _access_given(data: Data) -> Told:
    return Told("access given", f"by {data['by']}: {data['reason']}")


def _hand_off_requested(data: Data) -> Told:
    missing = data["package"].get("missing") or []
    lacks = f"; without {', '.join(missing)}" if missing else ""
    until = _when(data["accept_by"], "UTC")
    by = f" ({_by_rule(data['policy'])})" if data.get("policy") else ""
    return Told("handed over", f"to {data['team']} (tier {data['tier']}), answer by {until}{by}: {data['reason']}{lacks}")


def _hand_off_accepted(data: Data) -> Told:
    return Told("accepted", f"by {data['by']} of {data['team']}")


def _hand_off_refused(data: Data) -> Told:
    return Told("not accepted", f"by {data['by']} of {data['team']}: {data['reason']}")


def _hand_off_lapsed(data: Data) -> Told:
    return Told("no answer", f"{data['team']} did not answer by {_when(data['accept_by'], 'UTC')}; it moves on")


def _remedy_offered(data: Data) -> Told:
    options = ", ".join(_option(each) for each in data["options"])
    waits = f"; needs tier {data['needs_tier']}" if data.get("needs_tier") else ""
    return Told("offered", f"{data['offer']}: {options}, by {data['by']}{waits}")


def _option(option: Data) -> str:
    amount = option.get("amount")
    return f"{option['remedy']} {amount['amount']} {amount['currency']}" if amount else str(option["remedy"])


def _remedy_authorised(data: Data) -> Told:
    return Told("authorised", f"offer {data['offer']} by {data['by']}")


def _remedy_countered(data: Data) -> Told:
    return Told("counter-offer", f"to offer {data['offer']}: {data['asked']}")


def _remedy_accepted(data: Data) -> Told:
    return Told("offer accepted", f"{data['offer']}: {_option(data['option'])}")


def _remedy_refused(data: Data) -> Told:
    return Told("offer refused", f"{data['offer']}" + (f": {data['reason']}" if data.get("reason") else ""))


def _incident(data: Data) -> Told:
    return Told("help needed now", f"{data['kind'].replace('_', ' ')}, reported by {data['by']}")


def _conduct_warned(data: Data) -> Told:
    return Told("warned", f"by {data['by']}: {data['reason']}")


def _conduct_restricted(data: Data) -> Told:
    return Told("contact limited", f"{', '.join(data['scope'])} until {_when(data['until'], 'UTC')}, by {data['by']}: {data['reason']}")


def _conduct_review(data: Data) -> Told:
    return Told("review due", "the restriction is to be looked at again")


def _conduct_appealed(data: Data) -> Told:
    return Told("appealed", f"by {data['by']}: {data['words']}")


def _conduct_ended(data: Data) -> Told:
    return Told("limit ended", f"by {data['by']}: {data['reason']}")


def _planned(data: Data) -> str:
    return f"{data['kind'].replace('_', ' ')} {data['number']} by {_channel(data['channel'])}, {_when(data['due_at'], 'UTC')}"


def _by_rule(policy: Data) -> str:
    return f"by {', '.join(policy['rules']) or 'default'} of {policy['id']} version {policy['version']}"


def _channel(name: str) -> str:
    return _CHANNELS.get(name, name.replace("_", " "))


def _when(iso: str, zone: str) -> str:
    try:
        at = datetime.fromisoformat(iso).astimezone(ZoneInfo(zone))
    except ZoneInfoNotFoundError:
        at = datetime.fromisoformat(iso)
    return f"{at:%a %d %b %H:%M %Z}"


_TELLERS: dict[str, Callable[[Data], Told]] = {
    "amends.complaint.received.v1": _received,
    "amends.complaint.contact_added.v1": _wrote_again,
    "amends.complaint.reply_sent.v1": _reply_sent,
    "amends.complaint.status_reported.v1": _status_reported,
    "amends.complaint.merged.v1": lambda data: Told("merged", f"into {data['into']} by {data['by']}"),
    "amends.complaint.merge_undone.v1": lambda data: Told("merge undone", f"was {data['into']}; by {data['by']}"),
    "amends.complaint.repeat_suspected.v1": lambda data: Told("repeat suspected", f"of {data['of']}, by {', '.join(data['matched'])}"),
    "amends.complaint.repeat_dismissed.v1": lambda data: Told("no repeat", f"of {data['of']}, says {data['by']}"),
    "amends.submission.set_aside.v1": _set_aside,
    "amends.submission.rejected.v1": _rejected,
    "amends.escalation.decision_made.v1": _decided,
    "amends.escalation.status_changed.v1": _status_changed,
    "amends.followup.update_scheduled.v1": _update_scheduled,
    "amends.followup.update_due.v1": _update_due,
    "amends.followup.update_cancelled.v1": _update_cancelled,
    "amends.followup.check_in_scheduled.v1": _check_in_scheduled,
    "amends.followup.check_in_due.v1": _check_in_due,
    "amends.followup.check_in_cancelled.v1": _check_in_cancelled,
    "amends.ledger.checkpoint_signed.v1": _checkpoint_signed,
    "amends.complaint.erased.v1": _erased,
    "amends.intake.erasure_confirmed.v1": _erasure_confirmed,
    "amends.escalation.erasure_confirmed.v1": _erasure_confirmed,
    "amends.followup.erasure_confirmed.v1": _erasure_confirmed,
    "amends.records.hold_set.v1": _hold_set,
    "amends.records.erasure_requested.v1": _erasure_requested,
    "amends.records.hold_lifted.v1": _hold_lifted,
    "amends.records.case_read.v1": _case_read,
    "amends.records.access_given.v1": _access_given,
    "amends.escalation.hand_off_requested.v1": _hand_off_requested,
    "amends.escalation.hand_off_accepted.v1": _hand_off_accepted,
    "amends.escalation.hand_off_refused.v1": _hand_off_refused,
    "amends.escalation.hand_off_lapsed.v1": _hand_off_lapsed,
    "amends.escalation.remedy_offered.v1": _remedy_offered,
    "amends.escalation.remedy_authorised.v1": _remedy_authorised,
    "amends.escalation.remedy_countered.v1": _remedy_countered,
    "amends.escalation.remedy_accepted.v1": _remedy_accepted,
    "amends.escalation.remedy_refused.v1": _remedy_refused,
    "amends.escalation.incident_logged.v1": _incident,
    "amends.escalation.conduct_warned.v1": _conduct_warned,
    "amends.escalation.conduct_restricted.v1": _conduct_restricted,
    "amends.escalation.conduct_review_due.v1": _conduct_review,
    "amends.escalation.conduct_appealed.v1": _conduct_appealed,
    "amends.escalation.conduct_ended.v1": _conduct_ended,
}
