"""Signed webhooks into follow-up: what the company's own systems say about facts, promises, bounces and answers.

Standard Webhooks (standardwebhooks.com): `webhook-signature` over id, timestamp and body; the same `webhook-id` again
does nothing twice. The body: {"type": "fact.checked", "complaint_id": "...", "data": {...}} with the data of the command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.followup.domain import AnswerCheckIn, Bounced, CheckFact, FollowUpState, KeepPromise, MakePromise
from shared.contracts.decision import Decision
from shared.errors import classify
from shared.http.problems import Problem, unavailable
from shared.http.router import read_json
from shared.postgres import commands
from shared.postgres.commands import KeyReused
from shared.postgres.saves import Saves

CALLER = "webhook"
TYPES: Mapping[str, type[BaseModel]] = {
    "fact.checked": CheckFact,
    "promise.made": MakePromise,
    "promise.kept": KeepPromise,
    "message.bounced": Bounced,
    "check_in.answered": AnswerCheckIn,
}


def routes(
    saves: Saves[FollowUpState], secrets: Sequence[str], answer: Callable[[Decision[FollowUpState]], dict[str, Any]]
) -> APIRouter:
    """One route; without secrets it refuses everything."""
    router = APIRouter(tags=["followup"])
    signed = [Webhook(secret) for secret in secrets]

    @router.post("/v1/hooks", summary="What a system of the company says, signed (Standard Webhooks)")
    async def hook(request: Request) -> Response:
        """Types: fact.checked, promise.made, promise.kept, message.bounced, check_in.answered."""
        body = await request.body()
        if not _verified(signed, body, dict(request.headers)):
            raise Problem(401, "Not signed", "The signature is missing, wrong or too old (AMENDS_FOLLOWUP_WEBHOOK_SECRETS).")
        subject, command = _command(body)
        try:
            done = await commands.execute(
                saves, subject=subject, command=command, key=request.headers["webhook-id"][:255], caller=CALLER,
                carrier=request.state.carrier, answer=answer,
            )  # fmt: skip
        except KeyReused:
            raise Problem(409, "webhook-id used before", "This webhook-id came before with another content.") from None
        except Exception as error:
            if classify(error) == "defect":
                raise
            raise unavailable("The store does not answer. Send it again with the same webhook-id.", 5) from None
        if done.status >= 400:
            raise Problem(done.status, done.body["title"], done.body["detail"])
        return JSONResponse({"complaint_id": str(subject), **done.body})

    return router


def _verified(signed: Sequence[Webhook], body: bytes, headers: dict[str, str]) -> bool:
    for webhook in signed:
        try:
            webhook.verify(body, headers, json_parse=False)
        except (WebhookVerificationError, ValueError):  # half a signature, bytes that are no text
            continue
        return True
    return False


def _command(body: bytes) -> tuple[UUID, BaseModel]:
    try:
        given = read_json(body)
        subject, kind, data = UUID(given["complaint_id"]), given["type"], given.get("data", {})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Problem(422, "Not a hook", 'The body must be {"type", "complaint_id", "data"}.') from None
    model = TYPES.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise Problem(422, "Unknown type", f"type must be one of {', '.join(TYPES)}.")
    try:
        by = {"made_through": "webhook"} if model is MakePromise else {}
        return subject, model.model_validate({**data, **by, "by": CALLER} if isinstance(data, dict) else data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise Problem(422, "Wrong data", f"data.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
