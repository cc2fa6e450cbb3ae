"""The page behind the link of a notification: see the hand-off, accept it or refuse it. Looking at it answers nothing."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from urllib.parse import parse_qs
from uuid import uuid4

from fastapi import Request, Response

from services.escalation import store
from services.escalation.domain import EscalationState
from services.escalation.domain.handoffs import AcceptByLink, HandOff, RefuseByLink
from services.escalation.handlers import Handlers
from services.escalation.links import BadLink, Claim, Links
from shared.http.router import Router
from shared.postgres import commands
from shared.postgres.pool import Pool, connection
from shared.text.characters import clean

MAX_BODY = 10_000
STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}"
    "dt{font-weight:600}dd{margin:0 0 .5rem}label{font-weight:600}"
    "input,textarea{font:inherit;width:100%;box-sizing:border-box;padding:.5rem}"
    "button{font:inherit;min-height:3rem;padding:.6rem 1.2rem;margin:.5rem 0}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
}


def routes(handlers: Handlers, pool: Pool, links: Links) -> Router:
    """The page."""
    router = Router(tags=["escalation"])

    @router.head("/hand-off/{token}", include_in_schema=False)
    @router.get("/hand-off/{token}", summary="A hand-off, behind its signed link")
    async def show(token: str) -> Response:
        """No key is needed: the link is one. Programs that follow links answer nothing by it."""
        found = await _open(pool, links, token)
        return found if isinstance(found, Response) else _form(*found)

    @router.post("/hand-off/{token}", summary="Answer a hand-off, behind its signed link")
    async def answer(request: Request, token: str) -> Response:
        """A form: `answer` is accept or refuse, `name` who answers, `reason` why it is refused."""
        found = await _open(pool, links, token)
        if isinstance(found, Response):
            return found
        state, claim, pending = found
        body = await request.body()
        form = parse_qs(body[:MAX_BODY].decode(errors="replace"))
        name, reason = _given(form, "name")[:200], _given(form, "reason")[:2000]
        refuse = form.get("answer") == ["refuse"]
        if not name or (refuse and not reason):
            lacking = "your name" if not name else "the reason"
            return _form(state, claim, pending, f"Please give {lacking}.", 422)
        by = f"{name} (by link)"
        command = RefuseByLink(number=claim.number, reason=reason, by=by) if refuse else AcceptByLink(number=claim.number, by=by)
        done = await commands.execute(
            handlers.saves, subject=claim.complaint_id, command=command, key=str(uuid4()), caller="link", carrier=None,
            answer=lambda decision: {},
        )  # fmt: skip
        if done.status >= 400:
            return _page("Not done", f"<p>{escape(str(done.body['detail']))}</p>", done.status)
        said = "It moves on; thank you for saying why." if refuse else f"{escape(name)} has the complaint now."
        return _page("Done", f"<p>{said}</p>", 200)

    return router


def _given(form: dict[str, list[str]], name: str) -> str:
    return clean(form.get(name, [""])[0]).strip()


async def _open(pool: Pool, links: Links, token: str) -> tuple[EscalationState, Claim, HandOff] | Response:
    async with connection(pool) as conn:
        now = await conn.fetchval(store.NOW)
        try:
            claim = links.read(token, now)
        except BadLink as bad:
            return _page("This link does not work", f"<p>{escape(str(bad))}</p>", 410)
        state, _ = await store.find(conn, claim.complaint_id)
    pending = state.hand_offs.pending if state is not None else None
    if state is None or pending is None or pending.number != claim.number:
        return _page("Nothing to answer", "<p>This hand-off was answered already, or has moved on.</p>", 410)
    return state, claim, pending


def _form(state: EscalationState, claim: Claim, pending: HandOff, problem: str = "", status: int = 200) -> Response:
    issues = "".join(f"<li>{escape(issue)}</li>" for issue in state.case.issues)
    rows = [
        ("About", state.facts.category.replace("_", " ")),
        ("Severity", str(state.facts.severity)),
        ("Reason", pending.reason),
        ("For", pending.team),
        ("Answer by", f"{claim.until:%a %d %b %Y %H:%M} UTC"),
    ]
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    alert = f'<p role="alert"><strong>{escape(problem)}</strong></p>' if problem else ""
    return _page(
        "A complaint is handed to you",
        f"{alert}<dl>{lines}</dl>{f'<h2>What it is about</h2><ol>{issues}</ol>' if issues else ''}"
        '<form method="post"><p><label for="name">Your name</label><br><input id="name" name="name" required maxlength="200"></p>'
        '<p><button name="answer" value="accept">Accept</button></p>'
        '<p><label for="reason">Why not, if you refuse</label><br><textarea id="reason" name="reason" rows="3"></textarea></p>'
        '<p><button name="answer" value="refuse">Refuse</button></p></form>',
        status,
    )


def _page(title: str, body: str, status: int) -> Response:
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    return Response(html, status, headers=HEADERS, media_type="text/html; charset=utf-8")
