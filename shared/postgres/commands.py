"""Commands of people and systems: each once by its idempotency key, through the same save as everything else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import orjson

from shared.contracts.decision import Decision
from shared.errors import Conflict
from shared.postgres.inputs import Input, Inputs, Work
from shared.postgres.pool import Connection
from shared.postgres.saves import Saves
from shared.telemetry.tracing import Carrier

# A caller waits no longer than this; then the outcome is unknown, and the same key tells it.
WITHIN_S = 8.0
FIND = "select digest, answer from command where key = $1"
REVISION = "select revision from complaint_state where complaint_id = $1"
KEEP = """
insert into command (key, complaint_id, digest, answer) values ($1, $2, $3, $4::text::json) on conflict do nothing
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The HTTP status and JSON body for the caller. `replayed`: the key was used before, this is what was said then."""

    status: int
    body: dict[str, Any]
    replayed: bool = False


class KeyReused(Exception):
    """The idempotency key was used before for another command."""


class Changed(Exception):
    """The complaint is no longer as the caller has seen it."""


async def execute(
    saves: Saves[Any],
    *,
    subject: UUID,
    command: Any,
    key: str | None,
    caller: str,
    carrier: Carrier | None,
    answer: Callable[[Decision[Any]], dict[str, Any]],
    revision: int | None = None,
) -> Answer:
    """Do `command` (a frozen pydantic model) about `subject`. Raises KeyReused, and Changed when `revision` is given and the
    complaint has another.

    A refused command is answered with its status and changes nothing; its key may be used again.
    """
    # Keys belong to their caller: two callers may choose the same one.
    name = f"{caller}/{key or uuid4()}"
    content = type(command).__name__ + command.model_dump_json()
    digest = hashlib.sha256(subject.bytes + content.encode()).digest()
    found: dict[str, Any] = {}

    async def take(conn: Connection) -> Inputs:
        # Also without a key: after a commit whose outcome is unknown, this finds it.
        row = await conn.fetchrow(FIND, name)
        if row is not None:
            if row["digest"] != digest:
                raise KeyReused
            found["body"] = orjson.loads(row["answer"])
            return []
        if revision is not None and await conn.fetchval(REVISION, subject) != revision:
            raise Changed
        return [Input("command", subject, command, f"command/{name}", carrier, "command", str(subject))]

    async def also(conn: Connection, work: Work[Any]) -> None:
        body = answer(work.handled[0][1])
        if await conn.execute(KEEP, name, subject, digest, orjson.dumps(body).decode()) != "INSERT 0 1":
            raise Conflict("the same command is being done by another request")

    work = await saves.act(take, also=also, within_s=WITHIN_S)
    if work.refused:
        # Perhaps because the same request, sent twice, was done between our looks at the key and at the state: then the
        # key is there now.
        work = await saves.act(take, also=also, within_s=WITHIN_S)
    if "body" in found:
        return Answer(200, found["body"], replayed=key is not None)
    if work.refused:
        refused = work.refused[0][1]
        return Answer(refused.status, {"title": refused.title, "detail": refused.detail, **refused.extra})
    return Answer(200, answer(work.handled[0][1]))
