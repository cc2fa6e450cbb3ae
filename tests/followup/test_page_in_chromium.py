"""The customer page in a real browser: by keyboard, on a phone, light and dark, without JavaScript, checked by axe."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import axe_core_python
import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.followup.conftest import Desk
from tests.followup.test_service import asked

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (.ci/run installs Debian's)")
AXE = next(Path(axe_core_python.__file__).parent.glob("axe*.js"))
PHONE = {"width": 360, "height": 640}


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


async def open_page(browser: Browser, link: str, scheme: str, *, scripts: bool = False) -> Page:
    """As a customer sees it: no JavaScript of ours exists, so the browser runs none; axe needs it and bypasses the CSP."""
    context = await browser.new_context(
        viewport=PHONE, color_scheme=scheme, java_script_enabled=scripts, bypass_csp=scripts  # type: ignore[arg-type]
    )
    page = await context.new_page()
    await page.goto(link)
    return page


async def violations(page: Page) -> list[Any]:
    await page.add_script_tag(path=AXE)
    found: dict[str, Any] = await page.evaluate("async () => await axe.run()")
    return [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]]


async def test_axe_finds_nothing_on_any_page_light_or_dark(desk: Desk, chromium: Browser) -> None:
    _, link = await asked(desk)
    for scheme in ("light", "dark"):
        for url in (link, f"{link}x"):
            page = await open_page(chromium, url, scheme, scripts=True)
            assert await violations(page) == [], (scheme, url)
            await page.context.close()
    page = await open_page(chromium, link, "dark", scripts=True)
    await page.get_by_role("button", name="No, it is not").click()
    await page.get_by_role("heading", name="Thank you for your answer").wait_for()
    assert await violations(page) == []


async def test_on_a_phone_without_javascript_a_customer_answers_with_a_comment(desk: Desk, chromium: Browser) -> None:
    subject, link = await asked(desk)
    page = await open_page(chromium, link, "light")
    assert await page.get_by_text("We sent a new lid").is_visible()
    assert await page.locator("html").get_attribute("lang") == "en"
    width = await page.locator("main").bounding_box()
    assert width is not None
    assert width["width"] <= PHONE["width"], "nothing to scroll sideways"
    await page.get_by_label("Would you like to add something?").fill("It still leaks 😡 <b>")
    await page.get_by_role("button", name="Partly").click()
    await page.get_by_role("heading", name="Thank you for your answer").wait_for()
    assert await page.get_by_text("solved in part").is_visible()
    await page.reload()
    state = await desk.state(subject)
    assert state.question is not None
    assert state.question.answer == "partly"


async def test_the_whole_page_can_be_used_by_keyboard(desk: Desk, chromium: Browser) -> None:
    subject, link = await asked(desk)
    page = await open_page(chromium, link, "light")
    await page.keyboard.press("Tab")
    await page.keyboard.type("Thank you")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Thank you for your answer").wait_for()
    assert (await desk.state(subject)).question.answer == "yes"  # type: ignore[union-attr]
