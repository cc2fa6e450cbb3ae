"""The limit: a process that only consumes, parses, dumps and produces. Run as a module; prints one JSON line.

`python -m tests.bench.passthrough BOOTSTRAP FROM TO COUNT`: nothing is kept, so nothing that keeps state can be faster.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

BATCH = 500


async def passthrough(bootstrap: str, source: str, target: str, count: int) -> dict[str, Any]:
    """Copy `count` events from topic `source` to `target`; events a second, from the first batch to the last acknowledgement."""
    consumer = AIOKafkaConsumer(
        source,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2_097_152,
        enable_auto_commit=False,
    )  # without a group: nothing to join, nothing to commit
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=2, max_batch_size=262_144
    )
    await consumer.start()
    await producer.start()
    try:
        started = cpu = size = 0.0
        done = 0
        waiting: list[Any] = []
        while done < count:
            batch = [
                r for records in (await consumer.getmany(timeout_ms=20, max_records=BATCH)).values() for r in records
            ]
            if batch and not started:
                started, cpu = time.perf_counter(), time.process_time()
            acknowledgements = []
            for record in batch:
                value = orjson.dumps(orjson.loads(record.value))
                size += len(value) + sum(len(k) + len(v) for k, v in record.headers)
                acknowledgements.append(
                    await producer.send(target, value, key=record.key, headers=list(record.headers))
                )
            done += len(batch)
            # One batch behind: sending this one overlaps with reading the next.
            for acknowledgement in waiting:
                await acknowledgement
            waiting = acknowledgements
        for acknowledgement in waiting:
            await acknowledgement
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    finally:
        await producer.stop()
        await consumer.stop()
    return {"events_s": done / seconds, "cpu_us": cpu / done * 1e6, "event_bytes": size / done}


def main() -> None:
    bootstrap, source, target, count = sys.argv[1:5]
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(passthrough(bootstrap, source, target, int(count)))) + b"\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
