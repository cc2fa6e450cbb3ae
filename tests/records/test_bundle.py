"""The bundle for an ombudsman: it checks offline, whatever is changed in it is found, and what people wrote stays text."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pypdf import PdfReader
from typer.testing import CliRunner, Result

from deploy.cli import app
from services.records import bundle, bundle_commands, bundle_pages, store
from services.records.bundle_pages import payload_name, proof_name
from shared.contracts import ids
from shared.contracts.complaints import ComplaintReceived, ContactAdded
from shared.contracts.envelope import Event, Position
from shared.contracts.privacy import CaseRead, ComplaintErased
from tests.ledger.database import ACTORS, AT, ID_KEY, ORIGIN, Ledger

HOSTILE = (
    "<script>alert(1)</script><img src=https://evil.example/x onerror=alert(2)>{{ 7 * 7 }}</blockquote>"
    "\x1b[31mred\x00\u202eterces\u2066 =HYPERLINK(1)"
)


def contact(text: str, number: int = 1, event_type: str = ComplaintReceived.TYPE, subject: UUID | None = None) -> Event:
    data = {"contact": {"channel": "email", "subject": "Parcel", "text": text}}
    return event(event_type, data, number, subject=subject)


def event(event_type: str, data: object, number: int, service: str = "intake", subject: UUID | None = None) -> Event:
    subject = subject or UUID(int=7)
    return Event(
        ids.event_id(ID_KEY, service, subject, number), event_type, service, subject, number, AT, "cause", "", "", "",
        json.dumps(data).encode(), Position("complaints", 0, number),
    )  # fmt: skip


async def record(ledger: Ledger, *events: Event) -> UUID:
    """A case of these events between those of others, signed."""
    await ledger.append(300)
    async with ledger.pool.acquire() as conn, conn.transaction():
        ciphers = await ledger.case_keys.for_writing(conn, {each.subject for each in events})
        await store.append(conn, list(events), AT, ACTORS, ciphers)
    await ledger.append(20)
    await ledger.publish()
    return events[0].subject


async def exported(ledger: Ledger, complaint_id: UUID, name: str = "case") -> Path:
    files = await bundle_commands.made(ledger.conn, complaint_id, ledger.case_keys)
    assert files is not None
    bundle_commands.write(ledger.folder / name, files)
    (ledger.folder / "trusted.vkey").write_text("".join(f"{key.vkey}\n" for key in ledger.keys))
    return ledger.folder / name


def check(source: Path) -> Result:
    """As the ombudsman runs it: no database, no network."""
    key = source.parent / "trusted.vkey"
    return CliRunner().invoke(app, ["records", "check-bundle", str(source), "--public-key", str(key), "--json"])


def found(source: Path) -> tuple[str, int | None]:
    """The file that is named, and the event."""
    result = check(source)
    told = json.loads(result.stdout)
    assert (result.exit_code, told["valid"]) == ((1, False) if told["reason"] else (0, True)), result.output
    return told["file"], told["first_bad"]


CASE = (
    contact("It never came.\nNobody answers."),
    contact("Still nothing, and żółć too.", 2, ContactAdded.TYPE),
    event(CaseRead.TYPE, {"by": "anna", "how": "timeline"}, 1, "records"),
)


@pytest.mark.parametrize("name", ["case", "case.zip"])
async def test_a_case_is_written_read_and_checked_offline(ledger: Ledger, name: str) -> None:
    source = await exported(ledger, await record(ledger, *CASE), name)
    told = json.loads(check(source).stdout)
    assert told | {"valid": True, "events": 3, "erased": 0, "size": 323, "first_bad": None, "notes": []} == told
    files = bundle_commands.Folder(source) if source.is_dir() else bundle_commands.Zip(source)
    assert {each.partition("/")[0] for each in files.names} == {
        "case.html", "case.pdf", "events.json", "proofs", "checkpoint", "log.vkey", "README.txt", "receipt.txt",
    }  # fmt: skip
    assert "Still nothing, and żółć too." in files.read("case.html").decode()
    assert "by anna (timeline)" in files.read("case.html").decode().partition("What happened")[0], "who read it"
    paper = "".join(page.extract_text() for page in PdfReader(io.BytesIO(files.read("case.pdf"))).pages)
    assert "Nobody answers." in paper
    assert "read: by anna" in paper
    assert "żółć too" in paper
    receipt = files.read("receipt.txt").decode()
    assert all(part in receipt for part in (str(CASE[0].subject), "2026-03-02 09:30:00 UTC", f"300 of the ledger {ORIGIN}", told["root"]))


async def test_each_proof_of_the_bundle_stands_alone(ledger: Ledger) -> None:
    source = await exported(ledger, await record(ledger, *CASE))
    for index in (300, 301, 302):
        proof, payload = source / proof_name(index), source / payload_name(index)
        arguments = ["--payload", str(payload), "--public-key", str(source.parent / "trusted.vkey")]
        assert CliRunner().invoke(app, ["records", "check-proof", str(proof), *arguments]).exit_code == 0


async def test_whatever_file_is_changed_removed_or_added_is_named(ledger: Ledger) -> None:
    source = await exported(ledger, await record(ledger, *CASE))
    names = sorted(bundle_commands.Folder(source).names)
    assert len(names) == 7 + 2 * 3
    for name in names:
        kept = (source / name).read_bytes()
        index = int(Path(name).name.partition(".")[0]) if name.startswith("proofs/") else None
        for changed in (kept[:-10] + bytes([kept[-10] ^ 1]) + kept[-9:], kept + b"x", b"", b"\xff\xfe"):
            (source / name).write_bytes(changed)
            file, bad = found(source)
            assert bad == index, name
            assert file == (name if index is None else proof_name(index)), "a payload is told with its proof"
        (source / name).unlink()
        assert found(source)[0] == (name if index is None else proof_name(index))
        (source / name).write_bytes(kept)
        assert found(source) == ("", None), "as it was: no false alarm"
    (source / "more.txt").write_text("and another thing")
    assert found(source) == ("more.txt", None)


Change = Callable[[dict], object]  # type: ignore[type-arg]


@pytest.mark.parametrize(
    ("change", "bad"),
    [
        (lambda case: case["events"][1]["data"]["contact"].update(text="All is well."), 301),
        (lambda case: case["events"][1].update(occurred_at="2026-03-01T09:30:00+00:00"), 301),
        (lambda case: case["events"][2].update(service="intake"), 302),
        (lambda case: case["events"][2].update(sequence=True), None),
        (lambda case: case["events"][0].update(note="he lies"), 300),
        (lambda case: case["events"][0].update(erased=True, data=None), 300),
        (lambda case: case["events"].pop(1), None),
        (lambda case: case["events"].reverse(), 301),
        (lambda case: case["events"].append(case["events"][2]), 302),
        (lambda case: case.update(complaint_id=str(uuid4())), 300),
        (lambda case: case.update(size=9), None),
        (lambda case: case.update(events=[]), None),
        (lambda case: case.update(events=[1]), None),
        (lambda case: case.update(made_by=3), None),
    ],
)
async def test_what_events_json_says_is_held_against_the_proofs(ledger: Ledger, change: Change, bad: int | None) -> None:
    source = await exported(ledger, await record(ledger, *CASE))
    case = json.loads((source / bundle.EVENTS).read_bytes())
    change(case)
    (source / bundle.EVENTS).write_text(json.dumps(case, indent=2))
    file, first_bad = found(source)
    assert file
    assert first_bad == bad


async def test_a_payload_of_another_event_and_another_log_are_found(ledger: Ledger) -> None:
    complaint_id = await record(ledger, *CASE)
    source = await exported(ledger, complaint_id)
    shutil.copy(source / payload_name(300), source / payload_name(301))
    shutil.copy(source / proof_name(300), source / proof_name(301))
    assert found(source) == (proof_name(301), 301)
    ledger.key_file.unlink()
    (source.parent / "trusted.vkey").write_text("".join(f"{key.vkey}\n" for key in ledger.keys))
    assert found(source) == ("checkpoint", None), "a key that has not signed it"


async def test_an_event_left_out_is_told(ledger: Ledger) -> None:
    source = await exported(ledger, await record(ledger, contact("one"), contact("three", 3, ContactAdded.TYPE)))
    told = json.loads(check(source).stdout)
    assert told["valid"]
    assert told["notes"] == ["event 2 of intake is not in the bundle: ask why (1 missing in all)"]


async def test_erased_events_are_proved_without_what_they_said(ledger: Ledger) -> None:
    erasure = event(ComplaintErased.TYPE, {"by": "dpo", "reason": "DSR-1"}, 1, "records")
    complaint_id = await record(ledger, contact("my secret"), erasure)
    await ledger.conn.execute("delete from complaint_key where complaint_id = $1", complaint_id)
    ledger.case_keys.forget([complaint_id])
    source = await exported(ledger, complaint_id)
    told = json.loads(check(source).stdout)
    assert told | {"valid": True, "events": 2, "erased": 1} == told
    assert not (source / payload_name(300)).exists()
    assert not any(b"my secret" in path.read_bytes() for path in source.rglob("*") if path.is_file())
    for name in (bundle_pages.HTML, bundle.EVENTS):
        assert "erased" in (source / name).read_text()
    case = json.loads((source / bundle.EVENTS).read_bytes())
    assert [(each["erased"], each["data"] is None) for each in case["events"]] == [(True, True), (False, False)]


async def test_an_event_cannot_be_hidden_by_calling_it_erased(ledger: Ledger) -> None:
    complaint_id = await record(ledger, *CASE)
    await ledger.conn.execute("delete from complaint_key where complaint_id = $1", complaint_id)
    ledger.case_keys.forget([complaint_id])
    assert found(await exported(ledger, complaint_id)) == (bundle.EVENTS, 300)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


async def test_what_people_wrote_stays_text(ledger: Ledger) -> None:
    odd = event("amends.unheard.of.v1", [HOSTILE, {"contact": HOSTILE}], 2)
    by = event(CaseRead.TYPE, {"by": HOSTILE, "how": HOSTILE}, 1, "records")
    source = await exported(ledger, await record(ledger, contact(HOSTILE), odd, by))
    assert found(source) == ("", None)
    page = (source / "case.html").read_text()
    seen = Tags()
    seen.feed(page)
    assert not seen.tags & {"script", "img", "link", "iframe", "a", "object", "form"}
    assert not {name for name in seen.attributes if name.startswith("on") or name in ("src", "href", "srcset")}
    assert "&lt;script&gt;alert(1)" in page
    assert "{{ 7 * 7 }}" in page
    steering = set("\x00\x1b\u202e\u2066")
    for name in ("case.html", "receipt.txt", "README.txt"):
        assert not steering & set((source / name).read_text()), name
    PdfReader(source / "case.pdf")


async def test_the_pdf_shows_latin_greek_and_cyrillic_letters_and_says_what_it_lacks(ledger: Ledger) -> None:
    shown = ("Zażółć gęślą jaźń, Łódź", "Příliš žluťoučký kůň", "Ğüşıöç İstanbul", "Tiếng Việt rất khó", "Ξεσκεπάζω την ψυχοφθόρα",
             "Щербаков съел їжак, ґанок", "Ђаци и Љубав", "naïve – “quoted” €5 …")  # fmt: skip
    lost = ("包裹从未送到, 没有人回答", "لم يصل الطرد", "החבילה לא הגיעה", "ไม่มีใครตอบ", "😡")
    texts = [*shown, *(f"before {text} after" for text in lost)]
    source = await exported(ledger, await record(ledger, *(contact(text, n, ContactAdded.TYPE) for n, text in enumerate(texts, 1))))
    assert found(source) == ("", None), "made again, it is the same"
    paper = "".join(page.extract_text() for page in PdfReader(source / "case.pdf").pages)
    page = (source / "case.html").read_text()
    for text in shown:
        assert text in paper
    for text in texts:
        assert text in page, "case.html has all"
    assert paper.count("before \ufffd") == len(lost)
    assert paper.count("case.html shows the whole text") == len(lost)
    assert "[11 letters are not shown" in paper


async def test_a_case_of_many_contacts(ledger: Ledger) -> None:
    contacts = [contact(f"{n}: " + "why? " * 30, n, ContactAdded.TYPE if n > 1 else ComplaintReceived.TYPE) for n in range(1, 1_201)]
    source = await exported(ledger, await record(ledger, *contacts), "case.zip")
    told = json.loads(check(source).stdout)
    assert (told["valid"], told["events"]) == (True, 1_200)


async def test_what_is_no_bundle_and_what_is_not_there_is_said_in_a_sentence(ledger: Ledger, tmp_path: Path) -> None:
    source = await exported(ledger, await record(ledger, *CASE), "case.zip")
    data = source.read_bytes()
    with zipfile.ZipFile(source, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("events.json", "{}")
    assert found(source) == ("events.json", None), "which of two files of one name is read depends on the program"
    source.write_bytes(data[:200] + b"damaged" + data[207:])
    assert found(source)[0]
    source.write_bytes(data[: len(data) // 2])
    result = check(source)
    assert result.exit_code != 0
    assert "neither a folder nor a zip" in str(result.exception)
    with pytest.raises(bundle_commands.Failed, match="nothing is recorded"):
        await bundle_commands.made(ledger.conn, uuid4(), ledger.case_keys)
    with pytest.raises(bundle_commands.Failed, match="master keys"):
        await bundle_commands.made(ledger.conn, CASE[0].subject, None)
    await ledger.append(50)
    assert await bundle_commands.made(ledger.conn, UUID(int=7), ledger.case_keys), "what others did later does not matter"
