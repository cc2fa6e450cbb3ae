"""Cells of files that people open as spreadsheets (OWASP: CSV injection)."""

from __future__ import annotations

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


def inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: one that begins like one is shown as text."""
    return f"'{cell}" if cell.startswith(_STARTS) else cell
