"""Real payloads, mails and files, beside the checkout where they are at hand: they are no part of the project.

AMENDS_SAMPLES names another folder. Tests that read them are skipped where there is none.
"""

from __future__ import annotations

import os
from pathlib import Path

SAMPLES = Path(os.environ.get("AMENDS_SAMPLES") or Path(__file__).parents[2] / "shared" / "samples")
