"""Writing back to the contact centre that a record came from: a private note, a priority, tags, by its own API.

None of these APIs takes a key that makes a note idempotent. So what can be repeated goes first (tags), the note last, and
it carries the message's id: before a further attempt it is looked for among the record's notes.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable, Mapping
from html import escape
from typing import Any
from weakref import WeakValueDictionary

import orjson

from shared.delivery.routes import Permanent
from shared.delivery.settings import ContactCentre
from shared.delivery.web import Caller
from shared.postgres.messages import Letter

FINAL = {404: "the contact centre knows no such record"}
# A token was changed there and not yet here, or its user lost a permission: the note waits for whoever mends it.
HELD = {401: "the contact centre refuses our token", 403: "the contact centre does not let our user do this"}
NUMBER = re.compile(r"[1-9][0-9]{0,18}")


class ContactCentres:
    """The route `contact_centre`; see `Message` for the body. `to` is the source's instance, as `amends sources` names it."""

    def __init__(self, centres: Mapping[str, ContactCentre], caller: Caller) -> None:
        self._centres = centres
        self._caller = caller
        # Tags are read, added to and written: of two messages about one record, the second waits.
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def send(self, letter: Letter) -> None:
        centre = self._centres.get(letter.to)
        if centre is None:
            detail = f"there is no contact centre named '{letter.to}' in AMENDS_DELIVERY_ENDPOINTS_FILE"
            raise Permanent(detail)
        record = str(letter.body["record_id"])
        number = record.removeprefix("zen:ticket:")
        if not NUMBER.fullmatch(number):
            raise Permanent(f"the record is not one that {centre.system} can be written to: its id is not a number")
        lock = self._locks.setdefault((letter.to, number), asyncio.Lock())
        async with lock:
            await SYSTEMS[centre.system](Api(centre, self._caller), int(number), letter).write()


class Api:
    """JSON requests to one contact centre."""

    def __init__(self, centre: ContactCentre, caller: Caller) -> None:
        self.centre = centre
        self._caller = caller
        self._headers = {
            "content-type": "application/json", "accept": "application/json", **_credentials(centre),
            **{name.lower(): value.get_secret_value() for name, value in centre.headers.items()},
        }  # fmt: skip

    async def get(self, path: str) -> bytes:
        return await self._call("GET", path, b"")

    async def put(self, path: str, body: dict[str, Any]) -> None:
        await self._call("PUT", path, orjson.dumps(body))

    async def post(self, path: str, body: dict[str, Any]) -> None:
        await self._call("POST", path, orjson.dumps(body))

    async def words(self, path: str, key: str) -> list[str]:
        """The list of words under `key` of what `path` answers. Raises Permanent when it is something else."""
        try:
            found = orjson.loads(await self.get(path))[key]
            return [str(each) for each in found or ()]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise Permanent(f"the contact centre does not answer as {self.centre.system} does") from None

    async def _call(self, method: str, path: str, content: bytes) -> bytes:
        url = f"{self.centre.url.rstrip('/')}/api/{path}"
        return await self._caller.ask(method, url, content, self._headers, final=FINAL, held=HELD)


def _credentials(centre: ContactCentre) -> dict[str, str]:
    token = centre.token.get_secret_value()
    match centre.system:
        case "zendesk":  # an API token belongs to a user, an OAuth token stands for itself
            return {"authorization": _basic(f"{centre.user}/token:{token}") if centre.user else f"Bearer {token}"}
        case "zammad":
            return {"authorization": f"Token token={token}"}
        case "chatwoot":
            return {"api_access_token": token}
        case "freshdesk":
            return {"authorization": _basic(f"{token}:X")}


def _basic(pair: str) -> str:
    return f"Basic {b64encode(pair.encode()).decode()}"


class System(ABC):
    """One message to one record. Below: how each system names the same things."""

    def __init__(self, api: Api, number: int, letter: Letter) -> None:
        self.api = api
        self.number = number
        self.tags: list[str] = list(letter.body.get("tags_add") or ())
        self.priority: str | None = letter.body.get("priority")
        self._comment: str | None = letter.body.get("comment")
        self._id = str(letter.id)
        self._again = letter.attempts > 1

    async def write(self) -> None:
        """All of it; the note unless an earlier attempt has left it."""
        if self._comment is None or (self._again and self._id.encode() in await self.notes()):
            await self.change(None)
        else:
            await self.change(f"{self._comment}\n[amends {self._id}]")

    @abstractmethod
    async def change(self, note: str | None) -> None:
        """Tags and priority, which may be repeated, then the private note."""

    @abstractmethod
    async def notes(self) -> bytes:
        """The newest notes of the record, as they come."""


