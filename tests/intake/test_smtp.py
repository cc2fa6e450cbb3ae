"""The SMTP listener: 250 means stored, anything else leaves the mail with its sender."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.intake.smtp import Listener
from shared.config import SmtpSettings
from shared.errors import StartRefused
from tests.intake.beds import Bed, bed_on
from tests.mail.mails import mail


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], uvloop.Loop]]:
    """The loop that the services run on."""
    return {"uvloop": uvloop.new_event_loop}


@contextlib.asynccontextmanager
async def listening(bed: Bed, **options: Any) -> AsyncIterator[int]:
    listener = Listener(SmtpSettings(port=0, **options), bed.accepting, bed.sources)
    task = asyncio.create_task(listener.run())
    try:
        while not listener.port:
            await asyncio.sleep(0.01)
            if task.done():
                task.result()
        yield listener.port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def bed(database: str) -> AsyncIterator[Bed]:
    async with bed_on(database) as made:
        await made.add("care", "email", recipients="complaints@shop.example, help.example")
        yield made


async def send(port: int, raw: bytes, to: Any = "complaints@shop.example", sender: str = "ada@example.org", **options: Any) -> Any:
    return await aiosmtplib.send(
        raw, sender=sender, recipients=[to] if isinstance(to, str) else to, hostname="127.0.0.1", port=port, timeout=30,
        **{"start_tls": False, **options},
    )  # fmt: skip


async def test_a_mail_that_was_taken_is_stored_and_taken_once(bed: Bed) -> None:
    async with listening(bed) as port:
        for _ in range(2):
            await send(port, mail())
        await send(port, mail("Größe\n.\n..dot\n" + "x" * 5_000, Message_ID="<long@x>"), to="any@help.example")
        assert await bed.outcomes() == {"<m1@example.org>": None, "<long@x>": None}, "before anything was normalized"
    assert await bed.settle() == {"<m1@example.org>": "complaint", "<long@x>": "complaint"}


async def test_a_null_sender_is_a_machine(bed: Bed) -> None:
    async with listening(bed) as port:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)
        async with client:
            await client.mail("")
            await client.rcpt("complaints@shop.example")
            await client.data(mail())
    assert list((await bed.settle()).values()) == ["set_aside"]


async def test_mail_for_others_is_not_relayed(bed: Bed) -> None:
    async with listening(bed) as port:
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as caught:
            await send(port, mail(), to="victim@elsewhere.example")
        assert caught.value.recipients[0].code == 550
    assert await bed.outcomes() == {}


async def test_without_the_store_the_sender_keeps_the_mail(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.intake.group_commit.WAIT_S", 0.3)
    async with listening(bed) as port:
        await bed.pool.close()
        with pytest.raises(aiosmtplib.SMTPDataError) as caught:
            await send(port, mail())
    assert 400 <= caught.value.code < 500


async def test_a_defect_of_ours_loses_no_mail_and_tells_nothing(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_given: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(bed.accepting, "keep", broken)
    async with listening(bed) as port:
        with pytest.raises(aiosmtplib.SMTPDataError) as caught:
            await send(port, mail())
    assert caught.value.code == 451
    assert "secret" not in caught.value.message


async def test_limits_of_size_and_recipients(bed: Bed) -> None:
    async with listening(bed, max_bytes=2_000, max_recipients=2) as port:
        with pytest.raises(aiosmtplib.SMTPException) as caught:
            await send(port, mail("x" * 50 + "\r\n" + "y" * 5_000))
        assert getattr(caught.value, "code", None) == 552
        refused, _ = await send(port, mail(), to=[f"{n}@help.example" for n in range(4)])
        assert [answer.code for answer in refused.values()] == [452, 452]
    assert list(await bed.outcomes()) == ["<m1@example.org>"]


async def test_too_many_connections_come_later(bed: Bed) -> None:
    async with listening(bed, max_connections=1) as port:
        first = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)
        await first.connect()
        with pytest.raises(aiosmtplib.SMTPException) as caught:
            await send(port, mail())
        assert getattr(caught.value, "code", None) == 421
        await first.quit()
        for _ in range(100):
            with contextlib.suppress(aiosmtplib.SMTPException):
                await send(port, mail())
                break
            await asyncio.sleep(0.05)
    assert len(await bed.outcomes()) == 1


async def test_starttls(bed: Bed, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    async with listening(bed, tls_cert_file=cert, tls_key_file=key, require_tls=True) as port:
        with pytest.raises(aiosmtplib.SMTPException):
            await send(port, mail())
        client = ssl.create_default_context(cafile=str(cert))
        await send(port, mail(), start_tls=True, tls_context=client)
    assert list(await bed.outcomes()) == ["<m1@example.org>"]


async def test_what_it_cannot_start_with_is_told(bed: Bed, tmp_path: Path) -> None:
    for options, words in (({"require_tls": True}, "TLS_CERT_FILE"), ({"tls_cert_file": tmp_path / "no.pem"}, "no.pem")):
        with pytest.raises(StartRefused, match=words):
            async with listening(bed, **options):
                pass


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file
