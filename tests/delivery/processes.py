"""The processes of the simulation: replicas that crash and begin again, and a Kafka that repeats and reorders."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaTimeoutError

from shared import failpoints
from shared.postgres.dead_letters import NotReplayable, save_batch
from shared.postgres.inputs import Outgoing
from shared.postgres.pool import Pool
from tests.delivery.parts import READS, Crash, ListSender, Replica

if TYPE_CHECKING:
    from tests.delivery.simulation import World


class Process:
    """A replica and its tasks. A crash cancels all of them, and a new replica begins."""

    def __init__(self, world: World, service: str, pool: Pool) -> None:
        self._world = world
        self.service = service
        self._pool = pool
        self._tasks: set[asyncio.Task[Any]] = set()
        self.start()

    def start(self) -> None:
        self.replica = Replica(self.service, self._pool, UnreliableSender(self._world), self._world.faulty)
        self.spawn(self.replica.relay.run())
        self.spawn(self.replica.relay.sweep())
        if self.service == "escalation":
            self.spawn(self.replica.timers.run())
        if READS[self.service]:
            self.spawn(self._consume())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if task not in self._tasks:  # it belonged to a process that has ended
            return
        self._tasks.discard(task)
        if task.cancelled():  # nobody did: `stop` forgets what it cancels
            self._world.problems.append(f"{self.service}: {task.get_coro()} was cancelled from within")
            return
        error = task.exception()
        if isinstance(error, Crash):
            self.stop()
            self._world.crashes += 1
            self.start()
        elif error is not None and not isinstance(error, NotReplayable):
            self._world.problems.append(f"{self.service}: {error!r}")

    def stop(self) -> None:
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
            self._world.ended.add(task)
            task.add_done_callback(self._world.ended.discard)

    async def _consume(self) -> None:
        world, r = self._world, self._world.random
        committed = world.committed[self.service]
        position = dict(committed)
        while True:
            if world.chaos and r.random() < 0.03:  # a rebalance: back to what is committed, or a little further
                position = {topic: max(0, offset - r.randrange(20)) for topic, offset in committed.items()}
            topic = r.choice(READS[self.service])
            batch = world.kafka.read(topic, position[topic], r.randrange(1, 12))
            if not batch:
                committed[topic] = max(committed[topic], position[topic])
                await asyncio.sleep(0.01)
                continue
            await save_batch(self.replica.saves, batch)
            position[topic] += len(batch)
            await failpoints.reach("consume.before_offset_commit")
            if r.random() < 0.9:
                committed[topic] = max(committed[topic], position[topic])


class UnreliableSender(ListSender):
    """Sends twice, out of order, only a part, or says that it failed although it did not."""

    def __init__(self, world: World) -> None:
        super().__init__(world.kafka)
        self._world = world

    async def send(self, events: Sequence[Outgoing]) -> None:
        r = self._world.random
        events = list(events)
        if r.random() < 0.1:
            r.shuffle(events)
        if r.random() < 0.1:
            events += r.sample(events, r.randrange(len(events)) + 1)
        if self._world.chaos and r.random() < 0.01:
            raise KafkaTimeoutError
        await super().send(events)
        if self._world.chaos and r.random() < 0.01:
            raise KafkaTimeoutError
