"""A real Kafka broker (KRaft, one node) on 127.0.0.1 as a child process."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import subprocess
import uuid
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.jars import ensure_jars
from deploy.local.java import find_java
from deploy.local.processes import Child, StartFailed, plain_environment
from deploy.local.progress import Progress, Step, silent
from deploy.local.readiness import accepts, free_port, run_coroutine
from deploy.local.server import LocalServer

SETTINGS = "server.properties"
# A small heap and the quick compiler: ready in half the time that the defaults need.
JVM_OPTIONS = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")

# Also used for the broker that the tests start in a container.
BROKER_SETTINGS = {
    "auto.create.topics.enable": "false",
    "log.message.timestamp.type": "LogAppendTime",
    "message.max.bytes": str(2 * 1024 * 1024),
    "log.retention.ms": "518400000",  # 6 days
    "log.roll.ms": "43200000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",  # so that tests of frozen consumers need not wait for 6 s
    # After a kill the controller lets the broker in again only when its old session has ended (default 9 s).
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "400",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),  # the default is half of this heap
    "num.network.threads": "2",
    "num.io.threads": "4",
}

LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


class KafkaBroker(LocalServer):
    """One broker; a later one on the same folder has the same cluster id and topics."""

    part = "kafka"
    start_seconds = 60.0

    def __init__(self, folder: Path, logs: Path, progress: Progress = silent) -> None:
        super().__init__(folder, logs, progress)
        self.cluster_id = ""
        self.format_options: tuple[str, ...] = ()  # more for the tool that makes the data folder, such as users

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    def _prepare(self) -> Child:
        jars = ensure_jars(self._progress)
        self._folder.mkdir(parents=True, exist_ok=True)
        java = find_java()
        self._choose_ports()
        (self._folder / SETTINGS).write_text(self._settings())
        (self._folder / "log4j2.properties").write_text(LOG4J)
        shutil.rmtree(self._folder / "tmp", ignore_errors=True)  # a killed broker leaves unpacked libraries there
        (self._folder / "tmp").mkdir()
        # All paths are relative to the working folder, whose own name may hold what Kafka or Java take amiss.
        run = [str(java), *JVM_OPTIONS, "-Djava.io.tmpdir=tmp", "-Dlog4j2.configurationFile=log4j2.properties"]
        # CLASSPATH keeps the command line readable in lists of processes; the locale is that of file names.
        environment = plain_environment(CLASSPATH=os.pathsep.join(map(str, jars)), LC_ALL="C.UTF-8")
        self._format(run, environment)
        return Child("kafka", [*run, "kafka.Kafka", SETTINGS], folder=self._logs, env=environment, cwd=self._folder)

    def _choose_ports(self) -> None:
        memory = self._folder / "ports"
        before = [int(port) for port in memory.read_text().split()] if memory.exists() else []
        self.port = free_port(*before[:1])
        self._controller_port = next(p for p in iter(lambda: free_port(*before[1:]), 0) if p != self.port)
        memory.write_text(f"{self.port} {self._controller_port}\n")

    def _settings(self) -> str:
        own = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "log.dirs": "data",
        }
        return "".join(f"{name}={value}\n" for name, value in (own | BROKER_SETTINGS | self.further_settings()).items())

    def further_settings(self) -> dict[str, str]:
        """Settings beside ours, in a class derived from this one; called when the ports are chosen."""
        return {}

    def _format(self, run: list[str], environment: dict[str, str]) -> None:
        """Give the data folder its cluster id, once."""
        memory = self._folder / "cluster.id"
        if not memory.exists():
            memory.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))
        self.cluster_id = memory.read_text()
        if (self._folder / "data" / "meta.properties").exists():
            return
        self._progress(Step("kafka", "creating the data folder"))
        # In one word with `=`: an id may begin with a dash.
        format_ = ["kafka.tools.StorageTool", "format", f"--cluster-id={self.cluster_id}", f"--config={SETTINGS}"]
        child = Child("kafka-format", [*run, *format_, *self.format_options], folder=self._logs, env=environment, cwd=self._folder)
        child.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(self.start_seconds)
        child.kill()
        if child.returncode != 0:
            raise StartFailed("kafka", "the data folder cannot be formatted", child.log, child.last_lines())

    def _is_ready(self) -> bool:
        return accepts(self.port) and run_coroutine(self.answers())

    async def answers(self) -> bool:
        """Whether the broker at our port is this one (another cluster's could be there) and serves."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=2000)
        try:
            async with asyncio.timeout(5):
                await admin.start()
                cluster = await admin.describe_cluster()
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            await admin.close()
        return cluster["cluster_id"] == self.cluster_id and any(b["port"] == self.port for b in cluster["brokers"])
