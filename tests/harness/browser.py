"""A real Chromium for the pages that people get: on a phone, light and dark, without JavaScript; and axe, which checks them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import axe_core_python
import pytest
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (.ci/run installs Debian's)")
AXE = next(Path(axe_core_python.__file__).parent.glob("axe*.js"))
PHONE = {"width": 360, "height": 640}


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


async def open_page(browser: Browser, link: str, scheme: str, *, scripts: bool = False) -> Page:
    """As people see it: no JavaScript of ours exists, so the browser runs none; axe needs it and bypasses the CSP."""
    context = await browser.new_context(
        viewport=PHONE, color_scheme=scheme, java_script_enabled=scripts, bypass_csp=scripts  # type: ignore[arg-type]
    )
    page = await context.new_page()
    await page.goto(link)
    return page


async def violations(page: Page) -> list[Any]:
    """What axe finds: the rule, and the first place."""
    await page.add_script_tag(path=AXE)
    found: dict[str, Any] = await page.evaluate("async () => await axe.run()")
    return [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]]
