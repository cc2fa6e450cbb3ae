"""E-mail by SMTP submission. The stable id is the Message-ID, so that a mail sent twice is known as one; and it says which
complaint the mail is about (shared/contracts/letters.py), so that an answer or a bounce finds its way back."""

from __future__ import annotations

import mailbox
import ssl
from email.headerregistry import HeaderRegistry, MessageIDHeader
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from pathlib import Path

import aiosmtplib

from shared.contracts import letters
from shared.delivery.routes import Permanent, Temporary
from shared.delivery.settings import DeliverySettings
from shared.postgres.messages import Letter

TIMEOUT_S = 30.0
# Long ids stay as they are: folded like words they would be encoded, and no mail program would know them again.
_HEADERS = HeaderRegistry()
for _name in ("in-reply-to", "references"):
    _HEADERS.map_to_type(_name, MessageIDHeader)  # type: ignore[arg-type]  # typeshed wants what the library adds to it
_POLICY = SMTP.clone(header_factory=_HEADERS)


def compose(letter: Letter, sender: str, id_key: bytes, date: str | None = None) -> EmailMessage:
    """The mail of a letter. Raises Permanent when an address or a header cannot be written."""
    domain = parseaddr(sender)[1].rpartition("@")[2] or "amends.invalid"
    mail = EmailMessage(policy=_POLICY)
    try:
        mail["From"] = sender
        mail["To"] = letter.to
        mail["Subject"] = letter.body["subject"]
        mail["Message-ID"] = f"<{letters.left_side(id_key, letter.id, letter.complaint_id, letter.to)}@{domain}>"
        mail["Date"] = date or formatdate(usegmt=True)
        # So that out-of-office programs do not answer, and ours knows its own (RFC 3834).
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
        for name, value in letter.body.get("headers", {}).items():
            mail[name] = value
        mail.set_content(letter.body["text"])
        if letter.body.get("html"):
            mail.add_alternative(letter.body["html"], subtype="html")
    except (ValueError, KeyError, IndexError) as error:
        raise Permanent(f"the mail cannot be written ({type(error).__name__})") from None
    return mail


class Email:
    """Sends by the mail server of the settings; one connection a mail."""

    def __init__(self, settings: DeliverySettings, id_key: bytes) -> None:
        self._settings = settings
        self._id_key = id_key

    async def send(self, letter: Letter) -> None:
        given = self._settings
        mail = compose(letter, given.mail_from, self._id_key)
        try:
            await aiosmtplib.send(
                mail,
                hostname=given.smtp_host,
                port=given.smtp_port,
                use_tls=given.smtp_tls == "tls",
                start_tls=given.smtp_tls == "starttls",
                username=given.smtp_username,
                password=given.smtp_password.get_secret_value() if given.smtp_password else None,
                timeout=TIMEOUT_S,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            code = error.recipients[0].code if error.recipients else 550
            raise _judged(code, endpoint=False) from None
        except aiosmtplib.SMTPAuthenticationError as error:
            # Our own set-up is wrong, not the letter: it waits until that is mended.
            raise Temporary(f"the mail server refuses our user name or password ({error.code})") from None
        except aiosmtplib.SMTPResponseException as error:
            raise _judged(error.code, endpoint=error.code in (421, 450, 451, 452, 454)) from None
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError, TimeoutError) as error:
            raise Temporary(f"the mail server cannot be reached ({type(error).__name__})") from None


def _judged(code: int, *, endpoint: bool) -> Temporary | Permanent:
    if 500 <= code < 600:
        return Permanent(f"the mail server refuses it for good ({code})")
    return Temporary(f"the mail server does not take it now ({code})", endpoint=endpoint)


class ToFolder:
    """Puts mails into a Maildir instead of sending them: for trying Amends without a mail server."""

    def __init__(self, folder: Path, sender: str, id_key: bytes) -> None:
        self._id_key = id_key
        self._folder = mailbox.Maildir(folder, create=True)
        self._sender = sender or "Amends <amends@localhost>"

    async def send(self, letter: Letter) -> None:
        self._folder.add(mailbox.MaildirMessage(compose(letter, self._sender, self._id_key)))
