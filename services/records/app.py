"""Composition root of records: every event of every topic into the ledger, timelines out."""

from __future__ import annotations

from functools import partial

from pydantic import TypeAdapter

from services.records import api, store
from services.records.domain import RecordState
from services.records.handlers import SERVICE, Handlers
from shared.http.app import make_app
from shared.http.operations import operations
from shared.kafka.consume import Consumer
from shared.postgres.dead_letters import Limit
from shared.postgres.saves import Saves
from shared.runtime import Base, Parts, run


def build(base: Base) -> Parts:
    """Wire the parts together; nothing connects yet."""
    id_key = base.settings.id_key_bytes()
    handlers = Handlers(id_key)
    state = TypeAdapter(RecordState)
    handlers.saves = Saves(
        service=SERVICE,
        pool=base.pool,
        relay=base.relay,
        id_key=id_key,
        read=state.validate_json,
        write=lambda value: state.dump_json(value).decode(),
        decide=handlers.decide,
        also=handlers.record,
        dead_letter_check=Limit(base.settings.dead_letter_limit).check,
    )
    app = make_app("Amends records", service=SERVICE, progress=base.progress)
    app.include_router(api.routes(base.pool, base.keys))
    app.include_router(operations(SERVICE, handlers.saves, base.pool, base.keys, count=store.ledger_counts))
    consumer = Consumer(base.kafka, service=SERVICE, handle=handlers.handle_batch, progress=base.progress)
    return Parts(app, consumer=consumer)


main = partial(run, SERVICE, build)

if __name__ == "__main__":
    main()
