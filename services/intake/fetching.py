"""Fetching: texts that a webhook did not carry are asked of the system's API, with patience, until they are there.

What is missing is noted in the transaction that settles the contact, so nothing is forgotten. An answer is stored as a
delivery before its note is deleted: a crash in between asks twice, and the second answer is a duplicate.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx2
import orjson
import structlog

from services.intake.adapters.fetched import BASE, FETCHED, Asked, asked_for, envelope, following, headers, path
from services.intake.group_commit import NotStored
from services.intake.sources import SourceRecord, Sources, SourcesUnavailable
from services.intake.submissions import Delivery
from shared.clock import utc_now
from shared.contracts import ids
from shared.contracts.complaints import Contact
from shared.postgres.pool import Connection, Pool, connection
from shared.telemetry import metrics, tracing

log = structlog.get_logger(__name__)

SERVICE = "intake"

NOTE = """
insert into text_fetch (source, event_id, asked, traceparent, due_at, problem)
select source, event_id, asked, traceparent,
    case when has_token then app_now() else 'infinity' end, case when has_token then null else 'the source has no API token' end
from unnest($1::text[], $2::text[], $3::text[]::json[], $4::text[], $5::bool[])
    as new (source, event_id, asked, traceparent, has_token)
on conflict do nothing
"""
# Taken for a minute: whoever dies with them leaves them to the next.
TAKE = """
with due as (
    select source, event_id from text_fetch where due_at <= app_now() order by due_at limit $1 for update skip locked
)
update text_fetch set attempts = attempts + 1, due_at = app_now() + interval '1 minute' from due
where text_fetch.source = due.source and text_fetch.event_id = due.event_id
returning text_fetch.source, text_fetch.event_id, asked, attempts, traceparent
"""
DONE = "delete from text_fetch where source = $1 and event_id = $2"
# At 'infinity' it is given up, and stays to be seen; a new token takes it up again.
LATER = """
update text_fetch set problem = $3,
    due_at = case when $4::float8 is null then 'infinity' else app_now() + make_interval(secs => $4) end
where source = $1 and event_id = $2
"""
BATCH = 20
IDLE_S = 1.0
TIMEOUT_S = 10.0
MAX_ANSWER = 4_194_304
MAX_ATTEMPTS = 30  # the last of them some days after the first
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 21_600.0
REFUSED_WAIT_S = 900.0
TOKEN_S = 1_200.0


class NotFetched(Exception):
    """The API did not give the text. `wait_s` until it is asked again; None: never. The text names no content."""

    def __init__(self, problem: str, wait_s: float | None) -> None:
        super().__init__(problem)
        self.wait_s = wait_s


class Wanted(NamedTuple):
    """A text that is missing, and the source that can be asked for it. Without a token it waits for one."""

    source: SourceRecord
    asked: Asked
    traceparent: str


def wanted(source: SourceRecord | None, contact: Contact, carrier: tracing.Carrier | None) -> list[Wanted]:
    """The text of a contact that its webhook did not carry, where there is somebody to ask."""
    asked = None if source is None else asked_for(source.adapter, contact)
    return [] if source is None or asked is None else [Wanted(source, asked, carrier.traceparent if carrier else "")]


async def note(conn: Connection, wanted: Sequence[Wanted]) -> None:
    """Remember what is missing, in the caller's transaction."""
    if wanted:
        await conn.execute(
            NOTE,
            [each.source.name for each in wanted],
            [each.asked.event_id for each in wanted],
            [orjson.dumps(each.asked.as_json()).decode() for each in wanted],
            [each.traceparent for each in wanted],
            [each.source.token is not None for each in wanted],
        )


Keep = Callable[[Delivery, str, tracing.Carrier], Awaitable[Any]]


