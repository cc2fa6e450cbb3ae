"""The customer's page behind a signed link: what was agreed, three answers, a comment. Plain HTML, no JavaScript.

A GET answers nothing, whoever asks: mail scanners open every link. The answer is a POST. A link that is expired or was
changed is told so, and told nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from jinja2 import Environment
from ruamel.yaml import YAML

from services.followup import store
from services.followup.domain import AnswerCheckIn, FollowUpState
from services.followup.links import BadLink, ExpiredLink, Link, Links
from shared.errors import classify
from shared.postgres import commands
from shared.postgres.commands import KeyReused
from shared.postgres.pool import Pool, connection
from shared.postgres.saves import Saves

MAX_COMMENT = 5_000
ANSWERS = ("yes", "partly", "no")
CALLER = "customer-page"
_FOLDER = files("services.followup") / "templates"
PAGE: dict[str, dict[str, str]] = YAML(typ="safe").load((_FOLDER / "page.yaml").read_text(encoding="utf-8"))
STYLE = (_FOLDER / "page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
}


def routes(pool: Pool, saves: Saves[FollowUpState], links: Links, sender: str) -> APIRouter:
    """The customer's pages."""
    router = APIRouter(tags=["customer page"], include_in_schema=False)
    page = _Page(sender)

    @router.api_route("/c/{token}", methods=["GET", "HEAD"])
    async def show(request: Request, token: str) -> Response:
        """Shows; never answers."""
        try:
            link, state = await _open(pool, links, token)
        except Exception as error:
            return page.failed(error, _wanted(request))
        return page.of(state, link)

    @router.post("/c/{token}")
    async def answer(request: Request, token: str) -> Response:
        """Takes the answer, then shows the page again: reloading that repeats nothing."""
        try:
            link, state = await _open(pool, links, token)
        except Exception as error:
            return page.failed(error, _wanted(request))
        form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=10)
        said = form.get("answer", [""])[0]
        comment = form.get("comment", [""])[0].replace("\r\n", "\n").replace("\x00", "").strip()
        if len(comment) > MAX_COMMENT:
            return page.of(state, link, problem="too_long", comment=comment[:MAX_COMMENT])
        if said not in ANSWERS:
            return page.of(state, link, problem="choose", comment=comment)
        try:
            await _give(saves, request, link, said, comment)
        except Exception as error:
            return page.failed(error, state.language)
        return Response(status_code=303, headers={**HEADERS, "location": token})

    return router


async def _open(pool: Pool, links: Links, token: str) -> tuple[Link, FollowUpState]:
    """What the link is about. Raises BadLink, ExpiredLink, or what the store raises."""
    async with connection(pool) as conn:
        now: datetime = await conn.fetchval("select app_now()")
        link = links.read(token, now)
        found = await store.find(conn, link.complaint_id)
    if found is None or found.state is None:
        raise ExpiredLink  # erased meanwhile: nothing is said about that
    return link, found.state


async def _give(saves: Saves[FollowUpState], request: Request, link: Link, said: str, comment: str) -> None:
    """Save the answer. The same one twice is one; one that is refused shows in the page that follows."""
    command = AnswerCheckIn.model_validate(
        {"answer": said, "comment": comment or None, "via": "link", "number": link.number, "by": "customer"}
    )
    digest = hashlib.sha256(comment.encode()).hexdigest()[:16]
    try:
        await commands.execute(
            saves, subject=link.complaint_id, command=command, key=f"{link.complaint_id}/{link.number}/{said}/{digest}",
            caller=CALLER, carrier=request.state.carrier, answer=lambda decision: {},
        )  # fmt: skip
    except KeyReused:
        return


class _Page:
    """Renders the pages. `sender` signs them."""

    def __init__(self, sender: str) -> None:
        text = (_FOLDER / "page.html").read_text(encoding="utf-8")
        self._template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)
        self._sender = sender

    def of(self, state: FollowUpState, link: Link, *, problem: str = "", comment: str = "") -> Response:
        """The question, or what became of it."""
        language = state.language if state.language in PAGE else "en"
        words = PAGE[language]
        question = state.question
        if question is None or link.number > question.number:
            return self._render(language, words["over"], [words["over_text"]])
        shown: dict[str, Any] = {"agreed": state.agreed, "problem": words[problem] if problem else "", "comment": comment}
        if question.answer is None:
            return self._render(language, words["title"], [words["intro"]], form=True, status=422 if problem else 200, **shown)
        lines = [words[f"said_{question.answer}"]]
        if question.answer == "no" or state.facts.status in ("open", "waiting"):
            return self._render(language, words["thanks"], lines)
        # Whoever finds later that it is not solved can still say so.
        return self._render(language, words["thanks"], [*lines, words["changed"]], form=True, **shown)

    def failed(self, error: Exception, language: str) -> Response:
        """A link that does not work, or a store that does not answer. Says nothing of any complaint."""
        language = language if language in PAGE else "en"
        words = PAGE[language]
        if isinstance(error, BadLink):
            return self._render(language, words["bad"], [words["bad_text"]], status=404)
        if isinstance(error, ExpiredLink):
            return self._render(language, words["expired"], [words["expired_text"]], status=410)
        if classify(error) == "defect":
            raise error
        return self._render(language, words["later"], [words["later_text"]], status=503)

    def _render(self, language: str, title: str, lines: list[str], *, status: int = 200, **shown: Any) -> Response:
        html = self._template.render(
            language=language, title=title, lines=lines, words=PAGE[language], style=_Safe(STYLE), sender=self._sender, **shown
        )
        return Response(html, status, headers=HEADERS, media_type="text/html; charset=utf-8")


class _Safe(str):
    """Our own style: not to be escaped."""

    def __html__(self) -> str:
        return self


def _wanted(request: Request) -> str:
    """The first language that the browser asks for."""
    return request.headers.get("accept-language", "")[:2].lower()
