"""`amends records sign`: integrate, sign and publish as a process of its own, so that the service never sees the key."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from services.records import signer as signers
from services.records.domain import RecordState
from services.records.publish import Publisher, announce
from services.records.signer import Signer
from services.records.tree.checkpoint import Head
from services.records.witness import Cosigners, read_addresses
from shared.config import RecordsSettings, ServiceSettings, load
from shared.errors import StartRefused
from shared.postgres.pool import make_pool
from shared.postgres.saves import Saves


def open_signer(key: Path | None, state: Path | None) -> Signer:
    """The signer of the given files, else of the settings. Raises StartRefused."""
    settings = load(RecordsSettings)
    key = key or settings.signing_key_file
    if key is None:
        raise StartRefused("which key signs? Give --key FILE, or set AMENDS_RECORDS_SIGNING_KEY_FILE")
    return signers.load(key, state or settings.signer_state_file)


async def sign(signer: Signer, *, once: bool, every_s: float) -> Head | None:
    """Publish checkpoints until cancelled, or one with `once`. The announcements are sent by the service's own sweep."""
    settings, service = load(RecordsSettings), load(ServiceSettings)
    adapter = TypeAdapter(RecordState)
    pool = await make_pool(service.database_url.get_secret_value(), service="records", max_size=2)
    try:
        saves: Saves[RecordState] = Saves(
            service="records", pool=pool, relay=None, id_key=service.id_key_bytes(), read=adapter.validate_json,
            write=lambda state: adapter.dump_json(state).decode(), decide=announce,
        )  # fmt: skip
        cosign = None if settings.witnesses_file is None else Cosigners(read_addresses(settings.witnesses_file))
        publisher = Publisher(pool, saves, service.id_key_bytes(), signer, cosign=cosign, every_s=every_s)
        if once:
            return await publisher.step()
        await publisher.run()
        return None
    finally:
        await pool.close()
