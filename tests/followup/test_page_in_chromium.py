"""The customer page in a real browser: by keyboard, on a phone, light and dark, without JavaScript, checked by axe."""

from __future__ import annotations

from playwright.async_api import Browser

from tests.followup.conftest import Desk
from tests.followup.test_service import asked
from tests.harness.browser import PHONE, needs_chromium, open_page, violations

pytestmark = needs_chromium


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
