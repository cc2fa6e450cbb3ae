"""Live means that the loops move; ready means that what is needed answers."""

from __future__ import annotations

import asyncio
import time

from shared.telemetry.health import Progress


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_stands_still_is_named_with_its_time() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.expect("consumer", within_s=10)
    progress.expect("relay", within_s=10)
    clock.now += 9
    assert progress.live().ok
    progress.beat("relay")
    clock.now += 2
    report = progress.live()
    assert not report.ok
    (stalled,) = report.body["stalled"]
    assert (stalled["loop"], stalled["idle_s"], stalled["allowed_s"]) == ("consumer", 11.0, 10)
    progress.beat("consumer")
    assert progress.live().ok


def test_a_loop_that_never_started_counts_as_standing_still() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.expect("consumer", within_s=10)
    clock.now += 11
    assert not progress.live().ok


def test_a_loop_may_end_and_one_without_expectation_never_fails() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.expect("normalize", within_s=10)
    progress.beat("extra")
    progress.finished("normalize")
    clock.now += 1_000
    assert progress.live().ok


def test_expecting_later_than_beating_sets_the_window() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.beat("relay")
    progress.expect("relay", within_s=1)
    clock.now += 2
    assert not progress.live().ok


async def test_ready_is_what_every_check_says() -> None:
    progress = Progress()
    answers: dict[str, str | None] = {"postgres": None}

    async def postgres() -> str | None:
        return answers["postgres"]

    async def kafka() -> str | None:
        raise ConnectionError("secret-host:9092")

    progress.require("postgres", postgres)
    assert (await progress.ready()).ok
    answers["postgres"] = "not migrated"
    progress.require("kafka", kafka)
    report = await progress.ready()
    assert not report.ok
    assert report.body["checks"] == {"postgres": "not migrated", "kafka": "failed: ConnectionError"}


async def test_checks_that_hang_have_a_limit_and_run_at_the_same_time() -> None:
    progress = Progress()

    async def hang() -> str | None:
        await asyncio.sleep(60)
        return None

    for name in ("a", "b", "c", "d"):
        progress.require(name, hang, timeout_s=0.1)
    started = time.monotonic()
    report = await progress.ready()
    assert time.monotonic() - started < 0.35
    assert report.body["checks"]["a"] == "no answer within 0.1 s"


async def test_halt_fails_readiness_with_its_reason_and_not_liveness() -> None:
    progress = Progress()
    progress.halt("consumer", "100 dead letters in ten minutes")
    report = await progress.ready()
    assert not report.ok
    assert report.body["checks"]["halted"] == "consumer: 100 dead letters in ten minutes"
    assert progress.live().ok
    progress.resume("consumer")
    assert (await progress.ready()).ok


async def test_a_loop_that_goes_on_does_not_speak_for_one_that_is_halted() -> None:
    progress = Progress()
    progress.halt("timers", "100 dead letters in ten minutes")
    progress.halt("consumer", "100 dead letters in ten minutes")
    progress.resume("consumer")
    report = await progress.ready()
    assert not report.ok
    assert report.body["checks"]["halted"] == "timers: 100 dead letters in ten minutes"
