"""Follow-up with real PostgreSQL, SMTP and HTTP: messages, answers, lists, faults of the mail server, two replicas."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from standardwebhooks.webhooks import Webhook

from shared.contracts import letters
from shared.contracts.complaints import ComplaintReceived, Returned, SubmissionSetAside
from shared.contracts.escalations import StatusChanged
from shared.delivery import email
from tests.delivery.parts import ID_KEY
from tests.domain.examples import START, contact, raw, source
from tests.followup.conftest import HOOK_SECRET, Desk, working

ANNA = {"emails": ["anna@example.com"], "locale": "en-GB", "zone": "UTC"}


async def received(desk: Desk, **customer: Any) -> UUID:
    subject = uuid4()
    now = await desk.now()
    given = contact(now - START, customer=ANNA | customer)
    await desk.tell(subject, "intake", ComplaintReceived(contact=given))
    return subject


async def resolved(desk: Desk, subject: UUID, remedy: str | None = None) -> None:
    now = await desk.now()
    change = StatusChanged(
        status="resolved", previous="open", by="anna", occurred_at=now, resolution="We sent a new lid", remedy=remedy
    )
    await desk.tell(subject, "escalation", change)


async def asked(desk: Desk, **customer: Any) -> tuple[UUID, str]:
    """A complaint whose customer has got the question; the link in it."""
    subject = await received(desk, **customer)
    await resolved(desk, subject)
    await desk.advance(days=6)
    async with working(desk):
        await desk.until(lambda: "check_in_sent" in desk.events())
    found = re.search(r"http://\S+/c/\S+", desk.post.mails[-1].get_content())
    assert found is not None
    return subject, found.group()


async def test_the_question_leaves_as_a_mail_with_a_link_and_the_answer_becomes_an_event(desk: Desk) -> None:
    subject, link = await asked(desk)
    mail = desk.post.mails[0]
    assert mail["To"] == "anna@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Subject"] == "Is your complaint solved?"
    async with httpx2.AsyncClient() as browser:
        for _ in range(3):  # scanners open links
            assert (await browser.get(link)).status_code == 200
        assert (await browser.head(link)).status_code == 200
        assert "check_in_answered" not in desk.events()
        page = await browser.post(link, data={"answer": "partly", "comment": "The <b>lid</b> leaks"}, follow_redirects=True)
        assert "solved in part" in page.text
        again = await browser.post(link, data={"answer": "partly", "comment": "The <b>lid</b> leaks"})
        assert again.status_code == 303
    async with working(desk):
        await desk.until(lambda: "check_in_answered" in desk.events())
    assert desk.events().count("check_in_answered") == 1
    state = await desk.state(subject)
    assert state.question is not None
    assert state.question.answer == "partly"


async def test_links_that_are_changed_expired_or_for_another_question_disclose_nothing(desk: Desk) -> None:
    subject, link = await asked(desk)
    now = await desk.now()
    later = f"{desk.url}/c/{desk.links.token(subject, 9, now)}"
    stranger = f"{desk.url}/c/{desk.links.token(uuid4(), 1, now)}"
    async with httpx2.AsyncClient() as browser:
        for url, status in (
            (link[:-1], 404), (link[:-1] + ("A" if link[-1] != "A" else "B"), 404), (f"{desk.url}/c/x", 404),
            (f"{desk.url}/c/{'A' * 5000}", 404), (stranger, 410), (later, 200),
        ):  # fmt: skip
            answer = await browser.get(url, headers={"accept-language": "de"})
            assert answer.status_code == status, url
            assert "new lid" not in answer.text
            posted = await browser.post(url, data={"answer": "no"})
            assert posted.status_code in (303, 404, 410)
        assert "Dieser Link funktioniert nicht" in (await browser.get(link[:-1], headers={"accept-language": "de"})).text
        await desk.advance(days=31)
        expired = await browser.get(link)
        assert expired.status_code == 410
        assert "expired" in expired.text
        assert "new lid" not in expired.text
    assert (await desk.state(subject)).question.answer is None  # type: ignore[union-attr]


async def test_a_form_that_is_wrong_is_shown_again_with_what_was_written(desk: Desk) -> None:
    subject, link = await asked(desk)
    async with httpx2.AsyncClient() as browser:
        none = await browser.post(link, data={"comment": "</textarea><script>alert(1)</script>"})
        assert none.status_code == 422
        assert "Please choose one of the three answers." in none.text
        assert "<script>" not in none.text
        assert "&lt;script&gt;" in none.text
        long = await browser.post(link, data={"answer": "no", "comment": "x" * 5001})
        assert long.status_code == 422
        assert (await browser.post(link, content=b"\xff\xfe%%%")).status_code == 422
    headers = none.headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert (await desk.state(subject)).question.answer is None  # type: ignore[union-attr]


async def test_a_mail_server_that_refuses_for_good_leads_to_a_task(desk: Desk) -> None:
    subject = await received(desk)
    await resolved(desk, subject)
    desk.post.answer = "550 no such mailbox"
    await desk.advance(days=6)
    async with working(desk):
        await desk.until(lambda: "task_created" in desk.events())
    assert "message_failed" in desk.events()
    tasks = (await desk.http.get("/v1/tasks")).json()["tasks"]
    assert [(task["complaint_id"], task["kind"]) for task in tasks] == [(str(subject), "check_in")]
    done = await desk.http.post(f"/v1/complaints/{subject}/tasks/done", json={"task": "t1", "result": "called"})
    assert done.status_code == 200
    assert (await desk.http.get("/v1/tasks")).json()["tasks"] == []


async def test_a_mail_server_that_is_down_for_a_while_gets_the_mail_later_under_the_same_id(desk: Desk) -> None:
    subject = await received(desk)
    await resolved(desk, subject)
    desk.post.answer = "451 try again later"
    await desk.advance(days=6)

    async def tried() -> bool:
        async with desk.pool.acquire() as conn:
            return bool(await conn.fetchval("select max(attempts) >= 1 and max(last_reason) is not null from message"))

    async with working(desk):
        await desk.until(tried)
        desk.post.answer = None
        await desk.advance(minutes=5)
        await desk.until(lambda: "check_in_sent" in desk.events())
    assert len(desk.post.mails) == 1


async def test_a_mail_that_was_taken_before_the_connection_broke_comes_again_under_its_one_id(desk: Desk) -> None:
    subject = await received(desk)
    await resolved(desk, subject)
    desk.post.drop = True
    await desk.advance(days=6)
    async with working(desk):
        await desk.until(lambda: desk.post.mails)
        desk.post.drop = False
        await desk.advance(minutes=5)
        await desk.until(lambda: "check_in_sent" in desk.events())
    assert len(desk.post.mails) == 2
    assert len({mail["Message-ID"] for mail in desk.post.mails}) == 1


async def test_a_mail_that_hangs_holds_up_no_other_and_comes_again_under_its_one_id(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "TIMEOUT_S", 1.0)
    for name in ("anna", "ben"):
        await resolved(desk, await received(desk, emails=[f"{name}@example.com"]))
    desk.post.hangs = "anna@example.com"
    await desk.advance(days=6)
    async with working(desk):
        await desk.until(lambda: "check_in_sent" in desk.events())
        assert [mail["To"] for mail in desk.post.mails] == ["ben@example.com"]
        desk.post.hangs = ""
        await desk.advance(minutes=5)
        await desk.until(lambda: desk.events().count("check_in_sent") == 2)
    assert len(desk.post.tried["anna@example.com"]) >= 2
    assert len(set(desk.post.tried["anna@example.com"])) == 1
    assert len(desk.post.tried["ben@example.com"]) == 1
    assert "message_failed" not in desk.events()


async def test_a_bounce_that_comes_back_as_a_mail_is_recorded_and_the_next_channel_is_tried_once(desk: Desk) -> None:
    subject, _ = await asked(desk, phones=[{"raw": "+441632960001", "e164": "+441632960001"}])
    (letter,) = letters.quoted(desk.post.mails[0]["Message-ID"])
    assert letter.complaint == subject
    assert letter.sent_to(ID_KEY, ["Anna@example.com"])
    aside = SubmissionSetAside(
        source=source("dsn-1"), reason="bounce: delivery report (DSN)", received_at=await desk.now(), raw=raw(),
        returned=Returned(letter=letter.letter, status="5.1.1"),
    )  # fmt: skip
    for _ in range(2):
        await desk.tell(subject, "intake", aside)
    await desk.tell(subject, "intake", aside.model_copy(update={"returned": Returned(letter=UUID(int=5))}))
    async with working(desk):
        await desk.until(lambda: "task_created" in desk.events())  # there is no webhook for SMS here: somebody calls
    assert desk.events().count("message_failed") == 2, "the mail, then the SMS"
    assert desk.events().count("task_created") == 1


async def test_drafts_are_checked_for_those_who_may_read_cases(desk: Desk) -> None:
    draft = {"draft": "You should have read the manual.", "complaint": {"issues": ["The lid leaks"], "impact": "my floor is wet"}}
    told = await desk.http.post("/v1/drafts/check", json=draft)
    assert told.status_code == 200
    found = told.json()
    assert found["findings"][0]["kind"] == "blame"
    start, end = found["findings"][0]["span"]
    assert draft["draft"][start:end] == found["findings"][0]["text"]  # type: ignore[index]
    assert "apology" in found["missing"]
    assert found["rules"]["digest"].startswith("sha256:")
    async with httpx2.AsyncClient(base_url=desk.url) as nobody:
        assert (await nobody.post("/v1/drafts/check", json=draft)).status_code == 401
        other = {"Authorization": f"Bearer {desk.powerless}"}
        refused = await nobody.post("/v1/drafts/check", json=draft, headers=other)
        assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "body"), (b"{", "JSON"), (b"[]", "object"), (b"{}", "draft"), (b'{"draft": 7}', "draft"), (b'{"draft": null}', "draft"),
        (b'{"draft": "x", "complaint": []}', "complaint"), (b'{"draft": "x", "complaint": {"issues": "one"}}', "issues"),
        (b'{"draft": "x", "complaint": {"fault": "the weather"}}', "fault"), (b'{"draft": "' + b"x" * 20_001 + b'"}', "draft"),
        (b'{"draft": "\xff"}', ""),
    ],
)  # fmt: skip
async def test_a_draft_that_cannot_be_checked_is_refused_with_what_is_wrong(desk: Desk, body: bytes, said: str) -> None:
    refused = await desk.http.post("/v1/drafts/check", content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code in (400, 422), refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert said in refused.text
    assert "Traceback" not in refused.text


async def test_promises_by_api_once_by_key_listed_and_broken_once(desk: Desk) -> None:
    subject = await received(desk)
    due = (await desk.now()).replace(microsecond=0)
    path = f"/v1/complaints/{subject}/promises"
    late = await desk.http.post(path, json={"what": "Call back", "due_at": due.isoformat()})
    assert late.status_code == 422
    assert "has passed already" in late.json()["detail"]
    body = {"what": "Call back", "due_at": "2099-03-08T12:00:00Z", "kind": "callback", "owner": "ben"}
    first = await desk.http.post(path, json=body, headers={"Idempotency-Key": "k1"})
    assert first.status_code == 200
    assert "Sunday" in first.json()["nobody_works"]
    again = await desk.http.post(path, json=body, headers={"Idempotency-Key": "k1"})
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["promise"] == first.json()["promise"]
    assert (await desk.http.post(path, json={"what": "x", "due_at": "2026-02-30"})).status_code == 422
    assert (await desk.http.post(f"/v1/complaints/{uuid4()}/promises", json=body)).status_code == 404
    listed = (await desk.http.get("/v1/promises")).json()["promises"]
    assert [(each["promise"], each["owner"]) for each in listed] == [("p1", "ben")]
    await desk.advance(days=366 * 80)
    async with working(desk, replicas=2):
        await desk.until(lambda: "promise_broken" in desk.events())
    assert desk.events().count("promise_broken") == 1
    broken = (await desk.http.get("/v1/promises?status=broken")).json()["promises"]
    assert [each["promise"] for each in broken] == ["p1"]


async def test_the_draft_of_the_next_update_says_what_it_will_say(desk: Desk) -> None:
    subject = await received(desk, locale="de-DE")
    note = {"done": "Wir haben den Zustelldienst gefragt"}
    assert (await desk.http.post(f"/v1/complaints/{subject}/progress", json=note)).status_code == 200
    draft = (await desk.http.get(f"/v1/complaints/{subject}/update-draft")).json()
    assert draft["language"] == "de"
    assert "Wir haben den Zustelldienst gefragt" in draft["text"]
    assert "wieder von uns" in draft["text"]
    plan = (await desk.http.get(f"/v1/complaints/{subject}/plan")).json()
    assert plan["update"]["kind"] == "progress_update"


async def test_outcomes_count_who_answered_and_the_next_complaint_of_the_same_customer(desk: Desk) -> None:
    subject, link = await asked(desk)
    async with httpx2.AsyncClient() as browser:
        await browser.post(link, data={"answer": "yes"})
    await received(desk)
    found = (await desk.http.get("/v1/outcomes?by=channel")).json()["outcomes"]
    assert len(found) == 1
    row = found[0]
    assert (row["name"], row["complaints"], row["solved"], row["satisfaction"], row["repeat_complaints"]) == ("email", 1, 1, 1.0, 1)
    fact = {"fact": "customer_returned", "evidence": "order 77"}
    assert (await desk.http.post(f"/v1/complaints/{subject}/facts", json=fact)).status_code == 200
    assert (await desk.http.get("/v1/outcomes?by=cause")).json()["outcomes"][0]["returned"] == 1
    assert (await desk.http.get("/v1/outcomes?by=pigeon")).status_code == 422
    assert (await desk.http.get("/v1/outcomes?since=2026-01-01T00:00:00")).status_code == 422
    assert (await desk.http.get("/v1/outcomes?until=0001-01-01T00:00:00Z")).status_code == 422


async def test_a_backlog_after_an_outage_is_sent_once_in_due_order_by_two_replicas_and_says_it_is_late(desk: Desk) -> None:
    subjects = []
    for number in range(12):
        subjects.append(await received(desk, emails=[f"c{number}@example.com"]))
        await resolved(desk, subjects[-1])
        await desk.advance(hours=1)
    await desk.advance(days=9)
    async with working(desk, replicas=2):
        await desk.until(lambda: desk.events().count("check_in_sent") == 12)
    assert sorted(mail["To"] for mail in desk.post.mails) == sorted(f"c{number}@example.com" for number in range(12))
    assert all("comes later than we meant" in mail.get_content() for mail in desk.post.mails)
    async with desk.pool.acquire() as conn:
        soon = await conn.fetchval("select count(*) from timer where due_at < app_now() + interval '3 days'")
    assert soon == 0, "the second question keeps its distance"


async def test_a_signed_webhook_proves_a_fact_once_and_an_unsigned_one_nothing(desk: Desk) -> None:
    subject = await received(desk)
    await resolved(desk, subject, "refund")
    body = json.dumps({"type": "fact.checked", "complaint_id": str(subject), "data": {"fact": "refund_booked", "evidence": "p 1"}})

    def signed(text: str, message_id: str = "m-1") -> dict[str, str]:
        now = datetime.now(UTC)
        signature = Webhook(HOOK_SECRET).sign(message_id, now, text)
        return {"webhook-id": message_id, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}

    async with httpx2.AsyncClient(base_url=desk.url) as system:
        for _ in range(2):
            assert (await system.post("/v1/hooks", content=body, headers=signed(body))).status_code == 200
        assert (await desk.state(subject)).proved == {"refund_booked": True}
        forged = {**signed(body), "webhook-signature": "v1,AAAA"}
        assert (await system.post("/v1/hooks", content=body, headers=forged)).status_code == 401
        assert (await system.post("/v1/hooks", content=body)).status_code == 401
        assert (await system.post("/v1/hooks", content=b"\xff", headers=signed(body))).status_code == 401
        assert (await system.post("/v1/hooks", content=body + " ", headers=signed(body + " "))).status_code == 200, "the same command"
        for wrong in ("[]", "{}", body.replace("fact.checked", "fact.invented"), body.replace('"fact"', '"fakt"')):
            refused = await system.post("/v1/hooks", content=wrong, headers=signed(wrong, "m-2"))
            assert refused.status_code == 422, wrong
        for wrong, status in ((body.replace("p 1", "\\u0000"), 400), (body.replace("p 1", "\\ud800"), 422)):
            assert (await system.post("/v1/hooks", content=wrong, headers=signed(wrong, "m-3"))).status_code == status, wrong
    async with working(desk):
        await desk.until(lambda: "fact_checked" in desk.events())
    assert desk.events().count("fact_checked") == 1
