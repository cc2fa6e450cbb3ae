"""Composition root of escalation: `complaints`, `followups`, commands and time in, `escalations` out."""

from __future__ import annotations

from functools import partial

from services.escalation import api, directory_api
from services.escalation.directory_source import DirectorySource
from services.escalation.domain import EscalationState
from services.escalation.handlers import SERVICE, Handlers
from services.escalation.recompute import Recompute
from services.escalation.settings import EscalationSettings
from shared.config import load
from shared.http.app import make_app
from shared.http.operations import operations
from shared.postgres.timers import Timers
from shared.runtime import Base, Parts, run

POLICY = "escalation.retail.yaml"


def build(base: Base) -> Parts:
    """Wire the parts together; nothing connects yet."""
    policies = base.policies("services.escalation", POLICY)
    settings = load(EscalationSettings)
    directory = DirectorySource(pool=base.pool, file=settings.directory_file, progress=base.progress)
    handlers = Handlers(policies, lambda: directory.current)
    handlers.saves = base.saves(EscalationState, handlers.decide)
    timers = Timers(service=SERVICE, pool=base.pool, saves=handlers.saves, progress=base.progress)
    recompute = Recompute(
        pool=base.pool, saves=handlers.saves, book=lambda now: handlers.book(now, now), progress=base.progress
    )
    app = make_app("Amends escalation", service=SERVICE, progress=base.progress)
    app.include_router(api.routes(handlers, recompute, base.pool, base.keys))
    app.include_router(directory_api.routes(directory, base.keys))
    app.include_router(operations(SERVICE, handlers.saves, base.pool, base.keys))
    base.progress.expect("timers", base.settings.liveness_window_s)
    base.progress.expect("recompute", base.settings.liveness_window_s)
    base.progress.expect("directory", base.settings.liveness_window_s)
    loops = {
        "policies": policies.run, "timers": timers.run, "recompute": recompute.run, "directory": directory.run,
    }  # fmt: skip
    return Parts(app, loops=loops, consumer=base.consumer(handlers.handle_batch))


main = partial(run, SERVICE, build)

if __name__ == "__main__":
    main()
