"""An empty database of escalation, and a real Chromium for the page of a hand-off."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.postgres.migrate import migrate
from shared.postgres.pool import Pool, make_pool
from tests.escalation.beds import CLOCK
from tests.harness.browser import chromium

__all__ = ["chromium"]


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    await migrate(database, "escalation")
    made = await make_pool(database, service="escalation")
    async with made.acquire() as conn:
        await conn.execute(CLOCK)
    yield made
    made.terminate()  # also where a test has left a crashed process's connection in use
