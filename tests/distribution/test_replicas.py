"""Processes that follow the policy topics: the same version in force on all, whatever happens to them or to Kafka."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import asyncpg
import pytest

from shared.config import KafkaSettings
from shared.contracts.policies import EVER, ReplicaStatus, VersionPublished
from shared.contracts.topics import POLICY_STATUS
from shared.errors import NotReady
from shared.policy.distribution import actions, topics
from shared.policy.distribution import replica as replica_module
from shared.policy.distribution.actions import Request
from shared.policy.distribution.replica import Replica
from shared.postgres.pool import Pool
from shared.telemetry.health import Progress
from tests.distribution.parts import SERVICE, activate, document, publish, replica, running, until
from tests.policy.documents import facts

NOWHERE = KafkaSettings.model_construct(bootstrap="127.0.0.1:9", topic_prefix="none-")


def version(of: Replica) -> int:
    now = datetime.now(UTC)
    return of.in_force(now, now).version


async def statuses(kafka: KafkaSettings) -> list[ReplicaStatus]:
    return list((await topics.read_all(kafka, [POLICY_STATUS])).statuses.values())


async def test_several_new_processes_record_the_packaged_default_once(kafka: KafkaSettings, pool: Pool) -> None:
    async with running(*(replica(kafka, pool) for _ in range(3))) as replicas:
        now = datetime.now(UTC)
        await until(lambda: all(r._line is not None and r.in_force(now, now).activation == 1 for r in replicas))
    held = await topics.read_all(kafka)
    assert [(a.version, a.packaged) for a in held.of_service(SERVICE)] == [(1, True)]
    assert list(held.versions) == ["test.policy/1"]


async def test_activation_and_rollback_reach_every_process(kafka: KafkaSettings, pool: Pool) -> None:
    async with running(*(replica(kafka, pool) for _ in range(3))) as replicas:
        await until(lambda: all(r.fresh for r in replicas))
        two = await publish(kafka, document(2, tier=3))
        before = datetime.now(UTC)
        await activate(kafka, two)
        await until(lambda: all(version(r) == 2 for r in replicas))
        late = replicas[0].in_force(before - timedelta(seconds=1), datetime.now(UTC))
        assert (late.version, late.late) == (1, True), "what happened before is decided by what counted then"

        request = Request("tests", "not good")
        await topics.write(kafka, SERVICE, lambda r: actions.roll_back(r, two, None, request, datetime.now(UTC)))
        await until(lambda: all(version(r) == 1 for r in replicas))
        meanwhile = replicas[1].in_force(before + timedelta(seconds=0.5), datetime.now(UTC))
        assert meanwhile.version == 1, "void counts for everything that is not decided yet"


async def test_every_published_version_is_loaded_not_only_the_highest(kafka: KafkaSettings, pool: Pool) -> None:
    """Two people may publish, and the lower number be activated; a process that starts later must be able to, too."""
    published = {(await publish(kafka, document(number))).key for number in (5, 3, 4)}
    async with running(replica(kafka, pool)) as (one,):
        await until(lambda: bool((status := one.status()) and status.loaded.keys() > published))
        await publish(kafka, document(2))
        await until(lambda: bool((status := one.status()) and "test.policy/2" in status.loaded))


async def test_a_handler_keeps_the_snapshot_that_it_began_with(kafka: KafkaSettings, pool: Pool) -> None:
    async with running(replica(kafka, pool)) as (one,):
        await until(lambda: one.fresh)
        now = datetime.now(UTC)
        begun = one.in_force(now, now)
        await activate(kafka, await publish(kafka, document(2, tier=3)))
        await until(lambda: version(one) == 2)
        assert begun.decide(facts(severity=5)).outcome["tier"] == 2


async def test_a_process_starts_with_kafka_down_from_what_postgresql_has_kept(kafka: KafkaSettings, pool: Pool) -> None:
    async with running(replica(kafka, pool)) as (one,):
        await until(lambda: one.fresh and one.in_force(EVER, EVER).activation == 1)
        await activate(kafka, await publish(kafka, document(2, tier=3)))
        await until(lambda: version(one) == 2)
        await until(lambda: not one._unsaved)
    progress = Progress()
    async with running(replica(NOWHERE, pool, progress=progress)) as (cold,):
        await until(lambda: cold._line is not None)
        now = datetime.now(UTC)
        found = cold.in_force(now, now)
        assert (found.version, found.activation, found.lag) == (2, 2, True)
        assert (await progress.ready()).ok


async def test_what_was_kept_never_replaces_what_kafka_told_meanwhile(
    kafka: KafkaSettings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL answers first, its versions take long to compile, and Kafka has more by then."""
    async with running(replica(kafka, pool)) as (one,):
        await until(lambda: one.fresh and one.in_force(EVER, EVER).activation == 1)
        await activate(kafka, await publish(kafka, document(2)))
        await until(lambda: version(one) == 2 and not one._unsaved)
    await activate(kafka, await publish(kafka, document(3)))

    compile, slow = Replica._compile, Event()

    def slowly(self: Replica, record: VersionPublished) -> Any:
        if record.version == 2 and not slow.is_set():
            slow.set()
            assert told.wait(30.0)
            time.sleep(0.5)  # in the thread that compiles: as long as it takes to take in what Kafka told
        return compile(self, record)

    monkeypatch.setattr(Replica, "_compile", slowly)
    read, told = topics.Reader.poll, Event()

    async def poll(self: topics.Reader) -> list[tuple[str, str, bytes | None]]:
        await until(slow.is_set)
        records = await read(self)
        if any(key == "test.policy/3" for _, key, _ in records):
            told.set()
        return records

    monkeypatch.setattr(topics.Reader, "poll", poll)
    async with running(replica(kafka, pool)) as (two,):
        await until(lambda: two.fresh)
        began = time.monotonic()
        while time.monotonic() < began + 1.0:
            assert version(two) == 3
            await asyncio.sleep(0.02)


