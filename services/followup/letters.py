"""Gives the domain's messages their words, and the customer's link."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from services.followup.links import Links
from services.followup.words import TemplateRefused, Templates, Words
from shared.contracts.decision import Message
from shared.frozen import dataclass, replace

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Letters:
    """`public_url` is where customers reach the page, empty if they cannot. `built_in` stands in for a broken template."""

    templates: Templates
    built_in: Templates
    links: Links
    public_url: str
    sender: str
    review_url: str = ""

    def worded(self, complaint_id: UUID, message: Message, now: datetime) -> Message:
        """The message as its route sends it. One without a template is as it should be already."""
        body = dict(message.body)
        name = body.pop("template", None)
        if name is None:
            return message
        values, language = body.pop("values"), body.pop("language")
        values |= {"sender": self.sender, "review_url": self.review_url, "link": ""}
        values["review"] = bool(values.get("review") and self.review_url)
        if name == "check_in" and self.public_url:
            values["link"] = self.link(complaint_id, values["number"], now)
        words = self.words(name, language, values)
        if message.route == "email":
            return replace(message, body={"subject": words.subject, "text": words.text, "headers": body["headers"]})
        data = {**body["data"], "complaint_id": str(complaint_id), "subject": words.subject, "text": words.text}
        return replace(message, body={"type": body["type"], "data": data})

    def words(self, name: str, language: str, values: dict[str, Any]) -> Words:
        """The words; where somebody's own template fails, those of the built-in one: the customer must hear from us."""
        try:
            return self.templates.render(name, language, values)
        except TemplateRefused as refused:
            log.error("a template cannot be used; the built-in one was", template=name, language=language, reason=str(refused))
            return self.built_in.render(name, language, values)

    def link(self, complaint_id: UUID, number: int, now: datetime) -> str:
        """The customer page of one question."""
        return f"{self.public_url.rstrip('/')}/c/{self.links.token(complaint_id, number, now)}"
