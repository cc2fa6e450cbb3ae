"""`amends up`: the whole of Amends on this machine, until it is told to end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from deploy.local import demo, simulate
from deploy.local.processes import Interrupted, StartFailed, interrupts
from deploy.local.screen import Screen
from deploy.local.whole import LocalAmends
from shared.cli import Stop
from shared.http.scopes import SERVICES


def run(data: Path, *, once: bool, simulated: bool = False) -> int:
    """Start everything on the data folder, send the samples, stay up unless `once`. Returns the exit code.

    To be stopped while it stays up is its normal end: 0. Earlier it is 128 + the signal's number.
    """
    screen = Screen()
    with interrupts():
        try:
            return _run(screen, data, once=once, simulated=simulated)
        except Interrupted as interrupted:
            screen.say("stopped")
            return interrupted.exit_code
        except (StartFailed, Stop) as failure:
            screen.say(f"\n{failure}", "bold")
            return 1


def _run(screen: Screen, data: Path, *, once: bool, simulated: bool) -> int:
    began = time.monotonic()
    screen.say(f"Starting Amends; its data are in {_short(data)}")
    with contextlib.ExitStack() as running:
        with screen.starting() as progress:
            tell = lambda news: screen.say(news, "yellow")  # noqa: E731
            amends = running.enter_context(LocalAmends(data, progress, tell, simulated=simulated))
        screen.say(f"Ready after {time.monotonic() - began:.1f} s\n")
        shown = demo.play(screen, amends.noted, logs=data / "logs")
        if once:
            return 0
        try:
            _tell_what_next(screen, amends, shown)
            signal.pause()
        except Interrupted:
            screen.say("\nstopping; a second Ctrl-C ends it at once")
    return 0


def _tell_what_next(screen: Screen, amends: LocalAmends, complaint_id: str) -> None:
    urls, key = amends.noted["urls"], amends.noted["api_key"]
    command = _short(Path(sys.argv[0])) if Path(sys.argv[0]).name == "amends" else "amends"
    example = '{"event_id":"mine-1","record_id":"my-case-1","text":"My parcel never came","category":"delivery"}'
    screen.say("\nAmends is up. Ctrl-C stops it; the data stay for the next start.\n")
    for service in SERVICES:
        screen.say(f"  {service:<11} {urls[service]}   also /readyz, /metrics, /openapi.json")
    screen.say(f"  logs        {_short(amends.data)}/logs\n\nTry next, in another terminal:\n")
    for line in (
        f"{command} timeline {complaint_id}",
        f"{command} plan {complaint_id}",
        f"{command} reconcile",
        *([f"{command} clock advance 3d"] if simulate.is_simulated(amends.data) else []),
        f"curl {urls['intake']}/v1/complaints -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{example}'",
        f"{command} --help",
    ):
        screen.say(f"  {line}")
    screen.say()


def _short(path: Path) -> str:
    """As one would type it here."""
    relative = os.path.relpath(path.absolute())
    return str(path) if relative.startswith("..") else relative
