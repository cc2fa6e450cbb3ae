"""Same complaint once: a message that answers an earlier one of the same customer joins its complaint.

By the ids in reply headers and the records that a system links, never by subject, and never across customers: a link holds
for a person. A notice that went to a thousand customers under one Message-ID makes a thousand complaints of their answers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from services.intake.submissions import ContactSubmission, ReplySubmission, Submission
from shared.contracts import ids, letters
from shared.contracts.complaints import Contact
from shared.contracts.letters import LetterId
from shared.frozen import dataclass
from shared.postgres.pool import Connection

# Systems whose messages name earlier ones. For all others the record is enough.
LINKED = ("email", "zendesk", "salesforce", "amazon-connect", "amazon_connect")
MAX_MESSAGES = 20

FIND = "select message, person, complaint_id from thread_link where message = any($1::uuid[]) and person = any($2::uuid[])"
# The first complaint that a message belonged to keeps it.
KEEP = """
insert into thread_link (message, person, complaint_id)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[]) on conflict do nothing
"""

Link = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class Threaded:
    """A message's place: the ids that it is known by, those that it answers (the first of the conversation first), its people.

    `complaint`: of the letter of ours that it answers, where that went to one of these people.
    """

    own: tuple[UUID, ...]
    answered: tuple[UUID, ...]
    people: tuple[UUID, ...]
    complaint: UUID | None = None

    def links(self) -> list[Link]:
        """What later messages can find it by."""
        return [(message, person) for message in self.own + self.answered for person in self.people]


def answers(submission: Submission) -> bool:
    """Whether it names an earlier message, whose complaint it may join."""
    if not isinstance(submission, ContactSubmission | ReplySubmission):
        return False
    contact = submission.contact
    return contact.source.system in LINKED and contact.thread is not None


def threaded(id_key: bytes, contact: Contact, people: Collection[UUID]) -> Threaded | None:
    """The place of a contact or reply of `people`; None where its system links nothing, or nobody is known by name."""
    if contact.source.system not in LINKED:
        return None
    source = contact.source.instance
    own = [contact.source.event_id] if contact.source.system == "email" else [contact.source.record_id]
    thread = contact.thread
    answered = [] if thread is None else [*thread.references[:1], *thread.references[1 - MAX_MESSAGES :], thread.in_reply_to]
    if not people:
        return None

    def keyed(names: Sequence[str | None]) -> tuple[UUID, ...]:
        return tuple(ids.keyed_id(id_key, "message", source, name) for name in dict.fromkeys(names) if name)

    letter = next((each for each in _letters(answered) if each.sent_to(id_key, contact.customer.emails)), None)
    return Threaded(keyed(own), keyed(answered), tuple(people), None if letter is None else letter.complaint)


def _letters(answered: Sequence[str | None]) -> Sequence[LetterId]:
    """The letters of ours among the messages that are answered, the last one first."""
    return letters.quoted(" ".join(each for each in reversed(answered) if each))


class Joining:
    """Finds the complaints of one batch's messages, in order: what comes earlier in the batch counts already."""

    def __init__(self, found: dict[Link, UUID]) -> None:
        self._found = found

    @classmethod
    async def of(cls, conn: Connection, messages: Sequence[Threaded]) -> Joining:
        """With what is known of these messages."""
        wanted = {message for each in messages for message in each.answered}
        if not wanted:
            return cls({})
        people = {person for each in messages for person in each.people}
        rows = await conn.fetch(FIND, list(wanted), list(people))
        return cls({(row["message"], row["person"]): row["complaint_id"] for row in rows})

    def join(self, message: Threaded, otherwise: UUID) -> UUID:
        """The complaint of our letter that it answers, else of the first message that it answers and that was of the same person;
        `otherwise` where there is none."""
        subject = message.complaint or next(
            (self._found[link] for answered in message.answered for p in message.people if (link := (answered, p)) in self._found),
            otherwise,
        )
        for link in message.links():
            self._found.setdefault(link, subject)
        return subject


async def keep(conn: Connection, messages: Sequence[tuple[Threaded, UUID]]) -> None:
    """Remember the messages with their complaints, in the transaction that normalizes them."""
    links = sorted({(message, person, complaint) for each, complaint in messages for message, person in each.links()})
    if links:
        await conn.execute(KEEP, *(list(column) for column in zip(*links, strict=True)))