class Zendesk(System):
    """https://developer.zendesk.com/api-reference/ticketing/tickets: `PUT .../tags` adds; a comment is an update."""

    async def change(self, note: str | None) -> None:
        if self.tags:
            await self.api.put(f"v2/tickets/{self.number}/tags.json", {"tags": self.tags})
        ticket: dict[str, Any] = {"priority": self.priority} if self.priority else {}
        if note:
            ticket["comment"] = {"body": note, "public": False}
        if ticket:
            await self.api.put(f"v2/tickets/{self.number}.json", {"ticket": ticket})

    async def notes(self) -> bytes:
        return await self.api.get(f"v2/tickets/{self.number}/comments.json?sort_order=desc")


class Zammad(System):
    """https://docs.zammad.org/en/latest/api/ticket/index.html: three priorities; a note is an article of an update."""

    PRIORITIES: Mapping[str, str] = {"low": "1 low", "normal": "2 normal", "high": "3 high", "urgent": "3 high"}

    async def change(self, note: str | None) -> None:
        for tag in self.tags:
            await self.api.post("v1/tags/add", {"object": "Ticket", "o_id": self.number, "item": tag})
        ticket: dict[str, Any] = {"priority": self.PRIORITIES[self.priority]} if self.priority else {}
        if note:
            ticket["article"] = {
                "subject": "Amends", "body": note, "type": "note", "content_type": "text/plain", "internal": True,
            }  # fmt: skip
        if ticket:
            await self.api.put(f"v1/tickets/{self.number}", ticket)

    async def notes(self) -> bytes:
        return await self.api.get(f"v1/ticket_articles/by_ticket/{self.number}")


class Chatwoot(System):
    """https://developers.chatwoot.com/api-reference/conversations: writing labels replaces those that are there."""

    PRIORITIES: Mapping[str, str] = {"low": "low", "normal": "medium", "high": "high", "urgent": "urgent"}

    @property
    def _path(self) -> str:
        return f"v1/accounts/{self.api.centre.account}/conversations/{self.number}"

    async def change(self, note: str | None) -> None:
        if self.tags:
            there = await self.api.words(f"{self._path}/labels", "payload")
            if new := [tag for tag in self.tags if tag not in there]:
                await self.api.post(f"{self._path}/labels", {"labels": [*there, *new]})
        if self.priority:
            await self.api.post(f"{self._path}/toggle_priority", {"priority": self.PRIORITIES[self.priority]})
        if note:
            body = {"content": note, "message_type": "outgoing", "private": True}
            await self.api.post(f"{self._path}/messages", body)

    async def notes(self) -> bytes:
        return await self.api.get(f"{self._path}/messages")


class Freshdesk(System):
    """https://developers.freshdesk.com/api/#tickets: writing tags replaces those that are there; notes are HTML."""

    PRIORITIES: Mapping[str, int] = {"low": 1, "normal": 2, "high": 3, "urgent": 4}

    async def change(self, note: str | None) -> None:
        ticket: dict[str, Any] = {"priority": self.PRIORITIES[self.priority]} if self.priority else {}
        if self.tags:
            there = await self.api.words(f"v2/tickets/{self.number}", "tags")
            if new := [tag for tag in self.tags if tag not in there]:
                ticket["tags"] = [*there, *new]
        if ticket:
            await self.api.put(f"v2/tickets/{self.number}", ticket)
        if note:
            body = {"body": escape(note).replace("\n", "<br>"), "private": True}
            await self.api.post(f"v2/tickets/{self.number}/notes", body)

    async def notes(self) -> bytes:
        return await self.api.get(f"v2/tickets/{self.number}/conversations?per_page=100")


SYSTEMS: Mapping[str, Callable[[Api, int, Letter], System]] = {
    "zendesk": Zendesk, "zammad": Zammad, "chatwoot": Chatwoot, "freshdesk": Freshdesk,
}  # fmt: skip
