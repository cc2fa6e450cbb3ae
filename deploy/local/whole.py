"""All of Amends on this machine: Kafka, PostgreSQL and the four services, on one data folder."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import asyncpg
from aiokafka.errors import KafkaError

from deploy.local import simulate
from deploy.local.processes import StartFailed
from deploy.local.progress import Progress, Step
from deploy.local.readiness import free_port, run_coroutine
from deploy.local.services import Deployment, ServiceProcess, new_id_key, new_key, own_master_keys
from deploy.local.stack import LocalStack
from deploy.local.supervisor import Supervisor
from services.records import key_files
from shared.cli import local
from shared.cli.local import Local
from shared.errors import AmendsError
from shared.http.scopes import SERVICES

FIRST_PORT = 8081
SOURCE = "contact-centre"
STOP_SECONDS = 12.0
# Of the caller's shell the services get only these: where traces go, and how much is logged.
PASSED_ON = ("OTEL_", "AMENDS_DELIVERY_", "AMENDS_FOLLOWUP_", "AMENDS_LOG_LEVEL", "AMENDS_DEAD_LETTER_LIMIT")


class LocalAmends:
    """A context manager: inside, everything runs, and what ends is started again; afterwards nothing is left running.

    `noted` has the addresses and keys; `tell` gets a sentence about each process that ended by itself.
    """

    def __init__(
        self, data: Path, progress: Progress, tell: Callable[[str], None], *, simulated: bool = False
    ) -> None:
        """`simulated`: its clock can be put forward (deploy/local/simulate.py)."""
        self.data = data.absolute()
        self._simulated = simulated
        self.noted: Local
        self._progress, self._tell = progress, tell
        self._stack = LocalStack(self.data, progress)
        self._services: list[ServiceProcess] = []
        self._records_url = ""
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> Self:
        """Raises StartFailed, and then nothing runs."""
        if simulate.is_simulated(self.data) and not self._simulated:
            raise StartFailed(
                "stack", f"the clock of {self.data} is simulated: start it with --simulated, or take another folder with --data"
            )
        self._stack.start()
        try:
            self._prepare()
            self._start_services()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _prepare(self) -> None:
        addresses, before = self._stack.addresses, local.read(self.data)
        self.noted = Local(
            id_key=before["id_key"] if before else new_id_key(),
            api_key=before["api_key"] if before else new_key(SOURCE),
            database_url=addresses.postgres_dsn,
            kafka_bootstrap=addresses.kafka_bootstrap,
            urls=_choose_urls(before["urls"] if before else {}),
        )
        local.write(self.data, self.noted)
        deployment = self._deployment()
        self._progress(Step("services", "schemas and topics"))
        try:
            run_coroutine(deployment.prepare())
            run_coroutine(deployment.keep_key(SOURCE, self.noted["api_key"]))
            if self._simulated:
                run_coroutine(simulate.set_up(self.data, self.noted["database_url"]))
            self._records_url = run_coroutine(deployment.records_url())
        except AmendsError as error:
            raise StartFailed("services", f"{error}\nTo begin again with no data, delete {self.data}") from None
        except KafkaError as error:
            raise StartFailed(
                "services", f"the topics cannot be created ({type(error).__name__})", self._log("kafka")
            ) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise StartFailed("services", f"the schemas cannot be made ({error})", self._log("postgres")) from None

    def _start_services(self) -> None:
        passed_on = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        # Mails to look at, until the caller names a mail server.
        passed_on.setdefault("AMENDS_DELIVERY_MAILDIR", str(self.data / "mails"))
        passed_on.setdefault("AMENDS_FOLLOWUP_PUBLIC_URL", self.noted["urls"]["followup"])
        if self._simulated:
            passed_on["AMENDS_SIMULATED_CLOCK"] = str(simulate.file_of(self.data))
        passed_on |= {"AMENDS_RECORDS_SIGNING_KEY_FILE": str(self._signing_key()), "AMENDS_RECORDS_CHECKPOINT_EVERY_S": "1"}
        environment = self._deployment().environment(**passed_on)
        for service in SERVICES:
            port = urlsplit(self.noted["urls"][service]).port or 0
            own = {"AMENDS_DATABASE_URL": self._records_url} if service == "records" else {}
            process = ServiceProcess(service, environment=environment | own, folder=self.data / "logs", port=port)
            self._services.append(process)
            self._progress(Step(service, "starting"))
            process.start()
        for process in self._services:
            process.await_ready()
            self._progress(Step(process.service, f"ready at {process.url}"))
        self._progress(Step("services", "ready"))
        children = [self._stack.kafka.child, self._stack.postgres.child, *(process.child for process in self._services)]
        self._supervisor = Supervisor(children, self._tell)
        self._supervisor.start()

    def _stop(self) -> None:
        """The services first, all at once: they finish what is in hand. Interrupted, it ends everything by force."""
        try:
            if self._supervisor is not None:
                self._supervisor.stop()
            for process in self._services:
                process.child.signal(signal.SIGTERM)
            for process in self._services:
                process.stop(STOP_SECONDS)
        except BaseException:
            for process in self._services:
                process.child.kill()
            self._stack.kill()
            raise
        finally:
            self._stack.stop()

    def _deployment(self) -> Deployment:
        return Deployment(
            self.noted["database_url"], self.noted["kafka_bootstrap"], self.noted["id_key"], own_master_keys(self.data)
        )

    def _signing_key(self) -> Path:
        """The key of this stack's ledger: made at the first start, and never again."""
        file = self.data / "ledger" / "signing.key"
        if not file.exists():
            key_files.make(file, f"amends.local/{secrets.token_hex(4)}")
        return file

    def _log(self, part: str) -> Path:
        return self.data / "logs" / f"{part}.log"


def _choose_urls(before: dict[str, str]) -> dict[str, str]:
    """The addresses of the last start where they are free still, else 8081 and following, else any."""
    urls: dict[str, str] = {}
    taken: set[int] = set()
    for number, service in enumerate(SERVICES):
        last = urlsplit(before.get(service, "")).port
        wanted = [port for port in (last, FIRST_PORT + number) if port is not None and port not in taken]
        port = free_port(*wanted)
        while port in taken:
            port = free_port()
        taken.add(port)
        urls[service] = f"http://127.0.0.1:{port}"
    return urls