async def test_a_first_start_without_kafka_decides_nothing_and_is_not_ready(pool: Pool) -> None:
    progress = Progress()
    cold = replica(NOWHERE, pool, progress=progress)
    with pytest.raises(NotReady):
        cold.in_force(datetime.now(UTC), datetime.now(UTC))
    async with running(cold):
        await until(lambda: cold._line is not None)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cold.caught_up(), 0.5)
        report = await progress.ready()
        assert not report.ok
        assert "amends topics create" in report.body["checks"]["policy"]


async def test_events_wait_for_a_process_that_has_not_seen_the_end_lately(
    kafka: KafkaSettings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen process, or one cut off from the policy topics: it waits, and then says that it may not know all."""
    monkeypatch.setattr(replica_module, "WAIT_S", 1.0)
    async with running(replica(kafka, pool)) as (one,):
        await until(lambda: one.fresh)
        await asyncio.wait_for(one.caught_up(), 1.0)
        assert not one.in_force(datetime.now(UTC), datetime.now(UTC)).lag
    one._ended_at = time.monotonic() - replica_module.FRESH_S
    assert one.in_force(datetime.now(UTC), datetime.now(UTC)).lag
    began = time.monotonic()
    await one.caught_up()
    assert time.monotonic() - began >= 1.0

    async def waits(_: float) -> None:
        raise AssertionError("as long as the topics stay away, the next batches do not wait again")

    monkeypatch.setattr(asyncio, "sleep", waits)
    await one.caught_up()


async def test_a_document_that_cannot_be_run_is_reported_and_the_old_one_stays(kafka: KafkaSettings, pool: Pool) -> None:
    progress = Progress()
    async with running(replica(kafka, pool, progress=progress)) as (one,):
        await until(lambda: one.fresh and version(one) == 1)
        good = await publish(kafka, document(2))
        # As a later Amends would publish it: this one does not know the language.
        newer = good.model_copy(update={"version": 3, "text": good.text.replace("cel-subset/1", "cel-subset/9")})
        await topics.write(kafka, SERVICE, lambda held: [newer])
        await until(lambda: bool((status := one.status()) and status.rejected))
        assert (await progress.ready()).ok, "nothing that is in force is refused"
        await activate(kafka, newer)
        now = datetime.now(UTC)
        await until(lambda: one.in_force(datetime.now(UTC), datetime.now(UTC)).lag)
        assert one.in_force(now, now).version == 1
        answer = await progress.ready()
        assert "in force and cannot be run here: test.policy version 3; deciding by" in answer.body["checks"]["policy"]
        found = [s for s in await statuses(kafka) if s.rejected]
        assert "cel-subset" in found[0].rejected[0].reason


async def test_a_shadow_counts_and_changes_nothing(kafka: KafkaSettings, pool: Pool) -> None:
    async with running(replica(kafka, pool)) as (one,):
        await until(lambda: one.fresh)
        stricter = await publish(kafka, document(2, tier=4, severity=5))
        request = Request("tests", "a look")
        await topics.write(kafka, SERVICE, lambda r: actions.shadow(r, stricter, request, None, datetime.now(UTC)))
        await until(lambda: one.in_force(datetime.now(UTC), datetime.now(UTC)).beside is not None)
        active = one.in_force(datetime.now(UTC), datetime.now(UTC))
        assert [active.decide(facts(severity=s)).outcome["tier"] for s in (5, 1, 1)] == [2, 1, 1]
        broken = {"as_of": "not a time"}
        assert active.decide(broken).outcome == {"tier": 1}
        status = one.status()
        assert status is not None
        (figures,) = status.shadows
        assert (figures.decisions, figures.different, figures.version) == (4, 1, 2)
        assert figures.differing == {"tier: 2 -> 4": 1}
        assert figures.examples[0]["inputs"] == {"complaint.severity": 5}
        await activate(kafka, stricter)
        await until(lambda: version(one) == 2)
        assert one.in_force(datetime.now(UTC), datetime.now(UTC)).beside is None, "it is in force: nothing to compare"


async def test_each_process_tells_what_it_runs_and_takes_it_back_when_it_ends(kafka: KafkaSettings, pool: Pool) -> None:
    async with running(replica(kafka, pool), replica(kafka, pool)) as (one, two):
        await until(lambda: one.fresh and two.fresh)
        names = {one.name, two.name}
        while {s.replica for s in await statuses(kafka) if s.activation == 1} != names:
            await asyncio.sleep(0.1)
    assert await statuses(kafka) == []


async def test_postgresql_down_at_the_start_is_waited_for(kafka: KafkaSettings, schema: str) -> None:
    dead = await asyncpg.create_pool("postgresql://nobody@127.0.0.1:9/none", min_size=0, timeout=1)
    async with running(replica(kafka, dead)) as (one,):
        await until(lambda: one.fresh and version(one) == 1)
    dead.terminate()
