"""The page behind a hand-off's link: scanners change nothing, who may answers, and in a real Chromium it can be used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import httpx2
import pytest
from playwright.async_api import Browser

from services.escalation import hand_off_page, store
from services.escalation.domain import EscalationState
from services.escalation.links import Links
from shared.contracts.complaints import ComplaintReceived
from shared.contracts.escalations import HandOffAccepted, HandOffRefused, HandOffRequested
from shared.http.app import make_app
from shared.http.server import Server
from shared.postgres.pool import Pool
from shared.telemetry.health import Progress
from tests.domain.clock_stories import OWN
from tests.domain.examples import contact
from tests.escalation.beds import KEY, Replica, advance, emitted
from tests.harness.browser import PHONE, needs_chromium, open_page, violations

SUBJECT = UUID(int=7)
TEAMS = """
tiers: [front line, supervisor, manager]
fallback: managers
teams:
  - {id: front, tier: 1}
  - {id: supervisors, name: Supervisors, tier: 2, members: [anna]}
  - {id: managers, tier: 3}
members: [{id: anna}]
"""
TIER_2 = OWN.replace("default: {tier: 1", "default: {tier: 2")
WORDS = "The kettle leaks <script>alert(1)</script> & it smells."


@dataclass
class Desk:
    """A hand-off that waits for the supervisors' answer, and where it can be given."""

    pool: Pool
    links: Links
    url: str
    accept_by: datetime

    @property
    def link(self) -> str:
        return f"{self.url}/hand-off/{self.links.token(SUBJECT, 1, self.accept_by)}"

    async def state(self) -> EscalationState:
        async with self.pool.acquire() as conn:
            found, _ = await store.find(conn, SUBJECT)
        assert found is not None
        return found

    async def answers(self) -> list[str]:
        return [each.TYPE.split(".")[2] for each in await emitted(self.pool) if isinstance(each, HandOffAccepted | HandOffRefused)]


@pytest.fixture
async def desk(pool: Pool) -> AsyncIterator[Desk]:
    links = Links(KEY, "https://care.example")
    replica = Replica(pool, TIER_2, TEAMS, links)
    await replica.take(SUBJECT, ComplaintReceived(contact=contact(issue=WORDS, product="Kettle " + "x" * 200)), 1)
    (asked,) = [each for each in await emitted(pool) if isinstance(each, HandOffRequested)]
    app = make_app("Test", service="escalation", progress=Progress())
    app.include_router(hand_off_page.routes(replica.handlers, pool, links))
    server = Server(app, "127.0.0.1", 0)
    await server.start()
    try:
        yield Desk(pool, links, server.url, asked.accept_by)
    finally:
        await server.stop(1.0)


async def test_programs_that_follow_links_answer_nothing(desk: Desk) -> None:
    async with httpx2.AsyncClient() as scanner:
        for _ in range(3):
            shown = await scanner.get(desk.link)
            assert shown.status_code == 200
        assert (await scanner.head(desk.link)).status_code == 200
        assert (await scanner.get(f"{desk.link}?answer=accept&name=bot")).status_code == 200
    assert await desk.answers() == []
    assert (await desk.state()).hand_offs.pending is not None
    assert "<script>" not in shown.text, "what a customer wrote is text"
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["referrer-policy"] == "no-referrer", "the link is a key"
    assert "unsafe-inline" not in shown.headers["content-security-policy"]


async def test_a_forged_or_expired_link_explains_itself_and_discloses_nothing(desk: Desk) -> None:
    link = desk.link
    swapped = link[:-1] + ("A" if link[-1] != "A" else "B")
    stranger = f"{desk.url}/hand-off/{Links(bytes(32), '').token(SUBJECT, 1, desk.accept_by)}"
    later = f"{desk.url}/hand-off/{desk.links.token(SUBJECT, 2, desk.accept_by)}"
    other = f"{desk.url}/hand-off/{desk.links.token(UUID(int=8), 1, desk.accept_by)}"
    async with httpx2.AsyncClient() as browser:
        for url in (link[:-1], swapped, stranger, later, other, f"{desk.url}/hand-off/x", f"{desk.url}/hand-off/{'A' * 5000}"):
            for found in (await browser.get(url), await browser.post(url, data={"answer": "accept", "name": "Mallory"})):
                assert found.status_code == 410, url
                assert found.text.count("<p>") == 1, "one sentence"
                assert "ettle" not in found.text
                assert "upervisors" not in found.text
        await advance(desk.pool, desk.accept_by - datetime(2026, 3, 2, 9, 30, tzinfo=desk.accept_by.tzinfo) + timedelta(seconds=1))
        expired = await browser.post(link, data={"answer": "accept", "name": "Anna"})
        assert expired.status_code == 410
        assert "The time to answer is over" in expired.text
        assert "ettle" not in expired.text
    assert await desk.answers() == []


