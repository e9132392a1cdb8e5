"""Progress on a terminal or in a notebook (bars with rate and ETA), or in a pipe (plain lines)."""

import time
from importlib.util import find_spec
from typing import final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from nas.system.text import printable

LINE_EVERY_S = 5.0


def display(console: Console) -> "Bars | Lines":
    """Bars where they can be drawn, in notebooks with ipywidgets; else lines."""
    is_notebook = console.is_jupyter and find_spec("ipywidgets") is not None
    return Bars(console) if console.is_terminal or is_notebook else Lines(console)


class _Rate(ProgressColumn):
    """Completed units per second."""

    def render(self, task: Task) -> Text:
        """ "12.3/s", or nothing before there is a rate."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


@final
class Bars:
    """One bar per phase on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.fields[name]:>9}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
        )
        self._task: TaskID | None = None
        self._progress.start()

    def phase(self, name: str, text: str) -> None:
        """Starts a new bar."""
        self._task = self._progress.add_task(printable(text), total=None, name=name)

    def advance(self, done: int, of: int, text: str = "") -> None:
        """Moves the bar."""
        if self._task is not None:
            task = self._progress.tasks[self._task]
            shown = printable(text) or task.description
            self._progress.update(self._task, completed=done, total=of, description=shown)

    def note(self, text: str) -> None:
        """A line above the bars."""
        self._console.print(printable(text), highlight=False, markup=False)

    def close(self) -> None:
        """Leaves the bars as they are."""
        self._progress.stop()


@final
class Lines:
    """Plain lines, a few per minute, for pipes and logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._name = ""
        self._started = self._printed = time.monotonic()
        self._first = self._of = 0

    def phase(self, name: str, text: str) -> None:
        """Says which phase begins."""
        self._name, self._started, self._first = name, time.monotonic(), -1
        self.note(f"{name}: {text}")

    def advance(self, done: int, of: int, text: str = "") -> None:
        """Says how far the phase is and how long it will take, every few seconds."""
        now = time.monotonic()
        if self._first < 0:
            self._first, self._of = done, of
        if of != self._of:  # other things are counted from now on
            self._first, self._of, self._started = done, of, now
        if now - self._printed < LINE_EVERY_S and done < of:
            return
        self._printed = now
        rate = (done - self._first) / max(1e-9, now - self._started)
        eta = f", ETA {(of - done) / rate:.0f} s" if rate > 0 else ""
        self.note(f"{self._name}: {done}/{of}, {rate:.1f}/s{eta}{', ' + text if text else ''}")

    def note(self, text: str) -> None:
        """One line."""
        self._console.print(printable(text), highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Nothing is open."""
