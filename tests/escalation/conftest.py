"""A real Chromium for the page of a hand-off."""

from tests.harness.browser import chromium

__all__ = ["chromium"]
