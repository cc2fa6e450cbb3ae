"""What people wrote is no formula in a spreadsheet, and stays what they wrote."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from shared.text.cells import inert

WORDS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=30)


@given(WORDS | st.sampled_from(["=1+1", "@SUM(A1)", "\t=1", "\r=1"]))
def test_no_cell_begins_like_a_formula_and_none_is_changed_otherwise(text: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerow([inert(text), "next"])
    ((cell, following),) = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert following == "next"
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n", "\0") or not cell
    assert cell.removeprefix("'") == text.removeprefix("'")
