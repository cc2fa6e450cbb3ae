"""The draft check over HTTP: advice before an agent sends, nothing is kept."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from services.followup.drafts import answer
from shared.clock import utc_now
from shared.http.keys import Authenticator
from shared.http.router import Router
from shared.policy.distribution.line import Policies
from shared.text.drafts.rules import DraftRules
from shared.text.drafts.spec import DraftToCheck

SCOPE = "cases:read"


def routes(keys: Authenticator, policies: Policies) -> Router:
    """The route of the draft check."""
    router = Router(tags=["drafts"])

    @router.post("/v1/drafts/check", summary="Check a draft before it is sent")
    async def check_draft(request: Request, body: DraftToCheck) -> dict[str, Any]:
        """Faults in the draft, each with its place and a calmer wording, and what the complaint still lacks. Advice only."""
        await keys.check(request.headers, SCOPE)
        now = utc_now()
        return answer(policies.other(DraftRules, now, now), body)

    return router
