"""Whether a reply to "is it solved?" is nothing but an answer: yes, partly or no. Pure.

Only a reply of a word or a short phrase that can be meant in one way is read; anything more is for a person to read.
"""

from __future__ import annotations

import re
from typing import Literal

Answer = Literal["yes", "partly", "no"]
_LONGEST = 60
_SAID: dict[Answer, tuple[str, ...]] = {
    "yes": (
        "yes", "yes thanks", "yes thank you", "yes all good", "yes it is", "yes its solved", "solved", "all solved", "all good",
        "yep", "yeah", "ja", "ja danke", "ja vielen dank", "ja ist gelöst", "gelöst", "erledigt", "oui", "oui merci", "résolu",
        "sí", "si", "sí gracias", "si gracias", "resuelto", "sì", "sì grazie", "si grazie", "risolto", "ja dank u", "opgelost",
        "tak", "tak dziękuję", "sim", "sim obrigado", "sim obrigada", "resolvido",
    ),
    "partly": (
        "partly", "partially", "in part", "half", "not completely", "not entirely", "not fully", "teilweise", "zum teil",
        "teils", "nicht ganz", "en partie", "partiellement", "pas tout à fait", "en parte", "parcialmente", "in parte",
        "parzialmente", "deels", "gedeeltelijk", "częściowo",
    ),
    "no": (
        "no", "nope", "not solved", "no its not", "no it is not", "no not at all", "not at all", "still not", "nein",
        "nein leider nicht", "leider nein", "leider nicht", "nicht gelöst", "gar nicht", "überhaupt nicht", "non",
        "non pas du tout", "pas du tout", "pas résolu", "no todavía no", "todavía no", "no resuelto", "non ancora",
        "non risolto", "nee", "niet opgelost", "nie", "não", "ainda não",
    ),
}  # fmt: skip
_ANSWERS: dict[str, Answer] = {phrase: answer for answer, phrases in _SAID.items() for phrase in phrases}
# As the SMS asks: 1 yes, 2 partly, 3 no.
_DIGITS: dict[str, Answer] = {"1": "yes", "2": "partly", "3": "no"}


def read(text: str) -> Answer | None:
    """The answer, or None where it is more, less or something else."""
    stripped = text.strip()
    if len(stripped) > _LONGEST:
        return None
    words = " ".join(re.findall(r"[^\W\d_]+|\d+", stripped.lower().replace("'", "").replace("’", "")))
    return _DIGITS.get(words) or _ANSWERS.get(words)
