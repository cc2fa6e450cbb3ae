"""Composition root of intake: HTTP in, `complaints` out."""

from __future__ import annotations

from functools import partial

from services.intake import api
from services.intake.domain import IntakeState
from services.intake.handlers import SERVICE, Handlers
from services.intake.store import REQUEUE, submission_counts
from shared.http.app import make_app
from shared.http.operations import operations
from shared.runtime import Base, Parts, run


def build(base: Base) -> Parts:
    """Wire the parts together; nothing connects yet."""
    handlers = Handlers(base.pool, base.settings.id_key_bytes(), base.progress)
    handlers.saves = base.saves(IntakeState, handlers.decide, handlers.settle)
    app = make_app("Amends intake", service=SERVICE, progress=base.progress)
    api.add_routes(app, handlers, base.keys)
    app.include_router(
        operations(SERVICE, handlers.saves, base.pool, base.keys, requeue=REQUEUE, count=submission_counts)
    )
    base.progress.expect("normalize", base.settings.liveness_window_s)
    return Parts(app, loops={"accept": handlers.acceptance.run, "normalize": handlers.normalize})


main = partial(run, SERVICE, build)

if __name__ == "__main__":
    main()
