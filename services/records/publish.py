"""Publishing: integrate what was appended, have the new head signed and cosigned, store and announce the checkpoint.

Three steps, each of which may crash and be done again: tiles are filled from leaves (a crash loses nothing), the signer
remembers before it hands out (the next round signs the same or more), and the checkpoint with its announcement is one save.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import structlog

from services.records import tree_store
from services.records.domain import RecordState
from services.records.signer import Signer, SigningRefused
from services.records.tree import checkpoint, merkle, note
from services.records.tree.checkpoint import Head
from shared import failpoints
from shared.contracts import ids
from shared.contracts.decision import Decision
from shared.contracts.records import CheckpointSigned
from shared.errors import AmendsError, Conflict
from shared.postgres.inputs import Input, Inputs, Work
from shared.postgres.pool import Connection, Pool, connection
from shared.postgres.saves import Saves
from shared.telemetry import metrics
from shared.telemetry.health import Progress

log = structlog.get_logger(__name__)
SERVICE = "records"
LOOP = "checkpoints"
# Gets the signed checkpoint and a way to prove any earlier size; returns cosignatures of witnesses.
Cosign = Callable[[note.Note, Head, Callable[[int], Awaitable[list[bytes]]]], Awaitable[list[note.Signature]]]


class Publisher:
    """Publishes the ledger of one database. Without a signer it integrates only."""

    def __init__(
        self, pool: Pool, saves: Saves[RecordState], id_key: bytes, signer: Signer | None, *,
        cosign: Cosign | None = None, every_s: float = 1.0, progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self._pool, self._saves, self._id_key = pool, saves, id_key
        self._signer, self._cosign = signer, cosign
        self._every_s = every_s
        self._progress = progress

    async def run(self) -> None:
        """A step every now and then. What is refused is said once a minute, as an error; the rest of the service goes on."""
        if self._signer is None:
            log.warning("checkpoints are not signed: AMENDS_RECORDS_SIGNING_KEY_FILE is not set", service=SERVICE)
        told, said = "", 0.0
        clock = asyncio.get_running_loop().time
        while True:
            try:
                await self.step()
                told = ""
            except AmendsError as refusal:
                metrics.LEDGER_REFUSED.labels(SERVICE).inc()
                if str(refusal) != told or clock() - said > 60:
                    told, said = str(refusal), clock()
                    log.error("no checkpoint", service=SERVICE, reason=told)
            except Exception as error:
                log.warning("no checkpoint, trying again", service=SERVICE, error=type(error).__name__)
            if self._progress is not None:
                self._progress.beat(LOOP)
            await asyncio.sleep(self._every_s)

    async def step(self) -> Head | None:
        """Integrate, and publish a checkpoint if there is something to sign. Returns its head, None when there is not.

        Raises SigningRefused and LedgerDamaged, which need a person.
        """
        async with connection(self._pool) as conn:
            size = await tree_store.size(conn)
            integrated = await tree_store.integrate(conn)
            metrics.LEDGER_SIZE.labels(SERVICE).set(size)
            await failpoints.reach("ledger.integrated")
            signer = self._signer
            if signer is None or integrated < size // 256 * 256:  # another replica is at it
                return None
            last = await tree_store.last_checkpoint(conn, signer.origin)
            if last is not None:
                metrics.LEDGER_SIGNED.labels(SERVICE).set(last.size)
            if last is not None and _covers(last, size, signer):
                return None
            before = await asyncio.to_thread(signer.remembered)
            if before is None and last is not None:
                raise SigningRefused(
                    "the signer remembers nothing, but checkpoints were published: its memory is lost. "
                    "Give it the last checkpoint from outside (a witness, an auditor): amends records sign --adopt FILE"
                )
            head = await tree_store.head(conn, signer.origin, size)
            start = before.size if before is not None else 0
            proof = await tree_store.range_hashes(conn, merkle.consistency(start, size)) if start <= size else []
            signed = await asyncio.to_thread(signer.sign, head, proof)
            await failpoints.reach("ledger.signed")

            async def prove(old: int) -> list[bytes]:
                return await tree_store.range_hashes(conn, merkle.consistency(old, size))

            if self._cosign is not None:
                signed = note.Note(signed.text, (*signed.signatures, *await self._cosign(signed, head, prove)))
        await self._store(signer, head, str(signed))
        metrics.LEDGER_SIGNED.labels(SERVICE).set(head.size)
        await failpoints.reach("ledger.published")
        return head

    async def _store(self, signer: Signer, head: Head, text: str) -> None:
        """The checkpoint and its announcement, saved together; nothing if another replica was faster."""
        subject = log_id(self._id_key, head.origin)
        event = CheckpointSigned(origin=head.origin, size=head.size, root=checkpoint.encode(head.root), checkpoint=text)

        async def published(conn: Connection) -> bool:
            last = await tree_store.last_checkpoint(conn, signer.origin)
            return last is not None and (last.size > head.size or _covers(last, head.size, signer))

        async def take(conn: Connection) -> Inputs:
            if await published(conn):
                return []
            return [Input("command", subject, event, f"checkpoint/{head.size}", None, "checkpoint", str(subject))]

        async def also(conn: Connection, _: Work[RecordState]) -> None:
            if await published(conn):  # between our look and the lock on the log's row, which we hold now
                raise Conflict("another replica has published the checkpoint")
            await tree_store.add_checkpoint(conn, head, text, [key.vkey for key in signer.verifiers])

        await self._saves.act(take, also=also, decide=announce)


def announce(state: RecordState | None, item: Input, now: datetime) -> Decision[RecordState]:
    """The log's own row: it has a sequence, as every subject of events."""
    return Decision(state or RecordState(), (item.body,))


def log_id(id_key: bytes, origin: str) -> UUID:
    """The subject of the events about a log."""
    return ids.keyed_id(id_key, "log", origin)


def _covers(last: tree_store.Stored, size: int, signer: Signer) -> bool:
    """Whether the last checkpoint is of this size and signed by all keys: a new key signs even when nothing was added."""
    if last.size != size:
        return False
    signed = note.parse(last.note)
    return all(any(key.owns(each) for each in signed.signatures) for key in signer.verifiers)
