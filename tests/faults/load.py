"""The load of the fault runs: complaints and what happens to them afterwards, at a bounded rate, until told to stop."""

from __future__ import annotations

import asyncio
import random

import asyncpg

from tests.faults.client import SORTS, Client
from tests.faults.journal import Submission

AT_ONCE = 400
DUPLICATES = 0.02
LISTS = 0.06
MAKE_DUE = "update followup.timer set due_at = now() - interval '1 second' where complaint_id = $1 and name = 'update' returning 1"
UNSURE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError)


class Load:
    """Starts `rate` requests a second. Every complaint gets one story; `stop` lets all stories come to their end.

    With AT_ONCE stories under way none begins: a busy machine would only fall behind for longer.
    """

    def __init__(self, client: Client, dsn: str, *, rate: float, seed: int, most: int = 50_000) -> None:
        self._client = client
        self._pool = asyncpg.create_pool(dsn, min_size=0, max_size=3, command_timeout=5)
        self._rate = rate
        self._most = most
        self._random = random.Random(seed)
        self._stories: set[asyncio.Task[None]] = set()
        self._running = True
        self._sent: list[Submission] = []

    async def run(self) -> None:
        """Until `stop` (or the most complaints are sent), and until every story has ended. Raises what a story raised."""
        loop = asyncio.get_running_loop()
        await self._pool
        due = loop.time()
        while self._running and len(self._client.journal.submissions) < self._most:
            story = asyncio.create_task(self._request())
            self._stories.add(story)
            story.add_done_callback(self._ended)
            due = max(due + 1 / self._rate, loop.time() - 1.0)  # after a stall a burst, but not of all that was missed
            await asyncio.sleep(max(0.0, due - loop.time()))
            while len(self._stories) >= AT_ONCE and self._running:
                await asyncio.sleep(0.1)
        await asyncio.gather(*self._stories)
        self._pool.terminate()

    def stop(self) -> None:
        self._running = False

    def _ended(self, story: asyncio.Task[None]) -> None:
        if not story.cancelled() and story.exception() is None:
            self._stories.discard(story)

    async def _request(self) -> None:
        chance = self._random.random()
        if chance < LISTS:
            messages = [self._client.message(sort=self._sort()) for _ in range(self._random.randint(2, 30))]
            messages += self._random.sample(self._sent, min(len(self._sent), 1))  # one of them was sent before
            await self._client.send(*messages)
            self._sent += [m for m in messages if m.acknowledged]
            return
        if chance < LISTS + DUPLICATES and self._sent:
            await self._client.send(self._random.choice(self._sent))
            return
        if chance < LISTS + 1.2 * DUPLICATES and self._sent:
            await self._client.send_changed(self._random.choice(self._sent))
            return
        first = self._client.message(sort=self._sort())
        await self._client.send(first)
        if first.acknowledged:
            self._sent.append(first)
            await self._story(first)

    def _sort(self) -> str:
        return self._random.choice(list(SORTS))

    async def _story(self, first: Submission) -> None:
        """What happens to a complaint after it was received; with most, nothing does."""
        client, chance = self._client, self._random.random()
        if chance > 0.5:
            return
        if chance < 0.08:
            await self._race(first)
            return
        await asyncio.sleep(self._random.random() * 3)
        if chance < 0.16:
            await self._make_due(first)
        elif chance < 0.26:
            await client.command(first.complaint_id, "resolve")
        elif chance < 0.36:
            sort = self._random.choice(("plain", "injury"))
            await client.send(client.message(sort=sort, record_id=first.record_id))
        elif chance < 0.40:
            await client.send(client.message("reply", record_id=first.record_id))
        elif chance < 0.46:
            await client.send(client.message("status", record_id=first.record_id, status="resolved"))
        else:
            await client.send(client.message("bot", record_id=first.record_id))

    async def _race(self, first: Submission) -> None:
        """Everybody at once on one complaint: commands, the contact centre, the customer, and the clock."""
        client = self._client
        about = first.record_id
        await asyncio.gather(
            client.command(first.complaint_id, "resolve"),
            client.command(first.complaint_id, "resolve"),
            client.command(first.complaint_id, "close"),
            client.send(client.message(record_id=about, sort="injury")),
            client.send(client.message("status", record_id=about, status="waiting")),
            self._make_due(first, certain=False),
        )

    async def _make_due(self, first: Submission, *, certain: bool = True) -> None:
        """Let the time of the planned update come. `certain`: nobody else touches this complaint, so it must fire."""
        forced = self._client.journal.forced.setdefault(first.complaint_id, [0, 0])
        for _ in range(600 if certain else 20):
            try:
                async with self._pool.acquire(timeout=5) as conn:
                    found = await conn.fetchval(MAKE_DUE, first.complaint_id)
            except UNSURE:
                forced[1] += 1
                found = None
            if found:
                forced[0] += certain
                forced[1] += 1
                return
            await asyncio.sleep(0.1)
        if certain:
            self._client.journal.complaints.append(f"no update was planned for {first.complaint_id} within a minute")
