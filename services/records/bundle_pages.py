"""The pages of a bundle that people read, made of events.json alone: the same events give the same bytes. Pure.

What people wrote stays text: HTML in it is escaped, and what steers a terminal or turns the direction of writing is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, NamedTuple

import orjson
from jinja2 import Environment

from services.records import bundle_pdf
from services.records.story import tell
from shared.contracts.complaints import ComplaintReceived
from shared.contracts.privacy import CaseRead

HTML, PDF, RECEIPT, README = NAMES = ("case.html", "case.pdf", "receipt.txt", "README.txt")
# Another number when a page comes out differently: a bundle of another version is not called changed for that.
VERSION = 2
MADE_BY = f"amends bundle {VERSION}, {bundle_pdf.MADE_BY}"
# The C0 and C1 controls but tab and newline, and what turns the direction of all that follows.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_TEMPLATE = Environment(autoescape=True).from_string(
    (files("services.records") / "templates" / "case.html").read_text(encoding="utf-8")
)

_README = """Case file of complaint {complaint_id}

What is here
  case.html, case.pdf   the case, to be read
  receipt.txt           for the person who complained
  events.json           every event of the case, in the order in which it was recorded
  proofs/               for each event its proof and, unless it was erased, the recorded bytes (.payload)
  checkpoint            the signed state of the ledger: {size} records
  log.vkey              the ledger's public key

How to check it: offline, without trusting whoever gave it to you
  Get the ledger's public key from another source than this bundle (a contract, a letter), as the file trusted.vkey. Then,
  with Amends installed:

    amends records check-bundle THIS --public-key trusted.vkey

  THIS is this folder or the zip file. It says "valid", or names the first event or file that is wrong. A single event:

    amends records check-proof proofs/INDEX.tlog-proof --payload proofs/INDEX.payload --public-key trusted.vkey

  The formats are open (c2sp.org: tlog-proof, tlog-checkpoint, signed-note): other software can check them, too.

What it proves, and what not
  Each event shown was recorded as it stands here, at the time shown, in the ledger that the key signs. It does not prove that
  there is no later event. A gap in the numbers of a service's events is told by the check. Of an erased event the ledger proves
  only that it happened, when, and of which kind; the name of the service and its number are told, not proved.
  Keep the checkpoint: with it anybody can later prove that nothing before it was changed.
"""

_RECEIPT = """Receipt

Your complaint:          {complaint_id}
Received:                {received}
Recorded as number:      {index} of the ledger {log}
Signed state:            {size} records, root {root}

Keep this receipt. It lets you, or anybody you trust, check that your complaint was recorded and not changed since: ask for the
file {proof} with its .payload and run

    amends records check-proof FILE --payload FILE.payload --public-key log.vkey

It must say record {index}. The checkpoint in it must be the one above, or a later one that continues it (amends records verify
with --checkpoint). Get the public key log.vkey from another source than the people you complain about.
"""


def proof_name(index: int) -> str:
    """Where the proof of the ledger's record `index` stands in a bundle."""
    return f"proofs/{index:012d}.tlog-proof"


def payload_name(index: int) -> str:
    """Where its recorded bytes stand."""
    return f"proofs/{index:012d}.payload"


class Line(NamedTuple):
    """One event as it is told."""

    at: str
    what: str
    text: str
    words: str
    place: str
    data: str


def pages(case: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The pages of the case that events.json holds, as (name, bytes)."""
    # As it happened; events.json keeps the ledger's order.
    events = sorted(case["events"], key=lambda each: (datetime.fromisoformat(each["occurred_at"]), each["index"]))
    lines = [_line(event) for event in events]
    readers = [line for line, event in zip(lines, events, strict=True) if event["type"] == CaseRead.TYPE]
    first = next((event for event in case["events"] if event["type"] == ComplaintReceived.TYPE), case["events"][0])
    summary = _summary(case, first)
    yield HTML, _TEMPLATE.render(case=case, summary=summary, readers=readers, lines=lines).encode()
    yield PDF, bundle_pdf.pdf(case, summary, lines, MADE_BY)
    known = {name: case[name] for name in ("complaint_id", "log", "size", "root")}
    index = first["index"]
    receipt = _RECEIPT.format(received=_at(first), index=index, proof=proof_name(index), **known)
    yield RECEIPT, receipt.encode()
    yield README, _README.format(**known).encode()


def _summary(case: dict[str, Any], first: dict[str, Any]) -> list[tuple[str, str]]:
    erased = sum(each["erased"] for each in case["events"])
    told = [("Erased", f"{erased} of the events: that they happened is proved, what they said is gone")] if erased else []
    return [
        ("Received", _at(first)),
        ("Events", str(len(case["events"]))),
        *told,
        ("Ledger", f"{case['log']}, {case['size']} records, root {case['root']}"),
    ]


def _line(event: dict[str, Any]) -> Line:
    place = f"record {event['index']}, {event['service']} {event['sequence']}, event {event['id']}, recorded {event['recorded_at']}"
    told, data, words, shown = tell(event), event["data"], "", ""
    what, text = told.what, told.text
    if event["erased"]:
        what, text = "erased", f"what this event said was erased ({event['type']})"
    elif data is None:
        text = f"{event['type']}: not readable as JSON; its bytes are in its payload"
    else:
        shown = orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()
        contact = data.get("contact") if isinstance(data, dict) else None
        written = contact.get("text") if isinstance(contact, dict) else None
        words = written if isinstance(written, str) else ""
    return Line(*(clean(each) for each in (_at(event), what, text, words, place, shown)))


def _at(event: dict[str, Any]) -> str:
    return f"{datetime.fromisoformat(event['occurred_at']).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clean(text: str) -> str:
    """`text` without what steers the page instead of standing on it."""
    return _CONTROLS.sub("\ufffd", text.replace("\r\n", "\n"))
