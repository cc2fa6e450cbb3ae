"""Composition root of records: every event of every topic into the ledger, timelines out."""

from __future__ import annotations

from functools import partial

from services.records import api, store
from services.records.domain import RecordState
from services.records.handlers import SERVICE, Handlers
from shared.http.app import make_app
from shared.http.operations import operations
from shared.runtime import Base, Parts, run


def build(base: Base) -> Parts:
    """Wire the parts together; nothing connects yet."""
    handlers = Handlers(base.settings.id_key_bytes())
    handlers.saves = base.saves(RecordState, handlers.decide, handlers.record)
    app = make_app("Amends records", service=SERVICE, progress=base.progress)
    app.include_router(api.routes(base.pool, base.keys))
    app.include_router(operations(SERVICE, handlers.saves, base.pool, base.keys, count=store.ledger_counts))
    return Parts(app, consumer=base.consumer(handlers.handle_batch))


main = partial(run, SERVICE, build)

if __name__ == "__main__":
    main()
