"""Composition root of records: every event of every topic into the ledger, timelines out."""

from __future__ import annotations

from functools import partial

from services.records import api, decisions, public_log, publish, retention, signer, store
from services.records.domain import RecordState
from services.records.handlers import SERVICE, Handlers
from services.records.payloads import CaseKeys
from services.records.publish import Publisher
from services.records.search import api as search_api
from services.records.search import projector
from services.records.search.recent import Recent
from services.records.witness import Cosigners, read_addresses
from shared.config import RecordsSettings, load
from shared.http.app import make_app
from shared.http.operations import operations
from shared.runtime import Base, Parts, run

POLICY = "records.retail.yaml"
# What erasing a complaint leaves alone: the ledger, whose payloads nobody can read without the key, and answers to commands.
KEPT = ("ledger_leaf", "command")


def build(base: Base) -> Parts:
    """Wire the parts together; nothing connects yet."""
    settings = load(RecordsSettings)
    key_file = settings.signing_key_file
    case_keys = CaseKeys(base.settings.master_keys())
    policies = base.policies("services.records", POLICY)
    recent = Recent()
    handlers = Handlers(base.settings.id_key_bytes(), case_keys, policies, recent)
    handlers.saves = base.saves(RecordState, handlers.decide, handlers.record, KEPT)
    app = make_app("Amends records", service=SERVICE, progress=base.progress)
    app.include_router(api.routes(base.pool, base.keys, handlers.saves, case_keys))
    app.include_router(retention.routes(base.pool, base.keys, policies))
    app.include_router(search_api.routes(base.pool, base.keys))
    app.include_router(decisions.routes(base.pool, base.keys, case_keys))
    app.include_router(public_log.routes(base.pool, base.keys, is_open=settings.public_log))
    app.include_router(operations(SERVICE, handlers.saves, base.pool, base.keys, count=store.ledger_counts))
    publisher = Publisher(
        base.pool,
        handlers.saves,
        base.settings.id_key_bytes(),
        None if key_file is None else signer.load(key_file, settings.signer_state_file),
        cosign=None if settings.witnesses_file is None else Cosigners(read_addresses(settings.witnesses_file)),
        every_s=settings.checkpoint_every_s,
        progress=base.progress,
    )
    search = projector.Projector(base.pool, case_keys, base.progress, recent)
    loops = {"policies": policies.run, publish.LOOP: publisher.run, projector.LOOP: search.run}
    for name in (publish.LOOP, projector.LOOP):
        base.progress.expect(name, base.settings.liveness_window_s)
    return Parts(app, loops=loops, consumer=base.consumer(handlers.handle_batch))


main = partial(run, SERVICE, build)

if __name__ == "__main__":
    main()
