"""Runs one service: its HTTP server and its loops, until a signal or a failure; then a shutdown with a total deadline.

Crash-only: a loop that ends or fails ends the process (status 70) and the supervisor starts a new one. Everything that
matters is in PostgreSQL by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
import uvloop
from fastapi import FastAPI
from pydantic import TypeAdapter

from shared import clock, failpoints
from shared.config import KafkaSettings, OidcSettings, ServiceSettings, load
from shared.delivery.routes import Route
from shared.delivery.sender import Sender, routes
from shared.delivery.settings import DeliverySettings, EndpointsFile
from shared.errors import StartRefused
from shared.http.keys import Authenticator, People
from shared.http.server import Server
from shared.kafka.consume import BatchHandler, Consumer
from shared.kafka.producer import Producer
from shared.postgres import api_keys, gaps
from shared.postgres.dead_letters import Limit
from shared.postgres.fold import Decide
from shared.postgres.migrate import missing
from shared.postgres.pool import Pool, connection, make_pool
from shared.postgres.relay import Relay
from shared.postgres.saves import Also, Saves
from shared.telemetry import logs, metrics, tracing
from shared.telemetry.health import Progress
from shared.turns import GiveWay, give_way

if TYPE_CHECKING:
    from shared.policy.distribution.replica import Replica

log = structlog.get_logger(__name__)

S = TypeVar("S")
Loop = Callable[[], Awaitable[None]]
EXIT_FAILED = 70
M_MMAP_THRESHOLD = -3  # malloc.h


@dataclass(frozen=True, slots=True)
class Base:
    """What every service is given to build itself from."""

    service: str
    settings: ServiceSettings
    kafka: KafkaSettings
    pool: Pool
    relay: Relay
    progress: Progress
    keys: Authenticator

    def saves(
        self, state: type[S], decide: Decide[S], also: Also | None = None, kept: Sequence[str] = (),
        give_way: GiveWay = give_way,
    ) -> Saves[S]:  # fmt: skip
        """The versioned saves of this service, for its `state` (a dataclass) and its `decide`.

        Erasing a complaint deletes its rows from every table with a `complaint_id`, but from those in `kept`. `give_way`:
        see Saves.
        """
        adapter = TypeAdapter(state)
        return Saves(
            service=self.service,
            pool=self.pool,
            relay=self.relay,
            id_key=self.settings.id_key_bytes(),
            read=adapter.validate_json,
            write=lambda value: adapter.dump_json(value).decode(),
            decide=decide,
            also=also,
            kept=kept,
            give_way=give_way,
            dead_letter_check=Limit(self.settings.dead_letter_limit).check,
        )

    def sender(self, saves: Saves[Any]) -> Sender:
        """Sends the messages that this service's decisions leave; `run` and `watch` are loops for `Parts`."""
        settings = load(DeliverySettings)
        file, key = EndpointsFile(settings.endpoints_file), self.settings.id_key_bytes()

        def reread() -> dict[str, Route] | None:
            found = file.changed()
            return None if found is None else routes(settings, found, self.service, key)

        return Sender(
            service=self.service, pool=self.pool, saves=saves, progress=self.progress,
            routes=routes(settings, file.endpoints, self.service, key), settings=settings, reread=reread,
        )  # fmt: skip

    def policies(self, package: str, *names: str, waits: bool = False) -> Replica:
        """What is in force of this service's policy, and of other documents that come with it; `names` in the folder
        `policy` of `package` are the defaults, the policy first.

        Its `run` is one of the service's loops. `waits`: see Replica.
        """
        from shared.policy.distribution.packaged import packaged  # it loads the language's front end
        from shared.policy.distribution.replica import Replica

        folder = files(package) / "policy"
        found = [packaged((folder / name).read_text(encoding="utf-8"), origin=name, folder=folder) for name in names]
        return Replica(
            service=self.service, packaged=found, kafka=self.kafka, pool=self.pool, progress=self.progress, waits=waits
        )

    def consumer(self, handle: BatchHandler) -> Consumer:
        """The consumer of all topics that this service reads."""
        return Consumer(self.kafka, service=self.service, handle=handle, progress=self.progress)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service consists of: its HTTP app, the loops of its own, and the consumer if it has one.

    `needs_kafka`: it is neither ready nor, after a while, live without partitions to read.
    """

    app: FastAPI
    loops: Mapping[str, Loop] = field(default_factory=dict)
    consumer: Consumer | None = None
    needs_kafka: bool = True


def run(service: str, build: Callable[[Base], Parts]) -> None:
    """Entry point of a service's process."""
    _give_large_buffers_back()
    try:
        settings, kafka = load(ServiceSettings), load(KafkaSettings)
        settings.id_key_bytes()
        failpoints.arm_from(settings.failpoints)
        if settings.simulated_clock is not None:
            clock.simulate(settings.simulated_clock)
    except (StartRefused, ValueError) as refusal:
        print(f"amends {service}: {refusal}", file=sys.stderr)  # noqa: T201 - before logging is set up
        raise SystemExit(2) from None
    logs.setup(service, settings.log_level)
    tracing.setup(f"amends-{service}")
    metrics.describe(service, metadata.version("amends"))
    try:
        code = uvloop.run(_serve(service, settings, kafka, build))
    except StartRefused as refusal:  # what a service needs besides is not there
        log.critical("cannot start", reason=str(refusal))
        code = 2
    os._exit(code)  # client libraries may leave threads and tasks that would hold the process


