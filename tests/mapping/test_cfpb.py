"""The CFPB's files: 16, 18 and 19 columns, known by name; a column that nobody knows is told."""

from __future__ import annotations

import csv
import io

import pytest

from services.intake.submissions import Unreadable
from tests.mapping.items import contacts, json, read
from tests.samples import SAMPLES

SIXTEEN = [
    *(
        [
            "Date received",
            "Product",
            "Sub-product",
            "Issue",
            "Sub-issue",
            "Consumer complaint narrative",
            "Company public response",
            "Company",
        ]
    ),
    *(
        [
            "State",
            "ZIP code",
            "Tags",
            "Submitted via",
            "Date sent to company",
            "Company response to consumer",
            "Timely response?",
            "Complaint ID",
        ]
    ),
]
EIGHTEEN = [*SIXTEEN[:11], "Consumer consent provided?", *SIXTEEN[11:15], "Consumer disputed?", "Complaint ID"]
NINETEEN = [*EIGHTEEN, "Event tag"]
INTERNAL = [
    *(
        [
            "date_received",
            "product",
            "sub_product",
            "issue",
            "sub_issue",
            "consumer_narrative",
            "company_public_response",
            "company",
            "state",
        ]
    ),
    *(
        [
            "zip_code",
            "tag",
            "consent_status",
            "submitted_via",
            "date_sent_to_company",
            "company_response_to_consumer",
            "timely_response",
        ]
    ),
    *(["consumer_disputed", "public_id", "event_tag"]),
]
ROW = {
    "Date received": "2/7/24", "Product": "Mortgage", "Sub-product": "FHA mortgage", "Issue": "Trouble during payment process",
    "Sub-issue": "Escrow, taxes, or insurance", "Consumer complaint narrative": "On XX/XX/2024 XXXX took {$34.00} from me.\nTwice.",
    "Company": "ACME BANK", "State": "FL", "ZIP code": "335XX", "Tags": "Older American, Servicemember", "Submitted via": "Postal mail",
    "Date sent to company": "2/8/24", "Company response to consumer": "In progress", "Timely response?": "Yes", "Complaint ID": "8300123",
    "Consumer consent provided?": "Consent provided", "Consumer disputed?": "N/A",
}  # fmt: skip


def table(header: list[str], *rows: dict[str, str]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, header, extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize(
    "header", [SIXTEEN, EIGHTEEN, NINETEEN, EIGHTEEN[::-1]], ids=["16", "18", "19", "18, in another order"]
)
def test_every_published_form_gives_the_same_complaint(header: list[str]) -> None:
    (contact,) = contacts("cfpb", table(header, ROW))
    assert contact.source.record_id == "8300123"
    assert (contact.occurred_at.date().isoformat(), contact.occurred_at_quality) == ("2024-02-07", "date_only")
    assert (contact.text, contact.text_status) == (ROW["Consumer complaint narrative"], "redacted_by_source")
    assert (contact.product, contact.product_detail, contact.organisation_unit) == (
        "Mortgage",
        "FHA mortgage",
        "ACME BANK",
    )
    assert (contact.issue, contact.issue_detail) == (ROW["Issue"], ROW["Sub-issue"])
    assert (contact.channel, contact.channel_raw) == ("postal", "Postal mail")
    assert (contact.customer.postcode, contact.customer.support_needs) == ("335XX", ("older_age",))
    assert contact.tags == ("older american", "servicemember")
    assert "consumer_disputed" not in contact.custom


def test_the_spelling_of_the_internal_files() -> None:
    names = dict(zip(NINETEEN, INTERNAL, strict=True))
    row = {names[key]: value for key, value in ROW.items()}
    assert contacts("cfpb", table(INTERNAL, row))[0].text == ROW["Consumer complaint narrative"]


@pytest.mark.parametrize(
    ("date", "occurred", "quality"),
    [
        ("2023-03-11T14:26:56.000Z", "2023-03-11T14:26:56+00:00", "exact"),
        ("2023-03-11", "2023-03-11T05:00:00+00:00", "date_only"),
        ("9/24/19", "2019-09-24T04:00:00+00:00", "date_only"),
        ("12/31/2019", "2019-12-31T05:00:00+00:00", "date_only"),
    ],
)
def test_dates_of_old_and_new_files(date: str, occurred: str, quality: str) -> None:
    (contact,) = contacts("cfpb", table(SIXTEEN, ROW | {"Date received": date}))
    assert (contact.occurred_at.isoformat(), contact.occurred_at_quality) == (occurred, quality)


def test_a_narrative_that_was_not_published_is_withheld_not_empty() -> None:
    silent = ROW | {"Consumer complaint narrative": ""}
    (withheld,) = contacts("cfpb", table(EIGHTEEN, silent | {"Consumer consent provided?": "Consent not provided"}))
    (none,) = contacts("cfpb", table(EIGHTEEN, silent | {"Consumer consent provided?": "N/A"}))
    assert (withheld.text_status, withheld.consent_publish) == ("redacted_by_source", False)
    assert none.text_status == "empty"


def test_the_companys_later_answer_makes_no_new_contact_and_a_later_narrative_does() -> None:
    first, answered, silent = contacts(
        "cfpb",
        table(
            SIXTEEN, ROW, ROW | {"Company response to consumer": "Closed"}, ROW | {"Consumer complaint narrative": ""}
        ),
    )
    assert first.source.event_id == answered.source.event_id != silent.source.event_id
    assert first.source.record_id == silent.source.record_id


def test_an_unknown_column_is_told_with_what_may_be_meant() -> None:
    with pytest.raises(
        Unreadable, match=r"'Consumer complaint naratives'; did you mean 'Consumer complaint narrative'\?"
    ):
        read("cfpb", table([*SIXTEEN, "Consumer complaint naratives"], ROW))
    with pytest.raises(Unreadable, match=r"record_id names the column 'Complaint ID'; did you mean 'Complaint-No'\?"):
        read("cfpb", table([*SIXTEEN[:15], "Complaint-No"], ROW))


def test_its_json() -> None:
    source = {"complaint_id": 3199633, "date_received": "2019-04-02", "complaint_what_happened": "x", "product": "y"}
    (contact,) = contacts("cfpb", json({"_id": "1", "_source": source}))
    assert (contact.source.record_id, contact.text, contact.product) == ("3199633", "x", "y")
    hits = [{"_source": source}, {"_source": source | {"complaint_id": 7}}]
    found = contacts("cfpb", json({"took": 3, "hits": {"total": 2, "hits": hits}}))
    assert [each.source.record_id for each in found] == ["3199633", "7"], "an answer of its search"


FILES = SAMPLES / "cfpb" / "ccdb-data-pipeline"


@pytest.mark.skipif(not FILES.is_dir(), reason="no sample files here")
@pytest.mark.parametrize("name", ["v1-public.csv", "v2-public.csv", "v1-intake.csv", "v2-intake.csv", "from_s3.ndjson"])
def test_real_files(name: str) -> None:
    found = contacts("cfpb", (FILES / name).read_bytes())
    assert len({contact.source.record_id for contact in found}) == len(found) >= 10
    assert sum(contact.occurred_at_quality == "receipt_time" for contact in found) <= 1
