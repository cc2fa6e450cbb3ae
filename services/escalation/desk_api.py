"""Escalation's HTTP routes for whoever deals with a complaint: hand-offs, remedies, help and conduct."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel

from services.escalation import grants, store
from services.escalation.domain import EscalationState, case, clocks, conduct, handoffs, remedies
from services.escalation.handlers import Handlers
from shared.contracts.decision import Decision
from shared.contracts.escalations import HandOffRequested
from shared.http.commands import etag, run_command
from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.http.router import Router
from shared.policy import outcomes
from shared.policy.shape import Remedy
from shared.postgres.pool import Pool, connection

WRITE, READ = "cases:write", "cases:read"
PAGE = 500
# An amount of more than this times what similar complaints got, where there are enough of them, asks for a reason.
UNLIKE, SIMILAR_FROM = 3, 10


def routes(handlers: Handlers, pool: Pool, keys: Authenticator) -> Router:
    """The routes."""
    router = Router(tags=["escalation"])

    async def do(request: Request, complaint_id: UUID, command: BaseModel) -> Response:
        try:
            return await run_command(request, keys, WRITE, handlers.saves, complaint_id, command, _answer)
        except grants.OverCap as over:
            raise Problem(409, "Beyond the customer's limit", f"{over}.") from None

    def add(path: str, model: type[BaseModel], summary: str, says: str, check: Callable[..., Any] | None = None) -> None:
        """A route for a command. All are idempotent by Idempotency-Key and guarded by If-Match."""

        async def route(request: Request, complaint_id: UUID, command: BaseModel) -> Response:
            if check is not None:
                await check(complaint_id, command)
            return await do(request, complaint_id, command)

        route.__annotations__["command"] = model
        route.__doc__ = f"{says} Idempotent by Idempotency-Key; If-Match guards against what changed meanwhile."
        router.post(f"/v1/complaints/{{complaint_id}}/{path}", summary=summary, name=path)(route)

    async def like_others(complaint_id: UUID, command: remedies.OfferRemedy) -> None:
        """An amount that is unlike what similar complaints got needs a reason."""
        if command.reason:
            return
        async with connection(pool) as conn:
            state, _ = await store.find(conn, complaint_id)
            for option in command.options if state is not None else ():
                if option.amount is None or state is None:
                    continue
                row = await conn.fetchrow(grants.SIMILAR, state.facts.category, option.remedy, option.amount.currency)
                if row and row["offers"] >= SIMILAR_FROM and float(option.amount.amount) > UNLIKE * row["median"]:
                    raise Problem(
                        409, "Unlike others",
                        f"Half of {row['offers']} similar complaints got {row['median']:g} {option.amount.currency} of "
                        f"{option.remedy} or less. Say in `reason` why this one is another case.",
                    )  # fmt: skip

    add("hand-offs", handoffs.HandOver, "Hand a complaint to a team", "With everything it needs; it must be accepted.")
    add("hand-offs/accept", handoffs.AcceptHandOff, "Accept a hand-off", "Of two at once one wins, the other hears who has it.")
    add("hand-offs/refuse", handoffs.RefuseHandOff, "Refuse a hand-off", "With a reason; it moves on.")
    add("remedies", remedies.OfferRemedy, "Offer remedies", "Beyond the caller's authority it waits for who may.", like_others)
    add("remedies/authorise", remedies.AuthoriseOffer, "Authorise an offer", "By somebody of the tier that it needs.")
    add("remedies/counter", remedies.CounterOffer, "The customer asks for something else", "Noted with their words.")
    add("remedies/accept", remedies.AcceptOffer, "The customer takes an option", "Counted from 1.")
    add("remedies/refuse", remedies.RefuseOffer, "The customer refuses, or it is taken back", "It no longer counts.")
    add("help", conduct.HelpNow, "Help me now", "To a lead at once; an incident is logged apart from the complaint.")
    add("conduct/warn", conduct.WarnAboutConduct, "The customer was warned", "What was said, and what follows.")
    add("conduct/restrict", conduct.RestrictContact, "Limit contact", "In scope and time, by a lead, with a review.")
    add("conduct/appeal", conduct.AppealConduct, "The customer appeals", "In their words.")
    add("conduct/end", conduct.EndRestriction, "End a restriction", "By a lead, with the reason.")

    @router.get("/v1/hand-offs", summary="Hand-offs that wait for an answer")
    async def waiting(request: Request, team: str | None = None) -> dict[str, Any]:
        """The soonest first; `accept_by` null: its package is still put together."""
        await keys.check(request.headers, READ)
        async with connection(pool) as conn:
            rows = await conn.fetch(grants.WAITING, team, PAGE)
        return {"hand_offs": [dict(row) for row in rows]}

    @router.get("/v1/complaints/{complaint_id}/hand-off", summary="Who has a complaint, and its package")
    async def hand_off(request: Request, response: Response, complaint_id: UUID) -> dict[str, Any]:
        """What the next person needs, as it stands now. The ETag goes into If-Match."""
        await keys.check(request.headers, READ)
        state, _ = await _known(pool, complaint_id, response)
        hand_offs = state.hand_offs
        return {
            "complaint_id": str(complaint_id),
            "team": hand_offs.team,
            "owner": hand_offs.owner,
            "since": hand_offs.since,
            "pending": hand_offs.pending,
            "package": _package(state),
        }

    @router.get("/v1/complaints/{complaint_id}/remedies", summary="What may be offered, and what was")
    async def offers(request: Request, response: Response, complaint_id: UUID) -> dict[str, Any]:
        """Each remedy of the catalogue with what is left of its limits; immediate ones first. The ETag goes into If-Match."""
        await keys.check(request.headers, READ)
        state, now = await _known(pool, complaint_id, response)
        return {
            "complaint_id": str(complaint_id),
            "options": _options(state, handlers.catalogue(now, complaint_id)),
            "offers": state.remedies.offers,
        }

    @router.get("/v1/complaints/{complaint_id}/conduct", summary="Conduct steps of a complaint")
    async def steps(request: Request, response: Response, complaint_id: UUID) -> dict[str, Any]:
        """What is in force now. Incidents are logged apart, as events."""
        await keys.check(request.headers, READ)
        state, _ = await _known(pool, complaint_id, response)
        return {"complaint_id": str(complaint_id), "conduct": state.conduct}

    return router


async def _known(pool: Pool, complaint_id: UUID, response: Response) -> tuple[EscalationState, datetime]:
    async with connection(pool) as conn:
        state, now = await store.find(conn, complaint_id)
        revision = await conn.fetchval(store.REVISION, complaint_id)
    if state is None or now is None:
        raise Problem(404, "No such complaint", "Escalation knows no complaint with this id.")
    response.headers["etag"] = etag(revision)
    return state, now


def _package(state: EscalationState) -> Any:
    if state.facts.received_at is None:
        return None
    running = tuple([clocks.deadline(state.clocks, each) for each in state.clocks.running if each.met is None])
    return case.package(state.facts, state.case, remedies.told(state.remedies), running)


def _options(state: EscalationState, catalogue: Mapping[str, Remedy]) -> list[dict[str, Any]]:
    found = []
    for name, remedy in catalogue.items():
        authority = state.tiers.remedy_authority.get(name)
        left = [outcomes.money(remedy.limit).amount] if remedy.limit else []
        for most in (outcomes.money(each) for each in (authority, remedy.per_complaint) if each):
            left.append(most.amount - remedies.granted(state.remedies, name, most.currency))
        currency = next((outcomes.money(each).currency for each in (remedy.limit, authority, remedy.per_complaint) if each), None)
        found.append({
            "remedy": name, "title": remedy.title, "kind": remedy.kind, "immediate": remedy.immediate,
            "own_authority": authority, "up_to": f"{max(min(left), 0):f} {currency}" if left and currency else None,
        })  # fmt: skip
    return sorted(found, key=lambda each: (not each["immediate"], each["remedy"]))


def _answer(decision: Decision[EscalationState]) -> dict[str, Any]:
    state = decision.state
    pending = state.hand_offs.pending
    asked = [event for event in decision.events if isinstance(event, HandOffRequested)]
    return {
        "status": state.facts.status,
        "tier": state.tiers.tier,
        "done": [event.TYPE for event in decision.events],
        "team": state.hand_offs.team,
        "owner": state.hand_offs.owner,
        "hand_off": None if pending is None else pending.number,
        "accept_by": asked[-1].accept_by.isoformat() if asked else None,
        "offers": [{"offer": each.number, "standing": each.standing, "needs_tier": each.needs_tier} for each in state.remedies.offers],
    }
