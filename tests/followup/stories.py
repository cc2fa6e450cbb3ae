"""Runs a complaint through follow-up's domain as the store would: timers, messages, commands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from services.followup import domain
from services.followup.domain import Command, FollowUpState
from shared.contracts.complaints import ComplaintReceived, Contact, ContactAdded, ReplySent
from shared.contracts.decision import Decision, Due, Message, Refused, Settled
from shared.contracts.envelope import EventData
from shared.contracts.escalations import Status, StatusChanged
from tests.domain.examples import START, contact, policy

POLICY = policy("followup")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ANNA = {"emails": ["anna@example.com"], "phones": [{"raw": "+441632960001", "e164": "+441632960001"}], "locale": "en-GB"}


class Story:
    """One complaint of Anna's, from `START` on. `now` goes on with what happens."""

    def __init__(self, **fields: Any) -> None:
        self.state: FollowUpState | None = None
        self.now = START
        self.timers: dict[str, datetime] = {}
        self.events: list[EventData] = []
        self.sent: list[Message] = []
        self.event(ComplaintReceived(contact=self.contact(**fields)))

    def contact(self, **fields: Any) -> Contact:
        return contact(self.now - START, **({"customer": ANNA} | fields))

    def take(self, decision: Decision[FollowUpState]) -> list[str]:
        """Takes it over; returns the names of the events."""
        self.state = decision.state
        for name in decision.cancel:
            self.timers.pop(name, None)
        self.timers |= {timer.name: timer.due_at for timer in decision.timers}
        self.events += decision.events
        self.sent = [message for message in self.sent if message.name not in decision.withdraw]
        self.sent += decision.messages
        return [event.TYPE.split(".")[2] for event in decision.events]

    def event(self, data: EventData) -> list[str]:
        return self.take(domain.on_event(self.state, data, self.now, POLICY))

    def wrote(self, text: str, **fields: Any) -> list[str]:
        return self.event(ContactAdded(contact=self.contact(text=text, **fields)))

    def replied(self, text: str) -> list[str]:
        return self.event(ReplySent(contact=self.contact(text=text, author_kind="agent")))

    def became(self, status: Status, **fields: Any) -> list[str]:
        previous = self.state.facts.status if self.state else "open"
        return self.event(StatusChanged(status=status, previous=previous, by="anna", occurred_at=self.now, **fields))

    def resolved(self, remedy: str | None = None) -> list[str]:
        return self.became("resolved", remedy=remedy, resolution="We put it right")

    def until(self, name: str, late: timedelta = timedelta()) -> list[str]:
        """Go on to the timer's time (or later) and fire it."""
        due_at = self.timers.pop(name)
        self.now = max(self.now, due_at + late)
        return self.take(domain.on_timer(self.state, Due(name, due_at), self.now, POLICY))

    def settle(self, outcome: str = "sent", reason: str = "") -> list[str]:
        """The last message has left, or could not."""
        done = Settled(self.sent[-1].name, outcome, 1, reason)  # type: ignore[arg-type]
        return self.take(domain.on_settled(self.state, done, self.now))

    def command(self, command: Command) -> list[str] | Refused:
        done = domain.on_command(self.state, command.model_copy(update={"by": "agent"}), self.now, POLICY, lambda at: "")
        return done if isinstance(done, Refused) else self.take(done)

    def last(self, name: str) -> Any:
        """The last event of that name."""
        return next(event for event in reversed(self.events) if event.TYPE.split(".")[2] == name)
