"""Coverage-guided fuzzing of what strangers send: `python -m tests.fuzz mail --seconds 60` (also csv, mapped, quotes, html, and the
adapter of every system that sends webhooks).

An input that breaks a reader is written to `crash-...` in the working directory; give it as an argument to see it again.
Any bytes must give items (or say why not), in bounded time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import atheris

with atheris.instrument_imports(include=["services.intake", "shared.text"]):
    from services.intake.adapters import ADAPTERS
    from services.intake.submissions import Delivery, Unreadable
    from shared.text import html
    from shared.text.quotes import strip_reply

MAPPING = "fields: {record_id: a, text: b, html: c, occurred_at: {from: d, format: [iso, '%d/%m/%y']}, customer.email: e}"
SLOW_S = 10


def adapter(name: str, options: dict[str, str]) -> Callable[[bytes], None]:
    """One that reads any bytes as a delivery."""

    def read(data: bytes) -> None:
        delivery = Delivery(UUID(int=1), "fuzz", datetime(2026, 3, 4, tzinfo=UTC), "application/octet-stream", {}, data, options=options)
        try:
            items = ADAPTERS[name].read(delivery)
        except Unreadable:
            return
        for item in items:
            contact = getattr(item, "contact", None)
            if contact is not None:
                contact.model_dump_json()

    return read


def quotes(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    new, _ = strip_reply(text)
    assert bool(new.strip()) == bool(text.strip())


def markup(data: bytes) -> None:
    html.read(data.decode("utf-8", "replace"))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "mail": adapter("email", {}), "csv": adapter("csv", {"mapping": MAPPING + "\n"}), "cfpb": adapter("cfpb", {}),
    "mapped": adapter("mapped", {"mapping": MAPPING + "\n"}), "quotes": quotes, "html": markup,
    **{name: adapter(name, {}) for name in ADAPTERS if name not in ("email", "csv", "cfpb", "mapped")},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("inputs", nargs="*", default=[], help="a corpus folder, or inputs to run again")
    given = parser.parse_intermixed_args()
    options = [f"-max_total_time={given.seconds}", f"-timeout={SLOW_S}", "-rss_limit_mb=2048", "-max_len=20000"]
    atheris.Setup([sys.argv[0], *options, *given.inputs], TARGETS[given.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
