"""How commands print tables, and where they say how far they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns for people on a terminal, tabs between the cells for programs."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        for row in [header, *rows]:
            typer.echo("\t".join(row))
        return
    table = Table(*map(escape, header))
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def print_front(run_dir: Path) -> None:
    """The front of a finished run."""
    from reports import front_table

    print_table(*front_table(run_dir))


def make_reporter(as_json: bool, events_of: Path | None = None) -> Any:
    """Bars or lines; with `events_of`, a run directory, TensorBoard's event files too."""
    from rich.console import Console

    from nas.system.progress import display

    console = Console(stderr=as_json)
    if events_of is None:
        return display(console)
    from nas.run.tensorboard import WithEvents, summary_writer

    make_writer = summary_writer()  # may raise, so before bars are drawn
    return WithEvents(display(console), events_of, make_writer)
