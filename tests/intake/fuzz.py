"""Coverage-guided fuzzing of an adapter, for whoever changes one: `python -m tests.intake.fuzz zendesk -max_total_time=60`.

Not part of the tests: it runs as long as it is told to. Whatever it finds makes a file `crash-...`; turn it into a golden payload.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["services.intake", "shared.text"]):
    from services.intake import trying
    from services.intake.adapters import ADAPTERS
    from services.intake.submissions import Unreadable
    from tests.intake.test_payloads import cases


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in ADAPTERS:
        sys.exit(f"usage: python -m tests.intake.fuzz ADAPTER [libFuzzer options]; adapters: {', '.join(ADAPTERS)}")
    adapter = sys.argv.pop(1)
    with tempfile.TemporaryDirectory(prefix="amends-fuzz-") as folder:
        for number, case in enumerate(case for case in cases() if case.adapter == adapter):
            (Path(folder) / f"golden-{number}").write_bytes(case.body)

        def one(data: bytes) -> None:
            with contextlib.suppress(Unreadable):
                ADAPTERS[adapter].read(trying.delivery_of(adapter, data, {}, {}))

        atheris.Setup([*sys.argv, folder], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
