"""What `amends up` shows: on a terminal a line per part while it starts, elsewhere (a file, CI) a line per piece of news."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from deploy.local.progress import Progress, Step

NEWS_EVERY_S = 2.0
PLAIN_WIDTH = 200


class Screen:
    """Prints to stdout. A terminal that has gone away is no reason to fail: nothing here raises OSError."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, emoji=False, markup=False)
        self.is_terminal = self._console.is_terminal
        self.width = self._console.width if self.is_terminal else PLAIN_WIDTH
        self._lock = threading.Lock()

    def say(self, text: str | Text = "", style: str = "") -> None:
        """One line, folded by the terminal where it is too long."""
        with self._lock, contextlib.suppress(OSError):
            self._console.print(text, style=style, soft_wrap=True)

    @contextlib.contextmanager
    def starting(self) -> Iterator[Progress]:
        """While parts start: takes their news, from any thread."""
        with _bars(self._console) if self.is_terminal else contextlib.nullcontext(_Plain(self)) as tell:
            yield tell


class _Plain:
    """A line whenever a part does something else, and now and then how far it is."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._last: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def __call__(self, step: Step) -> None:
        with self._lock:
            text, at = self._last.get(step.part, ("", 0.0))
            now, complete = time.monotonic(), step.total and step.done == step.total
            if text == step.text and not complete and now - at < NEWS_EVERY_S:
                return
            self._last[step.part] = (step.text, now)
        far = f" {step.done}/{step.total}" if step.total else ""
        self._screen.say(f"  {step.part:<11} {step.text}{far}")


@contextlib.contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    """A live line per part; they stay, as they were last, when all has started."""
    columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.fields[part]:<11} {task.description}"))
    bars = Bars(*columns, _Measured(), _Count(), console=console, refresh_per_second=8)
    tasks: dict[str, int] = {}
    lock = threading.Lock()

    def tell(step: Step) -> None:
        with lock:
            if step.part not in tasks:
                tasks[step.part] = bars.add_task("", part=step.part, total=None)
            task = bars.tasks[tasks[step.part]]
            ready = step.text.startswith("ready")
            total = 1 if ready else step.total or None
            bars.update(task.id, description=step.text, total=total, completed=1 if ready else step.done)

    with contextlib.suppress(OSError):
        bars.start()
    try:
        yield tell
    finally:
        with contextlib.suppress(OSError):
            bars.stop()


class _Measured(BarColumn):
    """A bar, where there is something to measure."""

    def __init__(self) -> None:
        super().__init__(bar_width=24)

    def render(self, task):  # type: ignore[no-untyped-def]
        return super().render(task) if (task.total or 0) > 1 else Text()


class _Count(MofNCompleteColumn):
    def render(self, task):  # type: ignore[no-untyped-def]
        return super().render(task) if (task.total or 0) > 1 else Text()
