"""Sends what decisions have left in `message`, and hands each outcome back to the service as an input.

Claimed with a lease, tried, settled in a save: so a message is tried at least once under its one id, and what became of
it changes the service's state exactly once. Each endpoint has its own task: a slow or dead one holds up only itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import structlog

from shared import failpoints
from shared.contracts.decision import Settled
from shared.delivery import digests
from shared.delivery.contact_centres import ContactCentres
from shared.delivery.email import Email, ToFolder
from shared.delivery.routes import Permanent, Route, Temporary
from shared.delivery.settings import DeliverySettings, Endpoints
from shared.delivery.web import Caller, Chats, Webhooks
from shared.errors import TooManyDeadLetters, classify
from shared.postgres import messages
from shared.postgres.dead_letters import refuse
from shared.postgres.inputs import Input, Inputs
from shared.postgres.messages import Letter
from shared.postgres.pool import Connection, Pool, connection
from shared.postgres.saves import Saves
from shared.telemetry import metrics, tracing
from shared.telemetry.health import Progress

log = structlog.get_logger(__name__)

EACH = 20
ATTEMPT_S = 60.0
LONGEST_SLEEP_S = 1.0
HALT_RETRY_S = 15.0
LOOK_EVERY_S = 10.0
# Waits between attempts, then the last one again and again, until it is given up.
WAITS_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
GIVEN_UP_AFTER_S = 3 * 86_400.0
# What waits for somebody to mend its cause is tried at least so often, and is never given up.
HELD_WAIT_S = 300.0


def routes(settings: DeliverySettings, endpoints: Endpoints, service: str, id_key: bytes) -> dict[str, Route]:
    """The routes that the settings allow; a message for one that is missing fails with the reason."""
    caller = Caller(settings.allow_networks)
    found: dict[str, Route] = {
        "webhook": Webhooks(endpoints.webhooks, caller, f"/amends/{service}"),
        "chat": Chats(endpoints.chats, caller),
        "contact_centre": ContactCentres(endpoints.contact_centres, caller),
    }
    if settings.smtp_host:
        found["email"] = Email(settings, id_key)
    elif settings.maildir is not None:
        found["email"] = ToFolder(settings.maildir, settings.mail_from, id_key)
    return found


class Sender:
    """The sending loop of one process; any number of replicas may run it at the same time."""

    def __init__(
        self, *, service: str, pool: Pool, saves: Saves[Any], progress: Progress, routes: Mapping[str, Route],
        settings: DeliverySettings, reread: Callable[[], Mapping[str, Route] | None] = lambda: None,
    ) -> None:  # fmt: skip
        """`reread` gives the routes anew when the endpoints' file has changed: a new secret counts without a restart."""
        self._service = service
        self._pool = pool
        self._saves = saves
        self._progress = progress
        self._routes = routes
        self._settings = settings
        self._reread = reread
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._freed = asyncio.Event()

    async def run(self) -> None:
        """Claim, hand to the endpoints' tasks, sleep until something is due or an endpoint is free again."""
        try:
            while True:
                self._freed.clear()
                started = await self._start_due()
                self._progress.beat("messages")
                for task in [task for task in self._busy.values() if task.done()]:
                    task.result()  # a defect in it ends the process: crash-only
                self._busy = {name: task for name, task in self._busy.items() if not task.done()}
                if not started:
                    await self._rest()
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def watch(self) -> None:
        """Every ten seconds: changed endpoints, and, as metrics, which of them are left alone and how much waits."""
        fresh = True
        while True:
            try:
                if (changed := self._reread()) is not None:
                    self._routes, fresh = changed, True
                async with connection(self._pool) as conn:
                    if fresh:  # endpoints that rest and messages that have failed: the secret may be another now
                        await conn.execute(messages.TRY_AGAIN)
                        fresh = False
                    rows = await conn.fetch(messages.LIST_ENDPOINTS)
                metrics.ENDPOINTS_RESTING.labels(self._service).set(sum(row["resting"] for row in rows))
                metrics.MESSAGES_WAITING.labels(self._service).set(sum(row["waiting"] for row in rows))
            except Exception as error:
                log.warning("cannot look at the endpoints", service=self._service, error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _start_due(self) -> int:
        try:
            async with connection(self._pool) as conn:
                async with conn.transaction():
                    await digests.pass_on(conn, self._settings)
                claimed = await messages.claim(conn, EACH, [n for n, task in self._busy.items() if not task.done()])
        except Exception as error:
            log.warning("cannot claim messages", service=self._service, error=type(error).__name__)
            return 0
        if claimed:
            await failpoints.reach("messages.after_claim")
        ordered = sorted(claimed, key=lambda letter: letter.endpoint)
        for endpoint, letters in groupby(ordered, key=lambda letter: letter.endpoint):
            self._busy[endpoint] = asyncio.create_task(self._work(endpoint, list(letters)))
        return len(claimed)

    async def _rest(self) -> None:
        pause = LONGEST_SLEEP_S
        try:
            async with connection(self._pool) as conn:
                due: float | None = await conn.fetchval(messages.NEXT_DUE)
            if due is not None:
                pause = min(max(due, 0.05), LONGEST_SLEEP_S)
        except Exception as error:
            log.warning("cannot read the next message", service=self._service, error=type(error).__name__)
        # Not wait_for: it can lose a cancellation that comes as the event is set.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._freed.wait()

    async def _work(self, endpoint: str, letters: Sequence[Letter]) -> None:
        try:
            outcomes = await asyncio.gather(*(self._attempt(letter) for letter in letters))
            await failpoints.reach("messages.after_send")
            settled = [(letter, out) for letter, out in zip(letters, outcomes, strict=True) if isinstance(out, Settled)]
            failed = [(letter, out) for letter, out in zip(letters, outcomes, strict=True) if isinstance(out, Temporary)]
            await self._note(endpoint, failed, worked=any(out.outcome == "sent" for _, out in settled))
            await self._settle(settled)
        finally:
            self._freed.set()

    async def _attempt(self, letter: Letter) -> Settled | Temporary:
        route = self._routes.get(letter.route)
        outcome: Settled | Temporary
        try:
            if letter.route == digests.TAKEN:
                return Settled(letter.name, "digested", letter.attempts)
            if route is None:
                raise Permanent(f"no route for {letter.route} is set up (AMENDS_DELIVERY_SMTP_HOST)")
            async with asyncio.timeout(ATTEMPT_S):
                await route.send(letter)
            outcome = Settled(letter.name, "sent", letter.attempts)
        except Permanent as refused:
            outcome = Settled(letter.name, "failed", letter.attempts, str(refused))
        except Temporary as failure:
            outcome = failure
        except TimeoutError:
            outcome = Temporary("no answer in time")
        except Exception as error:  # a fault in composing this letter must not stop the others
            log.error("a message cannot be sent", service=self._service, route=letter.route, error=type(error).__name__)
            outcome = Settled(letter.name, "failed", letter.attempts, f"fault of Amends: {type(error).__name__}")
        if isinstance(outcome, Temporary) and not outcome.held and letter.age_s > GIVEN_UP_AFTER_S:
            outcome = Settled(letter.name, "failed", letter.attempts, f"given up after three days: {outcome}")
        said = outcome.outcome if isinstance(outcome, Settled) else "again"
        metrics.MESSAGES.labels(self._service, letter.route, said).inc()
        return outcome

    async def _note(self, endpoint: str, failed: Sequence[tuple[Letter, Temporary]], *, worked: bool) -> None:
        """What the attempts say of the endpoint, and when those that failed are tried again."""
        try:
            async with connection(self._pool) as conn, conn.transaction():
                if worked:
                    await conn.execute(messages.WORKED, endpoint)
                elif blamed := [failure for _, failure in failed if failure.endpoint]:
                    await conn.execute(messages.FAILED, endpoint, str(blamed[0]))
                for letter, failure in failed:
                    wait = WAITS_S[min(letter.attempts, len(WAITS_S)) - 1] * random.uniform(0.8, 1.2)  # noqa: S311
                    wait = min(wait, HELD_WAIT_S) if failure.held else wait
                    await conn.execute(
                        messages.LATER, letter.id, letter.attempts, max(wait, failure.after_s or 0.0), str(failure)
                    )
        except Exception as error:  # their lease ends, then they are tried again
            log.warning("cannot note failures", service=self._service, error=type(error).__name__)

    async def _settle(self, settled: Sequence[tuple[Letter, Settled]]) -> None:
        """Tell the service, in the save that ends the messages. The one that cannot be saved is found and parked."""
        while settled:
            try:
                await self._save(settled)
            except TooManyDeadLetters as error:
                log.error("messages are not settled", service=self._service, reason=str(error))
                await asyncio.sleep(HALT_RETRY_S)
                continue
            return

    async def _save(self, settled: Sequence[tuple[Letter, Settled]]) -> None:
        by_id = {letter.id: (letter, outcome) for letter, outcome in settled}

        async def take(conn: Connection) -> Inputs:
            # Gone already: another replica has settled it, or it was withdrawn.
            return [_input(*by_id[row["id"]]) for row in await conn.fetch(messages.SETTLE, sorted(by_id))]

        try:
            await self._saves.act(take)
        except TooManyDeadLetters:
            raise
        except Exception as defect:
            if classify(defect) != "defect":
                raise
            error = type(defect).__name__
            log.error("outcomes of messages cannot be saved", service=self._service, messages=len(settled), error=error)
            if len(settled) == 1:
                await self._saves.act(take, decide=refuse(f"saving failed: {error}"))
                return
            middle = len(settled) // 2
            await self._save(settled[:middle])
            await self._save(settled[middle:])


def _input(letter: Letter, outcome: Settled) -> Input:
    subject = letter.complaint_id
    carrier = tracing.fire(f"message {letter.route}", tracing.parse(letter.traceparent), str(subject), datetime.now(UTC))
    return Input("message", subject, outcome, f"message/{letter.id}", carrier, "message", str(subject))
