"""One way for every command route: authenticate, do it once by its key, answer or refuse as problem+json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
from fastapi import Request, Response
from pydantic import BaseModel

from shared.contracts.decision import Decision
from shared.errors import classify
from shared.http.keys import Authenticator
from shared.http.problems import Problem, unavailable
from shared.postgres import commands
from shared.postgres.commands import Changed, KeyReused
from shared.postgres.saves import Saves

MAX_KEY = 255


async def run_command(
    request: Request,
    keys: Authenticator,
    scope: str,
    saves: Saves[Any],
    subject: UUID,
    command: BaseModel,
    answer: Callable[[Decision[Any]], dict[str, Any]],
) -> Response:
    """Do `command` as the caller that the API key names; its field `by` is set to that name.

    With If-Match, only if the complaint is still as that ETag said; else 412.
    """
    caller = await keys.check(request.headers, scope)
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise Problem(400, "Bad Idempotency-Key", f"The header Idempotency-Key holds 1 to {MAX_KEY} characters.")
    revision = _revision(request.headers.get("if-match"))
    try:
        done = await commands.execute(
            saves, subject=subject, command=command.model_copy(update={"by": caller.name}), key=key, caller=caller.name,
            carrier=request.state.carrier, answer=answer, revision=revision,
        )  # fmt: skip
    except KeyReused:
        detail = "This Idempotency-Key was used before for another command; choose a new one."
        raise Problem(409, "Idempotency-Key used before", detail) from None
    except Changed:
        detail = "The complaint has changed since you read it. Read it again, then decide."
        raise Problem(412, "Changed meanwhile", detail) from None
    except Exception as error:
        if classify(error) == "defect":
            raise
        detail = "The store does not answer. Send the same command again with the same Idempotency-Key."
        raise unavailable(detail, 5) from None
    if done.status >= 400:
        extra = {name: value for name, value in done.body.items() if name not in ("title", "detail")}
        raise Problem(done.status, done.body["title"], done.body["detail"], **extra)
    headers = {"Idempotency-Replayed": "true"} if done.replayed else None
    body = {"complaint_id": str(subject), **done.body}
    return Response(orjson.dumps(body), done.status, media_type="application/json", headers=headers)


def etag(revision: int) -> str:
    """The ETag of a complaint at `revision`."""
    return f'"{revision}"'


def _revision(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isdigit():
        raise Problem(400, "Bad If-Match", "The header If-Match holds the ETag that reading the complaint answered.")
    return int(text)
