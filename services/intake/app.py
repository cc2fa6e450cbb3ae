"""Composition root of intake: HTTP in, `complaints` out."""

from __future__ import annotations

from functools import partial

from pydantic import TypeAdapter

from services.intake import api
from services.intake.domain import IntakeState
from services.intake.handlers import SERVICE, Handlers
from services.intake.store import REQUEUE, submission_counts
from shared.http.app import make_app
from shared.http.operations import operations
from shared.postgres.dead_letters import Limit
from shared.postgres.saves import Saves
from shared.runtime import Base, Parts, run


def build(base: Base) -> Parts:
    """Wire the parts together; nothing connects yet."""
    id_key = base.settings.id_key_bytes()
    handlers = Handlers(base.pool, id_key, base.progress)
    state = TypeAdapter(IntakeState)
    handlers.saves = Saves(
        service=SERVICE,
        pool=base.pool,
        relay=base.relay,
        id_key=id_key,
        read=state.validate_json,
        write=lambda value: state.dump_json(value).decode(),
        decide=handlers.decide,
        also=handlers.settle,
        dead_letter_check=Limit(base.settings.dead_letter_limit).check,
    )
    app = make_app("Amends intake", service=SERVICE, progress=base.progress)
    api.add_routes(app, handlers, base.keys)
    app.include_router(operations(SERVICE, handlers.saves, base.pool, base.keys, requeue=REQUEUE, count=submission_counts))
    base.progress.expect("normalize", base.settings.liveness_window_s)
    return Parts(app, loops={"accept": handlers.acceptance.run, "normalize": handlers.normalize})


main = partial(run, SERVICE, build)

if __name__ == "__main__":
    main()
