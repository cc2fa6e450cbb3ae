"""A Kafka that asks for TLS and a password, and a PostgreSQL behind TLS: as in production, on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from deploy.local.kafka import KafkaBroker
from deploy.local.readiness import free_port

USER, PASSWORD = "amends", "correct-horse"
SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # PostgreSQL's protocol: a length, and a number that asks for TLS


class Authority:
    """A certificate authority of this test, with its files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._ca.issue_cert("127.0.0.1").configure_cert(context)
        return context

    def pem(self, name: str) -> Path:
        """A file with key and certificate for 127.0.0.1."""
        issued = self._ca.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        file = self._folder / f"{name}.pem"  # Kafka reads keys as PKCS 8 only
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with file.open("ab") as out:
            out.writelines(blob.bytes() for blob in issued.cert_chain_pems)
        return file


class SecuredBroker(KafkaBroker):
    """Listens a second time for TLS with a password (SCRAM or PLAIN), and a third time for client certificates."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        super().__init__(folder / "kafka", folder / "logs")
        self._authority = authority
        self.password_port, self.certificate_port = free_port(), free_port()
        self.format_options = (
            f"--add-scram=SCRAM-SHA-512=[name={USER},password={PASSWORD}]",
            f"--add-scram=SCRAM-SHA-256=[name={USER},password={PASSWORD}]",
        )

    def further_settings(self) -> dict[str, str]:
        listeners = {
            "PLAINTEXT": self.port,
            "PASSWORD": self.password_port,
            "CERTIFICATE": self.certificate_port,
        }
        addresses = [f"{name}://127.0.0.1:{port}" for name, port in listeners.items()]
        plain = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        return {
            "listeners": ",".join([*addresses, f"CONTROLLER://127.0.0.1:{self._controller_port}"]),
            "advertised.listeners": ",".join(addresses),
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PASSWORD:SASL_SSL,CERTIFICATE:SSL",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.password.plain.sasl.jaas.config": plain,
            "listener.name.password.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.password.scram-sha-512.sasl.jaas.config": scram,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._authority.pem("broker")),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._authority.file),
            "listener.name.certificate.ssl.client.auth": "required",
        }


@contextlib.contextmanager
def behind_tls(dsn: str, authority: Authority) -> Iterator[str]:
    """The DSN of the same database behind TLS, with the server's certificate to be checked.

    The wheel's PostgreSQL is built without TLS; what answers here speaks PostgreSQL's own way of asking for it.
    """
    parts = urlsplit(dsn)
    loop = asyncio.new_event_loop()
    context = authority.server_context()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if await reader.readexactly(8) != SSL_REQUEST:
                writer.close()  # no word without TLS
                return
            writer.write(b"S")
            await writer.start_tls(context)
            there, back = await asyncio.open_connection(parts.hostname, parts.port)
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0), loop).result(10)
    port = server.sockets[0].getsockname()[1]
    secured = parts._replace(
        netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}",
        query=f"sslmode=verify-full&sslrootcert={authority.file}",
    )
    try:
        yield urlunsplit(secured)
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