def _give_large_buffers_back() -> None:
    """What is fetched and packed comes in megabytes: glibc would keep it in its heap, in pieces (40 MB after some load)."""
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 262_144)


def _give_back_what_starting_took() -> None:
    """Reading documents leaves holes in glibc's heap (14 MB of intake's 180)."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


async def _serve(service: str, settings: ServiceSettings, kafka: KafkaSettings, build: Callable[[Base], Parts]) -> int:
    pool = await make_pool(settings.database_url.get_secret_value(), service=service)
    producer = Producer(kafka, service=service)
    progress = Progress()
    relay = Relay(service=service, pool=pool, sender=producer, progress=progress)
    keys = Authenticator(lambda: api_keys.load(pool), refresh_s=10.0, people=_people(load(OidcSettings)))
    parts = build(Base(service, settings, kafka, pool, relay, progress, keys))
    progress.require("postgres", lambda: _postgres_ready(pool, service))
    server = Server(parts.app, settings.http_host, settings.http_port)
    try:
        await server.start()
    except StartRefused as refusal:
        log.critical("cannot start", reason=str(refusal))
        return 2
    log.info("listening", host=settings.http_host, port=server.port)

    # What is loaded by now lives as long as the process: not looked at again. The rest makes little cyclic garbage.
    _give_back_what_starting_took()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    loops: dict[str, Loop] = {
        "relay": relay.run,
        "sweep": relay.sweep,
        "gaps": lambda: gaps.watch(pool, service),
        "event-loop": lambda: metrics.watch_event_loop(service),
        **parts.loops,
    }
    consumer = parts.consumer
    if consumer is not None:
        assigned = consumer
        loops["consumer"] = consumer.run
    if consumer is not None and parts.needs_kafka:
        progress.expect("consumer", settings.liveness_window_s)
        progress.require("kafka", lambda: _assigned(assigned))
    progress.expect("relay", settings.liveness_window_s)
    tasks = {asyncio.ensure_future(loop()): name for name, loop in loops.items()}
    stop = _on_signals()
    await asyncio.wait({*tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
    code = 0
    for task in tasks:
        if task.done():
            error = task.exception()
            log.critical("a loop ended", loop=tasks[task], error=type(error).__name__, exc_info=error)
            code = EXIT_FAILED
    try:
        await asyncio.wait_for(_shut_down(server, consumer, relay, tasks, producer, pool), settings.shutdown_s)
    except TimeoutError:
        log.warning("shutdown took too long; ending as it is", after_s=settings.shutdown_s)
        code = code or 1
    tracing.shutdown(2.0)
    return code


def _people(oidc: OidcSettings) -> People | None:
    """Whoever signs in; None where only API keys are taken, and then the megabytes that check tokens are not loaded."""
    if not oidc.issuer:
        return None
    from shared.http import oidc as provider

    return provider.People(oidc)


async def _shut_down(
    server: Server,
    consumer: Consumer | None,
    relay: Relay,
    tasks: Iterable[asyncio.Future[None]],
    producer: Producer,
    pool: Pool,
) -> None:
    """Take nothing new, finish what is in hand, send what is committed. The total deadline is the caller's."""
    await server.stop(grace_s=3.0)
    if consumer is not None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(consumer.stop(), 10.0)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(relay.drain(), 3.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await producer.discard()
    await asyncio.wait_for(pool.close(), 3.0)


def _on_signals() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def ask() -> None:
        if not stop.done():
            stop.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask)
    return stop


async def _postgres_ready(pool: Pool, service: str) -> str | None:
    try:
        async with connection(pool) as conn:
            lacking = await missing(conn, service)
    except Exception as error:
        return f"PostgreSQL does not answer ({type(error).__name__})"
    return f"not migrated: {', '.join(lacking)} (run: amends migrate)" if lacking else None


async def _assigned(consumer: Consumer) -> str | None:
    return None if consumer.assigned else "no partitions assigned yet"
