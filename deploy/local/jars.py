"""Kafka's jars: fetched once by jgo, checked against the committed sums before every use.

`kafka-jars.sha256` has a line `SHA256  GROUP:ARTIFACT:VERSION[:CLASSIFIER]  FILE` per jar. Maintainers rewrite it with
`python -m deploy.local.jars update` after a change of `KAFKA`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.cache import cache_dir, locked
from deploy.local.java import find_java
from deploy.local.processes import StartFailed
from deploy.local.progress import Progress, Step, silent

if TYPE_CHECKING:
    from jgo.maven import Artifact, MavenContext

VERSION = "4.3.1"  # 4.4.0 depends on a kafka-tools-api that was never published
KAFKA = f"org.apache.kafka:kafka_2.13:{VERSION}"
# Kafka brings slf4j-api 1.7 and log4j-core but nothing between them; the binding for slf4j 2 would crash it.
LOG_BINDING = "org.apache.logging.log4j:log4j-slf4j-impl"
SUMS = Path(__file__).with_name("kafka-jars.sha256")
ATTEMPTS = 3
PARALLEL = 8


@dataclass(frozen=True)
class Jar:
    """One line of the sums file."""

    sha256: str
    coordinate: str
    file: str


def read_sums(path: Path = SUMS) -> list[Jar]:
    """The committed list."""
    return [Jar(*line.split()) for line in path.read_text().splitlines()]


def ensure_jars(progress: Progress = silent, *, jars: Sequence[Jar] | None = None) -> list[Path]:
    """The paths of all jars, fetched where they are missing or damaged. Raises StartFailed naming the artifact.

    Parallel callers, also in other processes, wait for the one that fetches.
    """
    wanted = read_sums() if jars is None else list(jars)
    folder = cache_dir() / f"kafka-{VERSION}"
    with _explained(folder):
        if _invalid(wanted, folder):
            progress(Step("kafka", "downloading Kafka", 0, len(wanted)))
            with locked(folder.with_name(f"{folder.name}.lock")):
                _fetch(_invalid(wanted, folder), folder, progress)
    return [folder / jar.file for jar in wanted]


def _invalid(jars: Sequence[Jar], folder: Path) -> list[Jar]:
    """Those whose file is missing or has another sum (hashing all 45 MB takes a tenth of a second)."""
    with ThreadPoolExecutor(PARALLEL) as threads:
        sums = threads.map(lambda jar: sha256_of(folder / jar.file), jars)
        return [jar for jar, found in zip(jars, sums, strict=True) if found != jar.sha256]


def sha256_of(path: Path) -> str | None:
    """Hex digest of a file; None where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _fetch(jars: Sequence[Jar], folder: Path, progress: Progress) -> None:
    """Download into a private repository folder, check, and only then move into place."""
    folder.mkdir(parents=True, exist_ok=True)
    finished = itertools.count(1)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as staging:
        context = _maven(Path(staging))

        def fetch(jar: Jar) -> None:
            checked(context, jar, folder).replace(folder / jar.file)
            progress(Step("kafka", "downloading Kafka", next(finished), len(jars)))

        with ThreadPoolExecutor(PARALLEL) as threads:
            futures = [threads.submit(fetch, jar) for jar in jars]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise


def checked(context: MavenContext, jar: Jar, folder: Path) -> Path:
    """Download one jar and compare its sum, a few times. Raises StartFailed."""
    artifact = _artifact(context, jar.coordinate)
    reason = ""
    for attempt in range(ATTEMPTS):
        time.sleep(attempt)
        if artifact.cached_path is not None:
            artifact.cached_path.unlink(missing_ok=True)  # jgo takes any file found there for complete
        try:
            path = Path(artifact.resolve())
        except Exception as error:  # requests' and jgo's own; whichever it is, the answer to the user is the same
            reason = f"cannot download {jar.coordinate}: {_first_cause(error)}"
            continue
        found = sha256_of(path)
        if found == jar.sha256:
            return path
        reason = f"{jar.coordinate} has sha256 {found} and not {jar.sha256} as in {SUMS.name}: it is not used"
    raise StartFailed(
        "kafka",
        f"{reason}. Check the network (HTTPS_PROXY and REQUESTS_CA_BUNDLE count), or copy {jar.file} from a machine that has it "
        f"into {folder}, and start again.",
    )


def _first_cause(error: BaseException) -> str:
    """The reason below the layers of wrappers that HTTP libraries put around it."""
    while error.__context__ is not None:
        error = error.__context__
    return f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StartFailed(
            "kafka", f"cannot use the cache {folder}: {error.strerror}. Set AMENDS_CACHE_DIR to another folder."
        ) from error


def _maven(repository: Path) -> MavenContext:
    os.environ.setdefault("JAVA_HOME", str(find_java().parent.parent))  # else jgo may look for a JDK to download
    from jgo.maven import MavenContext, PythonResolver

    return MavenContext(resolver=PythonResolver(), repo_cache=repository)


def _artifact(context: MavenContext, coordinate: str) -> Artifact:
    group, name, version, *classifier = coordinate.split(":")
    return context.project(group, name).at_version(version).artifact(*classifier)


def update_sums(path: Path = SUMS) -> int:
    """Resolve `KAFKA` with all it needs and rewrite the sums file; returns the number of jars."""
    with tempfile.TemporaryDirectory(prefix="amends-jars-") as repository:
        context = _maven(Path(repository))
        inputs, more = context.resolver.resolve([context.create_dependency(KAFKA)])
        artifacts = [each.artifact for each in (*inputs, *more) if each.scope in (None, "compile", "runtime")]
        log4j = next(each.version for each in artifacts if each.artifactId == "log4j-core")
        # Apart from the rest: resolved together with Kafka, its parent's version list would lower Kafka's jackson.
        artifacts.append(_artifact(context, f"{LOG_BINDING}:{log4j}"))
        lines = []
        for artifact in artifacts:
            parts = [artifact.groupId, artifact.artifactId, artifact.version, artifact.classifier]
            coordinate = ":".join(part for part in parts if part)
            lines.append(f"{sha256_of(artifact.resolve())}  {coordinate}  {artifact.filename}\n")
    lines.sort(key=lambda line: line.split()[1])
    path.write_text("".join(lines))
    return len(lines)


def main() -> int:
    """Command line of the maintainers."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.jars",
        description="Kafka's jars for the local stack.",
        epilog="Example: after changing VERSION in jars.py, run 'update' and commit kafka-jars.sha256.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="fetch and check all jars into the cache")
    commands.add_parser("update", help="resolve the dependencies anew and rewrite kafka-jars.sha256")
    try:
        if parser.parse_args().command == "update":
            print(f"{update_sums()} jars written to {SUMS}")
        else:
            paths = ensure_jars(lambda step: print(f"{step.text} {step.done}/{step.total}", flush=True))
            print(f"{len(paths)} jars in {paths[0].parent}")
    except Exception as error:  # mostly the network's
        print(_first_cause(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
