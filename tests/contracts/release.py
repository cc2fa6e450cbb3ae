"""What consumers out there rely on: `released/`, the schemas and topics of the last release.

    python -m tests.contracts.release           take today's contracts as released; refuses a breaking change
    python -m tests.contracts.release --check   write nothing; exit 1 and say what would break

Run it when a release is made, commit what it writes, and never edit the files by hand. A breaking change needs a new
version of the event (`....v2`) beside the old one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.contracts.json_schema import json_schemas
from shared.contracts.topics import FLOWS
from tests.contracts.compatibility import problems

FOLDER = Path(__file__).parent / "released"
TOPICS = "topics.json"


def today() -> dict[str, str]:
    """File name -> text: one schema for each event type, and where each type is found."""
    topics = {event.TYPE: {"topic": flow.topic, "key": flow.key} for flow in FLOWS for event in flow.events}
    return {**json_schemas(), TOPICS: json.dumps(topics, indent=2) + "\n"}


def breaking(released: dict[str, str], now: dict[str, str]) -> list[str]:
    """What of `now` breaks somebody who relies on `released`."""
    found = []
    for name, text in released.items():
        if name == TOPICS:
            places = json.loads(now[TOPICS])
            found += [
                f"{kind}: moved from {place} to {places[kind]}"
                for kind, place in json.loads(text).items()
                if kind in places and places[kind] != place
            ]
        elif name not in now:
            found.append(f"{name.removesuffix('.json')}: the event type is gone")
        else:
            schemas: list[Any] = [json.loads(text), json.loads(now[name])]
            found += [f"{name.removesuffix('.json')}{problem}" for problem in problems(*schemas)]
    return found


def read() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(FOLDER.glob("*.json"))}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.release", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and say what would break")
    check: bool = parser.parse_args(arguments).check
    found = breaking(read(), today())
    for problem in found:
        sys.stderr.write(f"breaking: {problem}\n")
    if found:
        sys.stderr.write("an event that changes like this needs a new version (.v2) beside the old one\n")
        return 1
    if not check:
        FOLDER.mkdir(exist_ok=True)
        for name, text in today().items():
            (FOLDER / name).write_text(text)
        sys.stdout.write(f"released {len(today()) - 1} event types\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
