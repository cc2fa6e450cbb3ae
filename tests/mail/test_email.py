"""A customer's mail becomes a contact: who, when, what was said, what hangs on it, and which conversation it belongs to."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

import pytest

from services.intake.submissions import ContactSubmission, ReplySubmission, SetAside, Unreadable
from tests.mail.mails import NOW, contact, mail, multipart, read

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def test_a_plain_mail() -> None:
    read_ = contact(mail())
    assert (read_.channel, read_.author_kind, read_.subject, read_.text) == ("email", "customer", "The kettle leaks", "It leaks.")
    assert (read_.customer.name, read_.customer.emails) == ("Ada Lovelace", ("ada@example.org",))
    assert (read_.occurred_at, read_.occurred_at_quality) == (datetime(2026, 3, 4, 9, 58, tzinfo=UTC), "exact")
    assert (read_.text_status, read_.text_full, read_.html, read_.thread) == ("complete", None, None, None)
    assert (read_.source.record_id, read_.source.event_id, read_.message_id) == ("<m1@example.org>",) * 3


def test_a_reply_belongs_to_the_first_message_of_its_conversation_and_keeps_all_that_was_said() -> None:
    body = "Still nobody called.\r\n\r\nOn Tue, 3 Mar 2026 at 09:12, Care <care@shop.example> wrote:\r\n> We will call you.\r\n"
    read_ = contact(mail(body, References="<m1@example.org>\r\n <a1@shop.example>", In_Reply_To="<a1@shop.example>", Message_ID="<m2@x>"))
    assert (read_.source.record_id, read_.source.event_id) == ("<m1@example.org>", "<m2@x>")
    assert read_.thread is not None
    assert (read_.thread.in_reply_to, read_.thread.references) == ("<a1@shop.example>", ("<m1@example.org>", "<a1@shop.example>"))
    assert (read_.text, read_.text_status) == ("Still nobody called.", "stripped")
    assert read_.text_full is not None
    assert "> We will call you." in read_.text_full


@pytest.mark.parametrize(
    ("headers", "record"),
    [
        ({"In_Reply_To": "<a1@shop.example>"}, "<a1@shop.example>"),
        ({"In_Reply_To": 'Message from Ada of "Tue" <a1@shop.example>'}, "<a1@shop.example>"),
        ({"In_Reply_To": "a1@shop.example"}, "<a1@shop.example>"),
        ({"References": "<>", "In_Reply_To": "<>"}, "<m1@example.org>"),
        ({"References": "<" + "x" * 300 + ">"}, "<m1@example.org>"),
        ({"References": "<a@b><c@d>"}, "<a@b>"),
    ],
)
def test_what_a_conversation_is_known_by(headers: dict[str, str], record: str) -> None:
    assert contact(mail(**headers)).source.record_id == record


def test_a_mail_without_an_id_is_known_by_its_content() -> None:
    one, again, other = (contact(mail(body, Message_ID=None)).source for body in ("x", "x", "y"))
    assert one.event_id.startswith("sha256:")
    assert one.event_id == one.record_id == again.event_id != other.event_id


def test_the_way_that_a_mail_took_is_not_its_content() -> None:
    first, second = read(mail()), read(b"Received: from mx2\r\nDelivered-To: other@shop.example\r\n" + mail())
    assert isinstance(first, ContactSubmission)
    assert isinstance(second, ContactSubmission)
    assert first.identity == second.identity


@pytest.mark.parametrize(
    ("headers", "occurred", "quality"),
    [
        ({"Date": "Wed, 4 Mar 2026 11:58:00 +0200"}, "2026-03-04T09:58:00", "exact"),
        ({"Date": "4 Mar 2026 09:58:00 -0000"}, "2026-03-04T09:58:00", "assumed_zone"),
        ({"Date": "Thu, 1 Jan 1970 00:00:00 +0000"}, "2026-03-04T10:00:00", "receipt_time"),
        ({"Date": "Wed, 4 Mar 2099 09:58:00 +0000"}, "2026-03-04T10:00:00", "receipt_time"),
        ({"Date": "yesterday"}, "2026-03-04T10:00:00", "receipt_time"),
        ({"Date": None}, "2026-03-04T10:00:00", "receipt_time"),
        ({"Date": "Wed, 99 Mar 2026 09:58:00 +9999999999"}, "2026-03-04T10:00:00", "receipt_time"),
        ({"Date": None, "Received": "from a by b; Wed, 4 Mar 2026 08:00:00 +0000"}, "2026-03-04T08:00:00", "receipt_time"),
        # From an archive: the last server says when it came.
        (
            {"Date": "Mon, 2 Mar 2020 09:58:00 +0000", "Received": "from a by b; Mon, 2 Mar 2020 10:00:00 +0000"},
            "2020-03-02T09:58:00",
            "exact",
        ),
        # A server whose clock is ahead of ours does not move it into the future.
        ({"Date": None, "Received": "from a by b; Wed, 4 Mar 2026 10:30:00 +0000"}, "2026-03-04T10:00:00", "receipt_time"),
    ],
)
def test_the_time_and_how_far_to_trust_it(headers: dict[str, str | None], occurred: str, quality: str) -> None:
    read_ = contact(mail(**headers))
    assert (read_.occurred_at.isoformat()[:19], read_.occurred_at_quality) == (occurred, quality)


@pytest.mark.parametrize(
    ("value", "name", "email"),
    [
        ("=?UTF-8?Q?J=C3=BCrgen_Gro=C3=9F?= <J.Gross@Example.DE>", "Jürgen Groß", "J.Gross@example.de"),
        ("=?utf-8?B?SsO8cmdlbiBHcm/Dnw==?= <j@example.de>", "Jürgen Groß", "j@example.de"),
        ("=?iso-2022-jp?B?GyRCO2NFRBsoQg==?= <j@example.jp>", "祉田", "j@example.jp"),
        ('"Lovelace, Ada" <ada@example.org>', "Lovelace, Ada", "ada@example.org"),
        ('"=?utf-8?q?Ada?=" <ada@example.org>', "Ada", "ada@example.org"),
        ("ada@example.org", None, "ada@example.org"),
        ("ada@example.org (Ada)", "Ada", "ada@example.org"),
        ("=?utf-8?B?broken!!?= <ada@example.org>", ..., "ada@example.org"),
        ("=?x-unknown?q?J=FCrgen?= <ada@example.org>", "Jürgen", "ada@example.org"),
    ],
)
def test_who_wrote(value: str, name: str | None, email: str) -> None:
    customer = contact(mail(From=value)).customer
    assert customer.emails == (email,)
    if name not in (..., None):
        assert customer.name == name


def test_a_letter_that_is_split_over_two_encoded_words_is_one() -> None:
    assert contact(mail(Subject="=?utf-8?B?R3LDtsM=?=\r\n =?utf-8?B?n2U=?=")).subject == "Größe"


def test_answers_go_where_the_customer_wants_them() -> None:
    assert contact(mail(Reply_To="Ada at home <ada@home.example>")).customer.emails == ("ada@example.org", "ada@home.example")


@pytest.mark.parametrize(
    ("content_type", "encoding", "body", "text"),
    [
        ("text/plain; charset=iso-8859-1", "quoted-printable", b"Gr=F6=DFe stimmt =\r\nnicht", "Größe stimmt nicht"),
        ("text/plain; charset=utf-8", "base64", base64.b64encode("Größe".encode()), "Größe"),
        ("text/plain; charset=utf-8", "BASE64", b"R3L!!ow7bDn\r\nsOj2U=\r\n-- \r\nad", ...),
        ("text/plain; charset=x-unknown", "8bit", "Größe".encode("latin-1"), "Größe"),
        ("text/plain; charset=us-ascii", "7bit", "Größe".encode(), "Größe"),
        ("text/plain; charset=shift_jis", "8bit", "ご迷惑".encode("shift_jis"), "ご迷惑"),
        ("text/plain", "x-uuencode", b"begin 644 a\r\n#0V%T\r\n`\r\nend\r\n", "Cat"),
        ("text/plain", "quoted-printable", b"100=% =ZZ =", ...),
        ("text/html; charset=utf-8", "8bit", b"<p>It <b>leaks</b>.</p><script>x</script>", "It leaks."),
        ("", "", b"It leaks.", "It leaks."),
        ("nonsense", "nonsense", b"It leaks.", "It leaks."),
        ("text/plain; charset=utf-8; format=flowed", "8bit", b"It leaks \r\nall over.\r\n\r\nBye.", "It leaks all over.\n\nBye."),
        ("multipart/mixed", "7bit", b"It leaks.", "It leaks."),
        ('multipart/mixed; boundary="never"', "7bit", b"It leaks.", "It leaks."),
    ],
)
def test_the_text_in_every_encoding(content_type: str, encoding: str, body: bytes, text: str) -> None:
    read_ = contact(mail(body, Content_Type=content_type, Content_Transfer_Encoding=encoding))
    assert read_.text
    if text is not ...:
        assert read_.text == text


@pytest.mark.parametrize("ends", [b"\n", b"\r", b"\r\n"])
def test_line_ends_of_any_kind(ends: bytes) -> None:
    read_ = contact(mail("One.\r\nTwo.").replace(b"\r\n", ends))
    assert (read_.text, read_.subject) == ("One.\nTwo.", "The kettle leaks")


def test_of_two_alternatives_the_plain_one_is_the_text_and_the_other_is_kept_safe() -> None:
    kind, body = multipart(
        ("Content-Type: text/plain", "It leaks."), ("Content-Type: text/html", "<p onclick=x>It leaks.</p>"), kind="alternative"
    )
    read_ = contact(mail(body, Content_Type=kind))
    assert (read_.text, read_.html) == ("It leaks.", "<p>It leaks.</p>")
    kind, body = multipart(
        ("Content-Type: text/plain", "See HTML."), ("Content-Type: text/html", "<p>" + "It leaks. " * 20 + "</p>"), kind="alternative"
    )
    assert contact(mail(body, Content_Type=kind)).text.startswith("It leaks. It leaks.")


def test_attachments_are_listed_by_name_type_size_and_hash_and_not_opened() -> None:
    kind, body = multipart(
        ("Content-Type: text/plain", "See photo."),
        (
            "Content-Type: image/png\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment;\n"
            " filename*0*=utf-8''Fo%C3%B6;\n filename*1=to.png",
            base64.encodebytes(PNG),
        ),
        ("Content-Type: text/plain; name=log.txt\nContent-Disposition: attachment", "not the customer's words"),
        ("Content-Type: message/rfc822", mail("An attached mail.")),
        ("Content-Type: application/zip; name==?utf-8?q?b=C3=B6se.zip?=\nContent-Transfer-Encoding: base64", b"UEsDBA=="),
        ("Content-Type: text/plain", "And more."),
    )
    read_ = contact(mail(body, Content_Type=kind))
    assert read_.text == "See photo.\n\nAnd more."
    assert [(a.name, a.media_type) for a in read_.attachments] == [
        ("Foöto.png", "image/png"), ("log.txt", "text/plain"), ("message.eml", "message/rfc822"), ("böse.zip", "application/zip"),
    ]  # fmt: skip
    assert (read_.attachments[0].size, read_.attachments[0].sha256) == (len(PNG), hashlib.sha256(PNG).hexdigest())


def test_a_file_that_is_uuencoded_in_the_text_is_an_attachment() -> None:
    read_ = contact(mail("See file.\r\n\r\nbegin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n\r\nAda\r\n"))
    assert read_.text.split() == ["See", "file.", "Ada"]
    assert [(a.name, a.size) for a in read_.attachments] == [("cat.txt", 3)]


def test_more_attachments_than_fit_are_counted() -> None:
    kind, body = multipart(*[("Content-Type: image/png", PNG)] * 130)
    read_ = contact(mail(body, Content_Type=kind))
    assert (len(read_.attachments), read_.custom) == (100, {"attachments_left_out": 30})


OWN = {"own": ["shop.example", "care@partner.example"]}


@pytest.mark.parametrize("sender", ["care@shop.example", "Agent <x@mail.shop.example>", "CARE@partner.example"])
def test_what_the_organisation_sends_is_a_reply(sender: str) -> None:
    item = read(mail(From=sender, To="ada@example.org", References="<m1@example.org>"), OWN)
    assert isinstance(item, ReplySubmission)
    assert (item.contact.author_kind, item.contact.customer.emails) == ("agent", ("ada@example.org",))
    assert item.contact.source.record_id == "<m1@example.org>"


def test_a_copy_of_what_a_mailbox_sent_is_a_reply_without_being_told() -> None:
    assert isinstance(read(mail(From="care@shop.example", To="ada@example.org", Delivered_To="care@shop.example")), ReplySubmission)
    assert isinstance(read(mail(Delivered_To="complaints@shop.example")), ContactSubmission)


def test_a_form_on_our_own_site_is_written_by_the_customer() -> None:
    read_ = contact(mail(From="Web form <www@shop.example>", Reply_To="Ada <ada@example.org>"), OWN)
    assert (read_.customer.name, read_.customer.emails) == ("Ada", ("ada@example.org",))


def test_a_shared_mailbox_that_is_a_list_is_no_newsletter() -> None:
    marks = {"List_Id": "<complaints.shop.example>", "List_Post": "<mailto:complaints@shop.example>", "Precedence": "list"}
    assert isinstance(read(mail(**marks), OWN), ContactSubmission)
    assert isinstance(read(mail(**marks)), SetAside)


def test_what_is_no_mail_says_so() -> None:
    with pytest.raises(Unreadable, match="empty"):
        read(b" \r\n ")
    with pytest.raises(Unreadable) as caught:
        read(b"x" * 26_214_401)
    assert caught.value.status == 413
    assert contact(b"just words, no headers").text == "just words, no headers"


def test_received_is_when_it_reached_us() -> None:
    assert contact(mail()).received_at == NOW
