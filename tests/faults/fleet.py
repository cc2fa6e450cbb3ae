"""The services of one deployment as processes, several replicas of each, restarted when they end, as a supervisor does."""

from __future__ import annotations

import contextlib
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local.readiness import run_coroutine
from deploy.local.services import Deployment, ServiceProcess, new_id_key
from deploy.local.stack import LocalStack

# Known to the checker (reading.py), which opens what is sealed with its own code.
MASTER_KEY = bytes(range(32))
CONSUMERS = ("escalation", "followup", "records")
SOURCE = "faults"
SESSION_TIMEOUT_S = 6.0
ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def own_stack() -> Iterator[LocalStack]:
    """A Kafka and a PostgreSQL of our own, for they are killed here."""
    stack = LocalStack(Path(tempfile.mkdtemp(prefix="amends-faults-")))
    try:
        with stack:
            yield stack
    finally:
        stack.erase()


@dataclass(frozen=True)
class End:
    """One end of a process that nobody had asked to stop in order."""

    name: str
    code: int


@dataclass
class Replica:
    """One process, and through which module of ours it is started, if any."""

    process: ServiceProcess
    via: tuple[str, ...] = ()
    wanted: bool = True
    balanced: bool = False  # a load balancer sends requests only to those that were ready once


def _master_keys(folder: Path) -> Path:
    """A file with the key that the checker opens payloads with."""
    file = folder / "master-keys"
    file.write_text(f"first {MASTER_KEY.hex()}\n")
    return file


class Fleet:
    """One deployment: its own database, topics and key; its replicas by name (`escalation-1`, ...).

    A context manager: at its end every process is gone. `ends` is what the supervisor has seen.
    """

    def __init__(self, stack: LocalStack, *, session_timeout_s: float = SESSION_TIMEOUT_S, **settings: str) -> None:
        self.stack = stack
        self.folder = Path(tempfile.mkdtemp(prefix="logs-", dir=stack.data_dir))
        name = f"f{secrets.token_hex(4)}"
        dsn = urlunsplit(urlsplit(stack.addresses.postgres_dsn)._replace(path=f"/{name}"))
        self.deployment = Deployment(dsn, stack.addresses.kafka_bootstrap, new_id_key(), _master_keys(self.folder), f"{name}.")
        self.replicas: dict[str, Replica] = {}
        self.ends: list[End] = []
        self.key = ""
        self._database = name
        self._settings = {"AMENDS_KAFKA_SESSION_TIMEOUT_MS": str(int(session_timeout_s * 1000)), **settings}
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    def __enter__(self) -> Self:
        run_coroutine(self._prepare())
        self._supervisor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        if self._supervisor.ident is not None:
            self._supervisor.join()
        for replica in self.replicas.values():
            replica.process.child.kill()

    async def _prepare(self) -> None:
        conn = await asyncpg.connect(self.stack.addresses.postgres_dsn, timeout=10)
        try:
            await conn.execute(f'create database "{self._database}"')
        finally:
            await conn.close()
        await self.deployment.prepare()
        self.key = await self.deployment.add_key(SOURCE)

    @property
    def dsn(self) -> str:
        return self.deployment.database_url

    def topic(self, name: str) -> str:
        """The topic's name in Kafka."""
        return self.deployment.topic_prefix + name

    def urls(self, service: str) -> list[str]:
        """Where the replicas of a service answer that have been ready."""
        with self._lock:
            replicas = [r for r in self.replicas.values() if r.process.service == service]
            return [r.process.url for r in replicas if r.wanted and r.balanced]

    def url(self, service: str) -> str:
        """Where its first replica answers."""
        return self.urls(service)[0]

    def names(self, service: str) -> list[str]:
        """The replicas of a service that should be running."""
        with self._lock:
            return [name for name, r in self.replicas.items() if r.process.service == service and r.wanted]

    def start(self, *names: str, failpoints: str = "", via: tuple[str, ...] = ()) -> None:
        """Start replicas (`records-2`); an end later on is followed by a start without failpoints.

        `via`: a module of tests.faults that runs the service in its own way, and what it is told.
        """
        for name in names:
            with self._lock:
                if name in self.replicas and self.replicas[name].process.child.alive:
                    raise RuntimeError(f"{name} runs already")
                self.replicas[name] = Replica(self._process(name, failpoints, via), via)
                self.replicas[name].process.start()

    def _process(self, name: str, failpoints: str, via: tuple[str, ...], port: int = 0) -> ServiceProcess:
        service = name.partition("-")[0]
        environment = self.deployment.environment(AMENDS_FAILPOINTS=failpoints, **self._settings)
        if via:
            environment["PYTHONPATH"] = str(ROOT)
        process = ServiceProcess(service, environment=environment, folder=self.folder, port=port, name=name)
        if via:
            module, *told = via
            process.child.argv = [sys.executable, "-m", f"tests.faults.{module}", *told, f"services.{service}.app"]
        return process

    def await_ready(self, *names: str, timeout: float = 40.0) -> None:
        """Until each of them (by default all) says that it is ready; a restart in between is waited for."""
        deadline = time.monotonic() + timeout
        for name in names or tuple(self.replicas):
            while not self.replicas[name].process.ready():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} is not ready after {timeout:.0f} s; its log: {self.log_tail(name)}")
                time.sleep(0.05)
            self.replicas[name].balanced = True

    def kill(self, name: str) -> None:
        """SIGKILL; the supervisor starts it again."""
        self.replicas[name].process.child.kill()

    def freeze(self, name: str) -> None:
        """SIGSTOP."""
        with self._lock:
            child = self.replicas[name].process.child
            if child.alive:
                child.freeze()

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self.replicas[name].process.child.thaw()

    def stop(self, name: str, timeout: float = 25.0) -> int:
        """SIGTERM, and wait: scaling down. Returns the exit code."""
        with self._lock:
            replica = self.replicas[name]
            replica.wanted = False
        replica.process.child.stop(timeout)
        return replica.process.child.returncode or 0

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The last lines that a replica has written."""
        return "\n".join(self.replicas[name].process.child.last_lines(lines))

    def _supervise(self) -> None:
        while not self._closed.wait(0.05):
            with self._lock:
                for name, replica in self.replicas.items():
                    child = replica.process.child
                    if replica.wanted and not child.alive:
                        self.ends.append(End(name, child.returncode or 0))
                        replica.process = self._process(name, "", replica.via, replica.process.port)
                        replica.process.start()