class Fetcher:
    """Asks for what is due, a few at a time; `keep` stores an answer as a delivery."""

    def __init__(self, pool: Pool, sources: Sources, keep: Keep) -> None:
        self._pool = pool
        self._sources = sources
        self._keep = keep
        self._tokens: dict[str, tuple[str, datetime]] = {}

    async def run(self) -> None:
        """For ever: what is due, then sleep."""
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
            while True:
                try:
                    done = await self.fetch_due(client)
                except Exception as problem:
                    # The database is away, or slow: what was noted waits.
                    log.warning("texts cannot be fetched now", error=type(problem).__name__)
                    done = 0
                if not done:
                    await asyncio.sleep(IDLE_S)

    async def fetch_due(self, client: httpx2.AsyncClient) -> int:
        """Ask once for each text that is due; returns how many."""
        async with connection(self._pool) as conn:
            rows = await conn.fetch(TAKE, BATCH)
        await asyncio.gather(*(self._one(client, row) for row in rows))
        return len(rows)

    async def _one(self, client: httpx2.AsyncClient, row: Any) -> None:
        source, event_id, attempts = row["source"], row["event_id"], row["attempts"]
        try:
            await self._fetch(client, source, Asked(**orjson.loads(row["asked"])), row["traceparent"])
        except NotFetched as problem:
            wait = problem.wait_s if attempts < MAX_ATTEMPTS else None
            outcome = "failed" if wait is not None else "given_up"
            log.warning(
                "a text was not fetched", source=source, reason=str(problem), attempts=attempts, outcome=outcome
            )
            if wait == 0:
                wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempts - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            async with connection(self._pool) as conn:
                await conn.execute(LATER, source, event_id, str(problem), wait)
            metrics.TEXT_FETCHES.labels(SERVICE, source, outcome).inc()
        else:
            async with connection(self._pool) as conn:
                await conn.execute(DONE, source, event_id)
            metrics.TEXT_FETCHES.labels(SERVICE, source, "fetched").inc()

    async def _fetch(self, client: httpx2.AsyncClient, name: str, asked: Asked, traceparent: str) -> None:
        try:
            source = await self._sources.get(name)
        except SourcesUnavailable:
            raise NotFetched("the sources cannot be looked up", 0) from None
        if source is None or source.token is None:
            raise NotFetched("the source is disabled or has no token any more", REFUSED_WAIT_S)
        base = str(source.options.get("api_url") or BASE[asked.adapter] or "").rstrip("/")
        if not base:
            raise NotFetched(
                "the source has no api_url: amends sources rotate NAME --option api_url=https://...", REFUSED_WAIT_S
            )
        token = await self._token(client, source, base)
        answer = await _call(client, "GET", base + path(asked), headers(asked.adapter, token))
        if answer.status == 401:
            self._tokens.pop(name, None)
        _check(answer)
        if (address := following(asked, answer.content)) is not None:
            answer = await _follow(client, base, address, headers(asked.adapter, token))
            _check(answer)
        delivery = Delivery(
            id=ids.time_ordered_id(), source=name, received_at=utc_now(), content_type="application/json", headers={},
            body=envelope(asked, answer.content), options=source.options,
        )  # fmt: skip
        try:
            await self._keep(delivery, FETCHED, tracing.parse(traceparent) or tracing.Carrier(""))
        except NotStored:
            raise NotFetched("the answer could not be stored", 0) from None

    async def _token(self, client: httpx2.AsyncClient, source: SourceRecord, base: str) -> str:
        """The token itself or, where client credentials were given as JSON, one that they buy (of Salesforce and Genesys; for minutes)."""
        token = source.token or ""
        if not token.startswith("{"):
            return token
        known = self._tokens.get(source.name)
        if known is not None and known[1] > utc_now():
            return known[0]
        given = orjson.loads(token)
        form = {"grant_type": "client_credentials"}
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        client_id, client_secret = str(given.get("client_id", "")), str(given.get("client_secret", ""))
        if source.adapter == "genesys":
            address = f"{base.replace('://api.', '://login.', 1)}/oauth/token"
            sent["Authorization"] = f"Basic {base64.b64encode(f'{client_id}:{client_secret}'.encode()).decode()}"
        else:
            address = f"{base}/services/oauth2/token"
            form |= {"client_id": client_id, "client_secret": client_secret}
        answer = await _call(client, "POST", address, sent, urlencode(form).encode())
        _check(answer)
        bought = answer.content.get("access_token") if isinstance(answer.content, dict) else None
        if not isinstance(bought, str):
            raise NotFetched("the API gives no access token for the client credentials", REFUSED_WAIT_S)
        self._tokens[source.name] = (bought, utc_now() + timedelta(seconds=TOKEN_S))
        return bought


class _Answer:
    def __init__(self, status: int, retry_after: str, content: Any) -> None:
        self.status, self.retry_after, self.content = status, retry_after, content


async def _call(
    client: httpx2.AsyncClient, method: str, url: str, sent: dict[str, str], body: bytes | None = None
) -> _Answer:
    try:
        async with client.stream(method, url, headers=sent, content=body) as response:
            collected = bytearray()
            async for chunk in response.aiter_bytes():
                collected += chunk
                if len(collected) > MAX_ANSWER:
                    raise NotFetched("the API's answer is too large", None)
    except httpx2.HTTPError as error:
        raise NotFetched(f"the API does not answer ({type(error).__name__})", 0) from None
    except (httpx2.InvalidURL, UnicodeError):
        raise NotFetched("the source's api_url is no address", REFUSED_WAIT_S) from None
    try:
        content = orjson.loads(bytes(collected))
    except orjson.JSONDecodeError:
        content = None
    return _Answer(response.status_code, response.headers.get("retry-after", ""), content)


async def _follow(client: httpx2.AsyncClient, base: str, address: str, sent: dict[str, str]) -> _Answer:
    """What an answer pointed at: below the API's base, or a signed address elsewhere, which gets no token of ours."""
    if address.startswith("/"):
        return await _call(client, "GET", base + address, sent)
    if not address.startswith(("https://", f"{base}/")):
        raise NotFetched("the API names an address that is not https", None)
    return await _call(client, "GET", address, {"Accept": "application/json"})


def _check(answer: _Answer) -> None:
    """Raises NotFetched unless the answer is what was asked for."""
    status = answer.status
    if status == 429:
        asked_wait = float(answer.retry_after) if answer.retry_after.isdigit() else 0
        raise NotFetched("the API asks for patience (429)", min(asked_wait, LONGEST_WAIT_S))
    if status in (401, 403):
        raise NotFetched(f"the API refuses the token ({status})", REFUSED_WAIT_S)
    if status in (404, 410):
        raise NotFetched(f"the API does not have it, or not yet ({status})", 0)
    if not 200 <= status < 300:
        raise NotFetched(f"the API answers {status}", 0 if status >= 500 or status == 408 else REFUSED_WAIT_S)
    if answer.content is None:
        raise NotFetched("the API's answer is not JSON", 0)