async def test_of_two_who_answer_one_has_it_and_a_form_that_lacks_something_says_so(desk: Desk) -> None:
    async with httpx2.AsyncClient() as browser:
        nameless = await browser.post(desk.link, data={"answer": "accept"})
        assert (nameless.status_code, "Please give your name." in nameless.text) == (422, True)
        silent = await browser.post(desk.link, data={"answer": "refuse", "name": "Anna"})
        assert (silent.status_code, "Please give the reason." in silent.text) == (422, True)
        assert (await browser.post(desk.link, content=b"\xff\xfe%%%")).status_code == 422
        taken = await browser.post(desk.link, data={"answer": "accept", "name": "Anna <b>"})
        assert (taken.status_code, "Anna &lt;b&gt; has the complaint now." in taken.text) == (200, True)
        second = await browser.post(desk.link, data={"answer": "refuse", "name": "Bo", "reason": "no"})
        assert (second.status_code, "answered already" in second.text) == (410, True)
    assert await desk.answers() == ["hand_off_accepted"]
    assert (await desk.state()).hand_offs.owner == "Anna <b> (by link)"


@needs_chromium
async def test_axe_finds_nothing_on_any_page_light_or_dark(desk: Desk, chromium: Browser) -> None:
    for scheme in ("light", "dark"):
        for url in (desk.link, f"{desk.link}x"):
            page = await open_page(chromium, url, scheme, scripts=True)
            assert await violations(page) == [], (scheme, url)
            await page.context.close()
    page = await open_page(chromium, desk.link, "dark", scripts=True)
    ground, text = await page.evaluate(
        "() => [getComputedStyle(document.documentElement).colorScheme, getComputedStyle(document.body).color]"
    )
    assert ground == "light dark"
    assert text == "rgb(255, 255, 255)", "white on the browser's own dark ground"
    await page.get_by_label("Your name").fill("Anna")
    await page.get_by_role("button", name="Refuse").click()
    await page.get_by_role("alert").wait_for()
    assert await violations(page) == [], "the form that says what is missing"


@needs_chromium
async def test_on_a_phone_without_javascript_a_lead_reads_what_it_is_about_and_accepts(
    desk: Desk, chromium: Browser
) -> None:
    page = await open_page(chromium, desk.link, "light")
    assert await page.locator("html").get_attribute("lang") == "en"
    assert await page.get_by_text("it smells").is_visible()
    scrolls = await page.locator("main").bounding_box()
    assert scrolls is not None
    assert scrolls["width"] <= PHONE["width"], "nothing to scroll sideways, however long a word is"
    await page.get_by_role("button", name="Accept").click()
    assert await desk.answers() == [], "the browser asks for the name"
    await page.get_by_label("Your name").fill("Anna")
    await page.get_by_role("button", name="Accept").click()
    await page.get_by_text("Anna has the complaint now.").wait_for()
    assert await desk.answers() == ["hand_off_accepted"]


@needs_chromium
async def test_it_can_be_refused_by_keyboard_alone(desk: Desk, chromium: Browser) -> None:
    page = await open_page(chromium, desk.link, "light")
    await page.keyboard.press("Tab")
    await page.keyboard.type("Anna")
    await page.keyboard.press("Tab")  # past "Accept"
    await page.keyboard.press("Tab")
    await page.keyboard.type("Not our product")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_text("It moves on").wait_for()
    assert await desk.answers() == ["hand_off_refused"]
    pending = (await desk.state()).hand_offs.pending
    assert pending is not None
    assert (pending.team, pending.reason) == ("managers", "refused by supervisors: Not our product")
