"""What follow-up knows of a complaint: the facts, the person, what is planned, promised, asked and on its way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from pydantic import AwareDatetime

from services.followup.domain.plan import WEEK, Reach
from shared.calendar.durations import zone_info
from shared.contracts.complaints import Answer, Contact
from shared.contracts.followups import PromiseKind
from shared.frozen import dataclass, field, replace
from shared.policy.complaint import ComplaintFacts

PromiseStatus = Literal["proposed", "open", "kept", "broken", "withdrawn"]
# Addresses of one person, promises and messages of one complaint: what is older is in the ledger.
MOST = 50


@dataclass(frozen=True, slots=True)
class Person:
    """How to reach the customer, newest address first. `thread`: the mail that ours answers."""

    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    record: str = ""
    locale: str = ""
    zone: str = ""
    thread: str = ""

    def after(self, contact: Contact) -> Self:
        """With what a contact says of the person. An address that is gone from the newest contact is kept behind it."""
        given = contact.customer
        zone = given.zone or ""
        try:
            if zone:
                zone_info(zone)
        except ValueError:
            zone = ""
        phones = tuple(phone.e164 or phone.raw for phone in given.phones)
        return replace(
            self,
            emails=tuple(dict.fromkeys((*given.emails, *self.emails)))[:5],
            phones=tuple(dict.fromkeys((*phones, *self.phones)))[:5],
            record=self.record or f"{contact.source.instance}/{contact.source.record_id}",
            locale=given.locale or contact.language or self.locale,
            zone=zone or self.zone,
            thread=contact.message_id or self.thread if contact.channel == "email" else self.thread,
        )

    @property
    def reachable(self) -> tuple[str, ...]:
        """The channels for which there is an address; chat goes through the contact centre's own record."""
        return (
            *(("email",) if self.emails else ()),
            *(("sms", "phone") if self.phones else ()),
        )


@dataclass(frozen=True, slots=True)
class Planned:
    """A contact that is planned: number `number` of its sort, with the cadence it came from.

    Of a check-in `kind` is verify, ask, ask_again or silence (when we stop waiting for the answer). `waits`: how often
    it was put off because the fact is not proved yet.
    """

    number: int
    kind: str
    due_at: AwareDatetime
    channel: str
    every: str | None = None
    fact: str | None = None
    waits: int = 0


@dataclass(frozen=True, slots=True)
class Later:
    """A check-in that comes after the planned one: so long after the resolution, or after the question."""

    kind: str
    due_at: AwareDatetime
    channels: tuple[str, ...]
    rules: tuple[str, ...] = ()
    fact: str | None = None
    moved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that somebody owes the customer. `owned`: we have owned up to having broken it; `kept_late`: it was kept then."""

    id: str
    kind: PromiseKind
    what: str
    zone: str
    status: PromiseStatus
    due_at: AwareDatetime | None = None
    owner: str = ""
    owned: bool = False
    reminded: bool = False
    kept_late: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """The customer was asked whether it is solved. `answer` is theirs; `by_number` how often they were asked."""

    number: int
    asked_at: AwareDatetime
    times: int = 1
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Outbound:
    """A message on its way or sent: what it was for, and by which channels it can still be tried."""

    name: str
    purpose: str
    number: int
    channel: str
    left: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    sent: bool = False
    due_at: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """Something that a person must do."""

    id: str
    kind: str
    what: str
    due_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class News:
    """That a team has accepted the complaint, to be told at `due_at`: `team` by its title (empty: it has none), `why` as
    escalation's cause or in somebody's words (`said`)."""

    number: int
    team: str
    why: str
    said: str
    due_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class FollowUpState:
    """What follow-up knows of a complaint and has planned. Of the customer only how to reach them, and no text.

    `agreed` is how it was resolved, in the agent's words: the customer page shows it.
    """

    facts: ComplaintFacts = field(default_factory=ComplaintFacts)
    updates: int = 0
    check_ins: int = 0
    update: Planned | None = None
    check_in: Planned | None = None
    later: tuple[Later, ...] = ()
    person: Person = field(default_factory=Person)
    remedies: tuple[str, ...] = ()
    agreed: str = ""
    proved: dict[str, bool] = field(default_factory=dict)
    promises: tuple[Promise, ...] = ()
    promised: int = 0
    question: Question | None = None
    outbound: tuple[Outbound, ...] = ()
    tasks: tuple[Task, ...] = ()
    tasked: int = 0
    silent: str = ""
    contacted: tuple[AwareDatetime, ...] = ()
    reopened: int = 0
    outcome: str | None = None
    team: str | None = None
    # Since the customer last heard: what was done, as said by people or seen in events; what comes next.
    done: tuple[str, ...] = ()
    next_step: str = ""
    news: News | None = None

    def reach(self, calendar: Mapping[str, Any]) -> Reach:
        """Where and when the customer can be reached. `calendar`: the policy's."""
        return Reach(
            zone=self.person.zone or calendar["zone"],
            calendar=calendar,
            preference=self.facts.contact_preference,
            came_by=self.facts.channel,
            reachable=(*self.person.reachable, *(("chat",) if self.facts.channel in CHATS else ())),
            contacted=self.contacted,
            silent=self.silent,
        )

    def after_contacting(self, at: datetime, **more: Any) -> Self:
        """With the fact that the customer hears from us `at`, and with `more`."""
        recent = tuple(each for each in self.contacted if each > at - WEEK - timedelta(days=1))
        return replace(self, contacted=(*recent, at)[-MOST:], done=(), facts=self.facts.after_reply(at), **more)

    @property
    def language(self) -> str:
        """The primary language of the customer ("de"), empty if it is not known."""
        return self.person.locale.replace("_", "-").split("-")[0].lower()

    def promise(self, promise_id: str) -> Promise | None:
        return next((promise for promise in self.promises if promise.id == promise_id), None)

    def with_promise(self, promise: Promise) -> Self:
        """With this promise in place of the one of its id, or added."""
        kept = tuple(promise if each.id == promise.id else each for each in self.promises)
        return replace(self, promises=kept if self.promise(promise.id) else (*kept, promise))

    @property
    def to_own(self) -> tuple[Promise, ...]:
        """Broken promises that the next message to the customer must own."""
        return tuple(promise for promise in self.promises if promise.status == "broken" and not promise.owned)


# Channels that only the contact centre can answer on.
CHATS = ("chat", "messaging", "social")
