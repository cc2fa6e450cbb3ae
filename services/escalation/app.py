"""Composition root of escalation: `complaints`, `followups`, commands and time in, `escalations` out."""

from __future__ import annotations

from functools import partial

from services.escalation import api, desk_api, directory_api, hand_off_page
from services.escalation.directory_source import DirectorySource
from services.escalation.domain import EscalationState
from services.escalation.handlers import SERVICE, Handlers
from services.escalation.links import Links
from services.escalation.recompute import Recompute
from services.escalation.settings import EscalationSettings
from shared.config import load
from shared.delivery.settings import DeliverySettings, load_endpoints
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
    links = Links(base.settings.id_key_bytes(), settings.link_base)
    writable = frozenset(load_endpoints(load(DeliverySettings).endpoints_file).contact_centres)
    handlers = Handlers(policies, lambda: directory.current, links, writable)
    handlers.saves = base.saves(EscalationState, handlers.decide, handlers.keep_lists)
    sender = base.sender(handlers.saves)
    timers = Timers(service=SERVICE, pool=base.pool, saves=handlers.saves, progress=base.progress)
    recompute = Recompute(
        pool=base.pool, saves=handlers.saves, book=lambda now, complaint=None: handlers.book(now, now, complaint), progress=base.progress
    )
    app = make_app("Amends escalation", service=SERVICE, progress=base.progress)
    app.include_router(api.routes(handlers, recompute, base.pool, base.keys))
    app.include_router(directory_api.routes(directory, base.keys))
    app.include_router(desk_api.routes(handlers, base.pool, base.keys))
    app.include_router(hand_off_page.routes(handlers, base.pool, links))
    app.include_router(operations(SERVICE, handlers.saves, base.pool, base.keys))
    loops = {
        "policies": policies.run, "timers": timers.run, "recompute": recompute.run, "directory": directory.run,
        "messages": sender.run, "endpoints": sender.watch,
    }  # fmt: skip
    for name in ("timers", "recompute", "directory", "messages"):
        base.progress.expect(name, base.settings.liveness_window_s)
    return Parts(app, loops=loops, consumer=base.consumer(handlers.handle_batch))


main = partial(run, SERVICE, build)

if __name__ == "__main__":
    main()
