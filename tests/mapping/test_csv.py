"""CSV files as people make them: no row is lost, no column is guessed, nothing in a cell is run."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.adapters.rows import open_table
from services.intake.submissions import ContactSubmission, Rejection, SetAside, Unreadable
from tests.mapping.items import contacts, read

MAPPING = """
system: shop-crm
zone: Europe/London
fields:
  record_id: Ticket
  occurred_at: {from: Opened, format: ["%d/%m/%Y %H:%M", "%d/%m/%y"]}
  text: Words
  customer.name: Name
"""
HEADER = "Ticket,Opened,Words,Name\n"


def test_a_row_is_a_complaint() -> None:
    (contact,) = contacts("csv", HEADER + 'T-1,03/06/2026 10:00,"It leaks,\nand ""how"".",Ada\n', MAPPING)
    assert (contact.source.system, contact.source.record_id) == ("shop-crm", "T-1")
    assert contact.text == 'It leaks,\nand "how".'
    assert (contact.occurred_at.isoformat(), contact.occurred_at_quality) == ("2026-06-03T09:00:00+00:00", "assumed_zone")


def test_rows_of_one_record_are_contacts_of_one_complaint_and_the_same_row_is_the_same_event() -> None:
    one, two, again = contacts("csv", HEADER + "T-1,,It leaks.,Ada\nT-1,,Still.,Ada\nT-1,,It leaks.,Ada\n", MAPPING)
    assert one.source.record_id == two.source.record_id
    assert one.source.event_id == again.source.event_id != two.source.event_id


def test_a_date_without_time_says_so() -> None:
    (contact,) = contacts("csv", HEADER + "T-1,3/6/26,x,Ada\n", MAPPING)
    assert (contact.occurred_at.isoformat()[:10], contact.occurred_at_quality) == ("2026-06-02", "date_only"), "midnight in London"


def test_a_time_that_does_not_fit_is_not_guessed() -> None:
    (contact,) = contacts("csv", HEADER + "T-1,2026 June,x,Ada\n", MAPPING)
    assert contact.occurred_at_quality == "receipt_time"
    assert "occurred_at" in str(contact.custom["warnings"])


@pytest.mark.parametrize("damaged", ["5.70301E+17", "5,70301E+17", "1E+12", "########", "#REF!", "#N/A"])
def test_ids_that_a_spreadsheet_damaged_never_make_two_rows_one(damaged: str) -> None:
    body = HEADER.replace(",", ";") + f"{damaged};;First.;Ada\n{damaged};;Second.;Bob\n"
    first, second = contacts("csv", body, MAPPING)
    assert first.source.record_id != second.source.record_id
    assert first.source.record_id.startswith("sha256:")
    assert "spreadsheet" in str(first.custom["warnings"])


@pytest.mark.parametrize("kept", ["5.7", "E17", "1e", "570301", "5.70301E-17x"])
def test_ids_that_only_look_like_it_are_kept(kept: str) -> None:
    (contact,) = contacts("csv", HEADER + f"{kept},,x,Ada\n", MAPPING)
    assert contact.source.record_id == kept


@pytest.mark.parametrize("cell", ['=HYPERLINK("http://x")', "=1+1", "+49 30 123", "-2", "@SUM(A1)", "\tx", "=cmd|' /C calc'!A0"])
def test_formulas_are_text(cell: str) -> None:
    quoted = cell.replace('"', '""')
    (contact,) = contacts("csv", HEADER + f'T-1,,"{quoted}",Ada\n', MAPPING)
    assert contact.text == cell


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_encodings_delimiters_and_line_ends(encoding: str, delimiter: str, ends: str) -> None:
    text = (HEADER + "T-1,,Größe – wrong,José\nT-2,,x,Ada\n").replace(",", delimiter).replace("\n", ends)
    first, second = contacts("csv", text.encode(encoding), MAPPING)
    assert (first.text, first.customer.name, second.source.record_id) == ("Größe – wrong", "José", "T-2")


def test_what_excel_writes_before_and_behind_the_table() -> None:
    body = "sep=;\r\n" + HEADER.replace(",", ";").strip() + ";;\r\nT-1;;x;Ada;;\r\n;;;;;\r\n\r\n"
    (contact,) = contacts("csv", body, MAPPING)
    assert contact.source.record_id == "T-1"


def test_columns_are_known_by_name_not_by_place_case_or_blanks() -> None:
    (contact,) = contacts("csv", " name ,WORDS,opened,ticket\nAda,x,,T-1\n", MAPPING)
    assert (contact.source.record_id, contact.customer.name) == ("T-1", "Ada")


def test_what_is_not_mapped_is_kept() -> None:
    (contact,) = contacts("csv", "Ticket,Opened,Words,Name,Till,Empty\nT-1,,x,Ada,7,\n", MAPPING)
    assert contact.custom == {"Till": "7"}
    (contact,) = contacts("csv", "Ticket,Opened,Words,Name,Till\nT-1,,x,Ada,7\n", MAPPING + "rest: ignore\n")
    assert contact.custom == {}


def test_a_column_that_is_missing_or_unknown_is_told_with_what_may_be_meant() -> None:
    with pytest.raises(Unreadable, match=r"'Words'; did you mean 'Word'\?"):
        read("csv", "Ticket,Opened,Word,Name\nT-1,,x,Ada\n", MAPPING)
    with pytest.raises(Unreadable, match=r"'Naem'; did you mean 'Name'\?"):
        read("csv", "Ticket,Opened,Words,Name,Naem\nT-1,,x,Ada,y\n", MAPPING + "rest: refuse\n")
    with pytest.raises(Unreadable, match=r"'Custmer.Name'; did you mean 'customer.name'\?"):
        read("csv", "record_id,text,Custmer.Name\n1,x,Ada\n")


def test_without_a_mapping_our_own_names_are_understood() -> None:
    (contact,) = contacts("csv", "Record ID,text,Customer.Email,occurred_at\n1,x,ada@Example.org,2026-03-01T10:00:00Z\n")
    assert (contact.source.record_id, contact.customer.emails) == ("1", ("ada@example.org",))
    assert contact.occurred_at_quality == "exact"


def test_rows_that_are_too_long_or_too_short_lose_nothing() -> None:
    long, short = contacts("csv", HEADER + "T-1,,x,Ada,left,over\nT-2,,y\n", MAPPING)
    assert "left; over" in long.custom.values()
    assert (short.text, short.customer.name) == ("y", None)


def test_a_quote_that_is_never_closed_is_told_with_its_line() -> None:
    with pytest.raises(Unreadable, match="line 3"):
        read("csv", HEADER + 'T-1,,x,Ada\nT-2,,"never closed,Ada\nT-3,,y,Bob\nT-4,,z,Cy\n', MAPPING)
    (contact,) = contacts("csv", HEADER + 'T-1,,a 6" pipe leaks,Ada\n', MAPPING)
    assert contact.text == 'a 6" pipe leaks'


def test_files_put_together_repeat_the_header() -> None:
    items = read("csv", HEADER + "T-1,,x,Ada\n" + HEADER + "T-2,,y,Bob\n", MAPPING)
    assert [type(item) for item in items] == [ContactSubmission, SetAside, ContactSubmission]


@pytest.mark.parametrize("body", ["", " \n\n", "\ufeff"])
def test_an_empty_file_says_so(body: str) -> None:
    with pytest.raises(Unreadable, match="no header"):
        read("csv", body, MAPPING)


def test_a_wrong_declared_encoding_is_told() -> None:
    with pytest.raises(Unreadable, match="not utf-8 at byte"):
        read("csv", (HEADER + "T-1,,Größe,A\n").encode("cp1252"), MAPPING + "csv: {encoding: utf-8}\n")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20) | st.sampled_from(["", "=1", '"', ",", "\n", "T-1"])


@given(st.lists(st.lists(cells, min_size=4, max_size=4), max_size=8), st.sampled_from(",;\t"))
def test_what_was_written_is_read_row_by_row(rows: list[list[str]], delimiter: str) -> None:
    def written(row: list[str]) -> str:
        return delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row)

    header = ["Ticket", "Opened", "Words", "Name"]
    body = "\r\n".join(written(row) for row in [header, *rows]) + "\r\n"
    found = [row.cells for row in open_table(body.encode()).rows()]
    assert found == [row for row in rows if any(cell.strip() for cell in row)]
    for item in read("csv", body, MAPPING):
        assert isinstance(item, ContactSubmission | Rejection | SetAside)


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda t: (HEADER + t).encode("utf-8", "replace")))
def test_any_bytes_are_rows_or_a_reason(body: bytes) -> None:
    for mapping in (MAPPING, None):
        with contextlib.suppress(Unreadable):
            for item in read("csv", body, mapping):
                assert isinstance(item, Rejection) or item.identity.event_id
