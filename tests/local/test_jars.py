"""Kafka's jars are used only when they are the committed ones. The real resolver against a repository of our own."""

import functools
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jgo.maven import MavenContext, PythonResolver

from deploy.local import jars
from deploy.local.jars import Jar, ensure_jars, read_sums
from deploy.local.processes import StartFailed

ONE = Jar(hashlib.sha256(b"one").hexdigest(), "org.example:one:1.0", "one-1.0.jar")
TWO = Jar(hashlib.sha256(b"two").hexdigest(), "org.example:two:2.0:natives", "two-2.0-natives.jar")


class Repository(http.server.ThreadingHTTPServer):
    """Serves `folder`; counts what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))

    def publish(self, jar: Jar, content: bytes) -> None:
        group, name, version, *_ = jar.coordinate.split(":")
        path = self.folder / group.replace(".", "/") / name / version / jar.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    @property
    def fetched(self) -> list[str]:
        return sorted(Path(path).name for path in self.asked if path.endswith(".jar"))


class _Handler(http.server.SimpleHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    (tmp_path / "repository").mkdir()
    with Repository(tmp_path / "repository") as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        server.publish(ONE, b"one")
        server.publish(TWO, b"two")
        remote = {"test": f"http://127.0.0.1:{server.server_port}"}
        monkeypatch.setattr(
            jars, "_maven", lambda path: MavenContext(resolver=PythonResolver(), repo_cache=path, remote_repos=remote)
        )
        monkeypatch.setattr(jars, "ATTEMPTS", 1)
        monkeypatch.setenv("AMENDS_CACHE_DIR", str(tmp_path / "cache"))
        yield server
        server.shutdown()


def test_jars_are_fetched_once(repository: Repository) -> None:
    told: list[tuple[int, int]] = []
    paths = ensure_jars(lambda step: told.append((step.done, step.total)), jars=[ONE, TWO])
    assert [path.read_bytes() for path in paths] == [b"one", b"two"]
    assert told[-1] == (2, 2)
    assert ensure_jars(jars=[ONE, TWO]) == paths
    assert repository.fetched == [ONE.file, TWO.file]
    assert {path.name for path in paths[0].parent.iterdir()} == {ONE.file, TWO.file}


def test_a_damaged_file_is_fetched_again(repository: Repository) -> None:
    first, _ = ensure_jars(jars=[ONE, TWO])
    first.write_bytes(b"on")
    assert ensure_jars(jars=[ONE, TWO])[0].read_bytes() == b"one"
    assert repository.fetched == [ONE.file, ONE.file, TWO.file]


def test_a_jar_with_another_sum_is_never_put_into_place(repository: Repository, tmp_path: Path) -> None:
    repository.publish(TWO, b"evil")
    with pytest.raises(StartFailed) as failed:
        ensure_jars(jars=[ONE, TWO])
    assert TWO.coordinate in str(failed.value)
    assert TWO.sha256 in str(failed.value)
    assert hashlib.sha256(b"evil").hexdigest() in str(failed.value)
    assert not list((tmp_path / "cache").rglob("two*"))
    repository.publish(TWO, b"two")
    ensure_jars(jars=[ONE, TWO])


def test_a_repository_that_does_not_answer(repository: Repository, tmp_path: Path) -> None:
    repository.shutdown()
    repository.server_close()
    with pytest.raises(StartFailed) as failed:
        ensure_jars(jars=[ONE])
    assert "cannot download org.example:one:1.0" in str(failed.value)
    assert "Connection refused" in str(failed.value)
    assert f"copy one-1.0.jar from a machine that has it into {tmp_path}/cache/kafka-" in str(failed.value)


def test_an_artifact_that_is_not_there(repository: Repository) -> None:
    missing = Jar("0" * 64, "org.example:missing:1.0", "missing-1.0.jar")
    with pytest.raises(StartFailed, match=r"cannot download org\.example:missing:1\.0"):
        ensure_jars(jars=[ONE, missing])


def test_parallel_starts_share_one_download(repository: Repository) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: ensure_jars(jars=[ONE, TWO]), range(4)))
    assert found[1:] == found[:-1]
    assert repository.fetched == [ONE.file, TWO.file]


def test_a_cache_that_cannot_be_written(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AMENDS_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(StartFailed, match="cannot use the cache"):
        ensure_jars(jars=[ONE])


def test_the_committed_list() -> None:
    wanted = read_sums()
    assert jars.KAFKA in {jar.coordinate for jar in wanted}
    assert any(jar.coordinate.startswith(jars.LOG_BINDING) for jar in wanted), "else the broker's log is empty"
    for jar in wanted:
        assert re.fullmatch(r"[0-9a-f]{64}", jar.sha256)
        assert jar.file == "-".join(jar.coordinate.split(":")[1:]) + ".jar"
    assert len({jar.file for jar in wanted}) == len(wanted)
