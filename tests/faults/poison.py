"""Records that no service of Amends wrote, put straight into the topics: garbage, and events whose data are broken."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.faults.journal import Journal

WRITER = {"complaints": "intake", "escalations": "escalation", "followups": "followup"}
BROKEN_TYPE = {"complaints": "amends.complaint.received.v1", "escalations": "amends.escalation.status_changed.v1"}
BROKEN_DATA = (
    b"{}",
    b"not json",
    b"\xff\xfe",
    b"",
    b"null",
    b'{"contact": []}',
    b'{"status": "solved", "previous": 1}',
)
MARK = ("x-poison", b"1")
Headers = list[tuple[str, bytes | None]]


def garbage(choice: random.Random, topic: str) -> tuple[bytes | None, Headers]:
    """A value and headers that are no event, each time in one of many ways."""
    sound = dict(envelope(topic, WRITER[topic], str(uuid.UUID(int=choice.getrandbits(128))), 1))
    ways: list[tuple[bytes | None, Headers]] = [
        (None, [*sound.items()]),
        (b"\x00\xff garbage", []),
        (b"{}", [*(sound | {"ce_subject": None}).items()]),
        (b"{}", [*(sound | {"ce_type": b"\xff\xfe"}).items()]),
        (b"{}", [*(sound | {"ce_id": b"not-a-uuid"}).items()]),
        (b"{}", [*(sound | {"ce_sequence": b"0"}).items()]),
        (b"{}", [*(sound | {"ce_sequence": b"9" * 40}).items()]),
        (b"{}", [*(sound | {"ce_sequence": "²".encode()}).items()]),
        (b"{}", [*(sound | {"ce_time": b"2026-01-01T00:00:00"}).items()]),
        (b"{}", [*(sound | {"ce_source": b"/somebody/else"}).items()]),
        (b"{}", [(name, value) for name, value in sound.items() if name != "ce_subject"]),
        (b"{}", [*(sound | {"ce_specversion": b"0.3"}).items()]),
    ]
    return choice.choice(ways)


def envelope(topic: str, service: str, subject: str, sequence: int) -> Headers:
    """The headers of a sound event."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(uuid.uuid4()).encode()),
        ("ce_type", BROKEN_TYPE.get(topic, "amends.followup.imagined.v9").encode()),
        ("ce_source", f"/amends/{service}".encode()),
        ("ce_time", datetime.now(UTC).isoformat().encode()),
        ("ce_subject", subject.encode()),
        ("ce_sequence", str(sequence).encode()),
    ]


class Poison:
    """Produces poison at a bounded rate and count, through broker restarts; each record ends up in its topic once."""

    def __init__(self, bootstrap: str, prefix: str, journal: Journal, *, seed: int, most: int = 60) -> None:
        self._bootstrap, self._prefix, self._journal = bootstrap, prefix, journal
        self._random = random.Random(seed)
        self._most = most
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self._stopped.set()

    async def run(self, every_s: float) -> None:
        """One piece of poison every so often, until `most` or `stop`."""
        for _ in range(self._most):
            await self.one()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), every_s)
                return

    async def one(self) -> None:
        """Garbage, or a broken event with a sound one behind it, into any topic."""
        topic = self._random.choice(list(WRITER))
        if self._random.random() < 0.6 or topic not in BROKEN_TYPE:
            value, headers = garbage(self._random, topic)
            key = self._random.choice(
                (b"key", b"\xff", None if value else b"")
            )  # the client sends no record without both
            at = await self._send(topic, key, value, headers)
            self._journal.garbage.append(at)
            return
        service, subject = WRITER[topic], uuid.uuid4()
        # A retry writes it a second time: the same event, so nobody may act on it twice.
        for sequence, value in ((1, self._random.choice(BROKEN_DATA)), (2, b"{}")):
            known = self._journal.broken if sequence == 1 else self._journal.behind
            known.append((service, str(subject), sequence))
            await self._send(topic, subject.bytes, value, envelope(topic, service, str(subject), sequence))

    async def _send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> tuple[str, int, int]:
        """Until acknowledged. A try whose outcome is unknown may have written the record too: the mark tells whose it is."""
        while True:
            producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all", request_timeout_ms=5_000)
            try:
                async with asyncio.timeout(8):
                    await producer.start()
                    at = await producer.send_and_wait(
                        self._prefix + topic,
                        value,
                        key=key,
                        headers=[*headers, MARK],
                    )
                return topic, at.partition, at.offset
            except (KafkaError, OSError, TimeoutError):
                await asyncio.sleep(0.5)
            finally:
                with contextlib.suppress(Exception, TimeoutError):
                    await asyncio.wait_for(producer.stop(), 2)
