"""The acknowledgement that intake offers to send back: what we have understood, in the customer's words, to be corrected.

It is a draft for whoever answers: nothing is sent from here. A correction is a contact like any other, tagged
`correction`: the issues read in it take the place of those before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request
from pydantic import TypeAdapter

from services.intake.domain import IntakeState
from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.http.router import Router
from shared.postgres.pool import Pool, connection

SCOPE = "intake:write"
STATE = "select state from complaint_state where complaint_id = $1"
_STATE = TypeAdapter(IntakeState)


@dataclass(frozen=True, slots=True)
class Phrases:
    """The sentences of one language."""

    thanks: str
    understood: str
    unclear: str
    impact: str
    ask: str


PHRASES = {
    "en": Phrases(
        "Thank you for telling us. This is what we have understood:", "{number}. {issue}",
        "We have your message, and somebody reads it in full.", 'You wrote what it means for you: "{impact}"',
        "Is this right? If something is missing or wrong, just answer this message, and we will put it right.",
    ),
    "de": Phrases(
        "Danke, dass Sie uns das sagen. Das haben wir verstanden:", "{number}. {issue}",
        "Ihre Nachricht ist da, und jemand liest sie ganz.", 'Sie haben geschrieben, was es für Sie bedeutet: „{impact}“',
        "Stimmt das so? Wenn etwas fehlt oder falsch ist, antworten Sie einfach, dann berichtigen wir es.",
    ),
    "fr": Phrases(
        "Merci de nous l'avoir dit. Voici ce que nous avons compris :", "{number}. {issue}",
        "Nous avons bien votre message, et quelqu'un le lit en entier.",
        "Vous avez écrit ce que cela signifie pour vous : « {impact} »",
        "Est-ce exact ? S'il manque quelque chose ou si c'est faux, répondez simplement à ce message et nous corrigerons.",
    ),
    "es": Phrases(
        "Gracias por decírnoslo. Esto es lo que hemos entendido:", "{number}. {issue}",
        "Tenemos su mensaje y alguien lo lee entero.", 'Ha escrito lo que significa para usted: «{impact}»',
        "¿Es correcto? Si falta algo o está mal, responda a este mensaje y lo corregiremos.",
    ),
}  # fmt: skip


def compose(issues: Sequence[str], impact: str | None, language: str) -> str:
    """The text: the numbered issues, the impact in the customer's own words, and the question whether this is right."""
    phrases = PHRASES.get(language.partition("-")[0], PHRASES["en"])
    numbered = [phrases.understood.format(number=n, issue=issue) for n, issue in enumerate(issues, 1)]
    lines = [phrases.thanks, *numbered] if numbered else [phrases.unclear]
    if impact:
        lines += ["", phrases.impact.format(impact=impact)]
    return "\n".join([*lines, "", phrases.ask])


def routes(pool: Pool, keys: Authenticator) -> Router:
    """The route."""
    router = Router(tags=["intake"])

    @router.get("/v1/complaints/{complaint_id}/acknowledgement", summary="An acknowledgement to send back")
    async def acknowledgement(request: Request, complaint_id: UUID) -> dict[str, Any]:
        """What we have understood, to be read back to the customer. The correction is a contact with the tag `correction`."""
        await keys.check(request.headers, SCOPE)
        async with connection(pool) as conn:
            text = await conn.fetchval(STATE, complaint_id)
        state = None if text is None else _STATE.validate_json(text)
        if state is None or not state.received:
            raise Problem(404, "No such complaint", "Intake knows no complaint with this id, or has not read it yet.")
        return {
            "complaint_id": str(complaint_id),
            "language": state.language,
            "issues": [{"number": n, "text": issue} for n, issue in enumerate(state.issues, 1)],
            "impact": state.impact,
            "text": compose(state.issues, state.impact, state.language),
        }

    return router
