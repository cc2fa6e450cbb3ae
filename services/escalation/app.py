"""Composition root of escalation: `complaints` and commands in, `escalations` out."""

from __future__ import annotations

from functools import partial

from services.escalation import api
from services.escalation.domain import EscalationState
from services.escalation.handlers import SERVICE, Handlers
from shared.http.app import make_app
from shared.http.operations import operations
from shared.runtime import Base, Parts, run

POLICY = "escalation.retail.yaml"


def build(base: Base) -> Parts:
    """Wire the parts together; nothing connects yet."""
    policies = base.policies("services.escalation", POLICY)
    handlers = Handlers(policies)
    handlers.saves = base.saves(EscalationState, handlers.decide)
    app = make_app("Amends escalation", service=SERVICE, progress=base.progress)
    app.include_router(api.routes(handlers, base.keys))
    app.include_router(operations(SERVICE, handlers.saves, base.pool, base.keys))
    return Parts(app, loops={"policies": policies.run}, consumer=base.consumer(handlers.handle_batch))


main = partial(run, SERVICE, build)

if __name__ == "__main__":
    main()
