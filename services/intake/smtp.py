"""An SMTP listener: a mail is 250 when it is stored, 4xx when that is not possible now, so that the sender keeps it.

Behind the organisation's own mail server. It delivers for the recipients of e-mail sources only, and relays nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC
from email.utils import format_datetime
from functools import partial
from typing import Any

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.intake.accepting import Accepting
from services.intake.group_commit import NotStored
from services.intake.sources import SourceRecord, Sources, SourcesUnavailable
from services.intake.submissions import Delivery
from shared.clock import utc_now
from shared.config import SmtpSettings
from shared.contracts import ids
from shared.errors import StartRefused
from shared.telemetry import tracing

log = structlog.get_logger(__name__)

OK = "250 2.0.0 Stored"
LATER = "451 4.3.0 Not stored at the moment; please try again"
NOBODY = "550 5.1.1 No such mailbox here"
TOO_MANY = "452 4.5.3 Too many recipients"
BUSY = b"421 4.7.0 Too many connections; please try again later\r\n"
IDLE_S = 120.0


class Listener:
    """The SMTP server of one intake process."""

    def __init__(self, settings: SmtpSettings, accepting: Accepting, sources: Sources) -> None:
        self._settings = settings
        self._mailbox = Mailbox(settings, accepting, sources)
        self._open: set[Any] = set()
        self.port = 0

    async def run(self) -> None:
        """Listen until cancelled; for ever doing nothing where no port is set. Raises StartRefused."""
        if self._settings.port is None:
            await asyncio.Event().wait()
            return
        server = await self._start(self._settings.port)
        try:
            await server.serve_forever()
        finally:
            server.close()
            for protocol in list(self._open):
                protocol.transport.close()

    async def _start(self, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        make = partial(
            _Protocol, self._mailbox, opened=self._open, most=self._settings.max_connections, loop=loop, hostname=self._settings.name,
            ident="Amends", data_size_limit=self._settings.max_bytes, enable_SMTPUTF8=True, timeout=IDLE_S,
            tls_context=self._tls(), require_starttls=self._settings.require_tls,
        )  # fmt: skip
        try:
            server = await loop.create_server(make, self._settings.host, port)
        except OSError as error:
            raise StartRefused(f"AMENDS_SMTP_PORT={port}: cannot listen on {self._settings.host}: {error.strerror}") from None
        self.port = server.sockets[0].getsockname()[1]
        log.info("listening for mail", host=self._settings.host, port=self.port)
        return server

    def _tls(self) -> ssl.SSLContext | None:
        cert, key = self._settings.tls_cert_file, self._settings.tls_key_file
        if cert is None:
            if self._settings.require_tls:
                raise StartRefused("AMENDS_SMTP_REQUIRE_TLS needs AMENDS_SMTP_TLS_CERT_FILE and AMENDS_SMTP_TLS_KEY_FILE")
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as error:
            raise StartRefused(f"AMENDS_SMTP_TLS_CERT_FILE={cert}: it cannot be used ({type(error).__name__})") from None
        return context


class _Protocol(SMTP):
    """One connection. Lines may be longer than the standard's 998: real mail has them, and refusing would lose it."""

    line_length_limit = 1_048_576

    def __init__(self, mailbox: Mailbox, *, opened: set[Any], most: int, **options: Any) -> None:
        super().__init__(mailbox, **options)
        self._opened = opened
        self._most = most

    def connection_made(self, transport: Any) -> None:
        if self not in self._opened and len(self._opened) >= self._most:
            transport.write(BUSY)
            transport.close()
            return
        self._opened.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._opened:
            self._opened.discard(self)
            super().connection_lost(error)


class Mailbox:
    """What is done with a mail, as aiosmtpd calls it."""

    def __init__(self, settings: SmtpSettings, accepting: Accepting, sources: Sources) -> None:
        self._settings = settings
        self._accepting = accepting
        self._sources = sources

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Only recipients of a source, and only so many."""
        if len(envelope.rcpt_tos) >= self._settings.max_recipients:
            return TOO_MANY
        try:
            source = await self._source(address)
        except SourcesUnavailable:
            return LATER
        if source is None:
            return NOBODY
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Store the mail for each source that it goes to. Nothing but a stored mail is answered with 250."""
        try:
            await self._store(session, envelope)
        except (NotStored, SourcesUnavailable):
            return LATER
        except Exception as defect:
            log.error("a mail was not stored", error=type(defect).__name__)
            return LATER
        return OK

    async def handle_exception(self, error: Exception) -> str:
        """Whatever fails: the sender keeps the mail, and learns nothing of why."""
        log.warning("an SMTP session failed", error=type(error).__name__)
        return LATER

    async def _store(self, session: Session, envelope: Envelope) -> None:
        by_source: dict[str, tuple[SourceRecord, list[str]]] = {}
        for address in envelope.rcpt_tos:
            source = await self._source(address)
            if source is None:  # disabled since it was named
                raise NotStored
            by_source.setdefault(source.name, (source, []))[1].append(address)
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        now = utc_now()
        for source, addresses in by_source.values():
            trace = (
                f"Return-Path: <{_one_line((envelope.mail_from or '').strip('<>'))}>\r\n"
                f"Delivered-To: {_one_line(addresses[0])}\r\n"
                f"Received: from {_one_line(session.host_name or 'unknown')} by {self._settings.name} with SMTP; "
                f"{format_datetime(now.astimezone(UTC))}\r\n"
            )
            delivery = Delivery(
                id=ids.time_ordered_id(), source=source.name, received_at=now, content_type="message/rfc822", headers={},
                body=trace.encode("utf-8", "replace") + content, options=source.options,
            )  # fmt: skip
            carrier = tracing.creation(None, "smtp", event_type="", event_id="", complaint_id="")
            await self._accepting.keep(delivery, source.adapter, carrier)

    async def _source(self, address: str) -> SourceRecord | None:
        """The e-mail source that takes mail for an address: by its option `recipients`, else the first without that option."""
        lower = address.strip("<>").lower()
        await self._sources.get("")  # loads them again when they are old; raises when they are too old
        other = None
        for source in self._sources.all():
            if source.adapter != "email":
                continue
            taken = [each.strip().lower().lstrip("@") for each in str(source.options.get("recipients", "")).split(",")]
            if lower in taken or lower.rpartition("@")[2] in filter(None, taken):
                return source
            if other is None and not any(taken):
                other = source
        return other


def _one_line(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:500]
