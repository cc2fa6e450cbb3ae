"""The four services as child processes, and what they need first: schemas, topics, an API key."""

from __future__ import annotations

import http.client
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local.processes import Child, plain_environment
from deploy.local.readiness import await_ready, free_port
from deploy.topics import create_topics
from shared.config import KafkaSettings
from shared.http.keys import KeyRecord, digest, mint
from shared.http.scopes import SCOPES, SERVICES
from shared.postgres import api_keys
from shared.postgres.migrate import migrate

START_SECONDS = 60.0


def new_id_key() -> str:
    """A fresh AMENDS_ID_KEY."""
    return secrets.token_hex(32)


def own_master_keys(folder: Path) -> Path:
    """The file with the master key of a deployment that keeps its data in `folder`; made when it is not there."""
    file = folder / "master-keys"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = folder / f".master-keys-{secrets.token_hex(4)}"
        made.touch(mode=0o600)
        made.write_text(f"first {secrets.token_hex(32)}\n", encoding="utf-8")
        made.rename(file)
    return file


def new_key(name: str) -> str:
    """A fresh API key, not stored anywhere yet."""
    return mint(name, ())[0]


@dataclass(frozen=True)
class Deployment:
    """Where the services keep their data, and under which id key. Both secrets stay out of `repr`."""

    database_url: str = field(repr=False)
    kafka_bootstrap: str
    id_key: str = field(repr=False)
    master_key_file: Path
    topic_prefix: str = ""

    def environment(self, **more: str) -> dict[str, str]:
        """The whole environment of a service's process: nothing of the caller's shell, plus `more`."""
        own = {
            "AMENDS_DATABASE_URL": self.database_url,
            "AMENDS_KAFKA_BOOTSTRAP": self.kafka_bootstrap,
            "AMENDS_KAFKA_TOPIC_PREFIX": self.topic_prefix,
            "AMENDS_ID_KEY": self.id_key,
            "AMENDS_MASTER_KEY_FILE": str(self.master_key_file),
        }
        return plain_environment(**(own | more))

    async def prepare(self) -> None:
        """Bring every schema up to date and create the topics that are missing."""
        for service in SERVICES:
            await migrate(self.database_url, service)
        # Not from the environment: this is a local broker without TLS or passwords.
        kafka = KafkaSettings.model_construct(bootstrap=self.kafka_bootstrap, topic_prefix=self.topic_prefix)
        await create_topics(kafka)

    async def records_url(self) -> str:
        """The database's address for the process of records: a login that can insert into the ledger and read it, no more.

        It gets a new password each time, so nothing has to be kept.
        """
        parts = urlsplit(self.database_url)
        login, password = f"{parts.path.strip('/')}_records_login", secrets.token_hex(24)
        conn = await asyncpg.connect(self.database_url, timeout=10)
        try:
            if not await conn.fetchval("select 1 from pg_roles where rolname = $1", login):
                await conn.execute(f'create role "{login}" login in role amends_records')
            await conn.execute(f"alter role \"{login}\" password '{password}'")
        finally:
            await conn.close()
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{login}:{password}@{host}"))

    async def add_key(self, name: str, services: Iterable[str] = SERVICES) -> str:
        """A new API key that may do everything at `services`; `name` must be free. For intake it is the source's name."""
        key = new_key(name)
        await self._store(name, key, services, api_keys.add)
        return key

    async def keep_key(self, name: str, key: str) -> None:
        """Make `key` the key of `name` at every service, whatever it was before."""
        await self._store(name, key, SERVICES, api_keys.replace)

    async def _store(self, name: str, key: str, services: Iterable[str], store: Callable[..., Awaitable[None]]) -> None:
        for service in services:
            record = KeyRecord(key.split("_")[1], digest(key.encode()), name, frozenset(SCOPES[service]))
            conn = await asyncpg.connect(self.database_url, timeout=10, server_settings={"search_path": service})
            try:
                await store(conn, record)
            finally:
                await conn.close()


class ServiceProcess:
    """One replica of one service. `child` can be killed, frozen and started again; the port stays the same."""

    def __init__(
        self, service: str, *, environment: Mapping[str, str], folder: Path, port: int = 0, name: str = ""
    ) -> None:
        """`environment` as of Deployment.environment; log and pid file in `folder`. `port` 0: a free one.

        `name` tells the replicas of a service apart.
        """
        self.service, self.name = service, name or service
        self.port = port or free_port()
        self.child = Child(
            self.name,
            [sys.executable, "-m", f"services.{service}.app"],
            folder=folder,
            env={**environment, "AMENDS_HTTP_PORT": str(self.port)},
            cwd=folder,
        )

    @property
    def url(self) -> str:
        """Where its HTTP API answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; it is not ready yet."""
        self.child.start()

    def await_ready(self, timeout: float = START_SECONDS) -> None:
        """Until /readyz says yes. Raises StartFailed when it ends before, or after `timeout` seconds."""
        await_ready(self.child, self.ready, timeout)

    def ready(self) -> bool:
        """Whether /readyz says yes now."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self, timeout: float = 25.0) -> None:
        """Ask it to end and wait; by force after `timeout` seconds."""
        self.child.stop(timeout)
