"""Escalation's way of an event or a timer: decode -> load -> decide -> save. Loading and saving are one step, `saves.act`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from prometheus_client import Counter

from services.escalation import domain, grants
from services.escalation.directory import Directory
from services.escalation.domain import Book, EscalationState, handling
from services.escalation.domain.handling import Desk
from services.escalation.domain.teams import Team, Teams
from services.escalation.links import Links
from shared.calendar.plain import text_of
from shared.contracts.codec import read_data
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import Event, Undecodable
from shared.contracts.escalations import AlarmRaised, ClockMissed, DecisionMade
from shared.contracts.heard import HEARD
from shared.contracts.topics import EVENTS
from shared.policy.calendars import read_calendar
from shared.policy.distribution.line import Policies
from shared.policy.shape import Remedy
from shared.postgres.dead_letters import save_batch
from shared.postgres.fold import from_record
from shared.postgres.inputs import Input, Work
from shared.postgres.pool import Connection
from shared.postgres.saves import Saves
from shared.telemetry import metrics

SERVICE = "escalation"
NOBODY = Teams()
READS = {**EVENTS, **HEARD}


@cache
def _decisions(policy: str, version: int, rule: str) -> Counter:
    return metrics.DECISIONS.labels(SERVICE, policy, str(version), rule)


@cache
def _missed(clock: str, regime: str) -> Counter:
    return metrics.CLOCKS_MISSED.labels(SERVICE, clock, regime)


class Handlers:
    """What escalation does with events, commands and timers. `saves` is set by app.py: it needs `decide` of this object."""

    def __init__(
        self, policies: Policies, directory: Callable[[], Directory] | None = None, links: Links | None = None,
        writable: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self._policies = policies
        self._directory = directory
        self._links = links
        self._writable = writable
        self._teams: tuple[Directory | None, Teams] = (None, NOBODY)
        self.saves: Saves[EscalationState]

    async def handle_batch(self, records: Sequence[Event | Undecodable]) -> None:
        await self._policies.caught_up()
        await save_batch(self.saves, [from_record(record) for record in records])

    def decide(self, state: EscalationState | None, item: Input, now: datetime) -> Decision[EscalationState] | Refused:
        desk = self._desk(item.subject)
        if item.kind == "message":  # a notification went out, or never will: the hand-off's own time decides what follows
            return Decision(state or EscalationState())
        if item.kind == "timer":
            book = self.book(now, now, item.subject)
            if item.body.name in handling.TIMERS:
                return handling.on_timer(state, item.body, now, book, desk)
            return handling.follow(state, domain.on_timer(state, item.body, now, book), None, now, book, desk)
        if item.kind == "command":
            book = self.book(now, now, item.subject)
            if isinstance(item.body, handling.COMMANDS) and state is not None and state.facts.received_at is not None:
                return handling.on_command(state, item.body, now, book, desk)
            done = domain.on_command(state, item.body, now, book)
            return done if isinstance(done, Refused) else handling.follow(state, done, None, now, book, desk)
        event: Event = item.body
        model = READS.get(event.type)
        if model is None:  # a type that a later version of Amends writes: noted as seen, nothing else
            return Decision(state or EscalationState())
        book, data = self.book(event.time, now, item.subject), read_data(model, event.data)
        return handling.follow(state, domain.on_event(state, data, event.time, book), data, event.time, book, desk)

    def _desk(self, complaint_id: UUID) -> Desk:
        links = self._links
        if links is None:
            return Desk(self._known_teams(), writable=self._writable)
        return Desk(self._known_teams(), lambda number, until: links.url(complaint_id, number, until), self._writable)

    def _known_teams(self) -> Teams:
        """The teams of the directory as it is now; made once for each version of it."""
        if self._directory is None:
            return NOBODY
        directory = self._directory()
        if self._teams[0] is not directory:
            self._teams = directory, teams_of(directory)
        return self._teams[1]

    async def keep_lists(self, conn: Connection, work: Work[Any]) -> None:
        """In the transaction of the save: what waits for people, and what customers were granted. Raises OverCap."""
        await grants.save(conn, work, lambda complaint: self.catalogue(work.now, complaint))
        _count(work)

    def catalogue(self, now: datetime, complaint: UUID) -> Mapping[str, Remedy]:
        """The remedies of the policy in force for a complaint."""
        return self._policies.in_force(now, now, complaint).document.spec.remedies

    def book(self, at: datetime, now: datetime, complaint: UUID | None = None) -> Book:
        """The policies for something that happened `at` and is decided `now`. Without a complaint no canary counts."""
        own, packs = self._policies.in_force(at, now, complaint), self._policies.packs(at, now, complaint)
        if self._directory is None:
            return Book(own, packs)
        directory = self._directory()
        return Book(own, packs, directory.top_tier, directory.desks)


def teams_of(directory: Directory) -> Teams:
    """The directory as the domain sees it: a member who is not known (any more) answers for nobody."""
    people = directory.members
    teams = {
        team.id: Team(
            title=team.name or team.id, tier=team.tier, desk=team.desk, authority=team.authority, email=team.email,
            chat=team.chat, webhook=team.webhook,
            members={each: people[each].key or each for each in team.members if each in people},
            hours=None if team.hours is None else text_of(read_calendar(team.hours)),
            skills=frozenset().union(team.skills, *(people[each].skills for each in team.members if each in people)),
            languages=frozenset().union(team.languages, *(people[each].languages for each in team.members if each in people)),
        )
        for team in directory.teams.values()
    }  # fmt: skip
    personal = {person.key or person.id: person.authority for person in people.values() if person.authority}
    return Teams(teams, directory.fallback.id, personal)


def _count(work: Work[Any]) -> None:
    """Decisions by rule, missed clocks and alarms, as metrics."""
    rules: dict[tuple[str, int, str], int] = {}
    for data in (event for _, decision in work.handled for event in decision.events):
        if isinstance(data, DecisionMade):
            for cited in (data.policy, *(data.regimes or ())):
                for rule in cited.rules or ("default",):
                    key = (cited.id, cited.version, rule)
                    rules[key] = rules.get(key, 0) + 1
        elif isinstance(data, ClockMissed):
            _missed(data.deadline.clock, data.deadline.regime or "").inc()
        elif isinstance(data, AlarmRaised):
            metrics.ALARMS.labels(SERVICE, data.cause).inc()
    for key, count in rules.items():
        _decisions(*key).inc(count)
