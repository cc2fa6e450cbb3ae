"""A contact centre with one record, that answers as its vendor documents, on a port of its own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any


@dataclass
class Helpdesk:
    """A contact centre with the one record 9. `faults`: by path's end, answers to give instead, once each.

    `deaf`: what it is given for paths that end so it takes without answering, once. `token`: the one it takes; None: any.
    """

    port: int = 0
    tags: list[str] = field(default_factory=lambda: ["vip"])
    priority: Any = None
    notes: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    slow: bool = False
    token: str | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := (await reader.readline()).decode():
                method, path, _ = line.split()
                self.headers = {}
                while header := (await reader.readline()).decode().strip():
                    name, _, value = header.partition(":")
                    self.headers[name.lower()] = value.strip()
                content = await reader.readexactly(int(self.headers.get("content-length", 0)))
                self.calls.append(f"{method} {path}")
                fault = next((self.faults.pop(end) for end in list(self.faults) if path.endswith(end)), None)
                if self.token not in (None, self.headers.get("api_access_token")):
                    fault = "401 Unauthorized"
                if fault is not None:
                    writer.write(f"HTTP/1.1 {fault}\r\ncontent-length: 0\r\n\r\n".encode())
                    await writer.drain()
                    continue
                status, answer = self.answer(method, path, json.loads(content) if content else {})
                if self.slow:
                    await asyncio.sleep(0.02)
                if method != "GET" and any(path.endswith(end) for end in self.deaf):
                    self.deaf.clear()
                    return
                body = json.dumps(answer).encode()
                head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
                writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except asyncio.CancelledError:
            return  # the test is over
        finally:
            writer.close()

    def answer(self, method: str, path: str, given: Any) -> tuple[int, Any]:
        chat = "/api/v1/accounts/4/conversations/9"
        match method, path.partition("?")[0]:
            # Zendesk
            case "PUT", "/api/v2/tickets/9/tags.json":
                self.tags += [tag for tag in given["tags"] if tag not in self.tags]
                return 200, {"tags": self.tags}
            case "PUT", "/api/v2/tickets/9.json":
                self._update(given["ticket"], "comment")
                return 200, {"ticket": {"id": 9, "priority": self.priority}, "audit": {"id": 1}}
            case "GET", "/api/v2/tickets/9/comments.json":
                return 200, {"comments": self.notes, "count": len(self.notes)}
            # Zammad
            case "POST", "/api/v1/tags/add":
                if (given["object"], given["o_id"]) != ("Ticket", 9):
                    return 404, {"error": "Couldn't find Ticket"}
                self.tags += [given["item"]] if given["item"] not in self.tags else []
                return 201, True
            case "PUT", "/api/v1/tickets/9":
                self._update(given, "article")
                return 200, {"id": 9, "priority_id": 3, "article_ids": [1]}
            case "GET", "/api/v1/ticket_articles/by_ticket/9":
                return 200, self.notes
            # Chatwoot
            case "GET", found if found == f"{chat}/labels":
                return 200, {"payload": self.tags}
            case "POST", found if found == f"{chat}/labels":
                self.tags = given["labels"]
                return 200, {"payload": self.tags}
            case "POST", found if found == f"{chat}/toggle_priority":
                self.priority = given["priority"]
                return 200, {}
            case "POST", found if found == f"{chat}/messages":
                self.notes.append(given)
                return 200, {"id": 1, **given}
            case "GET", found if found == f"{chat}/messages":
                return 200, {"meta": {}, "payload": self.notes}
            # Freshdesk
            case "GET", "/api/v2/tickets/9":
                return 200, {"id": 9, "tags": self.tags, "priority": self.priority}
            case "PUT", "/api/v2/tickets/9":
                self.tags = given.get("tags", self.tags)
                self.priority = given.get("priority", self.priority)
                return 200, {"id": 9}
            case "POST", "/api/v2/tickets/9/notes":
                self.notes.append(given)
                return 201, {"id": 1, **given}
            case "GET", "/api/v2/tickets/9/conversations":
                return 200, self.notes
            case _:
                return 404, {"error": "not found"}

    def _update(self, given: dict[str, Any], note: str) -> None:
        self.priority = given.get("priority", self.priority)
        if note in given:
            self.notes.append(given[note])
