"""Composition root of follow-up: `complaints`, `escalations`, commands and time in; `followups` and messages out."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from standardwebhooks.webhooks import Webhook

from services.followup import api, customer_page, drafts, drafts_api, hooks, store
from services.followup.domain import FollowUpState
from services.followup.handlers import SERVICE, Handlers
from services.followup.letters import Letters
from services.followup.links import Links, derived_key
from services.followup.settings import FollowUpSettings
from services.followup.words import TemplateRefused, Templates
from shared.config import load
from shared.errors import StartRefused
from shared.http.app import make_app
from shared.http.operations import operations
from shared.postgres.timers import Timers
from shared.runtime import Base, Parts, run

POLICY = "followup.retail.yaml"


def build(base: Base) -> Parts:
    """Wire the parts together; nothing connects yet."""
    settings = load(FollowUpSettings)
    id_key = base.settings.id_key_bytes()
    links = _links(settings, id_key)
    policies = base.policies("services.followup", POLICY, drafts.DEFAULT)
    letters = _letters(settings, links)
    handlers = Handlers(policies, letters, id_key)
    handlers.saves = base.saves(FollowUpState, handlers.decide, store.lists(id_key))
    timers = Timers(service=SERVICE, pool=base.pool, saves=handlers.saves, progress=base.progress)
    sender = base.sender(handlers.saves)
    app = make_app("Amends follow-up", service=SERVICE, progress=base.progress)
    app.include_router(api.routes(base.pool, base.keys, handlers, letters, policies))
    app.include_router(drafts_api.routes(base.keys, policies))
    app.include_router(hooks.routes(handlers.saves, _secrets(settings), api.answer_of))
    app.include_router(customer_page.routes(base.pool, handlers.saves, links, settings.sender_name))
    app.include_router(operations(SERVICE, handlers.saves, base.pool, base.keys))
    base.progress.expect("timers", base.settings.liveness_window_s)
    loops = {"policies": policies.run, "timers": timers.run, "messages": sender.run, "endpoints": sender.watch}
    return Parts(app, loops=loops, consumer=base.consumer(handlers.handle_batch))


def _links(settings: FollowUpSettings, id_key: bytes) -> Links:
    given = [key for key in (settings.link_key, settings.link_key_before) if key is not None]
    try:
        keys = [bytes.fromhex(key.get_secret_value()) for key in given]
    except ValueError:
        raise StartRefused("AMENDS_FOLLOWUP_LINK_KEY is not hexadecimal; make one with: openssl rand -hex 32") from None
    if any(len(key) < 32 for key in keys):
        raise StartRefused("AMENDS_FOLLOWUP_LINK_KEY is too short; make one with: openssl rand -hex 32")
    return Links(keys or [derived_key(id_key)], timedelta(days=settings.link_days))


def _secrets(settings: FollowUpSettings) -> list[str]:
    secrets = [secret.get_secret_value() for secret in settings.webhook_secrets]
    try:
        for secret in secrets:
            Webhook(secret)
    except ValueError:
        raise StartRefused("AMENDS_FOLLOWUP_WEBHOOK_SECRETS: a secret is whsec_ and base64") from None
    return secrets


def _letters(settings: FollowUpSettings, links: Links) -> Letters:
    built_in = Templates()
    try:
        templates = Templates(settings.templates) if settings.templates else built_in
    except (TemplateRefused, OSError) as refused:
        raise StartRefused(f"AMENDS_FOLLOWUP_TEMPLATES: {refused}") from None
    return Letters(templates, built_in, links, settings.public_url, settings.sender_name, settings.review_url)


main = partial(run, SERVICE, build)

if __name__ == "__main__":
    main()
