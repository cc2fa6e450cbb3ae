"""Composition root of intake: HTTP in, `complaints` out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from services.intake import acknowledgement, api, deliveries, hooks, merges, sources
from services.intake.accepting import SERVICE, Accepting
from services.intake.balance import Balance
from services.intake.domain import IntakeState
from services.intake.fetching import Fetcher
from services.intake.handlers import Handlers
from services.intake.reading import POLICY, RULES
from services.intake.smtp import Listener
from services.intake.sources import SourceRecord, Sources
from services.intake.store import REQUEUE, submission_counts
from services.intake.topics import LOOP, Topics
from shared.config import SmtpSettings
from shared.config import load as load_settings
from shared.http.app import make_app
from shared.http.operations import operations
from shared.postgres.pool import connection
from shared.runtime import Base, Parts, run


def build(base: Base) -> Parts:
    """Wire the parts together; nothing connects yet."""
    keys = base.settings.master_keys()
    policies = base.policies("services.intake", POLICY, RULES, waits=True)

    async def load() -> Sequence[SourceRecord]:
        async with connection(base.pool) as conn:
            return await sources.load(conn, keys)

    known = Sources(load)
    accepting = Accepting(base.pool, base.settings.id_key_bytes(), keys)
    handlers = Handlers(accepting, base.settings.id_key_bytes(), base.progress, keys, known, policies=policies)
    handlers.saves = base.saves(IntakeState, handlers.decide, handlers.settle, ("submission",), accepting.commits.first)
    fetcher = Fetcher(base.pool, known, accepting.keep)
    app = make_app("Amends intake", service=SERVICE, progress=base.progress)
    api.add_routes(app, accepting, base.keys)
    hooks.add_routes(app, accepting, known)
    deliveries.add_routes(app, accepting, known, base.keys)
    app.include_router(acknowledgement.routes(base.pool, base.keys))
    app.include_router(merges.routes(handlers.saves, base.pool, base.keys))
    app.include_router(
        operations(SERVICE, handlers.saves, base.pool, base.keys, requeue=REQUEUE, count=submission_counts)
    )
    mail = Listener(load_settings(SmtpSettings), accepting, known)
    topics = Topics(base.kafka, accepting, known, base.progress)
    for loop in ("normalize", LOOP):
        base.progress.expect(loop, base.settings.liveness_window_s)
    return Parts(
        app,
        loops={
            "accept": accepting.commits.run,
            "normalize": handlers.normalize,
            "policies": policies.run,
            "fetch": fetcher.run,
            "balance": Balance(base.pool).run,
            LOOP: topics.run,
            "smtp": mail.run,
        },
        consumer=base.consumer(handlers.handle_batch),
        needs_kafka=False,  # it accepts and answers while Kafka is away
    )


main = partial(run, SERVICE, build)

if __name__ == "__main__":
    main()
