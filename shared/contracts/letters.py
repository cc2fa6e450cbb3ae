"""The Message-ID of our letters: it says which complaint a letter is about, so that what comes back finds it.

`<letter.complaint.seal@domain>`: the id of the message, the id of the complaint, and 16 hexadecimal digits of a keyed hash over
both and the address. Who answers from that address, or whose mail system returns the letter, quotes it; nobody else can
make one.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from shared.contracts import ids

_OURS = re.compile(r"\b([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([0-9a-f]{32})\.([0-9a-f]{16})@")
MOST = 20  # ids in one text, and addresses, that are looked at


@dataclass(frozen=True, slots=True)
class LetterId:
    """A letter of ours: its message, the complaint that it is about, and the proof that we wrote it to an address."""

    letter: UUID
    complaint: UUID
    seal: str

    def sent_to(self, id_key: bytes, addresses: Iterable[str]) -> bool:
        """Whether we have written this letter to one of the addresses."""
        return any(
            hmac.compare_digest(self.seal, _seal(id_key, self.letter, self.complaint, address))
            for address in list(addresses)[:MOST]
        )


def left_side(id_key: bytes, letter: UUID, complaint: UUID, to: str) -> str:
    """What stands before the @ in the Message-ID of a letter to an address."""
    return f"{letter}.{complaint.hex}.{_seal(id_key, letter, complaint, to)}"


def quoted(text: str) -> tuple[LetterId, ...]:
    """The letters whose ids stand in a text. Whether they are ours is for `sent_to` to say."""
    found = (LetterId(UUID(letter), UUID(hex=complaint), seal) for letter, complaint, seal in _OURS.findall(text))
    return tuple(dict.fromkeys(found))[:MOST]


def _seal(id_key: bytes, letter: UUID, complaint: UUID, to: str) -> str:
    return ids.keyed_id(id_key, "letter", str(letter), str(complaint), to.strip().lower()).hex[:16]
