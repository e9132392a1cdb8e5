"""The command `nas sweep`."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, final

import typer

from nas.cli.console import print_table, say
from nas.cli.options import AsJson
from nas.system.text import printable

if TYPE_CHECKING:
    from nas.sweep.plan import Sweep

WAITING, RUNNING = "waiting", "running"


def sweep(
    file: Annotated[Path, typer.Argument(metavar="SWEEP.toml", help="What to vary, and how.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the sweep. [sweeps/<file>]")] = None,
    ray_address: Annotated[
        str, typer.Option(help="Ray cluster: auto or HOST:PORT. [a Ray on this machine only]")
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue; refuse to begin a new sweep.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and about how long; run nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run many searches, spaces x budgets x seeds, on a Ray cluster, and compare their fronts."""
    from nas.sweep.file import read_sweep
    from nas.sweep.jobs import FAILED, FINISHED, RUNS
    from nas.sweep.sweep import fetch_runs, opened, run_sweep
    from reports import build_report, build_sweep_report, sweep_json, sweep_tables
    from search_spaces import UserError

    folder = out or Path("sweeps") / file.stem
    if dry_run:
        _print_plan(read_sweep(file), as_json)
        return
    found = opened(file, folder, must_exist=resume)
    watcher = _watcher(as_json)
    try:
        statuses = run_sweep(found, folder, ray_address=ray_address, watcher=watcher)
    finally:
        watcher.close()
    finished = [name for name, status in statuses.items() if status == FINISHED]
    fetch_runs(found, folder, finished)
    for name in finished:
        try:
            build_report(folder / RUNS / name)
        except UserError as error:  # the others' report says so too
            say(f"{name}: {error}", err=True)
    page = build_sweep_report(folder)
    if as_json:
        say(json.dumps({"sweep": str(folder), "report": str(page), **sweep_json(folder)}))
    else:
        for title, header, rows in sweep_tables(folder):
            say(f"\n{title}")
            print_table(header, rows)
        say(f"report: {page}")
    if len(statuses) < len(found.searches) or FAILED in statuses.values():
        raise typer.Exit(1)


def _print_plan(sweep: "Sweep", as_json: bool) -> None:
    """What would run."""
    from nas.sweep.sweep import estimate_s
    from reports import text

    if as_json:
        say(json.dumps(sweep.to_json()))
        return
    rows = [
        [search.name, search.supernet, *(_shown(search.settings, name) for name in sweep.varying)]
        for search in sweep.searches
    ]
    print_table(["search", "supernet", *sweep.varying], rows)
    train_s, search_s = estimate_s(sweep)
    say(
        f"{len(sweep.supernets)} supernets, about {text.seconds(train_s)}; "
        f"{len(sweep.searches)} searches, about {text.seconds(search_s)}: one after the other. "
        "A cluster does one on each node at a time."
    )


def _shown(settings: Any, name: str) -> str:
    outer, _, inner = name.partition(".")
    value = settings.get(outer, "")
    value = value.get(inner, "") if inner else value
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _watcher(as_json: bool) -> "LiveTable | PlainLines":
    from rich.console import Console

    console = Console(stderr=as_json)
    return LiveTable(console) if console.is_terminal else PlainLines(console)


@final
class PlainLines:
    """A line for all that happens."""

    def __init__(self, console: Any) -> None:
        self._console = console
        self._left: set[str] = set()

    def begin(self, stage: str, names: Sequence[str]) -> None:
        """See `nas.sweep.jobs.Watcher`."""
        self._left = set(names)
        self._say(f"{stage}: {len(names)}")

    def started(self, name: str) -> None:
        """See `nas.sweep.jobs.Watcher`."""
        self._say(f"{name}: started")

    def ended(self, name: str, status: str, text: str) -> None:
        """See `nas.sweep.jobs.Watcher`."""
        self._left.discard(name)
        self._say(f"{name}: {status}{', ' + text if text else ''}; {len(self._left)} left")

    def close(self) -> None:
        """Nothing is left to do."""

    def _say(self, text: str) -> None:
        self._console.print(printable(text), highlight=False, markup=False, soft_wrap=True)


@final
class LiveTable:
    """A table that changes as jobs do; as many rows as fit the terminal."""

    def __init__(self, console: Any) -> None:
        from rich.live import Live

        self._rows: dict[str, tuple[str, str]] = {}
        self._stage = ""
        self._live = Live(console=console, refresh_per_second=2)
        self._live.start()

    def begin(self, stage: str, names: Sequence[str]) -> None:
        """See `nas.sweep.jobs.Watcher`."""
        self._stage = stage
        self._rows = {name: (WAITING, "") for name in names}
        self._draw()

    def started(self, name: str) -> None:
        """See `nas.sweep.jobs.Watcher`."""
        self._rows[name] = (RUNNING, "")
        self._draw()

    def ended(self, name: str, status: str, text: str) -> None:
        """See `nas.sweep.jobs.Watcher`."""
        self._rows[name] = (status, text)
        self._draw()

    def close(self) -> None:
        """Leaves the table as it is."""
        self._live.stop()

    def _draw(self) -> None:
        from rich.markup import escape
        from rich.table import Table

        counts = Counter(status for status, _ in self._rows.values())
        title = ", ".join(f"{number} {status}" for status, number in counts.items())
        table = Table("name", "status", "", title=f"{self._stage}: {title}")
        most = max(5, shutil.get_terminal_size().lines - 8)
        order = sorted(self._rows.items(), key=lambda row: row[1][0] != RUNNING)
        for name, (status, text) in order[:most]:
            table.add_row(*(escape(printable(cell)) for cell in (name, status, text)))
        self._live.update(table)
