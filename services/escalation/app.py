"""Composition root of escalation: `complaints`, `followups`, commands and time in, `escalations` out."""

from __future__ import annotations

from functools import partial

from services.escalation import api
from services.escalation.domain import EscalationState
from services.escalation.handlers import SERVICE, Handlers
from services.escalation.recompute import Recompute
from shared.http.app import make_app
from shared.http.operations import operations
from shared.postgres.timers import Timers
from shared.runtime import Base, Parts, run

POLICY = "escalation.retail.yaml"


def build(base: Base) -> Parts:
    """Wire the parts together; nothing connects yet."""
    policies = base.policies("services.escalation", POLICY)
    handlers = Handlers(policies)
    handlers.saves = base.saves(EscalationState, handlers.decide)
    timers = Timers(service=SERVICE, pool=base.pool, saves=handlers.saves, progress=base.progress)
    recompute = Recompute(
        pool=base.pool, saves=handlers.saves, book=lambda now: handlers.book(now, now), progress=base.progress
    )
    app = make_app("Amends escalation", service=SERVICE, progress=base.progress)
    app.include_router(api.routes(handlers, recompute, base.pool, base.keys))
    app.include_router(operations(SERVICE, handlers.saves, base.pool, base.keys))
    base.progress.expect("timers", base.settings.liveness_window_s)
    base.progress.expect("recompute", base.settings.liveness_window_s)
    loops = {"policies": policies.run, "timers": timers.run, "recompute": recompute.run}
    return Parts(app, loops=loops, consumer=base.consumer(handlers.handle_batch))


main = partial(run, SERVICE, build)

if __name__ == "__main__":
    main()
