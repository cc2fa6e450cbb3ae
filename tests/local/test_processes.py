"""Children end with their owner, however it ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import processes, watchdog
from deploy.local.processes import Child, StartFailed
from deploy.local.readiness import await_ready, free_port, is_free
from tests.harness.processes import eventually, runs
from tests.local.owner import start_owner

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    child = Child("program", SLEEP, folder=tmp_path)
    yield child
    child.kill()


@pytest.mark.parametrize("kind", ["plain", "stubborn"])
def test_nothing_outlives_a_killed_owner(tmp_path: Path, kind: str) -> None:
    owner, told = start_owner(tmp_path, kind)
    owner.kill()
    owner.wait()
    assert len(told["pids"]) >= 2
    assert eventually(lambda: not any(map(runs, told["pids"])))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_owner_asked_to_end_stops_its_child_in_order(tmp_path: Path, number: signal.Signals) -> None:
    owner, told = start_owner(tmp_path, "plain")
    owner.send_signal(number)
    assert owner.wait(30) == 128 + number
    assert "asked to stop" in (tmp_path / "program.log").read_text()
    assert eventually(lambda: not any(map(runs, told["pids"])))
    assert not (tmp_path / "program.pid").exists()


def test_the_second_interrupt_kills_at_once(tmp_path: Path) -> None:
    owner, told = start_owner(tmp_path, "stubborn")
    owner.send_signal(signal.SIGINT)
    assert eventually(lambda: "asked to stop" in (tmp_path / "program.log").read_text())
    assert owner.poll() is None, "it waits for its child"
    owner.send_signal(signal.SIGINT)
    assert owner.wait(5) == 130
    assert eventually(lambda: not any(map(runs, told["pids"])))


def test_an_interrupt_of_the_terminal_does_not_reach_the_children(child: Child) -> None:
    child.start()
    assert psutil.Process(child.pid).ppid() == psutil.Process().pid
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


def test_a_child_started_by_a_thread_outlives_the_thread(child: Child) -> None:
    thread = threading.Thread(target=child.start)
    thread.start()
    thread.join()
    assert not eventually(lambda: not child.alive, seconds=0.3)


def test_a_child_can_be_interrupted_though_the_owner_ignores_it(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = Child("program", SLEEP, folder=tmp_path, stop_signal=signal.SIGINT)
        child.start()
        assert eventually(lambda: psutil.Process(child.pid).cmdline()[1:] == SLEEP[1:])
        child.stop(timeout=60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert child.returncode in (1, -signal.SIGINT)


def test_stop_kills_what_does_not_listen(tmp_path: Path) -> None:
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    child = Child("program", [sys.executable, "-c", program], folder=tmp_path)
    child.start()
    assert eventually(lambda: "up" in child.last_lines())
    child.stop(timeout=0.2)
    assert child.returncode == -signal.SIGKILL


def test_a_frozen_child_is_there_and_does_nothing_until_thawed(tmp_path: Path) -> None:
    program = "import time\nwhile True: print(time.time(), flush=True); time.sleep(0.01)"
    child = Child("program", [sys.executable, "-c", program], folder=tmp_path)
    child.start()
    try:
        assert eventually(lambda: bool(child.last_lines()))
        child.freeze()
        assert child.alive
        assert eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
        size = child.log.stat().st_size
        time.sleep(0.1)
        assert child.log.stat().st_size == size
        child.thaw()
        assert eventually(lambda: child.log.stat().st_size > size)
        child.freeze()
        child.stop()  # also when frozen
        assert child.returncode == -signal.SIGTERM
    finally:
        child.kill()


def test_a_start_ends_what_an_earlier_owner_left_behind(child: Child, tmp_path: Path) -> None:
    leftover = subprocess.Popen(SLEEP, start_new_session=True)
    (tmp_path / "program.pid").write_text(f"{leftover.pid} {psutil.Process(leftover.pid).create_time()}\n")
    child.start()
    assert eventually(lambda: not runs(leftover.pid))
    assert child.alive


def test_a_start_spares_a_stranger_with_the_same_number(child: Child, tmp_path: Path) -> None:
    stranger = subprocess.Popen(SLEEP, start_new_session=True)
    try:
        (tmp_path / "program.pid").write_text(f"{stranger.pid} {psutil.Process(stranger.pid).create_time() - 99}\n")
        child.start()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_the_watchdog_kills_what_is_registered_and_nothing_else() -> None:
    """What macOS relies on, where no parent-death signal exists."""
    left, done, stranger = (subprocess.Popen(SLEEP, start_new_session=True) for _ in range(3))
    times = {each.pid: psutil.Process(each.pid).create_time() for each in (left, done, stranger)}
    dog = subprocess.Popen([sys.executable, watchdog.__file__], stdin=subprocess.PIPE, text=True)
    try:
        dog.send_signal(signal.SIGSTOP)  # so that all lines and the end of its owner are there before it looks
        assert dog.stdin is not None
        dog.stdin.write(
            f"+{left.pid} {times[left.pid]}\n+{done.pid} {times[done.pid]}\n-{done.pid} {times[done.pid]}\n"
        )
        dog.stdin.write(f"+{stranger.pid} {times[stranger.pid] - 99}\n")
        dog.stdin.close()
        dog.send_signal(signal.SIGCONT)
        assert dog.wait(10) == 0
        assert left.wait(5) == -signal.SIGKILL
        assert done.poll() is None
        assert stranger.poll() is None
    finally:
        for each in (left, done, stranger, dog):
            each.kill()
            each.wait()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    child = Child("program", [str(tmp_path / "no-such-program")], folder=tmp_path)
    child.start()
    with pytest.raises(StartFailed) as failed:
        await_ready(child, lambda: False, timeout=10)
    assert "exit code 127" in str(failed.value)
    assert f"cannot start {tmp_path}/no-such-program: No such file or directory" in str(failed.value)
    assert str(child.log) in str(failed.value)


def test_a_program_that_is_never_ready(child: Child) -> None:
    child.start()
    with pytest.raises(StartFailed, match=r"not ready after 0 s"):
        await_ready(child, lambda: False, timeout=0.1)


def test_the_last_lines_are_those_of_the_last_start(tmp_path: Path) -> None:
    child = Child("program", [sys.executable, "-c", "print('one more')"], folder=tmp_path)
    for _ in range(2):
        child.start()
        assert child.wait(10) == 0
    assert child.last_lines() == ["one more"]
    assert child.log.read_text().splitlines() == ["one more", "one more"]


def test_a_large_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_KEPT_BYTES", 3)
    child = Child("program", [sys.executable, "-c", "print('line')"], folder=tmp_path)
    for _ in range(2):
        child.start()
        child.wait(10)
    assert (tmp_path / "program.log").read_text() == "line\n"
    assert (tmp_path / "program.log.1").read_text() == "line\n"


def test_the_callers_settings_of_other_programs_do_not_reach_a_plain_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGDATA", "/elsewhere")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1m")
    assert processes.plain_environment(LC_ALL="C").keys() <= {*processes.PLAIN_VARIABLES, "LC_ALL"}


def test_a_taken_port_is_not_chosen() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken = server.getsockname()[1]
        assert not is_free(taken)
        assert free_port(taken) != taken
    port = free_port()
    assert free_port(port) == port
