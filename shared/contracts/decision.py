"""What a service's domain takes and gives: inputs, decisions with state and events together, refusals."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from shared.contracts.envelope import EventData
from shared.frozen import dataclass, field

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Timer:
    """Wake this complaint at `due_at` under `name`; setting a name again moves it."""

    name: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A timer that has come due. Firing deletes it, in the same transaction as what the domain decides."""

    name: str
    due_at: datetime


Route = Literal["email", "webhook", "chat", "contact_centre"]


@dataclass(frozen=True, slots=True)
class Message:
    """Something to tell somebody outside. Saved with the decision, sent at least once under one stable id, which is
    made of the complaint and `name`: the same name again is the same message and changes nothing.

    `to` is a mail address or the name of an endpoint (docs/how-to/delivery.md). `body` is what the route needs:
    `subject`, `text` and perhaps `html`, `headers` for e-mail; `text` for chat; `type`, `data` for a webhook; `record_id`
    and `comment`, `priority`, `tags_add` (any of them) for a contact centre, where `to` is the source's instance.
    `person`: whose notification budget it counts against (more than that is put together in one digest); None: no limit.
    """

    name: str
    route: Route
    to: str
    body: dict[str, Any]
    not_before: datetime | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a message: an input, handled once. `reason` says why it failed, without addresses or contents."""

    name: str
    outcome: Literal["sent", "failed", "digested"]
    attempts: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision(Generic[S]):
    """The new state and what follows from it, saved together or not at all.

    `withdraw` names messages that are no longer to be sent; one that is on its way may still arrive. `erase`: nothing of
    the complaint stays but its numbers; `state` is dropped.
    """

    state: S
    events: tuple[EventData, ...] = ()
    timers: tuple[Timer, ...] = ()
    cancel: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    withdraw: tuple[str, ...] = ()
    erase: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that cannot be done in this state: the HTTP status and one sentence for the caller."""

    status: int
    title: str
    detail: str
    extra: dict[str, str] = field(default_factory=dict)
